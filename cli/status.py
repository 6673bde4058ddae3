"""`lake status`: what the lake holds, how fresh and how good it is, and the last runs."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from cli.environment import Environment
from cli.errors import LakeError
from cli.output import console, emit_json, simple_table
from cli.query import ask
from lake import odcs
from lake.contracts import Contract
from lake.jobs import JOBS, SOURCES
from lake.names import RUNS_PREFIX

LAST_RUNS = 5


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def status(env: str, form: str) -> None:
    """Freshness, rows and quality of every table, and the last runs of every source."""
    environment = Environment.open(env)
    runs = _runs(environment)
    tables = [_table(environment, contract, runs) for contract in odcs.load_all().values() if contract.format == "delta"]
    running = _running(environment)
    if form == "json":
        emit_json({"tables": tables, "running": running, "runs": runs[:LAST_RUNS]})
        return
    out = console()
    shown = simple_table("table", "rows", "quarantined", "age", "fresh", right=("rows", "quarantined", "age"))
    for row in tables:
        shown.add_row(row["table"], _number(row["rows"]), _number(row["quarantined"]), _age(row["age_hours"]), row["fresh"])
    out.print(shown)
    for line in running:
        out.print(line, highlight=False)
    if not runs and not running:
        out.print("no run yet; start one with: lake run boston311")
        return
    history = simple_table(
        "run", "source", "ended (UTC)", "outcome", "seconds", "written", "refused", right=("seconds", "written", "refused")
    )
    for run in runs[:LAST_RUNS]:
        written = sum(t["written"] for t in run["tables"])
        history.add_row(
            run["run_id"],
            run["source"],
            run["ended_at"][:19],
            run["outcome"],
            f"{run['seconds']:.1f}",
            f"{written:,}",
            str(len(run["refused"])),
        )
    out.print(history)


def _running(environment: Environment) -> list[str]:
    """One line a source that is being written, from its lease."""
    items = environment.client("dynamodb").scan(TableName=environment.names.lease_table)["Items"]
    return [f"{i['source']['S']} is running: {i['run_id']['S']}, since {i['taken_at']['S'][:19]} UTC" for i in items]


def _runs(environment: Environment) -> list[dict[str, Any]]:
    """Reports of the newest runs of every source, newest first."""
    s3, bucket = environment.client("s3"), environment.names.bucket("bronze")
    entries = [
        entry
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=RUNS_PREFIX)
        for entry in page.get("Contents", ())
    ]
    newest = sorted(entries, key=lambda entry: entry["LastModified"], reverse=True)[: LAST_RUNS * (len(SOURCES) + len(JOBS))]
    reports = [json.load(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"]) for entry in newest]
    return sorted(reports, key=lambda report: str(report["ended_at"]), reverse=True)


def _table(environment: Environment, contract: Contract, runs: list[dict[str, Any]]) -> dict[str, Any]:
    ended = [r["ended_at"] for r in runs if r["outcome"] == "succeeded" and r["source"] == contract.source]
    age = None
    if ended:
        last = datetime.fromisoformat(max(ended).replace(" ", "T")).replace(tzinfo=UTC)
        age = round((datetime.now(UTC) - last).total_seconds() / 3600, 2)
    fresh = "never run" if age is None else "yes" if contract.fresh_hours is None or age <= contract.fresh_hours else "STALE"
    database = environment.names.database(contract.layer)
    quarantined = _count(environment, f"{database}.{contract.quarantine}") if contract.is_judged else None
    return {
        "table": contract.name,
        "rows": _count(environment, f"{database}.{contract.table}"),
        "quarantined": quarantined,
        "age_hours": age,
        "fresh": fresh,
    }


def _count(environment: Environment, table: str) -> int | None:
    """Rows of a table, None before the first run has made it."""
    database, _, name = table.partition(".")
    glue = environment.client("glue")
    try:
        glue.get_table(DatabaseName=database, Name=name)
    except glue.exceptions.EntityNotFoundException:
        return None
    _, _, rows = ask(environment, f'SELECT count(*) FROM "{database}"."{name}"', workgroup="engineers")
    (count,) = next(rows)
    if count is None:
        raise LakeError(f"count(*) of {table} gave no number")
    return int(count)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _age(hours: float | None) -> str:
    if hours is None:
        return "-"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.0f} h"
