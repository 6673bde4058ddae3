"""Who may see what: Athena workgroups with scan limits, named queries, and one role for each group of people.

Analysts see gold, scientists silver and gold, engineers everything. Quarantine and bronze hold rows as they came, with what people
typed into them, so they are for engineers alone (docs/adr/0014-quarantine-is-for-engineers.md).
"""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Stack
from constructs import Construct

from lake.contracts import Contract
from lake.jobs import SOURCES
from lake.names import WORKGROUP_LAYERS, Layer, Names, Workgroup
from lake.settings import Settings
from stacks.constructs.tables import table_names
from stacks.constructs.workgroup import AnalysisGroup
from stacks.foundation import Foundation
from stacks.queries import named_queries

_PURPOSE: dict[Workgroup, str] = {
    "analysts": "Questions to the gold tables",
    "scientists": "Questions to silver and gold, row by row",
    "engineers": "Everything, with quarantine, raw data and reports of runs",
}


class Access(Stack):
    """groups by name."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        names: Names,
        contracts: Mapping[str, Contract],
        foundation: Foundation,
        **stack: Any,
    ) -> None:
        super().__init__(scope, id, description="Workgroups, named queries and roles of people", **stack)
        self.add_stack_dependency(foundation)  # names alone tie them together, and CloudFormation does not see names
        limits: dict[Workgroup, int] = {
            "analysts": settings.athena.analysts_scan_mb,
            "scientists": settings.athena.scientists_scan_mb,
            "engineers": settings.athena.engineers_scan_mb,
        }
        self.groups: dict[Workgroup, AnalysisGroup] = {}
        for group, layers in WORKGROUP_LAYERS.items():
            people = AnalysisGroup(
                self,
                group.capitalize(),
                group=group,
                description=_PURPOSE[group],
                scan_mb=limits[group],
                results=foundation.buckets["results"],
                queries=named_queries(group, names=names),
                names=names,
            )
            for layer in layers:
                seen = [contract for contract in contracts.values() if contract.layer == layer]
                tables = [table for contract in seen for table in _tables(contract, group=group)]
                people.allow_tables(
                    database=names.database(layer),
                    bucket=foundation.buckets[layer],
                    prefixes=[*(f"{table}/" for table in tables), *_raw(layer)],
                )
            self.groups[group] = people


def _tables(contract: Contract, *, group: Workgroup) -> list[str]:
    return table_names(contract) if group == "engineers" else [contract.table]


def _raw(layer: Layer) -> list[str]:
    """What lies in a bucket beside its tables and is worth a look: in bronze, each source's objects as received."""
    return [f"{source}/" for source in SOURCES] if layer == "bronze" else []
