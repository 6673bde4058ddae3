"""Names and numbers that DMS gives: objects of a load and of changes, and the change sequence."""

import datetime as dt

_POSITIONS = 10**6  # room for a transaction's changes between two commit positions (which lie at least 32 bytes apart)


def load_name(number: int) -> str:
    """Object of a full load, from 1: the counter is hexadecimal."""
    return f"LOAD{number:08X}.parquet"


def change_name(milliseconds: int) -> str:
    """Object of changes, by when it was closed (milliseconds since 1970, UTC)."""
    moment = dt.datetime.fromtimestamp(milliseconds // 1000, dt.UTC)
    return f"{moment:%Y%m%d-%H%M%S}{milliseconds % 1000:03d}.parquet"


def next_moment(now: int, last: int) -> int:
    """Milliseconds for the next name: later than any before, also within a millisecond and when the clock was set back."""
    return max(now, last + 1)


def timestamp_text(moment: dt.datetime) -> str:
    """A TimestampColumnName's value."""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond:06d}"


def change_clock(committed_at: dt.datetime) -> str:
    """The first 16 digits of a change sequence: yyyyMMddHHmmSShh."""
    return f"{committed_at:%Y%m%d%H%M%S}{committed_at.microsecond // 10000:02d}"


def change_sequence(clock: str, commit_lsn: int, position: int) -> str:
    """$AR_H_CHANGE_SEQ: 35 digits that grow with every change and are the same when a change is delivered again.

    commit_lsn: of the change's transaction; position: of the change in it, from 0.
    """
    return f"{clock}{commit_lsn * _POSITIONS + position:019d}"
