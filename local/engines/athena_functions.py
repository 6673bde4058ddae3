"""Athena's functions that need more than a template: special scalars, aggregates, window functions, functions of lambdas.

A name that is in none of the tables here and in ``athena_signatures`` is refused; DuckDB's own functions are never reached by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.engines import athena_formats as formats
from local.engines.athena_expr import Ex, Position, arithmetic, as_text, cast, convert, fails, local, together
from local.engines.athena_signatures import SIGNATURES, resolve
from local.engines.athena_types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INSTANT,
    INTEGER,
    JSON,
    REAL,
    TIMESTAMP,
    VARCHAR,
    AthenaError,
    Type,
    array,
    coerces,
    decimal_type,
    duck,
    quote,
    row_fields,
    text,
    unsupported,
)


@dataclass(frozen=True)
class Call:
    """A function call with its arguments translated. nodes: as parsed; lambda_: translates a lambda for argument types."""

    name: str
    args: list[Ex]
    nodes: list[Any]
    position: Position
    lambda_: Callable[[Any, list[Type]], Ex]

    def wrong(self) -> AthenaError:
        given = ", ".join(str(a.type) for a in self.args)
        return AthenaError("FUNCTION_NOT_FOUND", f"Unexpected parameters ({given}) for function {self.name}", self.position)

    def literal(self, index: int, what: str) -> Any:
        if len(self.args) <= index:
            raise self.wrong()
        value = self.args[index].literal
        if value is None:
            raise unsupported(f"{self.name} with a {what} that is not written out", self.position)
        return value

    def count(self, least: int, most: int | None = None) -> None:
        if not least <= len(self.args) <= (most or least):
            raise self.wrong()


Special = Callable[[Call], Ex]
SPECIAL: dict[str, Special] = {}
# Translated with unanalysed arguments, because some are lambdas.
LAMBDAS: dict[str, Special] = {}


def special(*names: str, table: dict[str, Special] = SPECIAL) -> Callable[[Special], Special]:
    def register(function: Special) -> Special:
        table.update(dict.fromkeys(names, function))
        return function

    return register


def scalar(call: Call) -> Ex:
    """A scalar function call. Raises FUNCTION_NOT_FOUND, NOT_SUPPORTED."""
    if call.name in SPECIAL:
        return SPECIAL[call.name](call)
    known = [s for s in SIGNATURES if s[0] == call.name]
    if not known:
        raise _not_known(call)
    for exact in (True, False):
        for _, signature, template in known:
            taken = resolve(signature, call.args, exact)
            if taken:
                sql = re.sub(r"\{(\d)\}", lambda m: taken[0][int(m[1])].sql, template)  # noqa: B023
                return Ex(f"({sql})", taken[1], position=call.position)
    raise call.wrong()


def _not_known(call: Call) -> AthenaError:
    if call.name in TRINO_ONLY:
        return unsupported(f"Function '{call.name}'", call.position)
    return AthenaError("FUNCTION_NOT_FOUND", f"Function '{call.name}' not registered", call.position)


# Conditional ------------------------------------------------------------------------------------------------------------


@special("coalesce")
def _coalesce(call: Call) -> Ex:
    call.count(2, 99)
    items = together(call.args, "All COALESCE operands must be the same type")
    return Ex(f"coalesce({', '.join(i.sql for i in items)})", items[0].type)


@special("nullif")
def _nullif(call: Call) -> Ex:
    call.count(2)
    items = together(call.args, "Types are not comparable with NULLIF")
    return Ex(f"CASE WHEN {items[0].sql} = {items[1].sql} THEN NULL ELSE {call.args[0].sql} END", call.args[0].type)


@special("greatest", "least")
def _greatest(call: Call) -> Ex:
    """NULL if any argument is NULL; DuckDB leaves NULLs out."""
    call.count(1, 99)
    items = together(call.args, f"All arguments of {call.name} must be the same type")
    missing = " OR ".join(f"{i.sql} IS NULL" for i in items)
    return Ex(f"CASE WHEN {missing} THEN NULL ELSE {call.name}({', '.join(i.sql for i in items)}) END", items[0].type)


@special("try")
def _try(call: Call) -> Ex:
    call.count(1)
    return Ex(f"TRY({call.args[0].sql})", call.args[0].type)


@special("typeof")
def _typeof(call: Call) -> Ex:
    call.count(1)
    return Ex(text(str(call.args[0].type)), VARCHAR)


@special("row")
def _row(call: Call) -> Ex:
    call.count(1, 99)
    kind = Type("row", tuple((None, a.type) for a in call.args))
    fields = zip(row_fields(kind), call.args, strict=True)
    return Ex("struct_pack(" + ", ".join(f"{quote(n)} := {a.sql}" for (n, _), a in fields) + ")", kind)


# Mathematical -----------------------------------------------------------------------------------------------------------


@special("mod")
def _mod(call: Call) -> Ex:
    call.count(2)
    return arithmetic("%", call.args[0], call.args[1], call.position)


@special("round", "ceil", "ceiling", "floor")
def _round(call: Call) -> Ex:
    call.count(1, 2 if call.name == "round" else 1)
    kind = call.args[0].type
    if kind.name != "decimal":
        table = SPECIAL.pop(call.name)
        try:
            return scalar(call)
        finally:
            SPECIAL[call.name] = table
    precision, scale = kind.args
    if len(call.args) == 2:
        result = decimal_type(precision + 1, scale)
        return Ex(f"CAST(round({call.args[0].sql}, {int(call.literal(1, 'number of digits'))}) AS {duck(result)})", result)
    result = decimal_type(precision - scale + min(1, scale), 0)
    name = "ceil" if call.name == "ceiling" else call.name
    return Ex(f"CAST({name}({call.args[0].sql}) AS {duck(result)})", result)


# Strings ----------------------------------------------------------------------------------------------------------------


@special("concat")
def _concat(call: Call) -> Ex:
    call.count(2, 99)
    return concat(call.args, call)


def concat(args: list[Ex], call: Call) -> Ex:
    """|| and concat: NULL if any part is NULL."""
    if all(a.type.name in ("varchar", "char", "unknown") for a in args):
        return Ex("(" + " || ".join(convert(a, VARCHAR).sql for a in args) + ")", VARCHAR)
    arrays = [a for a in args if a.type.name == "array"]
    if not arrays:
        raise call.wrong()
    items = [a if a.type.name == "array" else Ex(f"[{a.sql}]", array(a.type)) for a in args]
    items = together(items, "Arrays of different types")
    missing = " OR ".join(f"{i.sql} IS NULL" for i in items)
    return Ex(f"CASE WHEN {missing} THEN NULL ELSE list_concat({', '.join(i.sql for i in items)}) END", items[0].type)


@special("concat_ws")
def _concat_ws(call: Call) -> Ex:
    call.count(2, 99)
    if any(a.type.name not in ("varchar", "char", "unknown") for a in call.args):
        raise unsupported("concat_ws of arrays", call.position)
    return Ex(f"concat_ws({', '.join(a.sql for a in call.args)})", VARCHAR)


@special("regexp_replace")
def _regexp_replace(call: Call) -> Ex:
    call.count(2, 3)
    new = str(call.literal(2, "replacement")) if len(call.args) == 3 else ""
    new = re.sub(r"\\(.)|\$(\d)|\\\\", lambda m: f"\\{m[2]}" if m[2] else m[1].replace("\\", "\\\\"), new)
    return Ex(f"regexp_replace({call.args[0].sql}, {call.args[1].sql}, {text(new)}, 'g')", VARCHAR)


# Dates and times --------------------------------------------------------------------------------------------------------

_UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
_PARTS = {
    "year": "year", "quarter": "quarter", "month": "month", "week": "week", "week_of_year": "week", "day": "day",
    "day_of_month": "day", "day_of_week": "isodow", "dow": "isodow", "day_of_year": "dayofyear", "doy": "dayofyear",
    "hour": "hour", "minute": "minute", "second": "second", "year_of_week": "isoyear", "yow": "isoyear",
    "millisecond": "millisecond",
}  # fmt: skip
_TIMES = ("date", "timestamp", "timestamp with time zone")


def _unit(call: Call, kind: Type) -> str:
    unit = str(call.literal(0, "unit")).lower()
    if unit not in _UNITS or (kind.name == "date" and unit in _UNITS[:4]):
        raise AthenaError("INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid {kind.name.upper()} field", call.position)
    return unit


def _back(naive: str, kind: Type) -> Ex:
    """A clock reading as a value of the type it was taken from."""
    return Ex(f"timezone({text(kind.zone)}, {naive})" if kind.name == INSTANT.name else f"CAST({naive} AS {duck(kind)})", kind)


def extract(part: str, ex: Ex, call: Call) -> Ex:
    """EXTRACT and its functions: always bigint."""
    if part not in _PARTS or ex.type.name not in _TIMES:
        raise call.wrong()
    tail = " % 1000" if part == "millisecond" else ""
    return Ex(f"CAST({_PARTS[part]}({local(ex).sql}){tail} AS BIGINT)", BIGINT)


@special(*_PARTS)
def _part(call: Call) -> Ex:
    call.count(1)
    return extract(call.name, call.args[0], call)


@special("date_trunc")
def _date_trunc(call: Call) -> Ex:
    call.count(2)
    ex = call.args[1]
    if ex.type.name not in _TIMES:
        raise call.wrong()
    return _back(f"date_trunc({text(_unit(call, ex.type))}, {local(ex).sql})", ex.type)


@special("date_add")
def _date_add(call: Call) -> Ex:
    call.count(3)
    ex = call.args[2]
    if ex.type.name not in _TIMES or not call.args[1].type.whole:
        raise call.wrong()
    unit = _unit(call, ex.type)
    step = f"CAST({call.args[1].sql} AS INTEGER)"
    step = f"3 * to_months({step})" if unit == "quarter" else f"to_{unit}s({call.args[1].sql if unit in _UNITS[:4] else step})"
    if unit in _UNITS[:4]:
        return Ex(f"({ex.sql} + {step})", ex.type)
    return _back(f"({local(ex).sql} + {step})", ex.type)


@special("date_diff")
def _date_diff(call: Call) -> Ex:
    call.count(3)
    a, b = together(call.args[1:], "date_diff")
    if a.type.name not in _TIMES:
        raise call.wrong()
    return Ex(f"date_sub({text(_unit(call, a.type))}, {local(a).sql}, {local(b).sql})", BIGINT)


@special("date_format", "format_datetime")
def _date_format(call: Call) -> Ex:
    call.count(2)
    ex = call.args[0]
    if ex.type.name not in _TIMES:
        raise call.wrong()
    pattern = (formats.mysql if call.name == "date_format" else formats.joda)(call.literal(1, "format"))
    return Ex(f"strftime({local(ex).sql}, {text(pattern)})", VARCHAR)


@special("date_parse", "parse_datetime")
def _date_parse(call: Call) -> Ex:
    call.count(2)
    mysql = call.name == "date_parse"
    pattern = (formats.mysql if mysql else formats.joda)(call.literal(1, "format"))
    value = call.args[0].sql
    failing = fails("INVALID_FUNCTION_ARGUMENT: Invalid format: ", f"coalesce({value}, '')", TIMESTAMP)
    sql = f"CASE WHEN {value} IS NULL THEN NULL ELSE coalesce(try_strptime({value}, {text(pattern)}), {failing}) END"
    return Ex(sql if mysql else f"timezone('UTC', {sql})", TIMESTAMP if mysql else INSTANT)


@special("from_iso8601_timestamp")
def _from_iso(call: Call) -> Ex:
    """The result's zone is UTC; a text with another offset fails rather than print a different clock time."""
    call.count(1)
    value = call.args[0].sql
    if isinstance(call.args[0].literal, str) and (found := re.search(r"T.*([+-])(\d\d):?(\d\d)$", call.args[0].literal)):
        zone = f"{found[1]}{found[2]}:{found[3]}"
        if zone not in ("+00:00", "-00:00"):
            raise unsupported(f"A timestamp with the offset {zone}", call.position)
    shape = r"\d{4}-\d{2}-\d{2}(T\d{2}(:?\d{2}(:?\d{2}([.,]\d+)?)?)?)?(Z|[+-]00:?00)?"
    failing = fails("INVALID_FUNCTION_ARGUMENT: Invalid format (or an offset other than UTC): ", f"coalesce({value}, '')", INSTANT)
    checked = f"CASE WHEN regexp_full_match({value}, {text(shape)}) THEN CAST({value} AS TIMESTAMPTZ)"
    return Ex(f"{checked} WHEN {value} IS NOT NULL THEN {failing} END", INSTANT)


