"""Changes with a bucket that breaks anywhere: nothing lost, nothing out of order, repetitions under the same change sequence."""

import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.replication.changes import Changes
from local.replication.errors import Fatal, Transient
from local.replication.messages import Begin, Commit, Delete, Insert, Message, Relation, RelationColumn, Truncate, Update
from local.replication.plan import Plan, Source, Target
from local.replication.state import State

INT4, BYTEA = 23, 17
START = dt.datetime(2026, 11, 21, 10, tzinfo=dt.UTC)
MAPPINGS = json.dumps(
    {
        "rules": [
            {
                **{"rule-type": "selection", "rule-id": "1", "rule-name": "1", "rule-action": "include"},
                "object-locator": {"schema-name": "public", "table-name": "t%"},
            },
            {
                **{"rule-type": "transformation", "rule-id": "2", "rule-name": "2", "rule-target": "column"},
                **{"rule-action": "add-column", "value": "seq", "expression": "$AR_H_CHANGE_SEQ"},
                "object-locator": {"schema-name": "public", "table-name": "%"},
                "data-type": {"type": "string", "length": 50},
            },
        ]
    }
)


def plan(**more: Any) -> Plan:
    given_: dict[str, Any] = {
        **{"name": "task", "source": Source("secret", "", "require", "slot"), "target": Target("bucket", "", 60.0, 10**9)},
        **{"mappings": MAPPINGS, "milliseconds": True, "boolean_as_boolean": False, "lob_kilobytes": 32},
        **{"operation_on_load": True, "timestamp_column": "at", "task_started_at": "", "compression": "gzip"},
        **{"dictionary": True, "statistics": True, "row_group": 2, "load_rows": 10, "endpoint": "", "region": ""},
    }
    return Plan(**{**given_, **more})


class Bucket:
    """Keeps objects; every `breaks`-th write fails, half of those after the object was kept."""

    def __init__(self, breaks: list[str] | None = None) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self._breaks: Iterator[str] = iter(breaks or [])

    def put(self, _schema: str, table: str, name: str, body: IO[bytes]) -> str:
        what = next(self._breaks, "")
        if what == "before":
            raise Transient("the bucket is away")
        self.objects[table, name] = body.read()
        if what == "after":
            raise Transient("the answer was lost")
        return name

    def rows(self, table: str) -> list[dict[str, Any]]:
        names = sorted(key for key in self.objects if key[0] == table)
        return [row for name in names for row in pq.read_table(io.BytesIO(self.objects[name])).to_pylist()]


def relation(oid: int, table: str, *columns: str, kind: int = INT4) -> Relation:
    return Relation(oid, "public", table, "f", tuple(RelationColumn(name, kind, -1, False) for name in columns))


T1, T2, OTHER = relation(1, "t1", "n"), relation(2, "t2", "n"), relation(3, "other", "n")
Transaction = list[Message]


def stream(transactions: list[list[int]]) -> list[tuple[int, Transaction]]:
    """(end position, messages) of each transaction; a number n is row n, of table t1, t2 or other."""
    lsn, made, number = 1000, [], 0
    for which, tables in enumerate(transactions):
        commit = lsn + 100
        at = START + dt.timedelta(milliseconds=7 * which - 50 * (which % 3))  # the source's clock goes back now and then
        rows: list[Message] = []
        for table in tables:
            number += 1
            rows.append(Insert(table, (str(number),)))
        lsn = commit + 40
        made.append((lsn, [Begin(commit, at, 1), T1, T2, OTHER, *rows, Commit(commit, lsn, at)]))
    return made


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=6), min_size=1, max_size=8),
    st.lists(st.sampled_from(["", "", "before", "after"]), max_size=12),
    st.integers(1, 400),
    st.data(),
)
def test_nothing_is_lost_or_out_of_order_wherever_it_breaks(
    transactions: list[list[int]], breaks: list[str], size: int, data: st.DataObject
) -> None:
    sent, bucket = stream(transactions), Bucket(breaks)
    told = plan(target=Target("bucket", "", 60.0, size))
    with TemporaryDirectory() as name:
        directory = Path(name)
        State(phase="changes", lsn=1000).write(directory)
        confirmed = 0
        for _ in range(40):
            state = State.read(directory)
            assert state.lsn >= confirmed
            confirmed = state.lsn
            if state.lsn >= sent[-1][0]:
                break
            changes = Changes(directory, told, state, bucket)  # type: ignore[arg-type]
            try:
                for message in (message for end, messages in sent if end > state.lsn for message in messages):
                    changes.take(message)
                    if data.draw(st.integers(0, 9)) == 0:
                        changes.flush()  # also within a transaction, as when the process is told to stop
                changes.flush()
            except Transient:
                changes.drop()
    for table, oid in (("t1", 1), ("t2", 2)):
        wanted = [
            message.new[0]
            for _, messages in sent
            for message in messages
            if isinstance(message, Insert) and message.relation == oid
        ]
        found = bucket.rows(table)
        first = list(dict.fromkeys(row["seq"] for row in found))
        assert first == sorted(first)
        assert {(row["seq"], row["n"]) for row in found} == set(zip(first, map(int, wanted), strict=True))
    assert not bucket.rows("other")


