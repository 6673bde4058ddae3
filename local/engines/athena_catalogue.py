"""SHOW, DESCRIBE and information_schema, answered from the Glue catalogue with the caller's permissions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import Any

from local.engines.athena_expr import Position
from local.engines.athena_relations import Table
from local.engines.athena_tables import Catalogue, data_format, permissions
from local.engines.athena_types import BIGINT, VARCHAR, AthenaError, Type, parse_type, quote, text, unsupported

_NAME = r"(?:(?P<db>[`\"]?[\w$]+[`\"]?)\.)?(?P<table>[`\"]?[\w$]+[`\"]?)"
_IN = r"(?:\s+(?:IN|FROM)\s+(?P<db>[`\"]?[\w$]+[`\"]?))?"
_LIKE = r"(?:\s+(?:LIKE\s+)?'(?P<like>[^']*)')?"
# Statements that Athena has and the laptop has not; the catalogue belongs to the stacks and to the crawlers.
_ELSEWHERE = [
    "create",
    "drop",
    "alter",
    "msck",
    "insert",
    "delete",
    "update",
    "merge",
    "unload",
    "optimize",
    "vacuum",
    "prepare",
    "execute",
    "deallocate",
]

Answer = tuple[list[str], list[list[str]]]


def answer(sql: str, catalogue: Catalogue) -> Answer | None:
    """Column names and lines of a SHOW or DESCRIBE statement; None if it is something else.

    Raises NOT_SUPPORTED for statements that change data or the catalogue.
    """
    plain = re.sub(r"\s+", " ", re.sub(r"(--[^\n]*|/\*.*?\*/)", " ", sql, flags=re.DOTALL)).strip().rstrip("; ")
    first = plain.split(" ", 1)[0].lower()
    if first in _ELSEWHERE:
        raise unsupported(f"The statement {first.upper()}", (1, 1))
    if first not in ("show", "describe", "desc"):
        return None
    for pattern, handler in _STATEMENTS:
        if matched := re.fullmatch(pattern, plain, re.IGNORECASE):
            found = {k: v.strip('`"').lower() if k != "like" else v for k, v in matched.groupdict().items() if v}
            with permissions():
                return handler(found, catalogue)
    raise AthenaError("SYNTAX_ERROR", f"mismatched input '{plain[:40]}'", (1, 1))


def _databases(given: dict[str, str], catalogue: Catalogue) -> Answer:
    names = [d["Name"] for d in _pages(catalogue.glue, "get_databases", "DatabaseList")]
    return ["database_name"], [[n] for n in sorted(names) if _like(n, given)]


def _tables(given: dict[str, str], catalogue: Catalogue) -> Answer:
    database = given.get("db", catalogue.database)
    names = [t["Name"] for t in _pages(catalogue.glue, "get_tables", "TableList", DatabaseName=database)]
    return ["tab_name"], [[n] for n in sorted(names) if _like(n, given)]


def _columns(given: dict[str, str], catalogue: Catalogue) -> Answer:
    return ["field"], [[c["Name"]] for c in _all_columns(_entry(given, catalogue))]


def _partitions(given: dict[str, str], catalogue: Catalogue) -> Answer:
    entry = _entry(given, catalogue)
    keys = [k["Name"] for k in entry.get("PartitionKeys") or []]
    if not keys:
        raise AthenaError("GENERIC_USER_ERROR", f"Table {entry['Name']} is not a partitioned table")
    found = _pages(catalogue.glue, "get_partitions", "Partitions", DatabaseName=entry["DatabaseName"], TableName=entry["Name"])
    lines = ["/".join(f"{k}={v}" for k, v in zip(keys, p["Values"], strict=True)) for p in found]
    return ["partition"], [[line] for line in sorted(lines)]


def _describe(given: dict[str, str], catalogue: Catalogue) -> Answer:
    entry = _entry(given, catalogue)
    lines = [_described(c) for c in _all_columns(entry)]
    if keys := entry.get("PartitionKeys"):
        head = ["# col_name", "data_type", "comment"]
        lines += [["", "", ""], ["# Partition Information", "", ""], head, ["", "", ""], *(_described(k) for k in keys)]
    return ["col_name", "data_type", "comment"], lines


def _create_table(given: dict[str, str], catalogue: Catalogue) -> Answer:
    entry = _entry(given, catalogue)
    storage, keys = entry["StorageDescriptor"], entry.get("PartitionKeys") or []
    columns = [f"  `{c['Name']}` {c.get('Type', 'string')}" for c in storage.get("Columns") or []]
    lines = [f"CREATE EXTERNAL TABLE `{entry['DatabaseName']}.{entry['Name']}`(", *_commas(columns, ")")]
    if keys:
        lines += ["PARTITIONED BY ( ", *_commas([f"  `{k['Name']}` {k.get('Type', 'string')}" for k in keys], ")")]
    serde = (storage.get("SerdeInfo") or {}).get("SerializationLibrary")
    if serde and data_format(entry):
        lines += ["ROW FORMAT SERDE ", f"  '{serde}' "]
    lines += ["LOCATION", f"  '{storage.get('Location', '')}'", "TBLPROPERTIES ("]
    lines += _commas([f"  '{k}'='{v}'" for k, v in sorted((entry.get("Parameters") or {}).items())], ")")
    return ["createtab_stmt"], [[line] for line in lines]


def _properties(given: dict[str, str], catalogue: Catalogue) -> Answer:
    parameters = _entry(given, catalogue).get("Parameters") or {}
    return ["prpt_name", "prpt_value"], [[k, v] for k, v in sorted(parameters.items())]


_STATEMENTS: list[tuple[str, Callable[[dict[str, str], Catalogue], Answer]]] = [
    (rf"SHOW (?:DATABASES|SCHEMAS){_LIKE}", _databases),
    (rf"SHOW TABLES{_IN}{_LIKE}", _tables),
    (rf"SHOW COLUMNS (?:IN|FROM) {_NAME}", _columns),
    (r"SHOW COLUMNS (?:IN|FROM) (?P<table>[`\"]?\w+[`\"]?) (?:IN|FROM) (?P<db>[`\"]?\w+[`\"]?)", _columns),
    (rf"SHOW PARTITIONS {_NAME}", _partitions),
    (rf"SHOW CREATE TABLE {_NAME}", _create_table),
    (rf"SHOW TBLPROPERTIES {_NAME}", _properties),
    (rf"DESC(?:RIBE)? (?:FORMATTED |EXTENDED )?{_NAME}", _describe),
]


def _entry(given: dict[str, str], catalogue: Catalogue) -> dict[str, Any]:
    return catalogue.entry(given.get("db", catalogue.database), given["table"])


def _pages(glue: Any, operation: str, key: str, **parameters: str) -> Iterator[dict[str, Any]]:
    for page in glue.get_paginator(operation).paginate(**parameters):
        yield from page[key]


def _like(name: str, given: dict[str, str]) -> bool:
    """Athena's SHOW takes a regular expression with * for any characters and | for either."""
    return "like" not in given or any(fnmatch.fnmatch(name, p) for p in given["like"].replace("%", "*").split("|"))