def at_zone(ex: Ex, zone: Any, position: Position) -> Ex:
    """AT TIME ZONE: the same instant, shown in another zone; a timestamp without zone counts as UTC."""
    if not isinstance(zone, str):
        raise unsupported("A time zone that is not written out", position)
    if not re.fullmatch(r"UTC|GMT|Z|[A-Za-z_]+(/[A-Za-z_+-]+\d*)+", zone):
        raise unsupported(f"The time zone '{zone}'", position)
    return Ex(convert(ex, INSTANT).sql, Type(INSTANT.name, (), "UTC" if zone in ("Z", "GMT") else zone), position=position)


@special("at_timezone")
def _at_timezone(call: Call) -> Ex:
    call.count(2)
    return at_zone(call.args[0], call.literal(1, "zone"), call.position)


@special("with_timezone")
def _with_timezone(call: Call) -> Ex:
    call.count(2)
    shown = at_zone(call.args[0], call.literal(1, "zone"), call.position)
    return Ex(f"timezone({text(shown.type.zone)}, {convert(call.args[0], TIMESTAMP).sql})", shown.type)


@special("to_iso8601")
def _to_iso(call: Call) -> Ex:
    call.count(1)
    ex = call.args[0]
    if ex.type.name == "date":
        return Ex(f"strftime({ex.sql}, '%Y-%m-%d')", VARCHAR)
    if ex.type.name not in _TIMES or ex.type.zone != "UTC":
        raise unsupported(f"to_iso8601 of {ex.type} in this zone", call.position)
    tail = " || 'Z'" if ex.type.name == INSTANT.name else ""
    return Ex(f"(strftime({local(ex).sql}, '%Y-%m-%dT%H:%M:%S.%g'){tail})", VARCHAR)


