"""Newer versions of a resource: how its rows differ from those of its first version, the same for the same wish."""

from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from local.sources.boston311.cases import SNAPSHOT, Case, Period, cases, judged, opened_on
from local.sources.boston311.clock import DAY, existing
from local.sources.boston311.places import PLACES
from local.sources.boston311.vintages import unreadable

OPEN_SHARE = 0.9  # of the changed rows are cases that were open and are closed now, as long as there are any


class Edition(BaseModel):
    """A newer version of a simulated resource: `changed` rows differ, `vanished` ones are gone, `added` ones are new.

    Nine in ten that change were open and are closed; of the others half have another address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resource: str
    changed: Annotated[int, Field(ge=0)] = 0
    vanished: Annotated[int, Field(ge=0)] = 0
    added: Annotated[int, Field(ge=0)] = 0


def revisable(*, seed: int, period: Period, rows: int, kept: int) -> list[int]:
    """Indexes of rows that an edition may touch: the readable ones without the last `kept`, which another resource repeats."""
    spoilt = unreadable(seed=seed, period=period, rows=rows)
    return [index for index in range(rows - kept) if index not in spoilt]


def revisions(*, seed: int, period: Period, rows: int, kept: int, editions: Sequence[Edition]) -> dict[int, Case | None]:
    """By row index, what stands there after all editions; None = the row has vanished.

    Raises ValueError when there are fewer rows than an edition touches.
    """
    if not editions:
        return {}
    left = set(revisable(seed=seed, period=period, rows=rows, kept=kept))
    opened = {i for i, case in _numbered(seed, period, rows) if case.closed is None} & left
    picked: list[tuple[list[int], list[int]]] = []
    for number, edition in enumerate(editions, start=1):
        rnd = Random(f"edition:{seed}:{period}:{rows}:{number}")
        gone = rnd.sample(sorted(left), edition.vanished)
        left.difference_update(gone)
        opened.difference_update(gone)
        closing = rnd.sample(sorted(opened), min(len(opened), round(edition.changed * OPEN_SHARE)))
        opened.difference_update(closing)
        others = rnd.sample(sorted(left.difference(closing)), edition.changed - len(closing))
        opened.difference_update(others)
        picked.append((gone, closing + others))
    touched = {index for gone, changed in picked for index in gone + changed}
    found: dict[int, Case | None] = {i: case for i, case in _numbered(seed, period, rows) if i in touched}
    for number, (gone, changed) in enumerate(picked, start=1):
        for index in changed:
            case = found[index]
            assert case is not None
            found[index] = _revised(case, number)
        found.update(dict.fromkeys(gone))
    return found


def added(*, seed: int, period: Period, rows: int, editions: Sequence[Edition]) -> list[Case]:
    """The cases of the period's last day that the editions bring."""
    found: list[Case] = []
    for number, edition in enumerate(editions, start=1):
        rnd = Random(f"added:{seed}:{period}:{rows}:{number}")
        first = rows + len(found)
        found += opened_on(period.last, rnd, seed=seed, period=period, first=first, after=first + edition.added)
    return found


def _numbered(seed: int, period: Period, rows: int) -> Iterator[tuple[int, Case]]:
    return enumerate(chain.from_iterable(cases(seed=seed, period=period, rows=rows)))


def _revised(case: Case, number: int) -> Case:
    """An open case is closed; a closed one is reviewed, and half of these turn out to be somewhere else."""
    if case.closed is not None:
        place = (case.place + PLACES // 2) % PLACES if case.case_id % 2 else case.place
        return case._replace(comment=f"Reviewed {number} times since, ticket {case.case_id % 10_000}.", place=place)
    closed = existing(SNAPSHOT + number * DAY - 1 - case.case_id * 7919 % (DAY // 2))
    return case._replace(closed=closed, on_time=judged(case.target, closed), comment=f"Done, order {case.case_id % 10_000}.")
