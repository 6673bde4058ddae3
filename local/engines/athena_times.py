"""Functions of dates and times. A timestamp with time zone is an instant; its type knows the zone whose clock is shown."""

from __future__ import annotations

import re
from typing import Any

from local.engines import athena_formats as formats
from local.engines.athena_calls import Call, special
from local.engines.athena_casts import cast, local
from local.engines.athena_expr import Ex, Position, convert, fails, together
from local.engines.athena_types import BIGINT, DATE, INSTANT, TIMESTAMP, VARCHAR, AthenaError, Type, duck, text, unsupported

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


@special("date")
def _date(call: Call) -> Ex:
    call.count(1)
    return cast(call.args[0], DATE, False, call.position)


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
