"""The silver job on real Delta tables in the laptop cloud's S3: batches, thresholds, replaced objects, and kills anywhere."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from requests_csv import Request, request, source, text, unreadable
from silver_lake import SUPERSEDED, TABLE, Lake

from lake.spark import publish as publish_module
from lake.spark import silver as silver_module
from lake.spark.account import Account
from lake.spark.ledger import NothingRefused
from lake.spark.silver import BronzeMoved


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@dataclass
class Reaper:
    """Counts writes, to S3 and commits to tables, and dies after one of them."""

    dies_after: int = 0
    writes: list[str] = field(default_factory=list)

    def wrote(self, what: str) -> None:
        self.writes.append(what)
        if len(self.writes) == self.dies_after:
            raise Killed

    def watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            answer = function(*arguments, **named)
            self.wrote(function.__name__)
            return answer

        return called


class Watched:
    """An S3 client whose writes the reaper sees."""

    def __init__(self, s3: Any, reaper: Reaper) -> None:
        self._s3, self._reaper = s3, reaper

    def put_object(self, **arguments: Any) -> Any:
        answer = self._s3.put_object(**arguments)
        self._reaper.wrote(arguments["Key"].rpartition("/")[2])
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


@pytest.fixture
def watch() -> Iterator[Callable[[Reaper], None]]:
    """Lets a reaper see the commits to both tables."""
    with pytest.MonkeyPatch.context() as patch:
        originals = silver_module.append, publish_module.append, publish_module._merge

        def watched(reaper: Reaper) -> None:
            quarantine, append, merge = originals
            patch.setattr(silver_module, "append", reaper.watched(quarantine))
            patch.setattr(publish_module, "append", reaper.watched(append))
            patch.setattr(publish_module, "_merge", reaper.watched(merge))

        yield watched


def many(prefix: str, count: int, **fields: str) -> list[Request]:
    return [request(f"{prefix}{n:03d}", **fields) for n in range(count)]


def test_an_object_over_the_threshold_holds_up_itself_and_can_be_released(lake: Lake) -> None:
    lake.put("good", *many("g", 3))
    bad_key, _ = lake.put("bad", *many("b", 3), unreadable("b900"))
    first = lake.run()
    assert lake.account(first) == {"read": 3, "written": 3}
    rule = "opened_at_unreadable: 1 of 4 rows broke a rule, the contract allows 1.00%"
    assert first.refused == ({"object": bad_key, "rule": rule},)
    assert set(lake.rows()) == {"g000", "g001", "g002"}
    assert lake.quarantine() == []

    again = lake.run()
    assert (lake.account(again), again.refused) == ({}, ())

    released = lake.run(accept="run-1")
    assert lake.account(released) == {"read": 4, "written": 3, "quarantined": 1}
    assert released.refused == ()
    assert len(lake.rows()) == 6
    assert lake.quarantine() == [(2, "opened_at_unreadable", "b900")]
    assert lake.account(lake.run(accept="run-1")) == {}, "to release it again is no error: the first time may have been killed"
    with pytest.raises(NothingRefused, match="run-7 holds nothing back"):
        lake.run(accept="run-7")


def test_a_bad_row_within_the_threshold_is_quarantined_and_counted(lake: Lake) -> None:
    lake.put("r", *many("c", 99), unreadable("c900"))
    assert lake.account(lake.run()) == {"read": 100, "written": 99, "quarantined": 1}
    assert lake.quarantine() == [(1, "opened_at_unreadable", "c900")]


def test_only_what_changed_is_written_and_an_unchanged_batch_leaves_the_version(lake: Lake) -> None:
    lake.put("r", *many("c", 5))
    first = lake.run().tables
    lake.put("r", *many("c", 5), day=2)
    assert lake.run().tables == (
        Account(table=TABLE, read=5, unchanged=5, version=first[0].version),
        Account(table=SUPERSEDED, version=first[1].version),
    )
    lake.put("r", *many("c", 4), request("c004", neighborhood="Allston"), request("c005"), day=3)
    assert lake.account(lake.run()) == {"read": 6, "written": 2, "unchanged": 4}
    assert lake.rows()["c004"] == "Allston"


def test_a_row_moves_when_its_year_is_corrected(lake: Lake) -> None:
    lake.put("r", request("1001"), request("1002"))
    lake.run()
    lake.put("r", request("1001", open_dt="2010-07-01 10:00:00"), request("1002"), day=2)
    assert lake.account(lake.run()) == {"read": 2, "written": 1, "unchanged": 1}
    assert sorted((r["case_id"], r["opened_year"]) for r in lake.table().collect()) == [("1001", 2010), ("1002", 2011)]


def test_the_first_run_makes_all_tables_even_with_nothing_to_do(lake: Lake) -> None:
    assert lake.run().tables == (Account(table=TABLE, version=0), Account(table=SUPERSEDED, version=0))
    assert (lake.rows(), lake.superseded(), lake.quarantine()) == ({}, {}, [])


def test_a_header_that_is_not_understood_is_refused_by_name(lake: Lake) -> None:
    key, _ = lake.put("new", header=["case_id", "open_date"])
    lake.put("old", request("1001"))
    report = lake.run()
    assert [r["object"] for r in report.refused] == [key]
    assert report.refused[0]["rule"].startswith("unknown_vintage: ")
    assert lake.account(report) == {"read": 1, "written": 1}


@pytest.mark.parametrize("fate", ["replaced", "deleted"])
def test_data_that_changed_since_it_was_planned_is_read_as_planned(lake: Lake, fate: str) -> None:
    key, _ = lake.put("r", request("1001", neighborhood="planned"))
    new = source(lake.contracts).inputs(lake.s3, bucket=lake.bronze, taken=set())
    lake.ledger.plan(new, run_id="killed after planning", tables={TABLE: 0, SUPERSEDED: 0})
    if fate == "replaced":
        body = gzip.compress(text([request("1001", neighborhood="replaced")]).encode())
        lake.s3.put_object(Bucket=lake.bronze, Key=key, Body=body)
    else:
        lake.s3.delete_object(Bucket=lake.bronze, Key=key)
    assert lake.account(lake.run()) == {"read": 1, "written": 1}
    assert lake.rows() == {"1001": "planned"}


class Restless(Watched):
    """An S3 client with which an object is replaced after each look at it, `times` times."""

    def __init__(self, s3: Any, *, times: int) -> None:
        super().__init__(s3, Reaper())
        self.times = times

    def list_object_versions(self, *, Bucket: str, Prefix: str) -> Any:
        found = self._s3.list_object_versions(Bucket=Bucket, Prefix=Prefix)
        if self.times:
            self.times -= 1
            body = gzip.compress(text([request("1001", neighborhood="replaced")]).encode())
            self._s3.put_object(Bucket=Bucket, Key=Prefix, Body=body)
        return found


def test_an_object_replaced_while_it_is_read_is_read_again(lake: Lake) -> None:
    lake.put("r", request("1001"))
    restless = Restless(lake.s3, times=1)
    assert lake.account(lake.run(s3=restless)) == {"read": 1, "written": 1}
    assert restless.times == 0
    assert lake.rows() == {"1001": "Roxbury"}


def test_a_result_of_a_moving_object_is_never_committed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("r", request("1001"))
    monkeypatch.setattr(silver_module.Pinned, "unmoved", lambda _self: False)
    with pytest.raises(BronzeMoved, match="batch 1 were replaced while they were read, 3 times"):
        lake.run()
    assert lake.rows() == {}
    monkeypatch.undo()
    assert lake.account(lake.run()) == {"read": 1, "written": 1}


# Each batch quarantines, refuses, publishes, and from the second on supersedes. (write after which it dies, its name)
DEATHS = (
    (3, "append"),  # of the table
    (1, "00000002.plan.json"),
    (2, "append"),  # of the quarantine
    (3, "append"),  # of the superseded rows
    (4, "_merge"),  # of the table
    (5, "00000006.done.json"),
    (6, "silver.json"),
)


def test_killed_after_any_write_and_run_again_is_as_if_never_killed(lake: Lake, watch: Callable[[Reaper], None]) -> None:
    for number, (dies_after, write) in enumerate(DEATHS, start=1):
        held = f"batch {number}"
        lake.put(f"good-{number}", *many("c", 100, neighborhood=held), unreadable(f"q{number}"), day=number)
        bad_key, _ = lake.put(f"bad-{number}", unreadable(f"never{number}"), day=number)
        reaper = Reaper(dies_after=dies_after)
        watch(reaper)
        with pytest.raises(Killed):
            lake.run(s3=Watched(lake.s3, reaper), run_id=f"killed-{number}")
        assert reaper.writes[-1] == write
        watch(Reaper())
        report = lake.run(run_id=f"redone-{number}")

        assert lake.rows() == {f"c{n:03d}": held for n in range(100)}
        assert len(lake.superseded()) == 100 * (number - 1)
        assert lake.quarantine() == [(n, "opened_at_unreadable", f"q{n}") for n in range(1, number + 1)]
        assert lake.ledger.unfinished() is None
        # What the killed run had reported itself is not reported again; what it had not is, once.
        if write == "silver.json":
            assert lake.account(report) == {}
            report = lake.part(f"killed-{number}")
        assert lake.account(report) == {"read": 101, "written": 100, "quarantined": 1}
        others = {"read": 100 * (number - 1), "written": 100 * min(1, number - 1), "unchanged": 100 * max(0, number - 2)}
        assert lake.account(report, SUPERSEDED) == {name: count for name, count in others.items() if count}
        assert [r["object"] for r in report.refused] == [bad_key]
        assert report.tables[0].version == number
        if write.endswith("done.json"):
            assert lake.account(lake.run(run_id="after")) == {}
    history = lake.spark.sql(f"DESCRIBE HISTORY delta.`{lake.buckets.silver}/service_requests`").count()
    assert history == 1 + len(DEATHS), "one commit a batch, after the one that made the table"


def test_killed_in_the_middle_of_a_commit_leaves_nothing_that_is_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet files without their log entry, which is what a job killed during a write leaves behind."""
    lake.put("r", *many("c", 3))
    original = publish_module.append

    def files_alone(uri: str, rows: Any, **more: Any) -> None:
        rows.write.mode("append").partitionBy("opened_year").parquet(uri)
        raise Killed

    monkeypatch.setattr(publish_module, "append", files_alone)
    with suppress(Killed):
        lake.run()
    assert lake.rows() == {}
    monkeypatch.setattr(publish_module, "append", original)
    assert lake.account(lake.run()) == {"read": 3, "written": 3}
    assert len(lake.rows()) == 3
