"""The fixed list of Spark jobs and the arguments that each takes; read by stacks, jobs and the command line.

A state machine can start these jobs and no others, so a pipeline that may start the machine cannot run code of its own.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, Literal

Step = Literal["silver", "gold"]

EVERYTHING = "all"  # as the value of `replay`
# "none" as the value of `accept` and `replay`: an empty text does not survive as an argument on every service's command line.
NOTHING = "-"

# Input of a source's machine when nobody asks for anything else: a complete run.
COMPLETE_RUN: dict[str, Any] = {"only": "all", "accept": NOTHING, "replay": NOTHING, "parameters": {}}


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
            tables=("silver.service_requests", "silver.service_requests_superseded"),
        ),
        Job(
            name="boston311_gold",
            source="boston311",
            step="gold",
            engine="emr",
            script="spark_jobs/boston311_gold.py",
            tables=("gold.case_delays", "gold.neighborhood_service", "gold.response_times"),
        ),
    )
}


# Tables that a source's ingestion itself writes, in a database.
INGESTED: dict[str, tuple[str, ...]] = {"coins": ("bronze.tb_coins",)}
SOURCES: tuple[str, ...] = tuple(sorted({*INGESTED, *(job.source for job in JOBS.values())}))


def source_tables(source: str) -> tuple[str, ...]:
    """Tables of `source` in the order in which its ingestion and its jobs write them."""
    return (*INGESTED.get(source, ()), *(table for job in JOBS.values() if job.source == source for table in job.tables))


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What every job is given.

    region: where the buckets are; bronze, silver, gold: addresses of the buckets, "s3://name";
    accept: run whose refused objects are released, or None;
    replay: EVERYTHING to make the tables anew from what was accepted, an ISO date or instant (UTC unless it says) for what was
    received since, or None;
    parameters: what a person may set for one run, by name, as text;
    settings: what the environment sets for the source's jobs, likewise.
    """

    run_id: str
    source: str
    region: str
    bronze: str
    silver: str
    gold: str
    accept: str | None
    replay: str | None = None
    parameters: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)


ARGUMENTS: tuple[str, ...] = tuple(argument.name for argument in fields(Arguments))
_DEFAULTS = {"replay": NOTHING, "settings": "{}"}


def parse(argv: Sequence[str]) -> Arguments:
    """Arguments from a command line; what the service adds of its own (Glue's --JOB_NAME) is ignored.

    Raises SystemExit with a message when one is missing, when `parameters` or `settings` is no JSON object of texts, or `replay`
    no date.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ARGUMENTS:
        parser.add_argument(f"--{name}", required=name not in _DEFAULTS, default=_DEFAULTS.get(name))
    known, _ = parser.parse_known_args(argv)
    values: dict[str, Any] = vars(known)
    for name in ("accept", "replay"):
        values[name] = None if values[name] == NOTHING else values[name]
    for name in ("parameters", "settings"):
        try:
            values[name] = _texts(values[name])
        except ValueError as error:
            parser.error(f'--{name} must be a JSON object of texts, e.g. {{"min_delay_days": "7"}}: {error}')
    if values["replay"] is not None:
        try:
            check_replay(values["replay"])
        except ValueError as error:
            parser.error(f"--replay: {error}")
    return Arguments(**values)


def check_replay(value: str) -> str:
    """`value`, if it is EVERYTHING or an ISO date or instant. Raises ValueError."""
    if value != EVERYTHING:
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is neither {EVERYTHING!r} nor a date such as {date(2026, 2, 17)}") from error
    return value


def _texts(written: str) -> dict[str, str]:
    """Raises ValueError (of which JSONDecodeError is one)."""
    values = json.loads(written)
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ValueError("it holds something else")
    return values