# Arrays, maps, JSON -----------------------------------------------------------------------------------------------------


def subscript(base: Ex, index: Ex, call: Call) -> Ex:
    """base[index]: fails where element_at answers NULL."""
    if base.type.name == "row":
        if not isinstance(index.literal, int) or not 1 <= index.literal <= len(base.type.args):
            raise call.wrong()
        name, kind = row_fields(base.type)[index.literal - 1]
        return Ex(f"struct_extract({base.sql}, {text(name)})", kind)
    if base.type.name == "map":
        key = convert(index, base.type.args[0])
        missing = fails("INVALID_FUNCTION_ARGUMENT: Key not present in map: ", f"CAST({key.sql} AS VARCHAR)", base.type.args[1])
        found = f"list_contains(map_keys({base.sql}), {key.sql})"
        return Ex(f"CASE WHEN {found} THEN {base.sql}[{key.sql}] WHEN {base.sql} IS NOT NULL THEN {missing} END", base.type.args[1])
    if base.type.name != "array" or not index.type.whole:
        raise call.wrong()
    message = "INVALID_FUNCTION_ARGUMENT: Array subscript must be between 1 and the array length: "
    inside = f"{index.sql} BETWEEN 1 AND len({base.sql})"
    failing = fails(message, f"CAST({index.sql} AS VARCHAR)", BIGINT)
    guarded = f"CASE WHEN {inside} THEN {index.sql} WHEN {base.sql} IS NOT NULL THEN {failing} END"
    return Ex(f"({base.sql})[{guarded}]", base.type.args[0])


