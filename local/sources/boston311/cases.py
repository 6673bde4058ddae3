"""Simulated service requests of one period, as a stream, the same for the same (seed, period, rows).

Times are whole seconds of Boston's true wall clock (see `clock`), whatever a vintage makes of them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from random import Random
from statistics import NormalDist
from typing import Literal, NamedTuple

from local.sources.boston311 import topics
from local.sources.boston311.clock import DAY, HOUR, existing, midnight, summer_time
from local.sources.boston311.places import PLACES, places
from local.sources.boston311.texts import comments, titles
from local.sources.boston311.topics import Topic

SENTINEL_TARGET = midnight(date(2059, 12, 31)) + 19 * HOUR
# The published state is that of this moment: nothing is opened later, and what would close later is open.
SNAPSHOT_DAY = date(2026, 10, 31)
SNAPSHOT = midnight(SNAPSHOT_DAY)
MAX_ROWS = 6_000_000  # of a period: case numbers of two periods must not meet
_ID_BASE, _ID_YEAR, _ID_STEP = 101_000_000_000, 20_000_000, 3

# Requests by hour of the day: rarest at 03 to 04 h.
_HOURS = (6, 4, 3, 2, 2, 6, 20, 45, 75, 90, 92, 88, 82, 80, 78, 70, 58, 48, 42, 36, 30, 24, 16, 10)
_WEEKDAYS = (120, 118, 115, 112, 108, 60, 50)
_LEGACY_SOURCES = (
    ("Constituent Call", 920),
    ("Employee Generated", 500),
    ("Self Service", 239),
    ("Citizens Connect App", 240),
    ("City Worker App", 80),
    ("Maximo Integration", 20),
    ("Twitter", 1),
)
_NEW_SOURCES = (("Call", 62), ("BOS311", 38))
_PHONE, _APPS = "Constituent Call", ("Citizens Connect App", "BOS311")

System = Literal["legacy", "new"]
Judgement = Literal["ONTIME", "OVERDUE", ""]


class Case(NamedTuple):
    """One request. target and closed are None when blank; on_time is '' in a few rows; topic and place are indexes into City."""

    case_id: int
    opened: int
    target: int | None
    closed: int | None
    on_time: Judgement
    comment: str | None  # the free part of the closing text; None = there is no text
    title: str
    topic: int
    place: int
    number: str
    source: str
    photo: bool


@dataclass(frozen=True)
class Period:
    """Days of opening, both included, of requests in one system. Case numbers begin at first_id."""

    system: System
    first: date
    last: date
    first_id: int


NEW_SYSTEM = Period("new", date(2025, 8, 1), SNAPSHOT_DAY - timedelta(days=1), 65_000)


def legacy_year(year: int) -> Period:
    last = min(date(year, 12, 31), SNAPSHOT_DAY - timedelta(days=1))
    return Period("legacy", date(year, 1, 1), last, _ID_BASE + (year - 2011) * _ID_YEAR)


class City:
    """Pools that rows of one system draw from, built once for a seed. Both systems share the places."""

    def __init__(self, seed: int, system: System) -> None:
        rnd = Random(f"city:{seed}")
        self.places = places(rnd)
        self.comments = comments(rnd)
        self.topics = topics.drawn(topics.LEGACY if system == "legacy" else topics.NEW_SYSTEM, rnd)
        spellings = {topic: titles(topic, rnd) for topic in sorted(set(self.topics), key=repr)}
        self.titles = [spellings[topic] for topic in self.topics]
        shares = _LEGACY_SOURCES if system == "legacy" else _NEW_SOURCES
        self.sources = [name for name, share in shares for _ in range(share)]
        self.open_share = 0.055 if system == "legacy" else 0.24
        # Share of cases with a free closing text: of open ones, of closed ones.
        self.text_share = (31 / 3_681, 1 - 163 / 54_570) if system == "legacy" else (0.01, 0.25)
        # Quantiles of a log-normal spread around the median: most cases close near it, some a hundred times later.
        self.spread = [math.exp(1.3 * NormalDist().inv_cdf((i + 0.5) / 1024)) for i in range(1024)]
        self.numbers = [str(n) for n in range(1, 400)] + [f"{n}-{n + 4}" for n in range(2, 60, 2)]
        self.numbers += ["95R", "2-6A", "116 118"]


@lru_cache(maxsize=4)
def city(seed: int, system: System) -> City:
    return City(seed, system)


def cases(*, seed: int, period: Period, rows: int) -> Iterator[list[Case]]:
    """The period's requests in the order of opening, one list a day. `rows` up to MAX_ROWS."""
    for day, index, upto in _calendar(period, rows):
        yield opened_on(day, Random(f"{seed}:{period}:{rows}:{day}"), seed=seed, period=period, first=index, after=upto)


