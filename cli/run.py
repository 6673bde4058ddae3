"""`lake run`, `lake replay` and `lake job submit`: start a source's state machine, follow it, tell what changed."""

import json
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.environment import Environment
from cli.errors import LakeError
from cli.follow import Follower
from cli.output import emit_json, report_table
from lake.jobs import COMPLETE_RUN, EVERYTHING, JOBS, NOTHING, SOURCES, check_replay, source_tables
from lake.names import origin_key, run_report_key

# Settings that tell where the laptop serves what a source is read from.
SERVERS = {"boston311": "portal_port", "coins": "coinmarketcap_port"}
FORMATS = click.Choice(["table", "json"])
SHOWN = ("source", "run_id", "outcome", "seconds", "error", "refused", "decisions", "tables")


@click.command()
@click.argument("source", type=click.Choice(SOURCES))
@click.option(
    "--from",
    "origin",
    metavar="DIR|simulated|live",
    help="Laptop only: the files below a directory, invented data, or the real service. Later runs keep to it.",
)
@click.option(
    "--only",
    type=click.Choice(["ingest", "silver", "gold"]),
    help="One step alone: to bronze, from bronze to silver, from silver to gold.",
)
@click.option(
    "--accept", default=NOTHING, metavar="RUN_ID", help="Publish the good rows of objects that run refused as over a threshold."
)
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
@click.pass_obj
def run(env: str, source: str, origin: str | None, only: str | None, accept: str, form: str) -> None:
    """Run SOURCE: ingest, silver, gold, catalogue. Only what changed since the last run is worked.

    It ends with the account of every table, what was decided of each object (which clock its times show, and from what
    evidence), and what was refused and why. A refused object holds up itself alone; its older version stays. The exit
    status is 0 if the run succeeded.

    \b
    lake run boston311                        what changed at the portal
    lake run boston311 --from ~/Downloads/311 every CSV below a directory; a path below it is a resource
    lake run boston311 --only ingest          to bronze and no further
    lake run coins --from ~/Downloads/cmc     answers of the API as JSON files, the oldest first, one a run
    lake run boston311 --accept RUN_ID        the good rows of what that run refused for its bad ones
    """
    if accept != NOTHING and only not in (None, "silver"):
        raise click.BadParameter("what a run refused is released by the silver step; leave --only out", param_hint="--accept")
    _check_step(source, only)
    environment = Environment.open(env)
    if accept != NOTHING and _report(environment, accept) is None:
        raise LakeError(f"no run {accept} has left a report; `lake status` lists the last runs")
    if origin is not None:
        _serve(environment, source, origin)
    sys.exit(_execute(environment, source, {**COMPLETE_RUN, "only": only or "all", "accept": accept}, form=form))


def _check_step(source: str, step: str | None) -> None:
    """Raises LakeError before a run is begun that could only fail."""
    there = ["ingest", *(job.step for job in JOBS.values() if job.source == source)]
    if step is not None and step not in there:
        raise LakeError(f"{source} has no {step} yet; it can run: {', '.join(there)}")


