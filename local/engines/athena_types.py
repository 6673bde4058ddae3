"""Trino's types as Athena engine version 3 uses them: names, DuckDB's types for them, coercions.

Sources: Trino documentation "Data types" and "Decimal functions and operators"; Athena user guide "Data types".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

INTEGERS = ("tinyint", "smallint", "integer", "bigint")
NUMBERS = (*INTEGERS, "decimal", "real", "double")
DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}


class AthenaError(Exception):
    """A refused or failed query, worded as Athena words it: ``CODE: line L:C: message``."""

    def __init__(self, code: str, message: str, position: tuple[int, int] | None = None) -> None:
        where = f"line {position[0]}:{position[1]}: " if position else ""
        super().__init__(f"{code}: {where}{message}")
        self.code = code


def unsupported(what: str, position: tuple[int, int] | None = None) -> AthenaError:
    """What Athena can and the laptop cannot: told apart from a mistake in the query."""
    return AthenaError("NOT_SUPPORTED", f"{what} (a limit of the laptop cloud, not of Athena)", position)


@dataclass(frozen=True)
class Type:
    """A Trino type. args: (precision, scale), (length,), element types, or (name, type) pairs of a row.

    zone is the display zone of a timestamp with time zone; the value itself is an instant.
    """

    name: str
    args: tuple[Any, ...] = ()
    zone: str = "UTC"

    def __str__(self) -> str:
        if self.name in ("timestamp", "timestamp with time zone"):
            return self.name.replace("timestamp", "timestamp(3)")
        if self.name == "row":
            return "row(" + ", ".join(f"{n} {t}" if n else str(t) for n, t in self.args) + ")"
        return f"{self.name}({','.join(str(a) for a in self.args)})" if self.args else self.name

    @property
    def number(self) -> bool:
        return self.name in NUMBERS

    @property
    def whole(self) -> bool:
        return self.name in INTEGERS


BOOLEAN, INTEGER, BIGINT, DOUBLE, REAL = (Type(n) for n in ("boolean", "integer", "bigint", "double", "real"))
VARCHAR, VARBINARY, DATE, TIMESTAMP, JSON = (Type(n) for n in ("varchar", "varbinary", "date", "timestamp", "json"))
INSTANT, UNKNOWN = Type("timestamp with time zone"), Type("unknown")
DAYS, MONTHS = Type("interval day to second"), Type("interval year to month")


def decimal_type(precision: int, scale: int) -> Type:
    return Type("decimal", (min(38, precision), scale))


def array(element: Type) -> Type:
    return Type("array", (element,))


def as_decimal(kind: Type) -> Type:
    """The decimal that holds every value of a whole number type."""
    return kind if kind.name == "decimal" else decimal_type(DIGITS[kind.name], 0)


_DUCK = {
    "real": "FLOAT",
    "varbinary": "BLOB",
    "timestamp with time zone": "TIMESTAMPTZ",
    "unknown": "INTEGER",
    "varchar": "VARCHAR",
    "char": "VARCHAR",
    "interval day to second": "INTERVAL",
    "interval year to month": "INTERVAL",
}


def duck(kind: Type) -> str:
    """The DuckDB type that carries the values of this type."""
    if kind.name == "decimal":
        return f"DECIMAL({kind.args[0]},{kind.args[1]})"
    if kind.name == "array":
        return duck(kind.args[0]) + "[]"
    if kind.name == "map":
        return f"MAP({duck(kind.args[0])}, {duck(kind.args[1])})"
    if kind.name == "row":
        return "STRUCT(" + ", ".join(f"{quote(n)} {duck(t)}" for n, t in row_fields(kind)) + ")"
    return _DUCK.get(kind.name, kind.name.upper())


def row_fields(kind: Type) -> list[tuple[str, Type]]:
    return [(name or f"field{i}", field) for i, (name, field) in enumerate(kind.args)]


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def common(a: Type, b: Type) -> Type | None:
    """The type both coerce to without a cast, or None (Trino's implicit coercions)."""
    if a == b or b == UNKNOWN:
        return a
    if a == UNKNOWN:
        return b
    if a.name == b.name:
        return _common_same(a, b)
    if a.number and b.number:
        return _common_number(a, b)
    names = {a.name, b.name}
    if names == {"varchar", "char"}:
        return VARCHAR
    if names <= {"date", "timestamp", "timestamp with time zone"}:
        return INSTANT if "timestamp with time zone" in names else TIMESTAMP
    return None


def _common_same(a: Type, b: Type) -> Type | None:
    if a.name == "decimal":
        scale = max(a.args[1], b.args[1])
        return decimal_type(max(a.args[0] - a.args[1], b.args[0] - b.args[1]) + scale, scale)
    if a.name in ("varchar", "char"):
        return Type(a.name, (max(a.args[0], b.args[0]),)) if a.args and b.args else VARCHAR
    if a.name in ("array", "map"):
        parts = [common(x, y) for x, y in zip(a.args, b.args, strict=True)]
        return None if None in parts else Type(a.name, tuple(parts))
    if a.name == "row":
        if len(a.args) != len(b.args):
            return None
        fields = [(n or m, common(x, y)) for (n, x), (m, y) in zip(a.args, b.args, strict=True)]
        return None if any(f is None for _, f in fields) else Type("row", tuple(fields))
    return a


def _common_number(a: Type, b: Type) -> Type:
    for name in ("double", "real"):
        if name in (a.name, b.name):
            return Type(name)
    if "decimal" in (a.name, b.name):
        return _common_same(as_decimal(a), as_decimal(b)) or DOUBLE
    return a if INTEGERS.index(a.name) > INTEGERS.index(b.name) else b


def coerces(given: Type, wanted: Type) -> bool:
    """Whether a value of one type is taken for the other without a cast."""
    if given.name == wanted.name == "varchar":
        return not wanted.args or (bool(given.args) and given.args[0] <= wanted.args[0])
    together = common(given, wanted)
    return together is not None and together.name == wanted.name and (together == wanted or wanted.name != "decimal")


_HIVE = {"string": VARCHAR, "int": INTEGER, "float": REAL, "binary": VARBINARY}


def parse_type(source: str) -> Type:
    """A type as the Glue catalogue (Hive) writes it, for example ``array<struct<object:string,rule:string>>``."""
    kind, rest = _parse(source.strip().lower())
    if rest:
        raise AthenaError("HIVE_INVALID_METADATA", f"type '{source}' is not understood")
    return kind


def _parse(source: str) -> tuple[Type, str]:
    matched = re.match(r"[a-z]+", source)
    if not matched:
        raise AthenaError("HIVE_INVALID_METADATA", f"type '{source}' is not understood")
    name, rest = matched.group(), source[matched.end() :].lstrip()
    if rest.startswith("("):
        inside, rest = rest[1:].split(")", 1)
        return Type(name, tuple(int(p) for p in inside.split(","))), rest.lstrip()
    if name == "decimal":
        return decimal_type(10, 0), rest
    if not rest.startswith("<"):
        return _HIVE.get(name, Type(name)), rest
    parts: list[Any] = []
    while not parts or rest.startswith(","):
        rest = rest[1:].lstrip()
        field = None
        if name == "struct":
            field, rest = (p.strip() for p in rest.split(":", 1))
        part, rest = _parse(rest)
        parts.append((field, part) if name == "struct" else part)
    return Type("row" if name == "struct" else name, tuple(parts)), rest[1:].lstrip()
