"""How values of each type print in a result: as Java and Trino write them."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import struct
from typing import Any

from local.engines.athena_types import Type, row_fields


def double_text(value: float) -> str:
    """Java's Double.toString, which Athena prints doubles with: 1.0E10, 0.001, 1.0E-4, NaN."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        plain = repr(value)
        return plain if "e" not in plain else f"{decimal.Decimal(plain):f}"
    return scientific(value)


def scientific(value: float) -> str:
    """A double cast to varchar as the SQL standard writes it, for example 3.77E1 (Trino since release 366)."""
    if math.isnan(value) or math.isinf(value):
        return double_text(value)
    if value == 0:
        return "-0E0" if math.copysign(1, value) < 0 else "0E0"
    sign, digits, exponent = decimal.Decimal(repr(value)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0")
    power = int(exponent) + len(digits) - 1
    return f"{'-' if sign else ''}{shown[:1]}.{shown[1:] or '0'}E{power}"


def _real_text(value: float) -> str:
    for places in range(1, 10):
        short = float(f"{value:.{places}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return double_text(short)
    return double_text(value)


def instant_text(value: datetime.datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"


def _interval_text(value: datetime.timedelta) -> str:
    millis = int(value / datetime.timedelta(milliseconds=1))
    sign, millis = ("-", -millis) if millis < 0 else ("", millis)
    seconds, millis = divmod(millis, 1000)
    days, seconds = divmod(seconds, 86400)
    return f"{sign}{days} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{millis:03d}"


def datum(value: Any, kind: Type) -> str | None:
    """A value as Athena prints it in GetQueryResults and in the result file; None for NULL."""
    if value is None:
        return None
    if kind.name == "double":
        return double_text(value)
    if kind.name == "real":
        return _real_text(value)
    if kind.name == "boolean":
        return "true" if value else "false"
    if kind.name == "timestamp":
        return instant_text(value)
    if kind.name == "timestamp with time zone":
        return f"{instant_text(value.replace(tzinfo=None))} {kind.zone}"
    if kind.name == "decimal":
        return f"{value:f}"
    if kind.name == "json":
        return json.dumps(json.loads(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if kind.name == "varbinary":
        return bytes(value).hex(" ")
    if kind.name == "interval day to second":
        return _interval_text(value)
    if kind.name == "array":
        return "[" + ", ".join(_inner(v, kind.args[0]) for v in value) + "]"
    if kind.name == "map":
        return "{" + ", ".join(f"{_inner(k, kind.args[0])}={_inner(v, kind.args[1])}" for k, v in value.items()) + "}"
    if kind.name == "row":
        return "{" + ", ".join(f"{n}={_inner(value[n], t)}" for n, t in row_fields(kind)) + "}"
    return str(value)


def _inner(value: Any, kind: Type) -> str:
    printed = datum(value, kind)
    return "null" if printed is None else printed