def _since(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return check_replay(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--since", default=EVERYTHING, callback=_since, metavar="DATE", help="Only what was received since, e.g. 2026-02-17.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
@click.pass_obj
def replay(env: str, source: str, since: str, form: str) -> None:
    """Make SOURCE's silver and gold anew from the newest accepted versions in bronze, by the code and settings of today.

    Nothing is downloaded. Rows that are right stay as they are, so a replay without a reason writes nothing; what was released by
    --accept stays released. For use after a rule or a setting was corrected.

    \b
    lake replay boston311                     everything
    lake replay boston311 --since 2026-02-17  what was received since
    """
    _check_step(source, "silver")
    environment = Environment.open(env)
    sys.exit(_execute(environment, source, {**COMPLETE_RUN, "replay": since}, form=form))


@click.group()
def job() -> None:
    """Submit one of the platform's jobs."""


@job.command()
@click.argument("name", type=click.Choice(sorted(JOBS)))
@click.option("--wait", is_flag=True, help="Follow it to its end; the exit status is 0 if it succeeded.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the job; may be repeated.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
@click.pass_obj
def submit(env: str, name: str, wait: bool, params: tuple[str, ...], form: str) -> None:
    """Run job NAME alone, through its source's state machine: it takes the same lease as a run, and runs no code but the job's.

    A gold table is made anew when it is asked for with other parameters than before; the next run without them makes it anew again.
    """
    environment = Environment.open(env)
    parameters = dict(_pair(text) for text in params)
    wanted = JOBS[name]
    body = {**COMPLETE_RUN, "only": wanted.step, "parameters": parameters}
    if wait:
        sys.exit(_execute(environment, wanted.source, body, form=form))
    run_id = _start(environment, wanted.source, body)
    if form == "json":
        emit_json({"source": wanted.source, "run_id": run_id, "job": name})
    else:
        click.echo(f"submitted as {run_id}; its log: lake logs {run_id}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint="--param")
    return name, value


def _serve(environment: Environment, source: str, origin: str) -> None:
    """Tells the laptop's server of the source what to serve. Raises LakeError with its answer if it refuses."""
    if not environment.is_laptop:
        raise LakeError("--from is for the laptop cloud; an AWS environment always reads the real service")
    import requests

    held = _held_origin(environment, source)
    wanted = origin if origin in ("simulated", "live") else "files"
    if held not in (None, wanted):
        raise LakeError(
            f"this lake holds {source} from origin {held!r}, and one lake holds a source from one origin\n"
            f"Go on with `lake run {source}`, or begin anew: lake down --wipe && lake up && lake run {source} --from {origin}"
        )
    body: dict[str, Any] = {"source": source, "origin": origin}
    if origin not in ("simulated", "live"):
        directory = Path(origin).expanduser().resolve()
        if not directory.is_dir():
            raise LakeError(f"--from {origin}: no such directory (or say `simulated` or `live`)")
        body = {"source": source, "origin": "files", "directory": str(directory)}
    answer = requests.put(f"http://127.0.0.1:{environment.laptop.ports[SERVERS[source]]}/_control", json=body, timeout=60)
    if answer.status_code != 200:
        raise LakeError(f"--from {origin}: {_words(answer)}")


def _words(answer: Any) -> str:
    """What a source's server says of a wish that it refuses: a text, or JSON around one."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(answer.text).strip()


def _held_origin(environment: Environment, source: str) -> str | None:
    """The origin of what the lake holds of `source`, None while it holds nothing."""
    s3 = environment.client("s3")
    try:
        body = s3.get_object(Bucket=environment.names.bucket("bronze"), Key=origin_key(source))["Body"]
    except s3.exceptions.NoSuchKey:
        return None
    return str(json.load(body)["origin"])


def _start(environment: Environment, source: str, body: dict[str, Any]) -> str:
    run_id = f"{source}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    environment.client("stepfunctions").start_execution(
        stateMachineArn=environment.machine_arn(source), name=run_id, input=json.dumps(body)
    )
    return run_id


def _execute(environment: Environment, source: str, body: dict[str, Any], *, form: str) -> int:
    """Starts and follows a run; prints its report; the exit status."""
    run_id = _start(environment, source, body)
    click.echo(f"run {run_id}", err=True)
    ended = Follower(environment, source, run_id).follow()
    report = _report(environment, run_id)
    if report is None or ended.error:
        report = {
            "source": source,
            "run_id": run_id,
            "outcome": ended.outcome,
            "seconds": round(ended.seconds, 1),
            "error": ended.error,
            "refused": report["refused"] if report else [],
            "decisions": report["decisions"] if report else [],
            "tables": report["tables"] if report else [_untouched(table) for table in source_tables(source)],
        }
    if form == "json":
        emit_json({key: report[key] for key in SHOWN})
    else:
        report_table(report)
    if report["outcome"] != "succeeded":
        click.echo(f"lake: {report['error']}\nThe log: lake logs {run_id}", err=True)
        return 1
    return 0


def _untouched(table: str) -> dict[str, Any]:
    counts = dict.fromkeys(("read", "written", "unchanged", "superseded", "quarantined", "withdrawn"), 0)
    return {"table": table, **counts, "version": None}


def _report(environment: Environment, run_id: str) -> dict[str, Any] | None:
    s3 = environment.client("s3")
    try:
        body = s3.get_object(Bucket=environment.names.bucket("bronze"), Key=run_report_key(run_id))["Body"]
    except s3.exceptions.NoSuchKey:
        return None
    found: dict[str, Any] = json.load(body)
    return found
