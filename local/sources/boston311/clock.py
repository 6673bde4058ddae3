"""Boston's wall clock, as whole seconds since 1970-01-01 00:00 without zone, and the ways in which the portal spells it."""

from datetime import date, timedelta
from functools import lru_cache

HOUR, DAY = 3600, 86_400
EPOCH = date(1970, 1, 1)

_FIRST_DAY = (date(2010, 1, 1) - EPOCH).days
_DATES = [EPOCH + timedelta(days=n) for n in range(_FIRST_DAY, (date(2061, 1, 1) - EPOCH).days)]
_YEAR = [day.year for day in _DATES]
_ISO = [day.isoformat() for day in _DATES]
_US = [day.strftime("%m/%d/%Y") for day in _DATES]
_UNIX = [day.strftime("%a %b %d") for day in _DATES]
_CLOCK = [f" {s // HOUR:02d}:{s % HOUR // 60:02d}:{s % 60:02d}" for s in range(DAY)]


def midnight(day: date) -> int:
    return (day - EPOCH).days * DAY


@lru_cache(maxsize=64)
def summer_time(year: int) -> tuple[int, int]:
    """Starts of the hour that is missing in spring and of the hour that comes twice in autumn (rule of 2007)."""
    march, november = date(year, 3, 8), date(year, 11, 1)
    spring = march + timedelta(days=(6 - march.weekday()) % 7)
    autumn = november + timedelta(days=(6 - november.weekday()) % 7)
    return midnight(spring) + 2 * HOUR, midnight(autumn) + HOUR


_MISSING = frozenset(summer_time(year)[0] // HOUR for year in range(2007, 2061))


def existing(wall: int) -> int:
    """The wall-clock time, an hour later if the clocks skip it."""
    return wall + HOUR if wall // HOUR in _MISSING else wall


def shifted(wall: int | None) -> int | None:
    """What the exports around 2024 made of a time: taken for UTC and converted to Boston once more, 4 h or 5 h too early."""
    if wall is None:
        return None
    spring, autumn = summer_time(_YEAR[wall // DAY - _FIRST_DAY])
    # As UTC, summer time begins at 07:00 and ends at 06:00: both lie 5 h after the hour on Boston's own clock.
    return wall - (4 * HOUR if spring + 5 * HOUR <= wall < autumn + 5 * HOUR else 5 * HOUR)


def iso(wall: int | None) -> str:
    """`YYYY-MM-DD HH:MM:SS`; '' for None."""
    return "" if wall is None else _ISO[wall // DAY - _FIRST_DAY] + _CLOCK[wall % DAY]


def iso_fraction(wall: int | None) -> str:
    """As `iso`, with 0 to 3 digits after the second, the same ones at the same time."""
    return "" if wall is None else iso(wall) + MILLISECONDS[wall * 7919 & 1023]


def us(wall: int | None) -> str:
    """`MM/DD/YYYY hh:mm:ss AM`; '' for None."""
    return "" if wall is None else _US[wall // DAY - _FIRST_DAY] + _twelve_hours()[wall % DAY]


def unix(wall: int) -> str:
    """`Wed May 15 06:58:54 EDT 2024`, as date(1) writes it."""
    day = wall // DAY - _FIRST_DAY
    spring, autumn = summer_time(_YEAR[day])
    zone = "EDT" if spring <= wall < autumn + HOUR else "EST"
    return f"{_UNIX[day]}{_CLOCK[wall % DAY]} {zone} {_YEAR[day]}"


@lru_cache(maxsize=1)
def _twelve_hours() -> list[str]:
    halves = ((s // HOUR % 12 or 12, s % HOUR // 60, s % 60, "AM" if s < DAY // 2 else "PM") for s in range(DAY))
    return [f" {hour:02d}:{minute:02d}:{second:02d} {half}" for hour, minute, second, half in halves]


def _fractions(digits: tuple[int, ...]) -> list[str]:
    """1,024 fractions of a second, each with one of so many digits."""
    made = []
    for i in range(1024):
        count = digits[i % len(digits)]
        made.append(f".{i * 387_420_489 % 10**count:0{count}d}" if count else "")
    return made


MILLISECONDS = _fractions((3, 3, 3, 3, 3, 3, 2, 0, 0, 1, 2, 3))
MICROSECONDS = _fractions((3, 6, 3, 6, 3, 3, 6, 3, 3, 6, 2, 3, 6, 3, 5, 3, 6, 3, 1, 3, 4, 3, 0))
