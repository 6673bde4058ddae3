"""What names mean inside a query: relations, their columns, lambda variables; and Athena's parser."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import TokenType

from local.engines.athena_expr import Ex, Position
from local.engines.athena_types import (
    INSTANT,
    REAL,
    TIMESTAMP,
    VARBINARY,
    AthenaError,
    Type,
    array,
    decimal_type,
    row_fields,
    text,
    unsupported,
)

_PARSERS = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION", "SUBSTRING", "LISTAGG")


class _Athena(Trino):
    """Trino's grammar with every function left as it is written, so that none is passed on by accident."""

    INDEX_OFFSET = 0

    class Parser(Trino.Parser):  # type: ignore[misc, valid-type]
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {k: v for k, v in Trino.Parser.FUNCTION_PARSERS.items() if k in _PARSERS}

        def _parse_bracket(self, this: Any = None) -> Any:
            if this is None and self._curr and self._curr.token_type == TokenType.L_BRACKET:
                self.raise_error("An array is written ARRAY[...]")
            return super()._parse_bracket(this)

        def _parse_join(self, *args: Any, **named: Any) -> Any:
            comma = self._curr is not None and self._curr.token_type == TokenType.COMMA
            join = super()._parse_join(*args, **named)
            if join is not None:
                join.meta["comma"] = comma
            return join


def parse(sql: str) -> exp.Expr:
    """One query. Raises SYNTAX_ERROR with line and column."""
    if re.match(r"(\s|--[^\n]*\n|/\*.*?\*/)*FROM\b", sql, re.IGNORECASE | re.DOTALL):
        raise AthenaError("SYNTAX_ERROR", "mismatched input 'FROM'", (1, 1))
    try:
        trees = [t for t in sqlglot.parse(sql, dialect=_Athena) if t is not None]
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        place = (int(found.get("line") or 1), max(1, int(found.get("col") or 1)))
        raise AthenaError("SYNTAX_ERROR", f"mismatched input '{found.get('highlight', '')}'", place) from error
    except TokenError as error:
        raise AthenaError("SYNTAX_ERROR", str(error).split("\n")[0], (1, 1)) from error
    if len(trees) != 1 or isinstance(trees[0], exp.Block):
        raise AthenaError("SYNTAX_ERROR", "Only one sql statement is allowed", (1, 1))
    tree = trees[0]
    assert isinstance(tree, exp.Expr)
    return tree


@dataclass(frozen=True)
class Column:
    """A column in reach. relation: alias or table name (database for ``db.table.column``); sql: how DuckDB names it."""

    name: str
    type: Type
    sql: str
    relation: str | None = None
    database: str | None = None


@dataclass(frozen=True)
class Query:
    """A translated query. Its DuckDB columns are called c0, c1, ...; columns holds Athena's names and types."""

    sql: str
    columns: list[tuple[str | None, Type]]


@dataclass
class Scope:
    """Columns in reach, the enclosing scope, common table expressions, lambda variables and named windows."""

    columns: list[Column] = field(default_factory=list)
    parent: Scope | None = None
    ctes: dict[str, tuple[str, list[tuple[str | None, Type]]]] = field(default_factory=dict)
    variables: dict[str, Ex] = field(default_factory=dict)
    windows: dict[str, exp.Window] = field(default_factory=dict)

    def inside(self, variables: dict[str, Ex]) -> Scope:
        return replace(self, variables={**self.variables, **variables})

    def find(self, parts: list[str], position: Position) -> Ex | None:
        """The column of a dotted name, or a field of a row column. Raises AMBIGUOUS_NAME."""
        for qualifiers in range(min(len(parts) - 1, 3), -1, -1):
            place, name, rest = parts[:qualifiers], parts[qualifiers], parts[qualifiers + 1 :]
            found = [c for c in self.columns if c.name.lower() == name and _placed(c, place)]
            if len(found) > 1:
                raise AthenaError("AMBIGUOUS_NAME", f"Column '{'.'.join(parts)}' is ambiguous", position)
            if found:
                ex = Ex(found[0].sql, found[0].type, position=position)
                for step in rest:
                    ex = dereference(ex, step, position)
                return ex
        return self.parent.find(parts, position) if self.parent else None

    def unknown(self, parts: list[str], position: Position) -> AthenaError:
        known = sorted({c.name for c in self.columns})
        near = difflib.get_close_matches(parts[-1], known, 1, 0.6)
        hint = f". Did you mean '{near[0]}'?" if near else ""
        said = "cannot be resolved or requester is not authorized to access requested resources"
        return AthenaError("COLUMN_NOT_FOUND", f"Column '{'.'.join(parts)}' {said}{hint}", position)


