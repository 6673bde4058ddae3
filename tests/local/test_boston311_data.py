"""The city's real files through silver and gold, against DuckDB straight from the files; skipped where there are none."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest
from conftest import ROOT
from silver_lake import SUPERSEDED, TABLE, Lake

from bench.boston311_duckdb import requests
from lake.contracts import Contract
from lake.spark.account import Account

DATA = ROOT.parent / "shared" / "data" / "boston311"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real files are not in {DATA}")
GOLD = ("case_delays", "neighborhood_service", "response_times")
DELAY = "(epoch_us(closed_at) - epoch_us(target_at)) / 86400e6"
TOOK = "(epoch_us(closed_at) - epoch_us(opened_at)) / 86400e6"
LATE = "FROM requests WHERE status = 'Closed' AND closed_at > target_at"
CLOSED = "status = 'Closed' AND closed_at >= opened_at"
BOSTON = "timezone('America/New_York', opened_at)"
MONTH = f"date_trunc('month', {BOSTON})::date"
YEAR = f"year({BOSTON})"
PLACE, REASON, TYPE = (f"coalesce({name}, '(unknown)')" for name in ("neighborhood", "reason", "type"))

# question -> (how many columns name the group, asked of gold, asked of the files)
QUESTIONS = {
    "late cases by neighbourhood": (
        1,
        "SELECT neighborhood, count(*), median(delay_days) FROM case_delays GROUP BY 1",
        f"SELECT neighborhood, count(*), median({DELAY}) {LATE} GROUP BY 1",
    ),
    "more than a month late, by department": (
        1,
        "SELECT department, count(*) FROM case_delays WHERE delay_days > 30 GROUP BY 1",
        f"SELECT department, count(*) {LATE} AND {DELAY} > 30 GROUP BY 1",
    ),
    "the longest delay of each year": (
        1,
        "SELECT opened_year, max(delay_days) FROM case_delays GROUP BY 1",
        f"SELECT {YEAR}, max({DELAY}) {LATE} GROUP BY 1",
    ),
    "requests and open backlog by neighbourhood": (
        1,
        "SELECT neighborhood, sum(requests), sum(open_backlog) FROM neighborhood_service GROUP BY 1",
        f"SELECT {PLACE}, count(*), count(*) FILTER (status = 'Open') FROM requests GROUP BY 1",
    ),
    "the months and what is asked for": (
        2,
        "SELECT month, reason, sum(requests), sum(closed), sum(with_target) FROM neighborhood_service GROUP BY 1, 2",
        f"SELECT {MONTH}, {REASON}, count(*), count(*) FILTER (status = 'Closed'), count(target_at) FROM requests GROUP BY 1, 2",
    ),
    "kept deadlines, every group": (
        3,
        "SELECT month, neighborhood, reason, on_time_share FROM neighborhood_service",
        f"""SELECT {MONTH}, {PLACE}, {REASON}, avg((closed_at <= target_at)::int) FILTER (status = 'Closed')
            FROM requests GROUP BY 1, 2, 3""",
    ),
    "days to close, every group": (
        3,
        "SELECT month, neighborhood, reason, median_days_to_close, p90_days_to_close FROM neighborhood_service",
        f"""SELECT {MONTH}, {PLACE}, {REASON}, quantile_cont({TOOK}, 0.5) FILTER ({CLOSED}),
            quantile_cont({TOOK}, 0.9) FILTER ({CLOSED}) FROM requests GROUP BY 1, 2, 3""",
    ),
    "response times of every type and year": (
        2,
        "SELECT type, opened_year, requests, closed, median_days_to_close, p90_days_to_close FROM response_times",
        f"""SELECT {TYPE}, {YEAR}, count(*), count(*) FILTER (status = 'Closed'), quantile_cont({TOOK}, 0.5) FILTER ({CLOSED}),
            quantile_cont({TOOK}, 0.9) FILTER ({CLOSED}) FROM requests GROUP BY 1, 2""",
    ),
    "mean response and kept deadlines by type": (
        2,
        "SELECT type, opened_year, mean_days_to_close, on_time_share FROM response_times",
        f"""SELECT {TYPE}, {YEAR}, avg({TOOK}) FILTER ({CLOSED}), avg((closed_at <= target_at)::int) FILTER (status = 'Closed')
            FROM requests GROUP BY 1, 2""",
    ),
    "the ten slowest types of 2015": (
        1,
        """SELECT type, p90_days_to_close FROM response_times WHERE opened_year = 2015 AND closed >= 50
            ORDER BY 2 DESC, 1 LIMIT 10""",
        f"""SELECT {TYPE}, quantile_cont({TOOK}, 0.9) FILTER ({CLOSED}) FROM requests WHERE {YEAR} = 2015
            GROUP BY 1 HAVING count(*) FILTER (status = 'Closed') >= 50 ORDER BY 2 DESC, 1 LIMIT 10""",
    ),
}


@pytest.fixture(scope="module")
def real(new_lake: Callable[[], Lake]) -> Lake:
    """Silver and gold of every file, once."""
    lake = new_lake()
    for path in sorted(DATA.rglob("*.csv")):
        lake.put_file(str(path.relative_to(DATA)), path)
    lake.run()
    lake.run_gold()
    return lake


@pytest.fixture(scope="module")
def answers(real: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with `requests` from the files, `silver` and the gold tables as the lake holds them."""
    copies = tmp_path_factory.mktemp("copies")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = {str(path.relative_to(DATA)): path for path in DATA.rglob("*.csv")}
        connection.execute(f"CREATE TABLE requests AS {requests(files)}")
        for name in GOLD:
            real.gold(name).write.parquet(str(copies / name))
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{copies}/{name}/*.parquet')")
        real.table().write.parquet(str(copies / "silver"))
        connection.execute(f"CREATE VIEW silver AS SELECT * FROM read_parquet('{copies}/silver/*.parquet')")
        yield connection


def test_every_row_is_accounted_for_and_a_second_run_writes_nothing(real: Lake) -> None:
    table, superseded = real.reports[0].tables
    assert (table.read, table.written, table.superseded, table.quarantined) == (104_917, 104_490, 427, 0)
    assert (superseded.read, superseded.written) == (427, 427)
    assert real.reports[0].refused == ()
    again = real.run()
    assert again.tables == (Account(table=TABLE, version=table.version), Account(table=SUPERSEDED, version=superseded.version))


def test_the_clock_of_every_file_is_decided_from_its_own_evidence(real: Lake) -> None:
    shifted = {d["object"] for d in real.reports[0].decisions if d["decision"].startswith("shifted")}
    assert shifted == {f"legacy/animal_cases_{year}.csv" for year in (2013, 2014, 2015, 2016)}
    told = [d for d in real.reports[0].decisions if "by the setting" in d["decision"]]
    assert [d["object"] for d in told] == ["new_system/2026-02-17.csv"]
    assert len(real.reports[0].decisions) == 15


def test_cases_published_in_two_vintages_agree_to_the_second(real: Lake) -> None:
    both = real.table().alias("a").join(real.table(SUPERSEDED).alias("b"), "case_id")
    counted = both.selectExpr(
        "count(*) AS cases",
        *[f"count_if(a.{name} <=> b.{name}) AS {name}" for name in ("opened_at", "target_at", "ward")],
        "count_if(a.closed_at = b.closed_at) AS closed_at",
        "count(a.closed_at + INTERVAL 0 DAY) AS closed",
    ).first()
    assert (counted["cases"], counted["opened_at"], counted["target_at"], counted["ward"]) == (427, 427, 427, 427)
    assert counted["closed_at"] == 142


def test_silver_is_what_duckdb_makes_of_the_files(answers: Any, contracts: dict[str, Contract]) -> None:
    own = {"row_hash", "resource_id", "opened_year"}
    names = ", ".join(column.name for column in contracts[TABLE].columns if column.name not in own)
    for one, other in (("silver", "requests"), ("requests", "silver")):
        differing = answers.execute(f"SELECT {names} FROM {one} EXCEPT ALL SELECT {names} FROM {other}").fetchall()
        assert differing == [], f"{len(differing)} rows of {one} are not in {other}"


@pytest.mark.parametrize("question", QUESTIONS)
def test_gold_answers_as_duckdb_does_from_the_files(answers: Any, question: str) -> None:
    names, of_gold, of_files = QUESTIONS[question]
    gold, files = ({row[:names]: row[names:] for row in answers.execute(sql).fetchall()} for sql in (of_gold, of_files))
    assert len(gold) > 1
    assert gold.keys() == files.keys()
    assert {group: values for group, values in gold.items() if not all(map(_same, values, files[group]))} == {}


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def test_the_order_of_files_never_matters(new_lake: Callable[[], Lake]) -> None:
    pair = ("legacy/animal_cases_2015.csv", "socrata_2015/bed_bugs.csv")
    sums = set()
    for order in (pair, pair[::-1]):
        lake = new_lake()
        for name in order:
            lake.put_file(name, DATA / name)
            lake.run()
        sums.add((lake.checksum(TABLE), lake.checksum(SUPERSEDED)))
    assert len(sums) == 1


def test_no_mail_address_is_left_in_free_text(real: Lake) -> None:
    free = real.table().selectExpr("concat_ws(' ', closure_reason, closure_comments, case_title) AS text")
    assert free.where("text RLIKE '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+[.][A-Za-z]{2,}'").count() == 0