@special("element_at")
def _element_at(call: Call) -> Ex:
    call.count(2)
    base, index = call.args
    if base.type.name == "map":
        return Ex(f"{base.sql}[{convert(index, base.type.args[0]).sql}]", base.type.args[1])
    if base.type.name != "array" or not index.type.whole:
        raise call.wrong()
    failing = fails("INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1")
    return Ex(f"({base.sql})[CASE WHEN {index.sql} = 0 THEN {failing} ELSE {index.sql} END]", base.type.args[0])


@special("array_join")
def _array_join(call: Call) -> Ex:
    call.count(2, 3)
    if call.args[0].type.name != "array":
        raise call.wrong()
    element = as_text(Ex("element", call.args[0].type.args[0]), call.position).sql
    if len(call.args) == 3:
        element = f"coalesce({element}, {call.args[2].sql})"
    return Ex(f"array_to_string(list_transform({call.args[0].sql}, lambda element: {element}), {call.args[1].sql})", VARCHAR)


@special("json_extract", "json_extract_scalar")
def _json_extract(call: Call) -> Ex:
    call.count(2)
    source, path = call.args[0], text(formats.json_path(call.literal(1, "path")))
    if source.type.name not in ("json", "varchar"):
        raise call.wrong()
    guard = "" if source.type == JSON else f"WHEN NOT json_valid({source.sql}) THEN NULL "
    if call.name == "json_extract":
        return Ex(f"CASE {guard}WHEN {source.sql} IS NULL THEN NULL ELSE json_extract({source.sql}, {path}) END", JSON)
    nested = f"WHEN json_type({source.sql}, {path}) IN ('OBJECT', 'ARRAY') THEN NULL "
    return Ex(f"CASE {guard}{nested}ELSE json_extract_string({source.sql}, {path}) END", VARCHAR)


