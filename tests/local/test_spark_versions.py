"""Which row of a case counts, whatever publishes it and in whatever order it comes; and replays, which must find nothing to do."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from requests_csv import Request, open_request, request, unreadable
from silver_lake import SUPERSEDED, TABLE, Lake

from glue_scripts.boston311.clocks import Settings
from lake.jobs import EVERYTHING

EARLY, LATE = "2011-07-02 10:00:00", "2011-07-05 10:00:00"


def by(resource: str, case_id: str, **fields: str) -> Request:
    """A row that tells which resource it came from."""
    return request(case_id, neighborhood=resource, **fields)


def test_the_latest_event_of_a_case_counts_whichever_resource_comes_first(lake: Lake) -> None:
    lake.put("a", by("a", "1001", closed_dt=LATE), by("a", "1002"))
    lake.run()
    lake.put("b", by("b", "1001", closed_dt=EARLY), by("b", "1002", closed_dt=LATE), by("b", "1003"))
    report = lake.run()
    assert lake.rows() == {"1001": "a", "1002": "b", "1003": "b"}
    assert lake.superseded() == {("b", "1001"): "b", ("a", "1002"): "a"}
    assert lake.account(report) == {"read": 3, "written": 2, "superseded": 1}


def test_equal_events_are_settled_by_the_greatest_resource_name(lake: Lake) -> None:
    lake.put("b", by("b", "1001"))
    lake.run()
    lake.put("a", by("a", "1001"))
    assert lake.account(lake.run()) == {"read": 1, "superseded": 1}
    lake.put("c", by("c", "1001"))
    assert lake.account(lake.run()) == {"read": 1, "written": 1}
    assert lake.rows() == {"1001": "c"}
    assert set(lake.superseded()) == {("a", "1001"), ("b", "1001")}


def test_an_open_case_gives_way_to_its_closing_and_comes_back_when_that_is_withdrawn(lake: Lake) -> None:
    lake.put("a", open_request("1001", neighborhood="a"), by("a", "1002"))
    lake.put("b", by("b", "1001"), by("b", "1003"))
    lake.run()
    assert lake.rows() == {"1001": "b", "1002": "a", "1003": "b"}
    lake.put("b", by("b", "1003"), day=2)
    report = lake.run()
    assert lake.rows() == {"1001": "a", "1002": "a", "1003": "b"}
    assert lake.superseded() == {}
    assert lake.account(report) == {"read": 2, "written": 1, "unchanged": 1}, "the row that comes back is read again"
    assert lake.account(report, SUPERSEDED) == {"withdrawn": 1}


def test_a_case_is_withdrawn_only_when_no_resource_holds_it(lake: Lake) -> None:
    lake.put("a", by("a", "1001"), by("a", "1002"))
    lake.put("b", by("b", "1001"))
    lake.run()
    lake.put("a", by("a", "1002"), day=2)
    assert lake.account(lake.run()) == {"read": 1, "unchanged": 1}
    assert set(lake.rows()) == {"1001", "1002"}
    lake.put("b", by("b", "1009"), day=2)
    assert lake.account(lake.run()) == {"read": 1, "written": 1, "withdrawn": 1}
    assert set(lake.rows()) == {"1002", "1009"}


def test_of_two_rows_of_a_case_in_one_file_the_later_event_counts_and_repeats_are_superseded(lake: Lake) -> None:
    lake.put("a", by("a", "1001", closed_dt=LATE), by("old", "1001", closed_dt=EARLY), by("a", "1002"), by("a", "1002"))
    assert lake.account(lake.run()) == {"read": 4, "written": 2, "superseded": 2}
    assert lake.rows() == {"1001": "a", "1002": "a"}
    assert lake.superseded() == {}, "the superseded table is for what other resources say"


def test_a_newer_version_that_is_refused_leaves_the_older_published(lake: Lake) -> None:
    lake.put("a", by("a", "1001"))
    lake.put("a", by("worse", "1001"), unreadable("1002"), day=2)
    report = lake.run()
    assert lake.rows() == {"1001": "a"}
    assert len(report.refused) == 1
    lake.put("a", day=3)
    (refused,) = lake.run().refused
    assert refused["rule"] == "no_rows: nothing after the header"
    assert lake.rows() == {"1001": "a"}


def test_only_the_rows_that_changed_or_vanished_are_written_and_withdrawn(lake: Lake) -> None:
    first = [by("a", f"1{n:03d}") for n in range(200)]
    lake.put("a", *first)
    lake.put("b", *[by("b", f"2{n:03d}") for n in range(200)])
    lake.run()
    second = [by("changed", row["case_enquiry_id"]) if n < 7 else row for n, row in enumerate(first[:-2])]
    lake.put("a", *second, day=2)
    report = lake.run()
    assert lake.account(report) == {"read": 198, "written": 7, "unchanged": 191, "withdrawn": 2}
    assert len(lake.rows()) == 398


def random_version(random: Random, resource: str) -> list[Request]:
    """Rows of six cases at most, some of them twice, whose events often tie."""
    cases = random.choices(range(6), k=random.randint(1, 7))
    return [
        by(
            f"{resource}{random.randrange(3)}",
            f"100{case}",
            open_dt=random.choice(("2010-12-31 23:30:00", "2011-07-01 10:00:00")),
            closed_dt=random.choice((EARLY, LATE)),
        )
        for case in cases
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_tables_are_a_function_of_the_newest_versions_alone(lake: Lake, seed: int) -> None:
    random = Random(seed)
    newest: dict[str, list[Request]] = {}
    for day in range(1, 5):
        for resource in random.sample("abcd", k=random.randint(1, 3)):
            newest[resource] = random_version(random, resource)
            lake.put(resource, *newest[resource], day=day)
        report = lake.run()
        counted = sum(lake.account(report).get(name, 0) for name in ("written", "unchanged", "superseded", "quarantined"))
        assert lake.account(report).get("read", 0) == counted
    after = {table: lake.checksum(table) for table in (TABLE, SUPERSEDED)}
    versions = [account.version for account in lake.run().tables]

    replayed = lake.run(replay=EVERYTHING)
    assert not lake.account(replayed).get("written")
    assert not lake.account(replayed).get("withdrawn")
    assert [account.version for account in replayed.tables] == versions
    assert set(lake.rows()) == {row["case_enquiry_id"] for rows in newest.values() for row in rows}
    assert {table: lake.checksum(table) for table in (TABLE, SUPERSEDED)} == after


def test_every_order_of_arrival_ends_in_equal_tables(new_lake: Callable[[], Lake]) -> None:
    random = Random(7)
    versions = {resource: random_version(random, resource) for resource in "abc"}
    sums = set()
    for batches in (["abc"], ["c", "ab"], ["b", "a", "c"]):
        lake = new_lake()
        for batch in batches:
            for resource in batch:
                lake.put(resource, *versions[resource])
            lake.run()
        sums.add((lake.checksum(TABLE), lake.checksum(SUPERSEDED)))
    assert len(sums) == 1


def test_a_replay_mends_tables_that_were_tampered_with(lake: Lake) -> None:
    lake.put("a", by("a", "1001"), by("a", "1002"))
    lake.put("b", by("b", "1001"))
    lake.run()
    before = lake.checksum(TABLE), lake.checksum(SUPERSEDED)
    where = f"delta.`{lake.buckets.silver}/service_requests`"
    lake.spark.sql(f"UPDATE {where} SET neighborhood = 'elsewhere' WHERE case_id = '1001'")
    lake.spark.sql(f"DELETE FROM {where} WHERE case_id = '1002'")
    lake.spark.sql(f"DELETE FROM delta.`{lake.buckets.silver}/service_requests_superseded`")
    assert lake.account(lake.run()) == {}
    report = lake.run(replay=EVERYTHING)
    assert lake.account(report) == {"read": 3, "written": 2, "superseded": 1}
    assert (lake.checksum(TABLE), lake.checksum(SUPERSEDED)) == before


def test_a_replay_since_a_day_works_only_what_was_fetched_from_then_on(lake: Lake) -> None:
    lake.put("a", by("a", "1001"), day=1)
    lake.put("b", by("b", "1002"), by("b", "1003"), day=3)
    lake.run()
    assert lake.account(lake.run(replay="2026-01-03")) == {"read": 2, "unchanged": 2}
    assert lake.account(lake.run(replay="2026-01-04")) == {}
    assert set(lake.rows()) == {"1001", "1002", "1003"}, "what is not replayed stays"


def test_a_file_that_does_not_tell_its_clock_is_refused_until_the_setting_does(lake: Lake) -> None:
    silent = [by("a", f"100{n}", target_dt="", open_dt="2011-07-01 10:00:00") for n in range(3)]
    lake.put("a", *silent)
    (refused,) = lake.run(run_id="silent").refused
    assert refused["rule"].startswith("clock_unknown: ")
    assert lake.rows() == {}
    assert lake.run(accept="silent").refused, "a release does not make a clock known"
    report = lake.run(accept="run-2", settings=Settings(legacy_clock="shifted"))
    assert lake.account(report) == {"read": 3, "written": 3}
    assert report.decisions[0]["decision"].endswith("by the setting: the file shows no evidence")
    opened = {row["opened_at"].isoformat() for row in lake.table().collect()}
    assert opened == {"2011-07-01T18:00:00"}, "10:00 shown is 14:00 in Boston is 18:00 UTC"


def test_a_file_pasted_together_of_both_clocks_is_refused(lake: Lake) -> None:
    both = [by("a", f"10{n:02d}", target_dt=f"2011-07-03 {'08' if n % 2 else '04'}:30:00") for n in range(20)]
    lake.put("a", *both)
    (refused,) = lake.run().refused
    assert refused["rule"] == "clock_contradictory: deadlines that fit as they stand 10, moved back 10; closing texts 0, 0"


def test_each_file_is_corrected_by_its_own_clock(lake: Lake) -> None:
    """One file shifted, the other not: the same case, to the second, in summer and in winter."""
    truth = {"1001": ("2011-07-01 14:00:00", "2011-07-05 08:30:00"), "1002": ("2011-12-01 22:30:00", "2011-12-05 08:30:00")}
    shown = {"1001": ("2011-07-01 10:00:00", "2011-07-05 04:30:00"), "1002": ("2011-12-01 17:30:00", "2011-12-05 03:30:00")}
    for resource, times in (("plain", truth), ("shifted", shown)):
        lake.put(resource, *[open_request(case, open_dt=o, target_dt=t) for case, (o, t) in times.items()])
    report = lake.run()
    assert [d["decision"].partition(":")[0] for d in report.decisions] == [
        "Boston's wall clock",
        "shifted, converted to Boston's time once too often",
    ]
    names = ("opened_at", "target_at", "opened_year")
    for held in zip(lake.table().orderBy("case_id").collect(), lake.table(SUPERSEDED).orderBy("case_id").collect(), strict=True):
        assert all(one[name] == other[name] for name in names for one, other in pairwise(held))


def test_a_replay_quarantines_nothing_twice_and_withdraws_nothing_that_it_refuses(lake: Lake) -> None:
    silent = [by("a", f"100{n}", target_dt="") for n in range(3)]
    lake.put("a", *silent)
    lake.put("b", *[by("b", f"2{n:03d}") for n in range(150)], unreadable("2999"))
    lake.run(settings=Settings(legacy_clock="boston"))
    before, quarantined = lake.rows(), lake.quarantine()
    assert (len(before), len(quarantined)) == (153, 1)
    report = lake.run(replay=EVERYTHING)
    assert [refused["rule"].partition(":")[0] for refused in report.refused] == ["clock_unknown"]
    assert lake.account(report) == {"read": 151, "unchanged": 150, "quarantined": 1}
    assert (lake.rows(), lake.quarantine()) == (before, quarantined)
