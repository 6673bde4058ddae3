"""The gold job: what it makes of a batch is what a rebuild from all of silver would make, and what plain Python makes of it."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from boston311_answers import Case, Row, answers

from lake.contracts import Contract
from lake.jobs import EVERYTHING, Arguments
from lake.spark import gold as gold_module
from lake.spark.account import Account, Report
from lake.spark.gold import GoldTable, update
from lake.spark.ledger import Ledger
from lake.spark.publish import DeltaTable
from spark_jobs.boston311_gold import tables
from spark_jobs.boston311_thresholds import BadParameter, Thresholds

SILVER = "silver.service_requests"
DELAYS, SERVICE, TIMES = "gold.case_delays", "gold.neighborhood_service", "gold.response_times"
NOON = datetime(2011, 7, 1, 16, tzinfo=UTC)  # in Boston
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Month, year and clock change on Boston's calendar, and a month that begins in UTC alone.
MOMENTS = [
    NOON,
    datetime(2011, 7, 1, 3, 59, 59, 999_999, tzinfo=UTC),
    datetime(2011, 7, 1, 4, tzinfo=UTC),
    datetime(2012, 1, 1, 4, 59, 59, tzinfo=UTC),
    datetime(2012, 1, 1, 5, tzinfo=UTC),
    datetime(2011, 11, 6, 5, 30, tzinfo=UTC),  # 1:30 for the first time
    datetime(2011, 11, 6, 6, 30, tzinfo=UTC),  # and for the second
    datetime(2012, 3, 11, 6, 59, tzinfo=UTC),
]


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def late(case_id: str, days: float = 2, **more: Any) -> Case:
    return Case(case_id, opened_at=NOON, target_at=NOON + DAY, closed_at=NOON + DAY + days * DAY, **more)


def drawn(random: Random, number: int) -> Case:
    opened = random.choice(MOMENTS)
    closed = random.choice((None, opened - HOUR, opened, opened + timedelta(microseconds=random.randrange(10**13))))
    return Case(
        f"c{number}",
        opened_at=opened,
        target_at=random.choice((None, opened + DAY, closed)),
        closed_at=closed,
        status="Closed" if closed and random.random() < 0.9 else random.choice(("Open", "Open", "Closed")),
        neighborhood=random.choice((None, "Roxbury", "Allston")),
        reason=random.choice((None, "Housing")),
        type=random.choice((None, "Bed Bugs", "Pothole")),
        department=random.choice(("PWDx", "ISD")),
    )


@dataclass
class Lake:
    """Silver as a folder on disk, gold and bronze in buckets."""

    spark: Any
    s3: Any
    buckets: Any
    contracts: dict[str, Contract]
    silver_folder: Path
    cases: dict[str, Case] = field(default_factory=dict)
    runs: int = 0

    def __post_init__(self) -> None:
        silver = self.contracts[SILVER]
        read = {column for gold in tables(self.contracts) for column in gold.reads}
        columns = tuple(replace(column, required=False) for column in silver.columns if column.name in read)
        self.contracts = {**self.contracts, SILVER: replace(silver, columns=columns)}
        self.silver.create()

    @property
    def silver(self) -> DeltaTable:
        return DeltaTable(spark=self.spark, contract=self.contracts[SILVER], uri=f"{self.silver_folder}/service_requests")

    @property
    def tables(self) -> tuple[GoldTable, ...]:
        return tables(self.contracts)

    def gold(self, name: str) -> DeltaTable:
        contract = self.contracts[name]
        return DeltaTable(spark=self.spark, contract=contract, uri=f"{self.buckets.gold}/{contract.table}")

    def publish(self, *cases: Case) -> None:
        """New and changed cases into silver, in one commit."""
        self.cases.update({case.case_id: case for case in cases})
        frame(self.spark, self.silver.contract, cases).createOrReplaceTempView("arrived")
        self.spark.sql(
            f"MERGE INTO {self.silver.sql_name} t USING arrived s ON t.case_id = s.case_id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )

    def withdraw(self, *case_ids: str) -> None:
        for case_id in case_ids:
            self.cases.pop(case_id, None)
        names = ", ".join(f"'{case_id}'" for case_id in case_ids)
        self.spark.sql(f"DELETE FROM {self.silver.sql_name} WHERE case_id IN ({names})")

    def update(self, run_id: str = "", *, replay: str | None = None, **parameters: str) -> dict[str, Account]:
        """The gold job, as a new run unless named; its accounts by table."""
        self.runs += 1
        arguments = Arguments(
            run_id=run_id or f"run-{self.runs}",
            source="boston311",
            region="us-east-1",
            bronze=self.buckets.bronze,
            silver=str(self.silver_folder),
            gold=self.buckets.gold,
            accept=None,
            replay=replay,
            parameters=parameters,
        )
        report: Report = update(self.spark, self.s3, self.tables, arguments)
        return {account.table: account for account in report.tables}

    def held(self, name: str) -> dict[Row, Row]:
        """Rows by key, without row_hash."""
        contract = self.contracts[name]
        return by_key(contract, [row.asDict() for row in self.gold(name).read().collect()])

    def expected(self, name: str) -> dict[Row, Row]:
        return by_key(self.contracts[name], answers(self.cases.values())[name])

    def is_right(self) -> None:
        for name in (DELAYS, SERVICE, TIMES):
            assert self.held(name) == self.expected(name), name

    def equals_rebuild(self) -> None:
        """Asserts that no row of any table differs, also in its hash, from what all of silver gives."""
        for table in self.tables:
            names = [column.name for column in table.contract.columns]
            whole = table.answer(table.scoped(self.silver.read()), {}).select(*names)
            there = self.gold(table.contract.name).read().select(*names)
            assert whole.exceptAll(there).collect() == there.exceptAll(whole).collect() == []

    def told(self, name: str) -> list[dict[str, Any]]:
        """Accounts of one table in the parts of all runs, without versions."""
        bucket = self.buckets.bronze.removeprefix("s3://")
        keys = [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        parts = [json.load(self.s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in keys]
        return [account for part in parts for account in part["tables"] if account["table"] == name]

    def committed(self, name: str) -> list[dict[str, Any]]:
        """Accounts in the commits of a table."""
        history = self.spark.sql(f"DESCRIBE HISTORY {self.gold(name).sql_name}").where("userMetadata IS NOT NULL").collect()
        return [json.loads(row["userMetadata"])["account"] for row in history]


def frame(spark: Any, contract: Contract, cases: Iterable[Case]) -> Any:
    names = [column.name for column in contract.columns]
    rows = [tuple(getattr(case, name) for name in names) for case in cases]
    return spark.createDataFrame(rows, ", ".join(f"{column.name} {column.type}" for column in contract.columns))


def by_key(contract: Contract, rows: Iterable[dict[str, Any]]) -> dict[Row, Row]:
    """Rows as tuples of the contract's columns; timestamps as instants."""
    names = [column.name for column in contract.columns if column.name != "row_hash"]
    found = {tuple(row[k] for k in contract.key): tuple(plain(row[name]) for name in names) for row in rows}
    assert len(found) == len(list(rows))
    return found


