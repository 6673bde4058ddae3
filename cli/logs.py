"""`lake logs`: what every step of a run said, in one place and in order."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from cli.environment import Environment
from cli.errors import LakeError

GLUE_GROUPS = ("/aws-glue/jobs/output", "/aws-glue/jobs/error")
EMR_FILES = ("controller", "stdout", "stderr")


@dataclass(frozen=True)
class Step:
    name: str
    started: datetime
    ended: datetime
    answers: tuple[dict[str, Any], ...]
    failure: str


@click.command()
@click.argument("run_id")
@click.option("--step", "only", default="", help="Only steps whose name contains this, e.g. Silver.")
@click.pass_obj
def logs(env: str, run_id: str, only: str) -> None:
    """Every step's log of RUN_ID, in order: Lambdas, Glue jobs, EMR steps, and how each ended."""
    environment = Environment.open(env)
    for step in _steps(environment, run_id):
        if only.lower() not in step.name.lower():
            continue
        failed = f"  FAILED: {step.failure}" if step.failure else ""
        seconds = (step.ended - step.started).total_seconds()
        click.echo(f"=== {step.name}  {step.started:%H:%M:%S} + {seconds:.1f} s{failed}")
        for line in _lines(environment, step):
            click.echo(line.rstrip("\n"))


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
            current = {"name": entered["name"], "started": event["timestamp"], "answers": [], "failure": ""}
        elif current:
            _note(event, current)
    if current:
        steps.append(_step(current, events[-1]["timestamp"]))
    return steps


def _step(data: dict[str, Any], ended: datetime) -> Step:
    return Step(data["name"], data["started"], ended, tuple(data["answers"]), data["failure"])


def _note(event: dict[str, Any], current: dict[str, Any]) -> None:
    """Keeps what the event says of the service's own ids, and of a failure."""
    for key, details in event.items():
        if not key.endswith("EventDetails"):
            continue
        for field in ("output", "parameters", "input", "cause"):
            try:
                answer = json.loads(details.get(field, ""))
            except (json.JSONDecodeError, TypeError):
                continue
            if isinstance(answer, dict):
                current["answers"].append(answer | ({"resource": details["resource"]} if "resource" in details else {}))
        if details.get("error"):
            current["failure"] = f"{details['error']}: {str(details.get('cause', ''))[:500]}"


def _lines(environment: Environment, step: Step) -> Iterator[str]:
    seen: set[str] = set()
    for answer in step.answers:
        glue_run = answer.get("JobRunId") or (answer.get("Id") if "JobName" in answer else None)
        if glue_run and glue_run not in seen:
            seen.add(glue_run)
            for group in GLUE_GROUPS:
                yield from _stream(environment, group, glue_run)
        emr_step = answer.get("StepId") or answer.get("Step", {}).get("Id")
        cluster = answer.get("ClusterId") or _cluster_of(step)
        if emr_step and cluster and emr_step not in seen:
            seen.add(emr_step)
            yield from _emr(environment, cluster, emr_step)
        function = answer.get("FunctionName")
        if function and function not in seen:
            seen.add(function)
            yield from _function(environment, function.rsplit(":", 1)[-1], step)


def _cluster_of(step: Step) -> str | None:
    return next((answer["ClusterId"] for answer in step.answers if "ClusterId" in answer), None)


def _stream(environment: Environment, group: str, stream: str) -> Iterator[str]:
    client = environment.client("logs")
    try:
        for page in client.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=[stream]):
            yield from (event["message"] for event in page["events"])
    except client.exceptions.ResourceNotFoundException:
        return


def _function(environment: Environment, name: str, step: Step) -> Iterator[str]:
    client = environment.client("logs")
    start, end = int(step.started.timestamp() * 1000), int(step.ended.timestamp() * 1000) + 1000
    try:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", startTime=start, endTime=end)
        for page in pages:
            yield from (event["message"] for event in page["events"])
    except client.exceptions.ResourceNotFoundException:
        return


def _emr(environment: Environment, cluster: str, step: str) -> Iterator[str]:
    s3, bucket = environment.client("s3"), environment.names.bucket("logs")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            if f"/{cluster}/steps/{step}/" in f"/{entry['Key']}" and entry["Key"].rsplit("/", 1)[-1].split(".")[0] in EMR_FILES:
                body = gzip.decompress(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
                yield from body.decode(errors="replace").splitlines()
