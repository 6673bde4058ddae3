"""The silver job on real Delta tables in the laptop cloud's S3: batches, thresholds, replaced objects, and kills anywhere."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from requests_csv import Request, put, request, text, unreadable

from glue_scripts.boston311_silver import Boston311
from lake.contracts import Contract
from lake.jobs import Arguments
from lake.names import ledger_prefix, run_part_key
from lake.spark import publish as publish_module
from lake.spark import silver as silver_module
from lake.spark.account import Account, Report
from lake.spark.ledger import Ledger, NothingRefused
from lake.spark.silver import BronzeMoved, SilverRun

TABLE = "silver.service_requests"


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


@dataclass
class Lake:
    """One source's bronze and silver, and runs of the silver job on them."""

    spark: Any
    s3: Any
    buckets: Any
    contract: Contract
    runs: int = 0

    @property
    def bronze(self) -> str:
        return str(self.buckets.bronze.removeprefix("s3://"))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.s3, bucket=self.buckets.silver.removeprefix("s3://"), prefix=ledger_prefix("boston311"))

    def put(self, resource: str, *requests: Request, day: int = 1) -> tuple[str, str]:
        return put(self.s3, self.bronze, resource, requests, fetched_at=f"2026-01-{day:02d}T06:00:00+00:00")

    def run(self, *, accept: str | None = None, s3: Any = None, run_id: str = "") -> Report:
        self.runs += 1
        arguments = Arguments(
            run_id=run_id or f"run-{self.runs}",
            source="boston311",
            region="us-east-1",
            bronze=self.buckets.bronze,
            silver=self.buckets.silver,
            gold=self.buckets.gold,
            accept=accept,
            parameters={},
        )
        source = Boston311(contract=self.contract)
        return SilverRun(spark=self.spark, s3=s3 or self.s3, source=source, arguments=arguments).run()

    def account(self, report: Report) -> dict[str, int]:
        """The counts of a report's only table that are not zero."""
        (account,) = report.tables
        names = ("read", "written", "unchanged", "superseded", "quarantined", "withdrawn")
        return {name: getattr(account, name) for name in names if getattr(account, name)}

    def rows(self) -> dict[str, str]:
        """case_id -> neighborhood."""
        frame = self.spark.read.format("delta").load(f"{self.buckets.silver}/service_requests")
        return {row["case_id"]: row["neighborhood"] for row in frame.collect()}

    def quarantine(self) -> list[tuple[int, str, str]]:
        """(batch, rule, case number as received)."""
        frame = self.spark.read.format("delta").load(f"{self.buckets.silver}/service_requests_quarantine")
        return sorted((r["batch"], r["rule"], json.loads(r["raw"])["caseenquiryid"]) for r in frame.collect())

    def part(self, run_id: str) -> Report:
        body = self.s3.get_object(Bucket=self.bronze, Key=run_part_key(run_id, "silver"))["Body"]
        return Report.from_json(json.load(body))


@pytest.fixture
def lake(spark: Any, s3: Any, buckets: Any, contracts: dict[str, Contract]) -> Lake:
    return Lake(spark=spark, s3=s3, buckets=buckets, contract=contracts[TABLE])


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


def test_of_rows_with_one_key_the_last_published_wins_whatever_its_position(lake: Lake) -> None:
    lake.put("a", request("1", neighborhood="later"), request("2", neighborhood="one"), request("2", neighborhood="one"), day=3)
    lake.put("b", request("1", neighborhood="earlier"), day=2)
    report = lake.run()
    assert lake.account(report) == {"read": 4, "written": 2, "superseded": 2}
    assert lake.rows() == {"1": "later", "2": "one"}
    lake.put("c", request("1", neighborhood="too late"), day=1)
    assert lake.account(lake.run()) == {"read": 1, "superseded": 1}
    assert lake.rows()["1"] == "later"


def test_only_what_changed_is_written_and_an_unchanged_batch_leaves_the_version(lake: Lake) -> None:
    lake.put("r", *many("c", 5))
    (first,) = lake.run().tables
    lake.put("r", *many("c", 5), day=2)
    (same,) = lake.run().tables
    assert same == Account(table=TABLE, read=5, unchanged=5, version=first.version)
    lake.put("r", *many("c", 4), request("c004", neighborhood="Allston"), request("c005"), day=3)
    assert lake.account(lake.run()) == {"read": 6, "written": 2, "unchanged": 4}
    assert lake.rows()["c004"] == "Allston"


