"""CAST and TRY_CAST with Trino's rules, and what a value looks like as a text."""

from __future__ import annotations

from local.engines.athena_expr import Ex, Position, fails
from local.engines.athena_types import INTEGERS, VARCHAR, AthenaError, Type, duck, row_fields, text, unsupported

_STAMP = r"\d{4}-\d{1,2}-\d{1,2}( \d{1,2}:\d{1,2}(:\d{1,2}(\.\d{1,9})?)?)?"
_CHECKS = {
    "whole": r"[+-]?\d+",
    "decimal": r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?",
    "double": r"\s*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?|NaN|[+-]?Infinity)\s*",
    "boolean": r"(?i)(t|true|1|f|false|0)",
    "date": r"\s*[+-]?\d{4,}-\d{1,2}-\d{1,2}\s*",
    "timestamp": rf"\s*{_STAMP}\s*",
    "timestamp with time zone": rf"\s*{_STAMP}( ?(Z|UTC|[+-]\d{{2}}:\d{{2}}))?\s*",
}


def cast(ex: Ex, to: Type, safe: bool, position: Position) -> Ex:
    """CAST (safe: TRY_CAST) with Trino's rules: halves round up, texts are read strictly, NULL or an error else."""
    given = ex.type
    if given == to:
        return ex
    if given.name == "unknown":
        return Ex(f"CAST(NULL AS {duck(to)})", to)
    sql = _cast_sql(ex, to, safe, position)
    return Ex(sql, to, position=position)


def _cast_sql(ex: Ex, to: Type, safe: bool, position: Position) -> str:
    given, word = ex.type, "TRY_CAST" if safe else "CAST"
    if given.name in ("varchar", "char"):
        return _from_text(ex, to, safe, position)
    if to.name in ("varchar", "char"):
        shown = as_text(ex, position).sql
        return f"substr({shown}, 1, {to.args[0]})" if to.args and to.name == "varchar" else shown
    if given.number and to.number:
        inner = f"round({ex.sql})" if given.name in ("double", "real") and to.whole else ex.sql
        if given.name == "decimal" and to.whole:
            inner = f"round({ex.sql}, 0)"
        return f"{word}({inner} AS {duck(to)})"
    if given.name == "json":
        return _from_json(ex, to, word, position)
    if to.name == "json" and _plain(given):
        return f"to_json({ex.sql})"
    if (given.name == "boolean" and to.number) or (given.number and to.name == "boolean"):
        return f"{word}({ex.sql} AS {duck(to)})"
    times = ("date", "timestamp", "timestamp with time zone")
    if given.name in times and to.name in times:
        naive = local(ex).sql
        return f"timezone({text(to.zone)}, CAST({naive} AS TIMESTAMP))" if to.name == times[2] else f"CAST({naive} AS {duck(to)})"
    if given.name == to.name and given.name in ("array", "map") and len(given.args) == len(to.args):
        return _cast_nested(ex, to, safe, position)
    if given.name == to.name == "row" and len(given.args) == len(to.args):
        fields = zip(row_fields(given), row_fields(to), strict=True)
        parts = [
            f'"{m}" := {cast(Ex(f"struct_extract({ex.sql}, {text(n)})", g), t, safe, position).sql}' for (n, g), (m, t) in fields
        ]
        return f"CASE WHEN {ex.sql} IS NULL THEN NULL ELSE struct_pack({', '.join(parts)}) END"
    raise AthenaError("TYPE_MISMATCH", f"Cannot cast {given} to {to}", position)


def _cast_nested(ex: Ex, to: Type, safe: bool, position: Position) -> str:
    if to.name == "array":
        inner = cast(Ex("cast_element", ex.type.args[0]), to.args[0], safe, position).sql
        return f"list_transform({ex.sql}, lambda cast_element: {inner})"
    key = cast(Ex("e.key", ex.type.args[0]), to.args[0], safe, position).sql
    value = cast(Ex("e.value", ex.type.args[1]), to.args[1], safe, position).sql
    return f"map_from_entries(list_transform(map_entries({ex.sql}), lambda e: struct_pack(k := {key}, v := {value})))"