@special("transform", table=LAMBDAS)
def _transform(call: Call) -> Ex:
    item = call.lambda_(call.nodes[1], [_element(call)])
    return Ex(f"list_transform({call.args[0].sql}, {item.sql})", array(item.type))


@special("filter", table=LAMBDAS)
def _filter(call: Call) -> Ex:
    test = call.lambda_(call.nodes[1], [_element(call)])
    return Ex(f"list_filter({call.args[0].sql}, {test.sql})", call.args[0].type)


@special("any_match", "all_match", "none_match", table=LAMBDAS)
def _match(call: Call) -> Ex:
    test = call.lambda_(call.nodes[1], [_element(call)])
    results = f"list_transform({call.args[0].sql}, {test.sql})"
    any_ = call.name != "all_match"
    sql = f"CASE WHEN len({call.args[0].sql}) = 0 THEN {not any_} ELSE {'list_bool_or' if any_ else 'list_bool_and'}({results}) END"
    return Ex(f"(NOT ({sql}))" if call.name == "none_match" else f"({sql})", BOOLEAN)


@special("reduce", table=LAMBDAS)
def _reduce(call: Call) -> Ex:
    if len(call.nodes) != 4:
        raise call.wrong()
    start, element = call.args[1], _element(call)
    step = call.lambda_(call.nodes[2], [start.type, element])
    state = step.type
    if not coerces(start.type, state) or not coerces(element, state):
        raise unsupported("reduce with a state of another type than the elements", call.position)
    step = call.lambda_(call.nodes[2], [state, state])
    items = convert(call.args[0], array(state)).sql
    last = call.lambda_(call.nodes[3], [state])
    total = f"list_reduce({items}, {step.sql}, {convert(start, state).sql})"
    return Ex(f"list_transform([{total}], {last.sql})[1]", last.type)


@special("zip_with", table=LAMBDAS)
def _zip_with(call: Call) -> Ex:
    raise unsupported("Function 'zip_with'", call.position)


@special("map_filter", "transform_values", "transform_keys", table=LAMBDAS)
def _map_lambda(call: Call) -> Ex:
    raise unsupported(f"Function '{call.name}'", call.position)


def _element(call: Call) -> Type:
    if not call.args or call.args[0].type.name != "array":
        raise call.wrong()
    element = call.args[0].type.args[0]
    assert isinstance(element, Type)
    return element


# Aggregates and window functions ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aggregate:
    """DuckDB function, its arguments, the type, and what is made of its result ({}: the result, after FILTER and OVER)."""

    name: str
    args: list[str]
    type: Type
    post: str = "{}"
    distinct: bool = False


_DOUBLES = {
    "stddev": 1, "stddev_samp": 1, "stddev_pop": 1, "variance": 1, "var_samp": 1, "var_pop": 1, "corr": 2, "covar_samp": 2,
    "covar_pop": 2, "regr_slope": 2, "regr_intercept": 2, "geometric_mean": 1,
}  # fmt: skip
AGGREGATES = {
    *_DOUBLES, "count", "sum", "avg", "min", "max", "min_by", "max_by", "count_if", "approx_distinct", "approx_percentile",
    "array_agg", "arbitrary", "any_value", "bool_and", "every", "bool_or", "histogram", "bitwise_and_agg", "bitwise_or_agg",
}  # fmt: skip
_RANKS = {"row_number", "rank", "dense_rank", "ntile", "percent_rank", "cume_dist"}
WINDOWS = _RANKS | {"lag", "lead", "first_value", "last_value", "nth_value"}