def _all_columns(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [*((entry.get("StorageDescriptor") or {}).get("Columns") or []), *(entry.get("PartitionKeys") or [])]


def _described(column: dict[str, Any]) -> list[str]:
    return [column["Name"], column.get("Type") or "string", column.get("Comment") or ""]


def _commas(lines: list[str], end: str) -> list[str]:
    return [line + (", " if i < len(lines) - 1 else end) for i, line in enumerate(lines)]


# information_schema ---------------------------------------------------------------------------------------------------------


def information_schema(glue: Any, name: str, position: Position) -> Table:
    """The views schemata, tables and columns over what the caller may see of the catalogue."""
    with permissions():
        databases = [d["Name"] for d in _pages(glue, "get_databases", "DatabaseList")]
        if name == "schemata":
            columns = [("catalog_name", VARCHAR), ("schema_name", VARCHAR)]
            return _table([["awsdatacatalog", d] for d in databases], columns)
        entries = [(d, t) for d in databases for t in _pages(glue, "get_tables", "TableList", DatabaseName=d)]
    if name == "tables":
        columns = [(n, VARCHAR) for n in ("table_catalog", "table_schema", "table_name", "table_type")]
        return _table([["awsdatacatalog", d, t["Name"], "BASE TABLE"] for d, t in entries], columns)
    if name == "columns":
        columns = [(n, VARCHAR) for n in ("table_catalog", "table_schema", "table_name", "column_name")]
        columns += [("ordinal_position", BIGINT), ("column_default", VARCHAR), ("is_nullable", VARCHAR), ("data_type", VARCHAR)]
        rows = [
            ["awsdatacatalog", d, t["Name"], c["Name"], i, None, "YES", str(parse_type(c.get("Type") or "string"))]
            for d, t in entries
            for i, c in enumerate(_all_columns(t), 1)
        ]
        return _table(rows, columns)
    raise AthenaError("TABLE_NOT_FOUND", f"Table 'awsdatacatalog.information_schema.{name}' does not exist", position)


def _table(rows: list[list[Any]], columns: list[tuple[str, Type]]) -> Table:
    names = ", ".join(quote(n) for n, _ in columns)
    shown = [", ".join("NULL" if v is None else str(v) if isinstance(v, int) else text(v) for v in row) for row in rows]
    if not rows:
        empty = ", ".join(f"CAST(NULL AS {'BIGINT' if t == BIGINT else 'VARCHAR'}) AS {quote(n)}" for n, t in columns)
        return Table(f"(SELECT {empty} WHERE FALSE)", columns)
    return Table("(SELECT * FROM (VALUES " + ", ".join(f"({r})" for r in shown) + f") AS v({names}))", columns)
