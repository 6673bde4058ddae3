"""Schedules fall due by the clock of their time zone."""

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from local.emulator import Emulator
from local.engines.scheduler import Scheduler
from local.home import Home

BOSTON = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Scheduler:
    return Scheduler(Emulator(home=Home(Path(tmp_path_factory.mktemp("home"))), port=1))


@pytest.mark.parametrize("day", [dt.date(2026, 1, 15), dt.date(2026, 7, 15)])
def test_a_morning_in_boston_is_the_same_wall_clock_in_winter_and_summer(scheduler: Scheduler, day: dt.date) -> None:
    midnight = dt.datetime.combine(day, dt.time(), BOSTON)
    due = scheduler.next_after("cron(30 6 * * ? *)", "America/New_York", midnight.timestamp())
    assert due == (midnight.replace(hour=6, minute=30)).timestamp()


def test_one_time_schedules_are_read_in_their_zone(scheduler: Scheduler) -> None:
    due = scheduler.next_after("at(2026-07-15T06:30:00)", "America/New_York", 0)
    assert due == dt.datetime(2026, 7, 15, 6, 30, tzinfo=BOSTON).timestamp()


def test_a_rate_counts_from_the_last_time(scheduler: Scheduler) -> None:
    assert scheduler.next_after("rate(5 minutes)", "America/New_York", 1000.0) == 1300.0
