"""`lake query`: SQL through Athena, with the rights of the workgroup's people."""

import csv
import sys
import time
from collections.abc import Iterator
from typing import Any, get_args

import click

from cli.environment import Environment
from cli.errors import LakeError
from cli.output import console, emit_json, simple_table
from lake.names import Workgroup

POLL_SECONDS = 0.1
INTEGERS = ("tinyint", "smallint", "integer", "int", "bigint")
FLOATS = ("float", "real", "double")


@click.command()
@click.argument("sql")
@click.option(
    "--workgroup",
    type=click.Choice(get_args(Workgroup)),
    default="engineers",
    show_default=True,
    help="Whose rights and scan limit apply: analysts see gold, scientists silver and gold, engineers all.",
)
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.pass_obj
def query(env: str, sql: str, workgroup: Workgroup, form: str) -> None:
    """Ask Athena. SQL of `-` is read from standard input.

    \b
    lake query "SELECT neighborhood, count(*) AS late FROM gold.case_delays GROUP BY 1 ORDER BY 2 DESC LIMIT 10"
    lake query "SHOW TABLES IN silver" --format json
    """
    environment = Environment.open(env)
    text = sys.stdin.read() if sql == "-" else sql
    names, types, rows = ask(environment, text, workgroup=workgroup)
    if form == "json":
        emit_json([dict(zip(names, values, strict=True)) for values in _typed(rows, types)])
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
    else:
        numeric = tuple(name for name, kind in zip(names, types, strict=True) if kind in (*INTEGERS, *FLOATS, "decimal"))
        table = simple_table(*names, right=numeric)
        for row in rows:
            table.add_row(*["" if value is None else value for value in row])
        console().print(table)


def ask(environment: Environment, sql: str, *, workgroup: Workgroup) -> tuple[list[str], list[str], Iterator[list[str | None]]]:
    """(column names, Athena types, rows as text). Raises LakeError with Athena's reason when the query fails."""
    athena = environment.as_workgroup("athena", workgroup)
    started = athena.start_query_execution(QueryString=sql, WorkGroup=environment.names.workgroup(workgroup))
    execution_id = started["QueryExecutionId"]
    try:
        while True:
            execution = athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        athena.stop_query_execution(QueryExecutionId=execution_id)
        raise
    if execution["Status"]["State"] != "SUCCEEDED":
        raise LakeError(
            f"query {execution['Status']['State'].lower()}: {execution['Status'].get('StateChangeReason', 'no reason given')}"
        )
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution_id)
    first = next(iter(pages))
    columns = first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    names = [column["Name"] for column in columns]
    # Only a SELECT's first row repeats the names.
    has_header = execution.get("StatementType", "DML") == "DML"
    return names, [column["Type"] for column in columns], _rows(pages, skip_header=has_header)


def _rows(pages: Any, *, skip_header: bool) -> Iterator[list[str | None]]:
    for number, page in enumerate(pages):
        rows = page["ResultSet"]["Rows"]
        for row in rows[1:] if skip_header and number == 0 else rows:
            yield [cell.get("VarCharValue") for cell in row["Data"]]


def _typed(rows: Iterator[list[str | None]], types: list[str]) -> Iterator[list[Any]]:
    """Numbers and booleans as JSON's; decimals and times stay text, so that no digit is lost."""
    for row in rows:
        yield [None if value is None else typed(value, kind) for value, kind in zip(row, types, strict=True)]


def typed(value: str, kind: str) -> Any:
    """A cell of a result as a JSON value, from Athena's text and type."""
    if kind in INTEGERS:
        return int(value)
    if kind in FLOATS:
        number = float(value)
        return number if number - number == 0 else value  # JSON has no NaN or Infinity
    if kind == "boolean":
        return value == "true"
    return value