def _from_text(ex: Ex, to: Type, safe: bool, position: Position) -> str:
    if to.name in ("varchar", "char"):
        return f"substr({ex.sql}, 1, {to.args[0]})" if to.args and to.name == "varchar" else ex.sql
    if to.name == "varbinary":
        return f"encode({ex.sql})"
    if to.name == "json":
        return f"to_json({ex.sql})"
    check = _CHECKS.get("whole" if to.whole else "double" if to.name == "real" else to.name)
    if check is None:
        raise AthenaError("TYPE_MISMATCH", f"Cannot cast {ex.type} to {to}", position)
    value = f"rtrim(trim({ex.sql}), 'dDfF')" if to.name in ("double", "real") else ex.sql
    if to.name in ("double", "real"):
        value = f"CASE WHEN lower({ex.sql}) LIKE '%inf%' OR lower({ex.sql}) LIKE '%nan%' THEN {ex.sql} ELSE {value} END"
    converted = f"TRY_CAST({value} AS {duck(to)})"
    message = f"INVALID_CAST_ARGUMENT: Cannot cast value to {to}: "
    failing = "NULL" if safe else fails(message, f"coalesce({ex.sql}, '')", to)
    valid = f"regexp_full_match({ex.sql}, {text(check)})"
    return f"CASE WHEN {ex.sql} IS NULL THEN NULL WHEN {valid} AND {converted} IS NOT NULL THEN {converted} ELSE {failing} END"


def _from_json(ex: Ex, to: Type, word: str, position: Position) -> str:
    if (to.name == "array" and not to.args[0].args) or (to.name == "map" and to.args[0] == VARCHAR):
        return f"{word}({ex.sql} AS {duck(to)})"
    if to.name in ("bigint", "integer", "double", "boolean", "decimal", "smallint", "tinyint", "real"):
        return f"{word}(json_extract_string({ex.sql}, '$') AS {duck(to)})"
    raise unsupported(f"Casting json to {to}", position)


def _plain(kind: Type) -> bool:
    if kind.name in ("array", "map"):
        return all(_plain(k) for k in kind.args)
    if kind.name == "row":
        return all(_plain(k) for _, k in kind.args)
    return kind.name in (*INTEGERS, "varchar", "boolean", "json")


def local(ex: Ex) -> Ex:
    """A time as its own zone's clock shows it."""
    if ex.type.name != "timestamp with time zone":
        return ex
    return Ex(f"timezone({text(ex.type.zone)}, {ex.sql})", Type("timestamp"))


def as_text(ex: Ex, position: Position) -> Ex:
    """A value as CAST(x AS varchar) writes it."""
    kind = ex.type
    if kind.name in ("varchar", "char"):
        return ex
    if kind.whole or kind.name in ("decimal", "boolean", "date"):
        return Ex(f"CAST({ex.sql} AS VARCHAR)", VARCHAR)
    if kind.name == "double":
        return Ex(f"athena_scientific({ex.sql})", VARCHAR)
    if kind.name == "timestamp":
        return Ex(f"strftime({ex.sql}, '%Y-%m-%d %H:%M:%S.%g')", VARCHAR)
    if kind.name == "timestamp with time zone":
        return Ex(f"(strftime({local(ex).sql}, '%Y-%m-%d %H:%M:%S.%g') || {text(' ' + kind.zone)})", VARCHAR)
    if kind.name == "json":
        scalar = f"json_type({ex.sql}) NOT IN ('OBJECT', 'ARRAY')"
        failing = fails("INVALID_CAST_ARGUMENT: Cannot cast json object or array to varchar", kind=VARCHAR)
        return Ex(
            f"CASE WHEN {scalar} THEN json_extract_string({ex.sql}, '$') WHEN {ex.sql} IS NOT NULL THEN {failing} END", VARCHAR
        )
    if kind.name in ("varbinary", "array", "map", "row"):
        raise AthenaError("TYPE_MISMATCH", f"Cannot cast {kind} to varchar", position)
    raise unsupported(f"Casting {kind} to varchar", position)
