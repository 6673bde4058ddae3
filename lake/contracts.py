"""A table's contract as stacks and jobs see it: columns, keys, partitioning, rules.

Standard library only. The contracts are written in the Open Data Contract Standard (`contracts/*.odcs.yaml`, read by `lake.odcs`)
and travel with the jobs compiled to JSON, so that a job needs neither YAML nor pydantic.
"""

import json
import pkgutil
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from lake.names import QUARANTINE_SUFFIX, Layer, Names

COMPILED = "contracts.json"
# Stands in the rule of an object that is over the contract's threshold: of all refusals only such a one can be released.
RELEASABLE = "the contract allows"


@dataclass(frozen=True, kw_only=True)
class Column:
    """type: a Spark SQL type, e.g. "string", "timestamp", "array<struct<object:string,rule:string>>"."""

    name: str
    type: str
    required: bool = False
    description: str = ""
    classification: str = "public"

    @property
    def is_personal(self) -> bool:
        return self.classification == "personal"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A row must satisfy `expression` (Spark SQL over the typed row), else it is quarantined under `name`."""

    name: str
    expression: str
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One table. `threshold`: the share of an object's rows that may be quarantined before the object publishes nothing;
    `columns_of`: the table whose columns these are, if not its own."""

    layer: Layer
    table: str
    source: str
    title: str
    description: str
    owner: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    threshold: float = 0.0
    format: str = "delta"
    inputs: tuple[str, ...] = ()
    fresh_hours: int | None = None
    columns_of: str = ""

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.table}"

    @property
    def is_judged(self) -> bool:
        """Whether rows are judged on their way in, and so may be quarantined; rows of another table's columns were judged there."""
        return self.layer == "silver" and not self.columns_of

    @property
    def quarantine(self) -> str:
        return f"{self.table}{QUARANTINE_SUFFIX}"

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def ddl(self) -> str:
        """Spark SQL column list, e.g. "`case_id` string NOT NULL, `opened_at` timestamp"."""
        return ", ".join(f"`{c.name}` {c.type}{' NOT NULL' if c.required else ''}" for c in self.columns)

    def uri(self, names: Names) -> str:
        return names.table_uri(self.layer, self.table)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Contract":
        return cls(
            **{
                **data,
                "columns": tuple(Column(**column) for column in data["columns"]),
                "rules": tuple(Rule(**rule) for rule in data["rules"]),
                "key": tuple(data["key"]),
                "partitions": tuple(data["partitions"]),
                "inputs": tuple(data["inputs"]),
            }
        )


def compile_json(contracts: dict[str, Contract]) -> str:
    """All contracts as one JSON text, the form that travels with the jobs."""
    return json.dumps({name: contract.to_json() for name, contract in contracts.items()}, indent=1, sort_keys=True)


@lru_cache(maxsize=1)
def compiled() -> dict[str, Contract]:
    """The contracts by name ("silver.service_requests") that were compiled into this package."""
    text = pkgutil.get_data("lake", COMPILED)  # not open(): inside a job the package lies in a zip
    if text is None:
        raise FileNotFoundError(f"lake/{COMPILED} is missing: this package was not built by stacks.packages")
    return {name: Contract.from_json(data) for name, data in json.loads(text).items()}


def contract(name: str) -> Contract:
    """The contract of table `name`. Raises KeyError naming the tables that exist."""
    known = compiled()
    if name not in known:
        raise KeyError(f"no contract for table {name!r}; there are {', '.join(sorted(known))}")
    return known[name]
