"""Typed expressions: a piece of DuckDB SQL together with the Trino type that its value has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from local.engines.athena_types import (
    BIGINT,
    DAYS,
    DOUBLE,
    INTEGERS,
    MONTHS,
    AthenaError,
    Type,
    as_decimal,
    common,
    decimal_type,
    duck,
    text,
    unsupported,
)

Position = tuple[int, int] | None
# What a failing value carries through DuckDB's own error; TRY turns it into NULL, which error() does not allow.
MARK = "!athena!"


@dataclass(frozen=True)
class Ex:
    """sql: DuckDB; type: Trino; literal: the Python value if it is written out in the query."""

    sql: str
    type: Type
    literal: Any = None
    position: Position = None


def fails(message: str, detail: str = "''", kind: Type = BIGINT) -> str:
    """SQL that fails when a row reaches it. detail: SQL of a text that is added to the message."""
    return f"CAST(CAST({text(MARK + message)} || {detail} AS BIGINT) AS {duck(kind)})"


def convert(ex: Ex, wanted: Type) -> Ex:
    """The value in a wider type; what ``coerces`` allows."""
    if ex.type == wanted:
        return ex
    sql = ex.sql if duck(ex.type) == duck(wanted) and ex.sql != "NULL" else f"CAST({ex.sql} AS {duck(wanted)})"
    return Ex(sql, wanted, ex.literal, ex.position)


def together(items: list[Ex], what: str) -> list[Ex]:
    """All values in their common type. Raises TYPE_MISMATCH."""
    kind = items[0].type
    for item in items[1:]:
        wider = common(kind, item.type)
        if wider is None:
            raise AthenaError("TYPE_MISMATCH", f"{what}: {kind} vs {item.type}", item.position)
        kind = wider
    return [convert(i, kind) for i in items]


def arithmetic(sign: str, a: Ex, b: Ex, position: Position) -> Ex:
    """+ - * / % with Trino's result types, whole division, decimal scales and DIVISION_BY_ZERO."""
    if not (a.type.number and b.type.number):
        if "unknown" in (a.type.name, b.type.name):
            return Ex("NULL", a.type if b.type.name == "unknown" else b.type)
        return _on_times(sign, a, b, position)
    kind = common(a.type, b.type) or DOUBLE
    if kind.name == "decimal":
        return _on_decimals(sign, convert(a, as_decimal(a.type)), convert(b, as_decimal(b.type)))
    left, right = convert(a, kind).sql, convert(b, kind).sql
    if sign in "/%" and kind.name in INTEGERS:
        return Ex(f"({left} {'//' if sign == '/' else '%'} {_nonzero(right, kind)})", kind)
    if sign == "%":
        return Ex(f"CASE WHEN {right} = 0 THEN CAST('NaN' AS {duck(kind)}) ELSE {left} % {right} END", kind)
    return Ex(f"({left} {sign} {right})", kind)


def _nonzero(sql: str, kind: Type) -> str:
    if re.fullmatch(r"CAST\([1-9][0-9]* AS \w+\)", sql):
        return sql
    return f"CASE WHEN {sql} = 0 THEN {fails('DIVISION_BY_ZERO: Division by zero', kind=kind)} ELSE {sql} END"


def _on_decimals(sign: str, a: Ex, b: Ex) -> Ex:
    """Result precision and scale: Trino, "Decimal functions and operators"."""
    (p, s), (q, t) = a.type.args, b.type.args
    if sign in "+-":
        scale = max(s, t)
        kind = decimal_type(max(p - s, q - t) + scale + 1, scale)
        return Ex(f"CAST({convert(a, kind).sql} {sign} {convert(b, kind).sql} AS {duck(kind)})", kind)
    if sign == "*":
        kind = decimal_type(p + q, s + t)
        return Ex(f"CAST({a.sql} * {b.sql} AS {duck(kind)})", kind)
    divisor = _nonzero(b.sql, b.type)
    if sign == "%":
        kind = decimal_type(min(p - s, q - t) + max(s, t), max(s, t))
        return Ex(f"CAST({a.sql} % {divisor} AS {duck(kind)})", kind)
    scale = max(s, t)
    kind = decimal_type(p + t + max(t - s, 0), scale)
    # DuckDB divides decimals as doubles: divide the unscaled integers instead, rounding half up.
    over = f"CAST(replace(CAST({a.sql} AS VARCHAR), '.', '') AS HUGEINT) * {10 ** (scale - s + t)}"
    under = f"CAST(replace(CAST({divisor} AS VARCHAR), '.', '') AS HUGEINT)"
    quotient = f"((2 * ({over}) + sign(({over}) * ({under})) * {under}) // (2 * {under}))"
    unit = f"CAST({'0.' + '0' * (scale - 1) + '1' if scale else '1'} AS DECIMAL({scale + 1},{scale}))"
    return Ex(f"CAST(CAST({quotient} AS DECIMAL({37 - scale},0)) * {unit} AS {duck(kind)})", kind)


def _on_times(sign: str, a: Ex, b: Ex, position: Position) -> Ex:
    times, spans = ("date", "timestamp", "timestamp with time zone"), (DAYS, MONTHS)
    if a.type in spans and b.type.name in times and sign == "+":
        a, b = b, a
    if sign in "+-" and a.type.name in times and b.type in spans:
        if a.type.name == "timestamp with time zone" and a.type.zone != "UTC":
            raise unsupported("Adding an interval to a time in a zone other than UTC", position)
        return Ex(f"CAST({a.sql} {sign} {b.sql} AS {duck(a.type)})", a.type)
    if sign in "+-" and a.type in spans and a.type == b.type:
        return Ex(f"({a.sql} {sign} {b.sql})", a.type)
    if sign == "-" and a.type.name in times and b.type.name in times:
        wider = common(a.type, b.type)
        assert wider is not None
        stamp = "TIMESTAMPTZ" if wider.name != "timestamp" and wider.name != "date" else "TIMESTAMP"
        return Ex(f"(CAST({a.sql} AS {stamp}) - CAST({b.sql} AS {stamp}))", DAYS)
    if sign == "*" and a.type in spans and b.type.whole:
        return Ex(f"({a.sql} * {b.sql})", a.type)
    raise AthenaError("TYPE_MISMATCH", f"Cannot apply operator: {a.type} {sign} {b.type}", position)


def compare(sign: str, a: Ex, b: Ex, position: Position) -> Ex:
    """A comparison; Trino never takes a varchar for a number. Raises TYPE_MISMATCH."""
    kind = common(a.type, b.type)
    if kind is None:
        raise AthenaError("TYPE_MISMATCH", f"Cannot apply operator: {a.type} {sign} {b.type}", position)
    return Ex(f"({convert(a, kind).sql} {sign} {convert(b, kind).sql})", Type("boolean"))
