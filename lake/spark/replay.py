"""What a replay works again."""

from collections.abc import Iterable
from datetime import UTC, datetime

from lake.jobs import EVERYTHING
from lake.spark.ledger import Input


def replayed(accepted: Iterable[Input], asked: str) -> tuple[list[Input], bool]:
    """(inputs, whether they are all): everything that was accepted, or what was fetched at or after the date `asked` (ISO 8601, UTC
    unless it says)."""
    inputs = list(accepted)
    if asked == EVERYTHING:
        return inputs, True
    since = _instant(asked)
    return [item for item in inputs if _instant(item.facts["fetched_at"]) >= since], False


def _instant(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