def _placed(column: Column, place: list[str]) -> bool:
    known = [p.lower() for p in ("awsdatacatalog", column.database or "", column.relation or "")]
    if len(place) > 1 and not column.database:
        return False
    return not place or known[-len(place) :] == place


def dereference(ex: Ex, name: str, position: Position) -> Ex:
    """A field of a row."""
    for field_name, kind in row_fields(ex.type) if ex.type.name == "row" else []:
        if field_name.lower() == name.lower():
            return Ex(f"struct_extract({ex.sql}, {text(field_name)})", kind, position=position)
    raise AthenaError("TYPE_MISMATCH", f"Expression is not of type ROW, or has no field '{name}'", position)


_NAMES = {
    "INT": "integer", "BIGINT": "bigint", "SMALLINT": "smallint", "TINYINT": "tinyint", "BOOLEAN": "boolean", "DOUBLE": "double",
    "DATE": "date", "JSON": "json", "INT128": "decimal",
}  # fmt: skip
_KINDS: dict[str, Callable[[], Type]] = {
    "FLOAT": lambda: REAL,
    "TIMESTAMP": lambda: TIMESTAMP,
    "TIMESTAMPTZ": lambda: INSTANT,
    "VARBINARY": lambda: VARBINARY,
}


def trino_type(node: exp.DataType, position: Position) -> Type:
    """A type as the query writes it. Raises NOT_SUPPORTED."""
    name = node.this.name if hasattr(node.this, "name") else str(node.this)
    inner = node.expressions
    numbers = [int(p.this.name) for p in inner if isinstance(p, exp.DataTypeParam) and p.this.name.isdigit()]
    if name == "DECIMAL":
        return decimal_type(*[*numbers, 0][:2]) if numbers else decimal_type(38, 0)
    if name in ("VARCHAR", "TEXT"):
        return Type("varchar", tuple(numbers[:1]))
    if name in ("CHAR", "TIME", "TIMETZ", "UUID"):
        raise unsupported(f"Type {name.lower()}", position)
    if name == "ARRAY":
        return array(trino_type(inner[0], position))
    if name == "MAP":
        return Type("map", tuple(trino_type(i, position) for i in inner))
    if name == "STRUCT":
        return Type("row", tuple(_field(i, position) for i in inner))
    if name in _KINDS:
        return _KINDS[name]()
    if name in _NAMES:
        return Type(_NAMES[name])
    raise AthenaError("TYPE_NOT_FOUND", f"Unknown type: {node.sql(dialect='trino').lower()}", position)


def _field(node: exp.Expr, position: Position) -> tuple[str | None, Type]:
    if isinstance(node, exp.ColumnDef):
        return node.name.lower(), trino_type(node.args["kind"], position)
    assert isinstance(node, exp.DataType)
    return None, trino_type(node, position)


def number(source: str) -> Ex:
    """A number as written: integer, bigint, decimal with its digits, or double if it has an exponent."""
    if "e" in source.lower():
        return Ex(f"CAST({source} AS DOUBLE)", Type("double"), float(source))
    if "." in source:
        whole, fraction = source.split(".")
        digits = whole.lstrip("0")
        kind = decimal_type(max(1, len(digits) + len(fraction)), len(fraction))
        return Ex(f"CAST('{source}' AS DECIMAL({kind.args[0]},{kind.args[1]}))", kind, float(source))
    value = int(source)
    name = "integer" if value < 2**31 else "bigint" if value < 2**63 else None
    if name is None:
        raise AthenaError("NUMERIC_VALUE_OUT_OF_RANGE", f"Invalid numeric literal: {source}")
    return Ex(f"CAST({value} AS {name.upper()})", Type(name), value)


def string(value: str) -> Ex:
    return Ex(text(value), Type("varchar", (len(value),)), value)
