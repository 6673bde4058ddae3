"""`lake tables` and `lake describe`: what the contracts say. Needs no running cloud."""

from typing import Any

import click

from cli.errors import LakeError
from cli.output import console, emit_json, simple_table
from lake import odcs
from lake.contracts import Contract

FORMATS = click.Choice(["table", "json"])


@click.command()
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def tables(form: str) -> None:
    """List the tables: what they hold, by which key, from which source."""
    contracts = odcs.load_all().values()
    if form == "json":
        emit_json(
            [{"table": c.name, "source": c.source, "title": c.title, "key": list(c.key), "owner": c.owner} for c in contracts]
        )
        return
    table = simple_table("table", "source", "key", "title")
    for contract in contracts:
        table.add_row(contract.name, contract.source, ", ".join(contract.key), contract.title)
    console().print(table)


@click.command()
@click.argument("table")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def describe(table: str, form: str) -> None:
    """Columns, rules, quality threshold and lineage of TABLE, e.g. silver.service_requests."""
    contracts = odcs.load_all()
    if table not in contracts:
        raise LakeError(f"no table {table}; there are {', '.join(contracts)}")
    contract = contracts[table]
    lineage = {"reads": list(contract.inputs), "read_by": [c.name for c in contracts.values() if table in c.inputs]}
    if form == "json":
        emit_json({**contract.to_json(), "name": contract.name, "lineage": lineage})
    else:
        _print(contract, lineage)


def _print(contract: Contract, lineage: dict[str, Any]) -> None:
    out = console()
    out.print(f"{contract.name}: {contract.title} (owner {contract.owner})", style="bold", highlight=False)
    out.print(contract.description, highlight=False)
    columns = simple_table("column", "type", "", "description")
    for column in contract.columns:
        marks = [
            "key" if column.name in contract.key else "",
            "partition" if column.name in contract.partitions else "",
            "required" if column.required and column.name not in contract.key else "",
            "personal" if column.is_personal else "",
        ]
        columns.add_row(column.name, column.type, " ".join(filter(None, marks)), column.description)
    out.print(columns)
    for rule in contract.rules:
        out.print(f"rule {rule.name}: {rule.expression}  ({rule.description})", highlight=False)
    if contract.is_judged:
        out.print(f"an object of which more than {contract.threshold:.2%} breaks a rule publishes nothing", highlight=False)
        out.print(f"quarantine: {contract.layer}.{contract.quarantine}", highlight=False)
    if contract.fresh_hours is not None:
        out.print(f"fresh: at most {contract.fresh_hours} h old", highlight=False)
    source = ", ".join(lineage["reads"]) or f"source {contract.source}"
    readers = ", ".join(lineage["read_by"]) or "nobody in the lake"
    out.print(f"lineage: {source} -> {contract.name} -> {readers}", highlight=False)