def aggregate(call: Call) -> Aggregate:
    """An aggregate with Trino's result type. Raises FUNCTION_NOT_FOUND."""
    args, name = call.args, call.name
    sqls = [a.sql for a in args]
    if name == "count":
        return Aggregate("count", sqls or ["*"], BIGINT)
    if not args:
        raise call.wrong()
    kind = args[0].type
    if name in _DOUBLES:
        if len(args) != _DOUBLES[name] or not all(coerces(a.type, DOUBLE) for a in args):
            raise call.wrong()
        return Aggregate(name, [convert(a, DOUBLE).sql for a in args], DOUBLE)
    if name in ("sum", "avg"):
        return _sum(call)
    if name in ("min", "max"):
        call.count(1, 2)
        return Aggregate(name, sqls, array(kind) if len(args) == 2 else kind)
    if name in ("min_by", "max_by"):
        call.count(2)
        return Aggregate(f"arg_{name[:3]}_null", sqls, kind)
    if name == "count_if":
        call.count(1)
        return Aggregate("count_if", sqls, BIGINT, "CAST({} AS BIGINT)")
    if name == "approx_distinct":
        return Aggregate("count", sqls[:1], BIGINT, distinct=True)
    if name == "approx_percentile":
        return _percentile(call)
    call.count(1)
    if name == "array_agg":
        return Aggregate("array_agg", sqls, array(kind))
    if name in ("arbitrary", "any_value"):
        return Aggregate("any_value", sqls, kind)
    if name in ("bool_and", "every", "bool_or"):
        return Aggregate("bool_or" if name == "bool_or" else "bool_and", sqls, BOOLEAN)
    if name == "histogram":
        result = Type("map", (kind, BIGINT))
        return Aggregate("histogram", sqls, result, f"CAST({{}} AS {duck(result)})")
    return Aggregate("bit_and" if name == "bitwise_and_agg" else "bit_or", [convert(args[0], BIGINT).sql], BIGINT)


def _sum(call: Call) -> Aggregate:
    call.count(1)
    ex, kind = call.args[0], call.args[0].type
    if kind.whole:
        return (
            Aggregate("sum", [ex.sql], BIGINT, "CAST({} AS BIGINT)") if call.name == "sum" else Aggregate("avg", [ex.sql], DOUBLE)
        )
    if kind.name == "decimal":
        result = decimal_type(38, kind.args[1]) if call.name == "sum" else kind
        return Aggregate(call.name, [ex.sql], result, f"CAST({{}} AS {duck(result)})")
    if kind not in (DOUBLE, REAL):
        raise call.wrong()
    return Aggregate(call.name, [ex.sql], kind, f"CAST({{}} AS {duck(kind)})")


def _percentile(call: Call) -> Aggregate:
    """Exact where Athena approximates: the interpolated quantile, rounded for whole numbers."""
    if len(call.args) != 2:
        raise unsupported("approx_percentile with weights", call.position)
    ex, share = call.args
    if not ex.type.number or not (share.type.number or share.type.name == "array"):
        raise call.wrong()
    kind = ex.type if ex.type.whole or ex.type == REAL else DOUBLE
    values = f"CAST({ex.sql} AS DOUBLE)"
    if share.type.name == "array":
        rounded = "round(q)" if kind.whole else "q"
        post = f"list_transform({{}}, lambda q: CAST({rounded} AS {duck(kind)}))"
        return Aggregate("quantile_cont", [values, f"CAST({share.sql} AS DOUBLE[])"], array(kind), post)
    post = f"CAST({'round({})' if kind.whole else '{}'} AS {duck(kind)})"
    return Aggregate("quantile_cont", [values, f"CAST({share.sql} AS DOUBLE)"], kind, post)


def window(call: Call) -> Aggregate:
    """A ranking or value function of a window."""
    args, name = call.args, call.name
    if name in _RANKS:
        call.count(1 if name == "ntile" else 0)
        return Aggregate(name, [a.sql for a in args], DOUBLE if name in ("percent_rank", "cume_dist") else BIGINT)
    call.count(2 if name == "nth_value" else 1, 3 if name in ("lag", "lead") else 2 if name == "nth_value" else 1)
    sqls = [a.sql for a in args]
    if len(args) == 3:
        both = together([args[0], args[2]], name)
        return Aggregate(name, [both[0].sql, sqls[1], both[1].sql], both[0].type)
    return Aggregate(name, sqls, args[0].type)


