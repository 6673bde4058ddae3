"""A DuckDB that can do what a translated query needs and nothing else."""

from __future__ import annotations

import contextlib
from typing import Any

from local.engines.athena_expr import MARK
from local.engines.athena_print import datum
from local.engines.athena_scope import Query
from local.engines.athena_types import INSTANT, AthenaError, Type, duck, text

# A double as CAST(x AS varchar) writes it since Trino 366: the shortest digits in scientific notation, 37.7 -> 3.77E1.
_SCIENTIFIC = r"""
CREATE MACRO athena_scientific(x) AS CASE
 WHEN x IS NULL THEN NULL WHEN isnan(x) THEN 'NaN'
 WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END
 WHEN x = 0 THEN '0E0'
 ELSE regexp_replace(regexp_replace(regexp_replace(
  CASE WHEN CAST(format('{:.14e}', x) AS DOUBLE) = x THEN format('{:.14e}', x)
       WHEN CAST(format('{:.15e}', x) AS DOUBLE) = x THEN format('{:.15e}', x)
       ELSE format('{:.16e}', x) END,
  '(\.\d+?)0*e', '\1E'), 'E\+?(-?)0*(\d)', 'E\1\2'), '\.E', '.0E') END
"""
_SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET preserve_insertion_order = true",
)


def connect() -> Any:
    """A fresh in-memory DuckDB with the macros that translations use."""
    import duckdb

    connection = duckdb.connect()
    for setting in _SETTINGS:
        connection.execute(setting)
    connection.execute(_SCIENTIFIC)
    return connection


def lock(connection: Any) -> None:
    """Shut out the file system and further settings; only what was set up before stays in reach."""
    connection.execute("SET disabled_filesystems = 'LocalFileSystem'")
    connection.execute("SET lock_configuration = true")


def fetch(connection: Any, query: Query) -> list[list[str | None]]:
    """The rows as Athena prints them. Raises AthenaError for what fails while running."""
    import duckdb

    shown = [_shown(f"c{i}", kind) for i, (_, kind) in enumerate(query.columns)]
    try:
        rows = connection.execute(f"SELECT {', '.join(shown)} FROM ({query.sql})").fetchall()
    except duckdb.Error as error:
        raise failure(error) from error
    kinds = [kind for _, kind in query.columns]
    return [[datum(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows]


def _shown(name: str, kind: Type) -> str:
    """Zones are applied here: Python sees clock times only."""
    if kind.name == INSTANT.name:
        return f"timezone({text(kind.zone)}, {name})"
    return f"CAST({name} AS {duck(kind)})" if kind.name in ("bigint", "unknown") else name


def failure(error: Exception) -> AthenaError:
    """What went wrong in DuckDB, in Athena's words where Athena has a name for it."""
    message = str(error)
    if MARK in message:
        told = message.split(MARK, 1)[1]
        for end in ("' to INT64", '" to INT64', "' to", "\nLINE", "\n"):
            told = told.split(end, 1)[0]
        code, _, rest = told.partition(": ")
        return AthenaError(code, rest)
    first = message.split("\n", 1)[0]
    if "must appear in the GROUP BY clause" in message or "GROUP BY" in first:
        return AthenaError("EXPRESSION_NOT_AGGREGATE", first.split(": ", 1)[-1])
    if "Out of Range" in first or "Overflow" in first or "out of range" in first:
        return AthenaError("NUMERIC_VALUE_OUT_OF_RANGE", first.split(": ", 1)[-1])
    if "More than one row returned" in first:
        return AthenaError("SUBQUERY_MULTIPLE_ROWS", "Scalar sub-query has returned multiple rows")
    if "HTTP 403" in message or "AccessDenied" in message or "lacked the necessary privileges" in message:
        reason = next((line for line in message.splitlines() if line.startswith("AccessDenied")), first)
        return AthenaError("PERMISSION_DENIED", f"Access Denied: {reason}")
    if "Interrupt" in type(error).__name__ or first.startswith("INTERRUPT"):
        return AthenaError("USER_CANCELED", "Query was cancelled by user")
    return AthenaError("GENERIC_INTERNAL_ERROR", first)


@contextlib.contextmanager
def closing(connection: Any) -> Any:
    """Close it whatever happens."""
    try:
        yield connection
    finally:
        connection.close()
