"""Column expressions that several sources need."""

from collections.abc import Iterable

from pyspark.sql import Column
from pyspark.sql import functions as F


def text(column: str) -> Column:
    """The text without blanks around it, null if nothing is left (sources write '' and ' ' for nothing in one column)."""
    trimmed = F.trim(F.col(column))
    return F.when(trimmed != "", trimmed)


def instant(local: Column, *, zone: str, pattern: str) -> Column:
    """The instant (timestamp, session in UTC) of a wall-clock text in `zone`; null where `pattern` (a Java regex) does not match.

    The hour that is doubled on the night in autumn is read as the first, daylight-saving one; an hour skipped in spring is read as
    the one after it: both are what java.time does with such a local time.
    """
    wall_clock = F.when(local.rlike(pattern), local).cast("timestamp")
    return F.to_utc_timestamp(wall_clock, zone)


def unreadable(readings: Iterable[tuple[str, Column, Column]]) -> Column:
    """Names of the columns whose text is there but whose value is not, from (column, text, value): array<string>."""
    names = [F.when(raw.isNotNull() & value.isNull(), F.lit(name)) for name, raw, value in readings]
    return F.array_compact(F.array(*names))


def row_hash(columns: Iterable[str]) -> Column:
    """xxhash64 over `columns` (bigint). xxhash64 skips nulls, so which columns are null is hashed too: a value that moves to its
    neighbour is a change."""
    names = list(columns)
    return F.xxhash64(F.array(*[F.col(name).isNull() for name in names]), *names)
