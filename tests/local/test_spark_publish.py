"""Publishing into a Delta table: what is written, how it is counted, what the log says of it."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lake.contracts import Column, Contract
from lake.spark.account import Account
from lake.spark.publish import Counts, DeltaTable, Newer, append, publish

COLUMNS = (
    Column(name="id", type="string", required=True),
    Column(name="part", type="int", required=True),
    Column(name="value", type="string"),
    Column(name="seen", type="int"),
    Column(name="row_hash", type="bigint"),
)
THINGS = Contract(
    layer="silver",
    table="things",
    source="test",
    title="Things",
    description="",
    owner="tests",
    columns=COLUMNS,
    key=("id",),
    partitions=("part",),
)
NEWER = Newer(condition="seen >= _target.seen", columns=("seen",))
FIRST = (("a", 1, "x", 5), ("b", 1, "x", 5), ("c", 1, "x", 5), ("d", 1, "x", 5), ("e", 2, "x", 5))

Row = tuple[str, int, str, int]


def rows(spark: Any, *values: Row) -> Any:
    table = ", ".join(f"('{key}', {part}, '{value}', {seen})" for key, part, value, seen in values)
    return spark.sql(f"SELECT *, xxhash64(id, part, value) AS row_hash FROM VALUES {table} AS t(id, part, value, seen)")


@pytest.fixture
def things(spark: Any, tmp_path: Path) -> DeltaTable:
    table = DeltaTable(spark=spark, contract=THINGS, uri=str(tmp_path / "things"))
    table.create()
    return table


def put(table: DeltaTable, *values: Row, batch: int, **more: Any) -> Account:
    return publish(
        table, rows(table.spark, *values), batch=batch, run_id=f"run-{batch}", counts=Counts(read=len(values)), newer=NEWER, **more
    )


def held(table: DeltaTable) -> set[Row]:
    return {(r["id"], r["part"], r["value"], r["seen"]) for r in table.read().collect()}


def log(table: DeltaTable, version: int) -> list[dict[str, Any]]:
    lines = Path(f"{table.uri}/_delta_log/{version:020d}.json").read_text().splitlines()
    return [json.loads(line) for line in lines]


def actions(table: DeltaTable, version: int, kind: str) -> list[dict[str, Any]]:
    return [line[kind] for line in log(table, version) if kind in line]


def test_new_rows_are_appended_and_marked_with_their_batch(things: DeltaTable) -> None:
    account = put(things, *FIRST, batch=7)
    assert account == Account(table="silver.things", read=5, written=5, version=1)
    assert held(things) == set(FIRST)
    (commit,) = actions(things, 1, "commitInfo")
    assert commit["operation"] == "WRITE"
    assert [(t["appId"], t["version"]) for t in actions(things, 1, "txn")] == [("silver.things", 7)]
    metadata = things.commit_of(7)
    assert metadata is not None
    assert Account(**{**metadata["account"], "version": 1}) == account
    assert things.commit_of(6) is None


def test_each_row_is_classified_against_the_one_that_is_there(things: DeltaTable) -> None:
    put(things, *FIRST, batch=1)
    account = put(
        things,
        ("a", 1, "x", 9),  # the same, seen again
        ("b", 1, "y", 6),  # changed
        ("c", 1, "y", 4),  # changed, but older than what is there
        ("d", 3, "x", 6),  # moved to another partition
        ("f", 2, "x", 6),  # new
        batch=2,
    )
    assert account == Account(table="silver.things", read=5, written=3, unchanged=1, superseded=1, version=2)
    assert held(things) == {
        ("a", 1, "x", 5),
        ("b", 1, "y", 6),
        ("c", 1, "x", 5),
        ("d", 3, "x", 6),
        ("e", 2, "x", 5),
        ("f", 2, "x", 6),
    }
    (commit,) = actions(things, 2, "commitInfo")
    assert commit["operation"] == "MERGE"
    assert [(t["appId"], t["version"]) for t in actions(things, 2, "txn")] == [("silver.things", 2)]


def test_a_merge_leaves_files_of_other_partitions_alone(things: DeltaTable) -> None:
    put(things, *FIRST, batch=1)
    put(things, ("a", 1, "y", 6), batch=2)
    assert {removed["partitionValues"]["part"] for removed in actions(things, 2, "remove")} == {"1"}
    predicate = actions(things, 2, "commitInfo")[0]["operationParameters"]["predicate"]
    assert "part" in predicate  # pruned before a file is read, not after


def test_an_unchanged_batch_leaves_the_version_alone(things: DeltaTable) -> None:
    put(things, *FIRST, batch=1)
    assert put(things, *FIRST, batch=2) == Account(table="silver.things", read=5, unchanged=5, version=1)


def test_within_its_scope_the_table_holds_the_rows_and_nothing_else(things: DeltaTable) -> None:
    put(things, *FIRST, batch=1)
    scope = things.spark.sql("SELECT * FROM VALUES ('a'), ('b'), ('e'), ('g') AS t(id)")
    account = put(things, ("a", 1, "x", 5), ("g", 2, "x", 5), batch=2, scope=scope)
    assert account == Account(table="silver.things", read=2, written=1, unchanged=1, withdrawn=2, version=2)
    assert {row[0] for row in held(things)} == {"a", "c", "d", "g"}


def test_a_repeated_append_or_merge_of_a_batch_is_skipped_by_delta(things: DeltaTable) -> None:
    put(things, *FIRST, batch=1)
    put(things, ("a", 1, "y", 6), batch=2)
    append(things.uri, rows(things.spark, ("z", 1, "x", 5)), table="silver.things", batch=2, metadata="{}")
    assert held(things) == {("a", 1, "y", 6), *FIRST[1:]}
    put(things, ("a", 1, "never", 7), batch=2)
    assert held(things) == {("a", 1, "y", 6), *FIRST[1:]}


def test_the_mark_of_a_merge_does_not_stay_in_the_session(things: DeltaTable) -> None:
    put(things, *FIRST, batch=1)
    put(things, ("a", 1, "y", 6), batch=2)
    rows(things.spark, ("z", 1, "x", 5)).write.format("delta").mode("append").save(things.uri)
    assert actions(things, 3, "txn") == []
    assert ("z", 1, "x", 5) in held(things)


def test_values_of_partitions_are_quoted(spark: Any, tmp_path: Path) -> None:
    columns = (COLUMNS[0], replace(COLUMNS[1], type="string"), *COLUMNS[2:])
    table = DeltaTable(spark=spark, contract=replace(THINGS, columns=columns), uri=str(tmp_path / "quoted"))
    table.create()
    one = spark.sql(r"SELECT 'a' AS id, 'it\'s a \\ b' AS part, 'x' AS value, 1 AS seen, 1L AS row_hash")
    two = one.selectExpr("id", "part", "'y' AS value", "2 AS seen", "2L AS row_hash")
    for batch, frame in enumerate((one, two), start=1):
        publish(table, frame, batch=batch, run_id="r", counts=Counts(read=1), newer=NEWER)
    assert [(r["part"], r["value"]) for r in table.read().collect()] == [(r"it's a \ b", "y")]


def test_an_account_that_does_not_close_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="3 rows read, 2 accounted for"):
        Account(table="silver.things", read=3, written=2)
    assert asdict(Account(table="t", read=1, written=1) + Account(table="t", read=2, unchanged=2, version=3)) == {
        "table": "t",
        "read": 3,
        "written": 1,
        "unchanged": 2,
        "superseded": 0,
        "quarantined": 0,
        "withdrawn": 0,
        "version": 3,
    }
