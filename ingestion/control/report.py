"""The run's account: the jobs' parts and the ingestion's refusals put together, and the message people get."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from ingestion.control.model import Finish, RunReport, error_text
from ingestion.run_part import Decision, Part, Refusal, TableReport
from lake.contracts import RELEASABLE
from lake.names import run_parts_prefix, run_report_key

MISSING = "no longer in the package; its rows stay"
COUNTS = ("read", "written", "unchanged", "superseded", "quarantined", "withdrawn")
SUBJECT_LENGTH = 100  # the most SNS takes
SHOWN = 20


def read_parts(*, s3: Any, bucket: str, run_id: str) -> list[Part]:
    """What the jobs of the run left behind, in the order of their names."""
    parts = []
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=run_parts_prefix(run_id))
    for page in pages:
        for entry in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            parts.append(Part.model_validate_json(body))
    return parts


def build(event: Finish, *, parts: Iterable[Part], tables: Iterable[str], ended_at: datetime) -> RunReport:
    """Every table of `tables` appears, with zeros when untouched; tables told by two parts are added up."""
    parts = list(parts)
    account = {table: TableReport(table=table) for table in tables}
    for told in (table for part in parts for table in part.tables):
        account[told.table] = _sum(account.get(told.table, TableReport(table=told.table)), told)
    refused = [Refusal(object=r["object"], rule=_rule(r)) for r in event.ingest.fetched if r.get("outcome") == "refused"]
    refused += [refusal for part in parts for refusal in part.refused]
    decisions = [Decision(object=resource_id, decision=MISSING) for resource_id in event.ingest.missing]
    decisions += [decision for part in parts for decision in part.decisions]
    started_at = datetime.fromisoformat(event.started_at).astimezone(UTC)
    return RunReport(
        run_id=event.run_id,
        source=event.source,
        outcome=event.outcome,
        started_at=_timestamp(started_at),
        ended_at=_timestamp(ended_at),
        seconds=round((ended_at - started_at).total_seconds(), 3),
        error=event.error,
        refused=refused,
        decisions=decisions,
        tables=list(account.values()),
    )


def write(report: RunReport, *, s3: Any, bucket: str) -> RunReport:
    """Stores the report, once: a retried task gets the one that is there.

    Another outcome than the stored one replaces it: the task that ends a run well may fail after writing.
    """
    key = run_report_key(report.run_id)
    target = {"Bucket": bucket, "Key": key, "ContentType": "application/json"}
    line = (report.model_dump_json() + "\n").encode()  # one JSON document a line, as Athena reads it
    try:
        s3.put_object(**target, Body=line, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
    else:
        return report
    stored = RunReport.model_validate(json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    if stored.outcome == report.outcome:
        return stored
    s3.put_object(**target, Body=line)
    return report


def subject(report: RunReport) -> str:
    note = f", {len(report.refused)} refused" if report.refused else ""
    return f"{report.source} {report.outcome}{note}: run {report.run_id}"[:SUBJECT_LENGTH]


def message(report: RunReport) -> str:
    """What happened, where, and what to do next."""
    lines = [f"Run {report.run_id} of {report.source} {report.outcome} after {report.seconds:.0f} s ({report.ended_at} UTC)."]
    if report.error:
        lines += ["", f"Error: {report.error}"]
    lines += ["", *(_account(table) for table in report.tables)]
    if report.refused:
        lines += ["", "Refused, and nothing of it published:", *_first(f"{r.object}: {r.rule}" for r in report.refused)]
    if report.decisions:
        lines += ["", "Decided:", *_first(f"{d.object}: {d.decision}" for d in report.decisions)]
    return "\n".join([*lines, "", "Next:", *(f"  {step}" for step in _next_steps(report))])


def _first(lines: Iterable[str]) -> list[str]:
    """The first of many, indented, and how many more there are."""
    lines = list(lines)
    more = [f"  and {len(lines) - SHOWN} more, all in the run's report"] if len(lines) > SHOWN else []
    return [*(f"  {line}" for line in lines[:SHOWN]), *more]


def _next_steps(report: RunReport) -> list[str]:
    steps = [f"lake logs {report.run_id}    every step's log in one place"]
    if report.outcome == "failed":
        steps.append(f"lake run {report.source}    once the cause is gone; it takes up where this run stopped")
    if any(RELEASABLE in refusal.rule for refusal in report.refused):
        steps.append(f"lake run {report.source} --accept {report.run_id}    publishes the good rows of objects over the threshold")
    return steps


def _rule(answer: dict[str, Any]) -> str:
    """The rule's name, with the error in words where one was caught."""
    return f"{answer['rule']}: {error_text(answer['error'])}" if answer.get("error") else str(answer["rule"])


def _account(table: TableReport) -> str:
    counts = ", ".join(f"{name} {getattr(table, name)}" for name in COUNTS)
    touched = any(getattr(table, name) for name in COUNTS)
    version = f" (version {table.version})" if table.version is not None else "" if touched else " (untouched)"
    return f"{table.table}: {counts}{version}"


def _sum(one: TableReport, other: TableReport) -> TableReport:
    versions = [v for v in (one.version, other.version) if v is not None]
    counts = {name: getattr(one, name) + getattr(other, name) for name in COUNTS}
    return TableReport(table=one.table, version=max(versions, default=None), **counts)


def _timestamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
