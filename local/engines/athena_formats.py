"""Trino's two date pattern languages (MySQL's for date_format, Joda's for format_datetime) and its JSON paths."""

from __future__ import annotations

import re

from local.engines.athena_types import AthenaError, quote, unsupported

# https://trino.io/docs/current/functions/datetime.html#mysql-date-functions
_MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I", "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S", "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
_JODA = {
    "yyyy": "%Y", "YYYY": "%Y", "y": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d",
    "d": "%-d", "DDD": "%j", "D": "%-j", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M",
    "ss": "%S", "s": "%-S", "SSS": "%g", "EEEE": "%A", "EEE": "%a", "E": "%a", "a": "%p", "e": "%u", "xxxx": "%G",
    "ww": "%V",
}  # fmt: skip


def mysql(pattern: str) -> str:
    """A date_format/date_parse pattern in strftime's language."""

    def one(found: re.Match[str]) -> str:
        letter = found.group(1)
        if letter in "DUuVwX":
            raise AthenaError("INVALID_FUNCTION_ARGUMENT", f"%{letter} not supported in date format string")
        return _MYSQL.get(letter, letter)

    return re.sub(r"%(.)", one, pattern, flags=re.DOTALL)


def joda(pattern: str) -> str:
    """A format_datetime/parse_datetime pattern in strftime's language."""
    parts = []
    for found in re.finditer(r"''|'((?:[^']|'')*)'|([A-Za-z])\2*|.", pattern, flags=re.DOTALL):
        token = found.group()
        if token == "''":
            parts.append("'")
        elif found.group(1) is not None:
            parts.append(found.group(1).replace("''", "'").replace("%", "%%"))
        elif found.group(2):
            if token not in _JODA:
                raise unsupported(f"The date pattern letters '{token}'")
            parts.append(_JODA[token])
        else:
            parts.append(token.replace("%", "%%"))
    return "".join(parts)


def json_path(path: str) -> str:
    """A JSON path as DuckDB reads it; keys and indexes only."""
    if not re.fullmatch(r"\$(\.[A-Za-z_][\w-]*|\[\d+\]|\[\"[^\"]*\"\])*", path):
        raise unsupported(f"The JSON path '{path}'")
    dotted = re.sub(r"\[\"([^\"]*)\"\]", lambda m: "." + quote(m[1]), path)
    return re.sub(r"\.([A-Za-z_][\w-]*)", r'."\1"', dotted)
