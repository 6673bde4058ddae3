"""Simulated service requests of one year, as a stream, the same for the same (seed, year, rows).

Times are whole seconds of Boston's wall clock since 1970-01-01 00:00 (no zone): that is what the legacy system publishes.
"""

import math
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from random import Random
from statistics import NormalDist
from typing import Literal, NamedTuple

from local.sources.boston311.world import PLACES, Topic, comments, places, titles, topics

HOUR, DAY = 3600, 86_400
EPOCH = date(1970, 1, 1)
SENTINEL_TARGET = (date(2059, 12, 31) - EPOCH).days * DAY + 19 * HOUR
# The published state is that of this moment: cases that would close later are open.
SNAPSHOT = (date(2026, 10, 31) - EPOCH).days * DAY
MAX_ROWS = 6_000_000  # of a year: case numbers of two years must not meet
_ID_BASE, _ID_YEAR, _ID_STEP = 101_000_000_000, 20_000_000, 3

# Requests by hour of the day: rarest at 03 to 04 h.
_HOURS = (6, 4, 3, 2, 2, 6, 20, 45, 75, 90, 92, 88, 82, 80, 78, 70, 58, 48, 42, 36, 30, 24, 16, 10)
_WEEKDAYS = (120, 118, 115, 112, 108, 60, 50)
_SOURCES = (
    ("Constituent Call", 46),
    ("Employee Generated", 25),
    ("Self Service", 12),
    ("Citizens Connect App", 12),
    ("City Worker App", 4),
    ("Maximo Integration", 1),
)
_PHONE, _APP = "Constituent Call", "Citizens Connect App"


class Case(NamedTuple):
    """One request. target and closed are None when blank; on_time is '' in a few rows; topic and place are indexes into City."""

    case_id: int
    opened: int
    target: int | None
    closed: int | None
    on_time: Literal["ONTIME", "OVERDUE", ""]
    comment: str | None  # the free part of the closing text; None = the text is the single blank
    title: str
    topic: int
    place: int
    number: str
    source: str
    photo: bool


class City:
    """Pools that rows draw from, built once for a seed."""

    def __init__(self, seed: int) -> None:
        rnd = Random(f"city:{seed}")
        self.topics = topics(rnd)
        self.places = places(rnd)
        self.comments = comments(rnd)
        spellings = {topic: titles(topic, rnd) for topic in sorted(set(self.topics))}
        self.titles = [spellings[topic] for topic in self.topics]
        self.sources = [name for name, share in _SOURCES for _ in range(share)]
        # Quantiles of a log-normal spread around the median: most cases close near it, some a hundred times later.
        self.spread = [math.exp(1.3 * NormalDist().inv_cdf((i + 0.5) / 1024)) for i in range(1024)]
        self.numbers = [str(n) for n in range(1, 400)] + [f"{n}-{n + 4}" for n in range(2, 60, 2)] + ["95R", "2-6A"]


@lru_cache(maxsize=2)
def city(seed: int) -> City:
    return City(seed)


def cases(*, seed: int, year: int, rows: int) -> Iterator[list[Case]]:
    """The year's requests in the order of opening, one list a day. `rows` up to MAX_ROWS."""
    pools = city(seed)
    first = date(year, 1, 1)
    days = [first + timedelta(days=i) for i in range((date(year + 1, 1, 1) - first).days)]
    weights = [_WEEKDAYS[day.weekday()] for day in days]
    total, sofar, index = sum(weights), 0, 0
    for day, weight in zip(days, weights, strict=True):
        sofar += weight
        upto = rows * sofar // total
        if upto > index:
            yield _day(pools, Random(f"{seed}:{year}:{rows}:{day}"), day, index, upto)
        index = upto


