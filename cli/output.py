"""How answers are printed: tables for people on a terminal, JSON and CSV for programs."""

import json
import sys
from typing import Any

from rich.console import Console
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


def report_table(report: dict[str, Any]) -> None:
    """A run's report: outcome, one row a table, what was refused."""
    out = console()
    refusals = f", {len(report['refused'])} refused" if report["refused"] else ""
    out.print(
        f"{report['source']} {report['outcome']} in {report['seconds']:.1f} s{refusals} (run {report['run_id']})", highlight=False
    )
    if report["outcome"] != "succeeded" and not any(row["read"] for row in report["tables"]):
        return  # it ended before it read anything
    table = simple_table("table", *COUNTS, "version", right=(*COUNTS, "version"))
    for row in report["tables"]:
        version = "-" if row["version"] is None else str(row["version"])
        table.add_row(row["table"], *[f"{row[name]:,}" for name in COUNTS], version)
    out.print(table)
    for decided in report["decisions"]:
        out.print(f"{decided['object']}: {decided['decision']}", highlight=False, markup=False, soft_wrap=True)
    for refused in report["refused"]:
        out.print(f"refused: {refused['object']}: {refused['rule']}", highlight=False, style="yellow")
    if any(RELEASABLE in refused["rule"] for refused in report["refused"]):
        release = f"lake run {report['source']} --accept {report['run_id']}"
        out.print(f"to publish the good rows all the same: {release}", highlight=False)
