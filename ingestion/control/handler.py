"""Lambda that opens and closes a run: lease, report, message. Events and answers: ingestion.control.model."""

import logging
import os
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ingestion.control import report
from ingestion.control.lease import Leases
from ingestion.control.leftovers import Leftovers
from ingestion.control.model import Begin, Environment, Finish, parse_event
from lake import aws

log = logging.getLogger(__name__)
logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment.of(os.environ)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """begin answers the lease, finish {"report", "subject", "message"}. Raises LeaseHeld, LeftoversEnding."""
    environment = _environment()
    request = parse_event(event)
    if request.source != environment.source:
        raise ValueError(f"this function serves {environment.source!r}, not {request.source!r}")
    leases = Leases(
        dynamodb=aws.client("dynamodb"),
        stepfunctions=aws.client("stepfunctions"),
        table=environment.lease_table,
        end_leftovers=lambda run_id: _leftovers(environment).end(run_id),
    )
    if isinstance(request, Begin):
        lease = leases.take(source=request.source, run_id=request.run_id, execution_arn=request.execution_arn)
        return lease.model_dump()
    return _finish(request, environment=environment, leases=leases)


def _leftovers(environment: Environment) -> Leftovers:
    return Leftovers(glue=aws.client("glue"), emr=aws.client("emr"), jobs=environment.glue_jobs, cluster=environment.cluster)


def _finish(event: Finish, *, environment: Environment, leases: Leases) -> dict[str, Any]:
    s3 = aws.client("s3")
    parts = report.read_parts(s3=s3, bucket=environment.bronze_bucket, run_id=event.run_id)
    built = report.build(event, parts=parts, tables=environment.tables, ended_at=datetime.now(UTC))
    stored = report.write(built, s3=s3, bucket=environment.bronze_bucket)
    # Last: whoever takes the source next finds this run's report.
    if not leases.release(source=event.source, execution_arn=event.execution_arn):
        log.warning("run %s no longer held the lease of %s", event.run_id, event.source)
    return {"report": stored.model_dump(), "subject": report.subject(stored), "message": report.message(stored)}
