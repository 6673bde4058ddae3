"""The gold job: what it makes of a batch is what a rebuild from all of silver would make."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from lake.contracts import Contract
from lake.jobs import Arguments
from lake.spark import gold as gold_module
from lake.spark.account import Account, Report
from lake.spark.columns import row_hash
from lake.spark.gold import GoldTable, update
from lake.spark.ledger import Ledger
from lake.spark.publish import Counts, DeltaTable, publish
from spark_jobs.boston311_gold import BadParameter, case_delays, min_delay_days

NOON = datetime(2011, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@dataclass(frozen=True)
class Case:
    """A request as silver holds it. Hours are counted from NOON; None: no deadline, not closed."""

    case_id: str
    target: float | None = 24
    closed: float | None = None
    neighborhood: str = "Roxbury"

    @property
    def status(self) -> str:
        return "Open" if self.closed is None else "Closed"

    @property
    def delay_days(self) -> float | None:
        late = self.target is not None and self.closed is not None and self.closed > self.target
        return (self.closed - self.target) / 24 if late else None  # type: ignore[operator]


def late(case_id: str, hours: float = 48) -> Case:
    return Case(case_id, closed=24 + hours)


@dataclass
class Lake:
    spark: Any
    s3: Any
    buckets: Any
    contracts: dict[str, Contract]
    cases: dict[str, Case] = field(default_factory=dict)
    batches: int = 0
    runs: int = 0

    @property
    def silver(self) -> DeltaTable:
        contract = self.contracts["silver.service_requests"]
        return DeltaTable(spark=self.spark, contract=contract, uri=f"{self.buckets.silver}/service_requests")

    @property
    def gold(self) -> DeltaTable:
        contract = self.contracts["gold.case_delays"]
        return DeltaTable(spark=self.spark, contract=contract, uri=f"{self.buckets.gold}/case_delays")

    def publish(self, *cases: Case) -> Account:
        """A batch into silver, as the silver job does it."""
        self.batches += 1
        self.silver.create()
        self.cases.update({case.case_id: case for case in cases})
        counts = Counts(read=len(cases))
        return publish(self.silver, self._rows(cases), batch=self.batches, run_id="r", counts=counts)

    def _rows(self, cases: tuple[Case, ...]) -> Any:
        def instant(hours: float | None) -> str | None:
            return None if hours is None else (NOON + HOUR * hours).isoformat()

        lines = [
            json.dumps(
                {
                    "case_id": case.case_id,
                    "opened_at": NOON.isoformat(),
                    "target_at": instant(case.target),
                    "closed_at": instant(case.closed),
                    "status": case.status,
                    "neighborhood": case.neighborhood,
                    "resource_id": "r1",
                    "published_at": NOON.isoformat(),
                    "opened_year": 2011,
                }
            )
            for case in cases
        ]
        columns = self.silver.contract.columns
        schema = ", ".join(f"{column.name} {column.type}" for column in columns)
        texts = ", ".join(f"({line!r})" for line in lines)
        rows = self.spark.sql(f"SELECT inline(array(from_json(line, '{schema}'))) FROM VALUES {texts} AS t(line)")
        return rows.withColumn("row_hash", row_hash(["case_id", "target_at", "closed_at", "status", "neighborhood"]))

    def update(self, run_id: str = "", **parameters: str) -> Account:
        """The gold job, as a new run unless named; its account."""
        self.runs += 1
        arguments = Arguments(
            run_id=run_id or f"run-{self.runs}",
            source="boston311",
            region="us-east-1",
            bronze=self.buckets.bronze,
            silver=self.buckets.silver,
            gold=self.buckets.gold,
            accept=None,
            parameters=parameters,
        )
        table = GoldTable(
            contract=self.gold.contract,
            source=self.silver.contract,
            scope=("case_id",),
            answer=lambda rows, wanted: case_delays(rows, min_delay_days=min_delay_days(wanted)),
        )
        report: Report = update(self.spark, self.s3, table, arguments)
        (account,) = report.tables
        return account

    def held(self) -> dict[str, tuple[float, str]]:
        return {row["case_id"]: (row["delay_days"], row["neighborhood"]) for row in self.gold.read().collect()}

    def expected(self) -> dict[str, tuple[float, str]]:
        return {c.case_id: (c.delay_days, c.neighborhood) for c in self.cases.values() if c.delay_days is not None}

    def differs_from_rebuild(self) -> int:
        """Rows in which the table differs, in any column, from what all of silver gives."""
        names = [column.name for column in self.gold.contract.columns]
        whole, there = case_delays(self.silver.read()).select(*names), self.gold.read().select(*names)
        return int(whole.exceptAll(there).count() + there.exceptAll(whole).count())


@pytest.fixture
def lake(spark: Any, s3: Any, buckets: Any, contracts: dict[str, Contract]) -> Lake:
    return Lake(spark=spark, s3=s3, buckets=buckets, contracts=contracts)


def test_a_case_enters_changes_and_leaves_with_what_becomes_of_it(lake: Lake) -> None:
    lake.publish(late("a"), late("b", 0.5), Case("in-time", closed=1), Case("open"), Case("no-target", target=None, closed=99))
    assert lake.update() == Account(table="gold.case_delays", read=2, written=2, version=1)
    assert lake.held() == {"a": (2.0, "Roxbury"), "b": (0.5 / 24, "Roxbury")}

    lake.publish(Case("a"), late("b", 1), late("open"))  # reopened; closed later than thought; closed late
    assert lake.update() == Account(table="gold.case_delays", read=2, written=2, withdrawn=1, version=2)
    assert lake.held() == lake.expected()
    assert set(lake.held()) == {"b", "open"}

    assert lake.update() == Account(table="gold.case_delays", version=2)  # nothing new in silver


def test_changes_of_silver_that_gold_does_not_show_rewrite_nothing(lake: Lake) -> None:
    lake.publish(late("a"), Case("open"))
    lake.update()
    lake.publish(Case("open", neighborhood="Allston"))
    assert lake.update() == Account(table="gold.case_delays", version=1)
    lake.publish(late("a"))  # not even a commit in silver
    assert lake.update() == Account(table="gold.case_delays", version=1)


def test_maintenance_of_silver_is_no_change(lake: Lake) -> None:
    lake.publish(late("a"))
    lake.publish(late("b"))
    lake.update()
    lake.spark.sql(f"OPTIMIZE {lake.silver.sql_name}")
    assert lake.update() == Account(table="gold.case_delays", version=1)


def drawn(random: Random, number: int) -> Case:
    target, closed = random.choice((None, 0.0, 24.0)), random.choice((None, 1.0, 25.0, 24.0 + random.randrange(1, 500)))
    return Case(f"c{number}", target=target, closed=closed, neighborhood=random.choice(("Roxbury", "Allston")))


def test_incremental_equals_rebuilt_over_any_sequence_of_batches_and_kills(lake: Lake) -> None:
    """Random batches over few cases, so that they are reopened, late, in time and late again; now and then a kill in between."""
    random = Random(311)
    read = written = 0
    for step in range(6):
        lake.publish(*[drawn(random, number) for number in random.sample(range(12), 5)])
        if step % 3 == 1:
            lake.publish(*[drawn(random, number) for number in random.sample(range(12), 2)])  # two versions in one batch
        with killing(after=step % 3):
            lake.update(f"killed-{step}")
        account = lake.update(f"run-{step}")
        read, written = read + account.read, written + account.written
        assert lake.held() == lake.expected(), f"step {step}"
    assert lake.differs_from_rebuild() == 0
    assert read >= written > 0


class killing:
    """Within it the gold job dies after its `after`-th write: 1 the plan, 2 the commit, 3 the ledger; 0 never."""

    def __init__(self, *, after: int) -> None:
        self._after = after
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        dying = {1: (Ledger, "plan"), 2: (gold_module, "publish"), 3: (Ledger, "finish")}.get(self._after)
        if dying is None:
            return
        place, name = dying
        original: Callable[..., Any] = getattr(place, name)

        def dies(*arguments: Any, **named: Any) -> Any:
            original(*arguments, **named)
            raise Killed

        self._patch.setattr(place, name, dies)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._patch.undo()
        assert (kind is Killed) == (self._after > 0)
        return kind is Killed


@pytest.mark.parametrize(("parameters", "days"), [({}, 0.0), ({"min_delay_days": "7"}, 7.0), ({"min_delay_days": "0.5"}, 0.5)])
def test_parameters(parameters: dict[str, str], days: float) -> None:
    assert min_delay_days(parameters) == days


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_delay_days": "abc"}, "must be a number of days, not 'abc'"),
        ({"min_delay_days": "-1"}, "zero or more, not -1.0"),
        ({"min_delay_days": "nan"}, "zero or more, not nan"),
        ({"days": "7"}, "unknown parameter days; this job takes min_delay_days"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        min_delay_days(parameters)


def test_a_delay_counts_the_night_on_which_clocks_change_as_it_lasted(spark: Any) -> None:
    rows = spark.sql(
        "SELECT '1' AS case_id, 'Closed' AS status, timestamp'2011-11-05 14:00:00Z' AS opened_at, "
        "timestamp'2011-11-05 16:00:00Z' AS target_at, timestamp'2011-11-06 17:00:00.000001Z' AS closed_at, "
        "null AS neighborhood, null AS reason, null AS type, null AS department, 2011 AS opened_year"
    )
    (row,) = case_delays(rows).collect()
    assert row["delay_days"] == (25 * 3600 * 1_000_000 + 1) / 86_400_000_000
    assert case_delays(rows, min_delay_days=1.05).collect() == []


def test_other_parameters_make_the_table_anew_and_back(lake: Lake) -> None:
    lake.publish(late("a", 24), late("b", 24 * 9), late("c", 24 * 30))
    lake.update()
    assert set(lake.held()) == {"a", "b", "c"}
    account = lake.update("second", min_delay_days="7")
    assert set(lake.held()) == {"b", "c"}
    assert (account.read, account.written, account.unchanged, account.withdrawn) == (2, 0, 2, 1)
    lake.publish(late("d", 24 * 8))
    assert lake.update("third", min_delay_days="7").read == 1, "the same parameters: only what changed is read"
    lake.update("fourth")
    assert lake.held() == lake.expected()