# Functions that Athena has and the laptop does not translate (Trino documentation, "List of functions").
TRINO_ONLY = frozenset(
    [
        "approx_most_frequent",
        "approx_set",
        "array_except",
        "array_intersect",
        "array_union",
        "arrays_overlap",
        "bar",
        "beta_cdf",
        "bing_tile",
        "bit_count",
        "bitwise_left_shift",
        "bitwise_right_shift",
        "bitwise_right_shift_arithmetic",
        "bitwise_xor_agg",
        "cast",
        "char2hexint",
        "checksum",
        "classify",
        "color",
        "combinations",
        "concat_ws",
        "contains_sequence",
        "convex_hull_agg",
        "cosine_distance",
        "cosine_similarity",
        "crc32",
        "current_date",
        "date_add",
        "empty_approx_set",
        "entropy",
        "evaluate_classifier_predictions",
        "euclidean_distance",
        "features",
        "format",
        "format_number",
        "from_base",
        "from_base32",
        "from_base64url",
        "from_big_endian_32",
        "from_big_endian_64",
        "from_encoded_polyline",
        "from_geojson_geometry",
        "from_ieee754_32",
        "from_ieee754_64",
        "from_iso8601_timestamp_nanos",
        "from_unixtime_nanos",
        "geometric_mean",
        "great_circle_distance",
        "grouping",
        "hash_counts",
        "hmac_md5",
        "hmac_sha1",
        "hmac_sha256",
        "hmac_sha512",
        "human_readable_seconds",
        "index",
        "intersection_cardinality",
        "inverse_beta_cdf",
        "inverse_normal_cdf",
        "is_json_scalar",
        "jaccard_index",
        "json_array",
        "json_array_contains",
        "json_array_get",
        "json_exists",
        "json_format",
        "json_object",
        "json_query",
        "json_size",
        "json_table",
        "json_value",
        "kurtosis",
        "learn_classifier",
        "learn_libsvm_classifier",
        "learn_regressor",
        "line_locate_point",
        "listagg",
        "ln_gamma",
        "localtime",
        "luhn_check",
        "make_set_digest",
        "map_agg",
        "map_concat",
        "map_entries",
        "map_from_entries",
        "map_union",
        "map_zip_with",
        "merge",
        "merge_set_digest",
        "multimap_agg",
        "multimap_from_entries",
        "murmur3",
        "ngrams",
        "normal_cdf",
        "normalize",
        "numeric_histogram",
        "objectid_timestamp",
        "parse_data_size",
        "parse_duration",
        "parse_presto_data_size",
        "qdigest_agg",
        "quantile_at_value",
        "quantiles_at_values",
        "reduce_agg",
        "regexp_position",
        "regress",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_r2",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "render",
        "rgb",
        "sequence_contains",
        "sha512",
        "shuffle",
        "simplify_geometry",
        "skewness",
        "soundex",
        "spooky_hash_v2_32",
        "spooky_hash_v2_64",
        "split_to_map",
        "split_to_multimap",
        "st_area",
        "st_asbinary",
        "st_astext",
        "st_contains",
        "st_distance",
        "st_geometryfromtext",
        "st_intersects",
        "st_point",
        "st_within",
        "st_x",
        "st_y",
        "tdigest_agg",
        "timestamp_objectid",
        "timezone",
        "timezone_hour",
        "timezone_minute",
        "to_base",
        "to_base32",
        "to_base64url",
        "to_big_endian_32",
        "to_big_endian_64",
        "to_encoded_polyline",
        "to_geojson_geometry",
        "to_ieee754_32",
        "to_ieee754_64",
        "to_milliseconds",
        "trim_array",
        "url_decode",
        "url_encode",
        "url_extract_fragment",
        "url_extract_host",
        "url_extract_parameter",
        "url_extract_path",
        "url_extract_port",
        "url_extract_protocol",
        "url_extract_query",
        "value_at_quantile",
        "values_at_quantiles",
        "version",
        "width_bucket",
        "wilson_interval_lower",
        "wilson_interval_upper",
        "word_stem",
        "xxhash64",
        "zip",
    ]
)
__all__ = [
    "AGGREGATES",
    "LAMBDAS",
    "WINDOWS",
    "Call",
    "aggregate",
    "at_zone",
    "cast",
    "concat",
    "extract",
    "scalar",
    "subscript",
    "window",
]
INTEGER_LITERAL = INTEGER
DATE_TYPE = DATE
