"""How answers are printed: tables for people on a terminal, JSON and CSV for programs."""

import json
import re
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lake.contracts import RELEASABLE


def emit_json(value: Any) -> None:
    """One JSON value on standard output and nothing else."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def console() -> Console:
    """Standard output; wide when it is not a terminal, so that a pipe gets whole rows."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def simple_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


COUNTS = ("read", "written", "unchanged", "superseded", "quarantined", "withdrawn")
# The account of a table, readable as the sum that it is; withdrawn rows were in the table before.
ACCOUNT = ("read", "= written", "+ unchanged", "+ superseded", "+ quarantined", "withdrawn")


def report_table(report: dict[str, Any]) -> None:
    """A run's report: outcome, one row a table, what was decided of each object, what was refused and why."""
    out = console()
    refusals = f", {len(report['refused'])} refused" if report["refused"] else ""
    out.print(
        f"{report['source']} {report['outcome']} in {report['seconds']:.1f} s{refusals} (run {report['run_id']})", highlight=False
    )
    if report["outcome"] == "succeeded" or any(row["read"] for row in report["tables"]):
        table = simple_table("table", *ACCOUNT, "version", right=(*ACCOUNT, "version"))
        for row in report["tables"]:
            version = "-" if row["version"] is None else str(row["version"])
            table.add_row(row["table"], *[f"{row[name]:,}" for name in COUNTS], version)
        out.print(table)
    _print_objects(out, "decided", [(d["object"], d["decision"]) for d in report["decisions"]])
    _print_objects(out, "refused", [(r["object"], r["rule"]) for r in report["refused"]], style="yellow")
    if any(RELEASABLE in refused["rule"] for refused in report["refused"]):
        release = f"lake run {report['source']} --accept {report['run_id']}"
        out.print(f"to publish the good rows all the same: {release}", highlight=False)


def _print_objects(out: Console, what: str, said: list[tuple[str, str]], *, style: str = "") -> None:
    """A line an object, under the heading `what`."""
    if said:
        table = simple_table(what, "")
        for name, text in said:
            table.add_row(escape(resource_of(name)), escape(text), style=style)
        out.print()
        out.print(table)


def resource_of(key: str) -> str:
    """The resource's id in an object's key, "<source>/resources/<id>/<run>.csv.gz"; any other name as it is."""
    found = re.fullmatch(r"\w+/resources/(.+)/[^/]+", key)
    return found[1] if found else key
