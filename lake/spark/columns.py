"""Column expressions that several sources need."""

from collections.abc import Iterable

from pyspark.sql import Column
from pyspark.sql import functions as F

EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
# North American numbers with separators: digits alone may be a case number.
TELEPHONE = r"(?<![0-9A-Za-z])(\+?1[ .-]?)?(\([0-9]{3}\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}(?![0-9])"


def text(column: str) -> Column:
    """The text without blanks around it, null if nothing is left (sources write '' and ' ' for nothing in one column)."""
    trimmed = F.trim(F.col(column))
    return F.when(trimmed != "", trimmed)


def masked(free_text: Column) -> Column:
    """The text with e-mail addresses and telephone numbers replaced by [email] and [telephone]."""
    no_mail = F.when(free_text.contains("@"), F.regexp_replace(free_text, EMAIL, "[email]")).otherwise(free_text)
    # Few texts hold such digits, and to look for these alone is several times faster.
    return F.when(no_mail.rlike(r"[0-9]{3}[ .-][0-9]{4}"), F.regexp_replace(no_mail, TELEPHONE, "[telephone]")).otherwise(no_mail)


def wall_clock(written: Column, *, pattern: str) -> Column:
    """What a clock showed, as a timestamp of a session in UTC, from "yyyy-MM-dd HH:mm:ss[.f]"; null where `pattern` (a Java regex)
    does not match."""
    return F.when(written.rlike(pattern), written).cast("timestamp")


def instant(shown: Column, *, zone: str) -> Column:
    """The instant at which a clock in `zone` showed `shown` (see wall_clock).

    The hour that is doubled on the night in autumn is read as the first, daylight-saving one; an hour skipped in spring is read as
    the one after it: both are what java.time does with such a local time.
    """
    return F.to_utc_timestamp(shown, zone)


def unreadable(readings: Iterable[tuple[str, Column, Column]]) -> Column:
    """The first column whose text is there but whose value is not, from (column, text, value); null if all are readable."""
    return F.coalesce(*[F.when(raw.isNotNull() & value.isNull(), F.lit(name)) for name, raw, value in readings])


def row_hash(columns: Iterable[str]) -> Column:
    """xxhash64 over `columns` (bigint). xxhash64 skips nulls, so which columns are null is hashed too: a value that moves to its
    neighbour is a change."""
    names = list(columns)
    return F.xxhash64(F.array(*[F.col(name).isNull() for name in names]), *names)
