"""`lake logs`: what every step of a run said, in one place and in order."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from cli.environment import Environment
from cli.errors import LakeError
from lake.aws import split_uri
from lake.failures import in_words

GLUE_GROUPS = ("/aws-glue/jobs/output", "/aws-glue/jobs/error")
EMR_FILES = ("stdout", "stderr")
JAVA_FRAME = re.compile(r"^\s+(at [\w.$<>/]+\(|\.\.\. \d+ more)|^at [\w.$<>/]+\(")
APPLICATION = re.compile(r"\bapplication_[0-9]+_[0-9]+\b")
DRIVER = re.compile(r"/container_[0-9_]+_000001/(stdout|stderr)\.gz$")
# How the services name what they run, in what a state machine's history says.
IDS = {
    "glue": re.compile(r"\bjr_[0-9a-f]{64}\b"),
    "cluster": re.compile(r"\bj-[0-9A-Z]{10,}\b"),
    "step": re.compile(r"\bs-[0-9A-Z]{10,}\b"),
    "function": re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:([A-Za-z0-9_-]+)"),
}


@dataclass(frozen=True)
class Step:
    name: str
    started: datetime
    ended: datetime
    ids: dict[str, set[str]]
    failure: str


@click.command()
@click.argument("run_id")
@click.option("--step", "only", default="", help="Only steps whose name contains this, e.g. Silver.")
@click.option("--full", is_flag=True, help="With every line of Java's stack traces, and steps that said nothing.")
@click.pass_obj
def logs(env: str, run_id: str, only: str, full: bool) -> None:
    """Every step's log of RUN_ID, in order: Lambdas, Glue jobs, EMR steps, and how each ended. A source's name is its last run."""
    environment = Environment.open(env)
    for step in _steps(environment, run_id if "-" in run_id else _last(environment, run_id)):
        if only.lower() not in step.name.lower():
            continue
        failed = f"  FAILED: {step.failure}" if step.failure else ""
        seconds = (step.ended - step.started).total_seconds()
        lines = [line.rstrip("\n") for line in _lines(environment, step)]
        if not full:
            lines = [line for line in lines if not JAVA_FRAME.match(line)]
        if lines or failed or full:
            click.echo(f"=== {step.name}  {step.started:%H:%M:%S} + {seconds:.1f} s{failed}")
        for line in lines:
            click.echo(line)


def _last(environment: Environment, source: str) -> str:
    arn = environment.machine_arn(source)
    runs = environment.client("stepfunctions").list_executions(stateMachineArn=arn, maxResults=1)["executions"]
    if not runs:
        raise LakeError(f"{source} has never run; `lake run {source}` does")
    return str(runs[0]["name"])


def _steps(environment: Environment, run_id: str) -> list[Step]:
    source = run_id.split("-", maxsplit=1)[0]
    machine = environment.machine_arn(source)
    client = environment.client("stepfunctions")
    arn = machine.replace(":stateMachine:", ":execution:") + f":{run_id}"
    try:
        pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
        events = [event for page in pages for event in page["events"]]
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn) as error:
        raise LakeError(f"no run {run_id}; `lake status` lists the last runs") from error
    steps: list[Step] = []
    current: dict[str, Any] | None = None
    for event in events:
        entered = event.get("stateEnteredEventDetails")
        if entered:
            if current:
                steps.append(_step(current, event["timestamp"]))
            ids: dict[str, set[str]] = {kind: set() for kind in IDS}
            current = {"name": entered["name"], "started": event["timestamp"], "ids": ids, "failure": ""}
        elif current:
            _note(event, current)
    if current:
        steps.append(_step(current, events[-1]["timestamp"]))
    return steps


def _step(data: dict[str, Any], ended: datetime) -> Step:
    return Step(data["name"], data["started"], ended, data["ids"], data["failure"])


def _note(event: dict[str, Any], current: dict[str, Any]) -> None:
    """Keeps what the event says of the service's own ids, and of a failure."""
    for key, details in event.items():
        if key.endswith("EventDetails"):
            said = " ".join(str(details.get(field, "")) for field in ("resource", "parameters", "input", "output", "cause"))
            for kind, pattern in IDS.items():
                current["ids"][kind] |= set(pattern.findall(said))
            if details.get("error"):
                current["failure"] = in_words(details["error"], details.get("cause", ""))


def _lines(environment: Environment, step: Step) -> Iterator[str]:
    for glue_run in sorted(step.ids["glue"]):
        for group in GLUE_GROUPS:
            yield from (event["message"] for event in _events(environment, group, logStreamNames=[glue_run]))
    start, end = int(step.started.timestamp() * 1000), int(step.ended.timestamp() * 1000) + 1000
    groups = [f"/aws/lambda/{function}" for function in sorted(step.ids["function"])]
    said = [event for group in groups for event in _events(environment, group, startTime=start, endTime=end)]
    yield from (event["message"] for event in sorted(said, key=lambda event: event["timestamp"]))
    for cluster in sorted(step.ids["cluster"]):
        for emr_step in sorted(step.ids["step"]):
            yield from _emr(environment, cluster, emr_step)


def _events(environment: Environment, group: str, **which: Any) -> Iterator[dict[str, Any]]:
    client = environment.client("logs")
    try:
        for page in client.get_paginator("filter_log_events").paginate(logGroupName=group, **which):
            yield from page["events"]
    except client.exceptions.ResourceNotFoundException:
        return  # nothing was logged


def _emr(environment: Environment, cluster: str, step: str) -> Iterator[str]:
    uri = environment.client("emr").describe_cluster(ClusterId=cluster)["Cluster"]["LogUri"]
    bucket, prefix = split_uri(uri.replace("s3n://", "s3://"))
    s3 = environment.client("s3")
    home = f"{prefix.rstrip('/')}/{cluster}"
    said = [line for file in EMR_FILES for line in _unzipped(s3, bucket, f"{home}/steps/{step}/{file}.gz")]
    yield from said
    # In cluster mode the driver speaks in the first container of its YARN application, which the step's log names.
    for application in sorted(set(APPLICATION.findall("\n".join(said)))):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{home}/containers/{application}/"):
            for entry in page.get("Contents", ()):
                if DRIVER.search(entry["Key"]):
                    yield from _unzipped(s3, bucket, entry["Key"])


def _unzipped(s3: Any, bucket: str, key: str) -> list[str]:
    """Lines of a gzip object; none if there is none: EMR uploads a log some minutes after it was written, if it holds anything."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return []
    return gzip.decompress(body).decode(errors="replace").splitlines()
