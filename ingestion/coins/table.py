"""tb_coins and listings in the database: one transaction a listing.

A listing's place in time is (listed_at, listing_id); a row is written only by a listing later than the one that wrote it last.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingestion.coins.coin import Row

# Whoever loads or marks holds this advisory lock until his transaction ends; the number means nothing.
_LOCK = 0x7462_636F_696E_7331
_COLUMNS = ", ".join(Row._fields)
_SET = ", ".join(f"{name} = excluded.{name}" for name in Row._fields if name != "id")
_ORDER = '({table}.last_listed_at, {table}.listing_id COLLATE "C")'
_STAGE = "CREATE TEMPORARY TABLE staged (LIKE tb_coins) ON COMMIT DROP"
_COPY = f"COPY staged ({_COLUMNS}) FROM STDIN"
_UPSERT = f"""
INSERT INTO tb_coins ({_COLUMNS}) SELECT {_COLUMNS} FROM staged
ON CONFLICT (id) DO UPDATE SET {_SET}
WHERE {_ORDER.format(table="tb_coins")} < {_ORDER.format(table="excluded")}
"""
_NEWEST = 'SELECT listing_id FROM listings ORDER BY listed_at DESC, listing_id COLLATE "C" DESC LIMIT 1'
_KNOWN = "SELECT run_id, rows FROM listings WHERE listing_id = %s"
_RECORD = "INSERT INTO listings (listing_id, listed_at, coins, run_id, rows) VALUES (%s, %s, %s, %s, %s)"
_MISSING = "SELECT id FROM tb_coins WHERE is_active AND NOT id = ANY(%s) ORDER BY id"
_MARK = f"""
UPDATE tb_coins SET is_active = false, listing_id = %(listing_id)s, last_listed_at = %(listed_at)s
WHERE id = ANY(%(ids)s) AND is_active
  AND {_ORDER.format(table="tb_coins")} < (%(listed_at)s::timestamp, %(listing_id)s COLLATE "C")
"""
_MARKED = "SELECT count(*) FROM tb_coins WHERE id = ANY(%s) AND NOT is_active AND listing_id = %s"


class ListingUnknown(Exception):
    """The database was never given this listing."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """known_of: the run that had loaded the listing before, None if none had; newest: whether no later listing is there;
    rows: of tb_coins that it wrote, then or now; missing: ids that are active in tb_coins, but not in the listing."""

    known_of: str | None
    newest: bool
    rows: int
    missing: list[int]


def write_listing(
    connection: Any,
    rows: Sequence[Row],
    *,
    listing_id: str,
    listed_at: datetime,
    coins: int,
    run_id: str,
    listed: Iterable[int] | None,
) -> Written:
    """Writes the listing's rows (ids unique) and commits.

    coins: on its pages. listed: every id in it, bad coins' too; None when it is incomplete, and nothing is missed.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        known = _one(cursor, _KNOWN, listing_id)
        written = known[1] if known else _upsert(cursor, rows)
        if known is None:
            cursor.execute(_RECORD, (listing_id, listed_at, coins, run_id, written))
        newest = _one(cursor, _NEWEST) == (listing_id,)
        missing: list[int] = []
        if newest and listed is not None:
            cursor.execute(_MISSING, (list(listed),))
            missing = [found for (found,) in cursor.fetchall()]
    return Written(known_of=known[0] if known else None, newest=newest, rows=written, missing=missing)


def mark_inactive(connection: Any, ids: Sequence[int], *, listing_id: str) -> int:
    """Marks coins that `listing_id` lacked and commits; a later listing that has them goes before. Rows inactive by this listing.

    Raises ListingUnknown.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        listed = _one(cursor, "SELECT listed_at FROM listings WHERE listing_id = %s", listing_id)
        if listed is None:
            raise ListingUnknown(f"listing {listing_id} was never loaded: load it before marking what it lacks")
        cursor.execute(_MARK, {"ids": list(ids), "listing_id": listing_id, "listed_at": listed[0]})
        (marked,) = _one(cursor, _MARKED, list(ids), listing_id) or (0,)
    return int(marked)


def _upsert(cursor: Any, rows: Sequence[Row]) -> int:
    cursor.execute(_STAGE)
    cursor.copy_expert(_COPY, io.BytesIO(copy_text(rows)), size=1 << 20)
    cursor.execute(_UPSERT)
    return int(cursor.rowcount)


def _one(cursor: Any, statement: str, *values: Any) -> tuple[Any, ...] | None:
    cursor.execute(statement, values)
    found: tuple[Any, ...] | None = cursor.fetchone()
    return found


def copy_text(rows: Iterable[Row]) -> bytes:
    """Rows in COPY's text format. A double is written by its repr, the shortest text that reads back as the same double."""
    encoders = _ENCODERS
    return "".join(["\t".join([encoders[type(value)](value) for value in row]) + "\n" for row in rows]).encode()


def _text(value: str) -> str:
    if value.isprintable() and "\\" not in value:
        return value
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


_ENCODERS: dict[type, Any] = {
    type(None): lambda _: "\\N",
    bool: lambda value: "t" if value else "f",
    int: repr,
    float: repr,
    str: _text,
    datetime: str,
}
