"""What the gold tables of Boston 311 must hold, in plain Python with fractions, from cases in a list."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

BOSTON = ZoneInfo("America/New_York")
MICROSECOND = timedelta(microseconds=1)
DAY = 86_400_000_000
UNKNOWN = "(unknown)"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """A request as silver holds it, as far as gold reads it; instants in UTC."""

    case_id: str
    opened_at: datetime
    target_at: datetime | None = None
    closed_at: datetime | None = None
    status: str = "Closed"
    neighborhood: str | None = "Roxbury"
    reason: str | None = "Housing"
    type: str | None = "Bed Bugs"
    department: str | None = "ISD"

    @property
    def opened_year(self) -> int:
        return self.opened_at.astimezone(BOSTON).year

    @property
    def month(self) -> date:
        return self.opened_at.astimezone(BOSTON).date().replace(day=1)

    @property
    def took(self) -> int | None:
        """Microseconds from opening to closing."""
        if self.status != "Closed" or self.closed_at is None or self.closed_at < self.opened_at:
            return None
        return (self.closed_at - self.opened_at) // MICROSECOND


def answers(cases: Iterable[Case]) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, row_hash left out."""
    cases = list(cases)
    service, times = defaultdict(list), defaultdict(list)
    for case in cases:
        service[case.month, case.neighborhood or UNKNOWN, case.reason or UNKNOWN].append(case)
        times[case.type or UNKNOWN, case.opened_year].append(case)
    return {
        "gold.case_delays": [row for case in cases if (row := _delay(case))],
        "gold.neighborhood_service": [_service(*key, group) for key, group in service.items()],
        "gold.response_times": [_times(*key, group) for key, group in times.items()],
    }


def _delay(case: Case) -> dict[str, Any] | None:
    if case.status != "Closed" or case.target_at is None or case.closed_at is None or case.closed_at <= case.target_at:
        return None
    days = float(Fraction((case.closed_at - case.target_at) // MICROSECOND, DAY))
    return {**vars(case), "opened_year": case.opened_year, "delay_days": days}


def _service(month: date, neighborhood: str, reason: str, cases: Sequence[Case]) -> dict[str, Any]:
    closed, took = _closed(cases), _took(cases)
    return {
        "month": month,
        "neighborhood": neighborhood,
        "reason": reason,
        "requests": len(cases),
        "closed": len(closed),
        "open_backlog": len(cases) - len(closed),
        "with_target": sum(case.target_at is not None for case in cases),
        "on_time_share": _on_time_share(closed),
        "median_days_to_close": percentile(took, Fraction(1, 2)),
        "p90_days_to_close": percentile(took, Fraction(9, 10)),
        "opened_year": month.year,
    }


def _times(kind: str, year: int, cases: Sequence[Case]) -> dict[str, Any]:
    closed, took = _closed(cases), _took(cases)
    return {
        "type": kind,
        "requests": len(cases),
        "closed": len(closed),
        "open": len(cases) - len(closed),
        "median_days_to_close": percentile(took, Fraction(1, 2)),
        "p90_days_to_close": percentile(took, Fraction(9, 10)),
        "mean_days_to_close": sum(took) / len(took) / DAY if took else None,
        "on_time_share": _on_time_share(closed),
        "opened_year": year,
    }


def percentile(microseconds: Iterable[int], share: Fraction) -> float | None:
    """Interpolated linearly, in days, the double nearest to the true value."""
    values = sorted(microseconds)
    if not values:
        return None
    place = (len(values) - 1) * share
    below = int(place)
    exact = Fraction(values[below])
    if place > below:
        exact += (values[below + 1] - values[below]) * (place - below)
    return float(exact / DAY)


def _closed(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if case.status == "Closed"]


def _took(cases: Iterable[Case]) -> list[int]:
    return [case.took for case in cases if case.took is not None]


def _on_time_share(closed: Iterable[Case]) -> float | None:
    due = [case.closed_at <= case.target_at for case in closed if case.target_at is not None and case.closed_at is not None]
    return sum(due) / len(due) if due else None