def _day(pools: City, rnd: Random, day: date, index: int, upto: int) -> list[Case]:
    random = rnd.random
    midnight = (day - EPOCH).days * DAY
    hours = _hours_of(day)
    n_hours, n_topics, n_sources = len(hours), len(pools.topics), len(pools.sources)
    n_comments, n_numbers = len(pools.comments), len(pools.numbers)
    moments = sorted(midnight + hours[int(random() * n_hours)] + int(random() * HOUR) for _ in range(upto - index))
    base = _ID_BASE + (day.year - 2011) * _ID_YEAR
    made: list[Case] = []
    for i, moment in enumerate(moments, start=index):
        opened = moment
        topic = int(random() * n_topics)
        source = pools.sources[int(random() * n_sources)]
        place = int(random() * PLACES)
        number = pools.numbers[int(random() * n_numbers)]
        luck = random()
        if source == _PHONE and luck < 0.3:
            opened -= opened % 60  # typed in by the operator, without seconds
        elif made and luck > 1 - 16 / 58_251:  # the same thing reported twice
            twin = made[-1]
            opened, topic, place, number = twin.opened, twin.topic, twin.place, twin.number
        target = _target(pools.topics[topic], opened, random())
        closed = _closed(pools, pools.topics[topic], opened, random(), random())
        made.append(
            Case(  # in the order of its fields: names cost a microsecond here
                # i ^ 5 swaps neighbours: numbers are unique, but not in the order of opening.
                base + (i ^ 5) * _ID_STEP + int(random() * _ID_STEP),
                opened,
                target,
                closed,
                _on_time(target, closed, random()),
                _comment(pools.comments[int(random() * n_comments)], closed, random()),
                pools.titles[topic][int(random() * 100)],
                topic,
                place,
                number,
                source,
                source == _APP and luck < 0.6,
            )
        )
    return made


def _target(topic: Topic, opened: int, luck: float) -> int | None:
    if topic.sla_hours is None or luck < 0.05:
        return None
    if luck > 1 - 18 / 58_251:
        return SENTINEL_TARGET
    target = opened + int(topic.sla_hours * HOUR)
    if luck < 0.4 and topic.sla_hours >= 24:  # promised for the start of a working day
        target += DAY - target % DAY + 8 * HOUR + 1800
    return _existing(target)


def _closed(pools: City, topic: Topic, opened: int, luck: float, detail: float) -> int | None:
    if luck < 0.055:
        return None
    seconds = topic.hours * HOUR * pools.spread[int(detail * 1024)] * (0.8 + 0.4 * luck)
    if luck > 0.997:  # tidied up years later
        seconds += detail * 8 * 365 * DAY
    closed = _existing(opened + 20 + int(seconds))
    return closed if closed < SNAPSHOT else None


def _on_time(target: int | None, closed: int | None, luck: float) -> Literal["ONTIME", "OVERDUE", ""]:
    if target is None:
        return "ONTIME"
    if luck < 158 / 58_251:
        return ""
    return "ONTIME" if (SNAPSHOT if closed is None else closed) <= target else "OVERDUE"


def _comment(comment: str, closed: int | None, luck: float) -> str | None:
    has_text = luck < 31 / 3_681 if closed is None else luck > 163 / 54_570
    return comment if has_text else None


@lru_cache(maxsize=64)
def summer_time(year: int) -> tuple[int, int]:
    """Wall-clock seconds of the hour that is missing in spring and of the hour that comes twice in autumn (rule of 2007)."""
    march, november = date(year, 3, 8), date(year, 11, 1)
    spring = march + timedelta(days=(6 - march.weekday()) % 7)
    autumn = november + timedelta(days=(6 - november.weekday()) % 7)
    return (spring - EPOCH).days * DAY + 2 * HOUR, (autumn - EPOCH).days * DAY + HOUR


_MISSING = frozenset(summer_time(year)[0] // HOUR for year in range(2007, 2061))


def _existing(wall: int) -> int:
    """The wall-clock time, an hour later if the clocks skip it."""
    return wall + HOUR if wall // HOUR in _MISSING else wall


def _hours_of(day: date) -> list[int]:
    """Starts of hours in seconds after midnight, each as often as requests come in it."""
    midnight = (day - EPOCH).days * DAY
    missing, doubled = ((hour - midnight) // HOUR for hour in summer_time(day.year))
    weights = [0 if hour == missing else weight * 2 if hour == doubled else weight for hour, weight in enumerate(_HOURS)]
    return [hour * HOUR for hour, weight in enumerate(weights) for _ in range(weight)]