def last_cases(*, seed: int, period: Period, rows: int, count: int) -> list[Case]:
    """The last `count` of what `cases` gives, without making the others."""
    found: list[Case] = []
    for day, index, upto in reversed(_calendar(period, rows)):
        if len(found) >= count:
            break
        rnd = Random(f"{seed}:{period}:{rows}:{day}")
        found = opened_on(day, rnd, seed=seed, period=period, first=index, after=upto) + found
    return found[len(found) - count :]


def judged(target: int | None, closed: int | None) -> Judgement:
    """On time or not, as of the snapshot when it is open; without a target always on time."""
    return "ONTIME" if target is None or (SNAPSHOT if closed is None else closed) <= target else "OVERDUE"


def _calendar(period: Period, rows: int) -> list[tuple[date, int, int]]:
    """(day, index of its first row, index after its last) of each day with rows."""
    days = [period.first + timedelta(days=i) for i in range((period.last - period.first).days + 1)]
    weights = [_WEEKDAYS[day.weekday()] for day in days]
    total, sofar, index = sum(weights), 0, 0
    found = []
    for day, weight in zip(days, weights, strict=True):
        sofar += weight
        upto = rows * sofar // total
        if upto > index:
            found.append((day, index, upto))
        index = upto
    return found


def opened_on(day: date, rnd: Random, *, seed: int, period: Period, first: int, after: int) -> list[Case]:
    """Cases of one day; their numbers are those of the period's rows `first` to before `after`."""
    pools, random = city(seed, period.system), rnd.random
    start = midnight(day)
    hours = _hours_of(day)
    # Targets at 08:30 are rare at first and the rule later; the new system has no such habit.
    morning = 0.0 if period.system == "new" else 0.2 if day.year < 2013 else 0.65
    n_hours, n_topics, n_sources = len(hours), len(pools.topics), len(pools.sources)
    n_comments, n_numbers = len(pools.comments), len(pools.numbers)
    moments = sorted(start + hours[int(random() * n_hours)] + int(random() * HOUR) for _ in range(after - first))
    made: list[Case] = []
    for i, moment in enumerate(moments, start=first):
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
        target = _target(pools.topics[topic], opened, random(), morning)
        closed = _closed(pools, pools.topics[topic], opened, random(), random())
        made.append(
            Case(  # in the order of its fields: names cost a microsecond here
                # i ^ 5 swaps neighbours: numbers are unique, but not in the order of opening.
                period.first_id + (i ^ 5) * _ID_STEP + int(random() * _ID_STEP),
                opened,
                target,
                closed,
                "" if target is not None and random() < 158 / 58_251 else judged(target, closed),
                pools.comments[int(random() * n_comments)] if random() < pools.text_share[closed is not None] else None,
                pools.titles[topic][int(random() * 100)],
                topic,
                place,
                number,
                source,
                source in _APPS and luck < 0.6,
            )
        )
    return made


def _target(topic: Topic, opened: int, luck: float, morning: float) -> int | None:
    if topic.sla_hours is None or luck < 0.05:
        return None
    if luck > 1 - 18 / 58_251 and morning:
        return SENTINEL_TARGET
    target = opened + int(topic.sla_hours * HOUR)
    if topic.sla_hours >= 24 and luck < morning:  # promised for the start of a working day
        target += DAY - target % DAY + 8 * HOUR + 1800
    return existing(target)


def _closed(pools: City, topic: Topic, opened: int, luck: float, detail: float) -> int | None:
    if luck < pools.open_share:
        return None
    if luck > 1 - 12 / 16_611:  # closed before it was opened
        return existing(opened - 1 - int(detail * HOUR))
    seconds = topic.hours * HOUR * pools.spread[int(detail * 1024)] * (0.8 + 0.4 * luck)
    if luck > 0.997:  # tidied up years later
        seconds += detail * 8 * 365 * DAY
    closed = existing(opened + 20 + int(seconds))
    return closed if closed < SNAPSHOT else None


def _hours_of(day: date) -> list[int]:
    """Starts of hours in seconds after midnight, each as often as requests come in it."""
    start = midnight(day)
    missing, doubled = ((hour - start) // HOUR for hour in summer_time(day.year))
    weights = [0 if hour == missing else weight * 2 if hour == doubled else weight for hour, weight in enumerate(_HOURS)]
    return [hour * HOUR for hour, weight in enumerate(weights) for _ in range(weight)]
