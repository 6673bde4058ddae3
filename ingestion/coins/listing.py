"""A listing: all pages of one look at the market, known by its instant and its content."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from ingestion.coins.coin import instant

_STAMP = "%Y%m%dT%H%M%S"


def coins_in(data: Any) -> list[Any]:
    """The coins of an answer's `data`: a list (listings, quotes v3), or an object whose values are coins or lists of coins."""
    if isinstance(data, dict):
        return [coin for value in data.values() for coin in (value if isinstance(value, list) else [value])]
    return data if isinstance(data, list) else [data]


def listing_id(listed_at: datetime, pages: Iterable[bytes]) -> str:
    """E.g. 20261121T110000123Z-1a2b3c4d; as texts they sort by time."""
    content = hashlib.sha256()
    for page in pages:
        content.update(page)
    return f"{listed_at.strftime(_STAMP)}{listed_at.microsecond // 1000:03d}Z-{content.hexdigest()[:8]}"


def listed_at_of(listing: str) -> datetime:
    """The instant in a listing's id, UTC without zone. Raises ValueError."""
    stamp, _, _ = listing.partition("Z-")
    return datetime.strptime(f"{stamp[:-3]}.{stamp[-3:]}", f"{_STAMP}.%f")  # noqa: DTZ007


def is_complete(*, coins: int, asked: int, last_page: int, last_limit: int, total_count: int | None) -> bool:
    """Whether all came that was asked for, or that there is.

    Nothing may be said of a coin that an incomplete listing lacks.
    """
    if coins >= asked:
        return True
    return last_page < last_limit if total_count is None else coins >= total_count


def instant_of(status: dict[str, Any]) -> datetime:
    """Of an envelope's status: UTC without zone, milliseconds. Raises ValueError."""
    return instant(status.get("timestamp"))


def iso(moment: datetime) -> str:
    """ISO 8601 with milliseconds and Z, of an instant in UTC."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def coins_of_pages(pages: Sequence[bytes]) -> list[Any]:
    return [coin for page in pages for coin in coins_in(json.loads(page)["data"])]
