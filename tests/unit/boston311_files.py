"""Simulated resources as rows, for tests of the generator; and the city's clock, computed without it."""

import csv
import io
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

from local.sources.boston311.choice import Simulated
from local.sources.boston311.parts import Part

SEED, ROWS = 7, 17 * 6_000
BOSTON = ZoneInfo("America/New_York")
LEGACY = [str(year) for year in range(2011, 2027)]
SHIFTED = "2024"


def part(key: str, *, rows: int = ROWS, compact: bool = False, as_vintage: str | None = None) -> Part:
    vintages = {key: as_vintage} if as_vintage else {}
    columns = "26 columns" if compact else "28 columns"
    wish = Simulated.model_validate({"seed": SEED, "rows": rows, "new_system": columns, "vintages": vintages})
    wish.check()
    return next(part for part in wish.parts() if part.key == key)


def text(key: str, *, seed: int = SEED, rows: int = ROWS, compact: bool = False, as_vintage: str | None = None) -> str:
    return b"".join(part(key, rows=rows, compact=compact, as_vintage=as_vintage).blocks(seed)).decode()


@cache
def published(key: str, *, rows: int = ROWS, compact: bool = False, as_vintage: str | None = None) -> list[dict[str, str]]:
    """Rows by column name as compared: lower case, without underscores."""
    body = text(key, rows=rows, compact=compact, as_vintage=as_vintage)
    header, *records = csv.reader(io.StringIO(body, newline=""), strict=True)
    names = [name.lower().replace("_", "") for name in header]
    return [dict(zip(names, record, strict=True)) for record in records]


def column(key: str, name: str) -> set[str]:
    return {row[name] for row in published(key)}


def shown(value: str) -> datetime | None:
    """A legacy time to the second as its file shows it; None for what is no time."""
    for pattern in ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p"):
        try:
            return datetime.strptime(value.partition(".")[0], pattern)  # noqa: DTZ007 wall clocks have no zone
        except ValueError:
            continue
    return None


def moved_back(moment: datetime | None) -> datetime | None:
    """What a clock of a shifted file meant: its reading in Boston, as UTC."""
    return moment and moment.replace(tzinfo=BOSTON).astimezone(UTC).replace(tzinfo=None)


def shifted(moment: datetime | None) -> datetime | None:
    """What a shifted file makes of a Boston time: taken for UTC, and converted to Boston's time."""
    return moment and moment.replace(tzinfo=UTC).astimezone(BOSTON).replace(tzinfo=None)