def test_a_crash_confirms_nothing_that_is_not_in_the_bucket(tmp_path: Path) -> None:
    (end, messages), bucket = stream([[1, 1, 1]])[0], Bucket()
    state = State(phase="changes", lsn=1000)
    state.write(tmp_path)
    changes = Changes(tmp_path, plan(target=Target("bucket", "", 60.0, 1)), state, bucket)  # type: ignore[arg-type]
    for message in messages[:-1]:
        changes.take(message)
    assert bucket.objects  # a large transaction is written before its commit
    changes.confirm(end)
    changes.flush()
    assert State.read(tmp_path).lsn == 1000
    changes.take(messages[-1])
    changes.flush()
    assert State.read(tmp_path).lsn == end


def test_updates_deletes_truncates_and_new_columns(tmp_path: Path) -> None:
    bucket, state = Bucket(), State(phase="changes")
    changes = Changes(tmp_path, plan(), state, bucket)  # type: ignore[arg-type]
    wide = relation(1, "t1", "n", "m")
    for message in (
        Begin(100, START, 1),
        T1,
        Insert(1, ("1",)),
        Update(1, ("2",), old=("1",)),
        Truncate((1,), False, False),
        wide,
        Update(1, ("3", None)),
        Delete(1, old=("3", "4")),
        Delete(1, key=("3", None)),
        Commit(100, 140, START),
    ):
        changes.take(message)
    assert changes.due > 0
    changes.flush()
    rows = bucket.rows("t1")
    assert [(row["Op"], row["n"], row.get("m")) for row in rows] == [
        *[("I", 1, None), ("U", 2, None), ("U", 3, None)],
        *[("D", 3, 4), ("D", 3, None)],
    ]
    assert len(bucket.objects) == 2
    counted = state.table("public", "t1")
    assert (counted.inserts, counted.updates, counted.deletes, counted.ddls) == (1, 2, 2, 1)
    assert [row["at"] for row in rows] == ["2026-11-21 10:00:00.000000"] * 5


def test_a_table_that_cannot_be_replicated_stops_alone(tmp_path: Path) -> None:
    state = State(phase="changes")
    state.table("public", "t1").state = state.table("public", "t2").state = "Table completed"
    changes = Changes(tmp_path, plan(), state, Bucket())  # type: ignore[arg-type]
    changes.take(Begin(100, START, 1))
    changes.take(relation(1, "t1", "n", kind=BYTEA))
    changes.take(T2)
    changes.take(Insert(1, ("x",)))
    changes.take(Insert(2, ("1",)))
    assert state.table("public", "t1").state == "Table error"
    assert "17" in state.table("public", "t1").error
    changes.take(Insert(2, ("2",)))
    changes.take(Insert(2, ("not a number",)))
    with pytest.raises(Fatal, match=r"public\.t2: column n.*not a number"):  # no table is left
        changes.take(Insert(2, ("3",)))