def plain(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@pytest.fixture
def lake(spark: Any, s3: Any, buckets: Any, contracts: dict[str, Contract], tmp_path: Path) -> Lake:
    return Lake(spark=spark, s3=s3, buckets=buckets, contracts=contracts, silver_folder=tmp_path)


def test_answers_equal_those_of_plain_python_to_the_last_bit(lake: Lake) -> None:
    random = Random(1822)
    cases = [drawn(random, number) for number in range(3000)]
    made = {table.contract.name: table for table in lake.tables}
    for name, rows in answers(cases).items():
        for order in (cases, random.sample(cases, len(cases))):
            requests = made[name].scoped(frame(lake.spark, lake.silver.contract, order).repartition(3))
            found = [row.asDict() for row in made[name].answer(requests, {}).collect()]
            assert by_key(lake.contracts[name], found) == by_key(lake.contracts[name], rows), name


def test_a_case_enters_changes_and_leaves_with_what_becomes_of_it(lake: Lake) -> None:
    open_case = Case("open", opened_at=NOON, target_at=NOON + DAY, status="Open")
    lake.publish(late("a"), late("b", 0.5), replace(late("in time"), closed_at=NOON + HOUR), open_case)
    assert lake.update() == {
        DELAYS: Account(table=DELAYS, read=2, written=2, version=1),
        SERVICE: Account(table=SERVICE, read=1, written=1, version=1),
        TIMES: Account(table=TIMES, read=1, written=1, version=1),
    }
    lake.is_right()

    # Reopened; moved to another year; closed, elsewhere and late; gone.
    moved = replace(late("b"), opened_at=NOON + 365 * DAY, closed_at=NOON + 400 * DAY, target_at=NOON + 399 * DAY)
    lake.publish(replace(open_case, case_id="a"), moved, late("open", neighborhood="Allston"))
    lake.withdraw("in time")
    assert lake.update() == {
        DELAYS: Account(table=DELAYS, read=2, written=2, withdrawn=1, version=2),
        SERVICE: Account(table=SERVICE, read=3, written=3, version=2),
        TIMES: Account(table=TIMES, read=2, written=2, version=2),
    }
    lake.is_right()

    untouched = {table: Account(table=table, version=2) for table in (DELAYS, SERVICE, TIMES)}
    assert lake.update() == untouched, "nothing new in silver"
    lake.publish(late("open", neighborhood="Allston"))
    lake.spark.sql(f"OPTIMIZE {lake.silver.sql_name}")
    assert lake.update() == untouched, "commits of silver that change nothing"


def test_incremental_equals_rebuilt_over_any_sequence_of_batches_and_kills(lake: Lake) -> None:
    """Random batches over few cases, so that they are reopened, late, in time and withdrawn; each table dies at each place once."""
    random = Random(311)
    places = [(write, table) for table in range(3) for write in (Ledger.plan, gold_module.publish, Ledger.finish)]
    kills = [*random.sample(places, 3), (Ledger.done_by, 1)]
    for step, (write, number) in enumerate(kills):
        lake.publish(*[drawn(random, n) for n in random.sample(range(12), 6)])
        if step % 2:
            lake.publish(*[drawn(random, n) for n in random.sample(range(12), 2)])  # two versions in one batch
            lake.withdraw(*[f"c{n}" for n in random.sample(range(12), 2)])
        with dying(after=write, number=number):
            lake.update(f"killed-{step}")
        lake.update(f"run-{step}")
        lake.is_right()
    lake.equals_rebuild()
    for name in (DELAYS, SERVICE, TIMES):
        for count in ("read", "written", "withdrawn"):
            assert sum(a[count] for a in lake.told(name)) == sum(a[count] for a in lake.committed(name)), "each batch told once"


@contextlib.contextmanager
def dying(*, after: Callable[..., Any], number: int) -> Iterator[None]:
    """Within it the gold job dies when `after` has returned for the table of that number."""
    place = gold_module if after is gold_module.publish else Ledger
    calls = 0

    def dies(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        returned = after(*arguments, **named)
        calls += 1
        if calls > number:
            raise Killed
        return returned

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, after.__name__, dies)
        with pytest.raises(Killed):
            yield


def test_only_years_that_changed_are_read(lake: Lake) -> None:
    lake.publish(late("a"), replace(late("b"), opened_at=NOON + 365 * DAY))
    lake.update()
    lake.publish(replace(late("a"), status="Open"))
    for path in (lake.silver_folder / "service_requests" / "opened_year=2012").glob("*.parquet"):
        path.unlink()  # reading that year would fail
    assert lake.update()[TIMES].read == 1
    lake.is_right()


def test_what_the_change_feed_lost_is_made_up_by_a_rebuild(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    lake.publish(late("a"), late("b"))
    lake.update()
    lake.publish(late("a", 3))
    lake.withdraw("b")
    lake.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    lake.spark.sql(f"VACUUM {lake.silver.sql_name} RETAIN 0 HOURS")
    assert lake.update()[DELAYS] == Account(table=DELAYS, read=1, written=1, withdrawn=1, version=2)
    lake.is_right()
    # A VACUUM is two versions more.
    assert f"{SILVER}: the changes of versions 2 to 5 cannot be read any more: " in capfd.readouterr().out

    feed = f"ALTER TABLE {lake.silver.sql_name} SET TBLPROPERTIES (delta.enableChangeDataFeed = "
    lake.spark.sql(f"{feed}false)")
    lake.publish(late("a", 4))
    lake.spark.sql(f"{feed}true)")
    assert lake.update()[SERVICE].written == 1
    lake.is_right()
    assert "cannot be read any more: " in capfd.readouterr().out


def test_a_replay_makes_all_tables_anew_once(lake: Lake) -> None:
    lake.publish(late("a"), late("b"))
    lake.update()
    for name in (DELAYS, SERVICE, TIMES):
        lake.spark.sql(f"DELETE FROM {lake.gold(name).sql_name}")
    assert lake.update()[DELAYS].read == 0
    made = lake.update("again", replay=EVERYTHING)
    assert {name: account.written for name, account in made.items()} == {DELAYS: 2, SERVICE: 1, TIMES: 1}
    lake.is_right()
    assert lake.update("again", replay=EVERYTHING) == made, "a second attempt of the same run"


def test_other_thresholds_make_their_table_anew_and_back(lake: Lake) -> None:
    lake.publish(late("a", 1), late("b", 9), late("c", 30))
    lake.update()
    made = lake.update("second", min_delay_days="7", max_delay_days="9")
    assert {key for (key,) in lake.held(DELAYS)} == {"b"}
    assert (made[DELAYS].read, made[DELAYS].unchanged, made[DELAYS].withdrawn) == (1, 1, 2)
    assert made[TIMES] == Account(table=TIMES, version=1)
    lake.publish(late("d", 8))
    made = lake.update("third", min_delay_days="7", max_delay_days="9")
    assert made[DELAYS].read == 1, "the same thresholds: only what changed is read"
    lake.update("fourth")
    lake.is_right()


@pytest.mark.parametrize(
    ("parameters", "thresholds"),
    [
        ({}, Thresholds()),
        ({"min_delay_days": "7"}, Thresholds(min_delay_days=7)),
        ({"min_delay_days": "0.5", "max_delay_days": "30"}, Thresholds(min_delay_days=0.5, max_delay_days=30)),
    ],
)
def test_thresholds(parameters: dict[str, str], thresholds: Thresholds) -> None:
    assert Thresholds.of(parameters) == thresholds


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_delay_days": "abc"}, "min_delay_days must be a number of days, not 'abc'"),
        ({"min_delay_days": "-1"}, "min_delay_days must be zero or more, not -1.0"),
        ({"max_delay_days": "nan"}, "max_delay_days must be zero or more, not nan"),
        ({"max_delay_days": "inf"}, "max_delay_days must be zero or more, not inf"),
        ({"max_delay_days": "0"}, "must be above min_delay_days: 0.0 is not above 0.0"),
        ({"min_delay_days": "8", "max_delay_days": "7"}, "must be above min_delay_days: 7.0 is not above 8.0"),
        ({"days": "7"}, "unknown parameter days; this job takes min_delay_days and max_delay_days"),
    ],
)
def test_thresholds_that_cannot_be_used_are_refused(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        Thresholds.of(parameters)
