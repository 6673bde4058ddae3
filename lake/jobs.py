"""The fixed list of Spark jobs and the arguments that each takes; read by stacks, jobs and the command line.

A state machine can start these jobs and no others, so a pipeline that may start the machine cannot run code of its own.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

Step = Literal["silver", "gold"]

# "no run" as the value of `accept`: an empty text does not survive as an argument on every service's command line.
NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Job:
    """engine: where it runs on AWS; script: path from the repository's root; tables: the tables that only this job writes."""

    name: str
    source: str
    step: Step
    engine: Literal["glue", "emr"]
    script: str
    tables: tuple[str, ...]


JOBS: dict[str, Job] = {
    job.name: job
    for job in (
        Job(
            name="boston311_silver",
            source="boston311",
            step="silver",
            engine="glue",
            script="glue_scripts/boston311_silver.py",
            tables=("silver.service_requests",),
        ),
        Job(
            name="boston311_gold",
            source="boston311",
            step="gold",
            engine="emr",
            script="spark_jobs/boston311_gold.py",
            tables=("gold.case_delays",),
        ),
    )
}


def source_tables(source: str) -> tuple[str, ...]:
    """Tables of `source` in the order in which its jobs write them."""
    return tuple(table for job in JOBS.values() if job.source == source for table in job.tables)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What every job is given.

    region: where the buckets are; bronze, silver, gold: addresses of the buckets, "s3://name";
    accept: run whose refused objects are released, or None;
    parameters: what a person may set for one run, by name, as text.
    """

    run_id: str
    source: str
    region: str
    bronze: str
    silver: str
    gold: str
    accept: str | None
    parameters: dict[str, str]


ARGUMENTS: tuple[str, ...] = tuple(field.name for field in fields(Arguments))


def parse(argv: Sequence[str]) -> Arguments:
    """Arguments from a command line; what the service adds of its own (Glue's --JOB_NAME) is ignored.

    Raises SystemExit with a message when one is missing or `parameters` is no JSON object of texts.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ARGUMENTS:
        parser.add_argument(f"--{name}", required=True)
    known, _ = parser.parse_known_args(argv)
    values: dict[str, Any] = vars(known)
    try:
        parameters = json.loads(values["parameters"])
    except json.JSONDecodeError as error:
        parser.error(f"--parameters is not JSON: {error}")
    if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
        parser.error('--parameters must be a JSON object of texts, e.g. {"min_delay_days": "7"}')
    accept = None if values["accept"] == NOTHING else values["accept"]
    return Arguments(**{**values, "accept": accept, "parameters": parameters})