def test_a_row_moves_when_its_year_is_corrected(lake: Lake) -> None:
    lake.put("r", request("1"), request("2"))
    lake.run()
    lake.put("r", request("1", open_dt="2010-07-01 10:00:00"), request("2"), day=2)
    assert lake.account(lake.run()) == {"read": 2, "written": 1, "unchanged": 1}
    frame = lake.spark.read.format("delta").load(f"{lake.buckets.silver}/service_requests")
    assert sorted((r["case_id"], r["opened_year"]) for r in frame.collect()) == [("1", 2010), ("2", 2011)]


def test_the_first_run_makes_both_tables_even_with_nothing_to_do(lake: Lake) -> None:
    assert lake.run().tables == (Account(table=TABLE, version=0),)
    assert (lake.rows(), lake.quarantine()) == ({}, [])


def test_a_header_that_is_not_understood_is_refused_by_name(lake: Lake) -> None:
    day = "2026-01-01T06:00:00+00:00"
    key, _ = put(lake.s3, lake.bronze, "new", [], fetched_at=day, header=["case_id", "open_date"])
    lake.put("old", request("1"))
    report = lake.run()
    assert [r["object"] for r in report.refused] == [key]
    assert report.refused[0]["rule"].startswith("unknown_vintage: ")
    assert lake.account(report) == {"read": 1, "written": 1}


@pytest.mark.parametrize("fate", ["replaced", "deleted"])
def test_data_that_changed_since_it_was_planned_is_read_as_planned(lake: Lake, fate: str) -> None:
    key, _ = lake.put("r", request("1", neighborhood="planned"))
    new = Boston311(contract=lake.contract).inputs(lake.s3, bucket=lake.bronze, taken=set())
    lake.ledger.plan(new, run_id="killed after planning")
    if fate == "replaced":
        body = gzip.compress(text([request("1", neighborhood="replaced")]).encode())
        lake.s3.put_object(Bucket=lake.bronze, Key=key, Body=body)
    else:
        lake.s3.delete_object(Bucket=lake.bronze, Key=key)
    assert lake.account(lake.run()) == {"read": 1, "written": 1}
    assert lake.rows() == {"1": "planned"}


class Restless(Watched):
    """An S3 client with which an object is replaced after each look at it, `times` times."""

    def __init__(self, s3: Any, *, times: int) -> None:
        super().__init__(s3, Reaper())
        self.times = times

    def list_object_versions(self, *, Bucket: str, Prefix: str) -> Any:
        found = self._s3.list_object_versions(Bucket=Bucket, Prefix=Prefix)
        if self.times:
            self.times -= 1
            body = gzip.compress(text([request("1", neighborhood="replaced")]).encode())
            self._s3.put_object(Bucket=Bucket, Key=Prefix, Body=body)
        return found


def test_an_object_replaced_while_it_is_read_is_read_again(lake: Lake) -> None:
    lake.put("r", request("1"))
    restless = Restless(lake.s3, times=1)
    assert lake.account(lake.run(s3=restless)) == {"read": 1, "written": 1}
    assert restless.times == 0
    assert lake.rows() == {"1": "Roxbury"}


def test_a_result_of_a_moving_object_is_never_committed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("r", request("1"))
    monkeypatch.setattr(silver_module.Pinned, "unmoved", lambda _self: False)
    with pytest.raises(BronzeMoved, match="batch 1 were replaced while they were read, 3 times"):
        lake.run()
    assert lake.rows() == {}
    monkeypatch.undo()
    assert lake.account(lake.run()) == {"read": 1, "written": 1}


# Each batch quarantines, refuses and publishes; the first is appended, the others are merged. (write after which it dies, its name)
DEATHS = (
    (3, "append"),
    (1, "00000002.plan.json"),
    (2, "append"),
    (3, "_merge"),
    (4, "00000005.done.json"),
    (5, "silver.json"),
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
        assert lake.quarantine() == [(n, "opened_at_unreadable", f"q{n}") for n in range(1, number + 1)]
        assert lake.ledger.unfinished() is None
        # What the killed run had reported itself is not reported again; what it had not is, once.
        if write == "silver.json":
            assert lake.account(report) == {}
            report = lake.part(f"killed-{number}")
        assert lake.account(report) == {"read": 101, "written": 100, "quarantined": 1}
        assert [r["object"] for r in report.refused] == [bad_key]
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
