"""What becomes of values and columns between PostgreSQL and Parquet: bits, types, changed tables, large transactions, reloads."""

import json
import struct
from decimal import Decimal
from typing import Any

import psycopg2.extras
import pytest
from dms_cloud import BUCKET, FOLDER, S3_SETTINGS, Replication, bits, dms, until
from hypothesis import given, settings
from hypothesis import strategies as st

__all__ = ["dms"]
ANY_DOUBLE = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack("!d", struct.pack("!Q", n))[0])
EDGES = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan")]
NAN = bits(float("nan"))


def same_bits(value: float) -> bytes | None:
    """PostgreSQL knows one NaN."""
    return NAN if value != value else bits(value)


def test_doubles_are_the_same_bits(dms: Replication) -> None:
    """Drawn from all bit patterns, through the full load and through changes."""
    drawn: list[float] = [*EDGES]

    @settings(max_examples=300, deadline=None, database=None)
    @given(st.one_of(ANY_DOUBLE, st.floats(1e-20, 1e18)))
    def draw(value: float) -> None:
        drawn.append(value)

    draw()
    dms.table("doubles", "id integer PRIMARY KEY, x double precision")
    connection = dms.connect()
    with connection.cursor() as cursor:
        rows = [(i, repr(x)) for i, x in enumerate(drawn)]
        psycopg2.extras.execute_values(cursor, "INSERT INTO doubles VALUES %s", rows, "(%s, %s::double precision)")
        task = dms.task("doubles")
        cursor.execute("UPDATE doubles SET id = id + 100000")
    connection.close()
    loaded = {row["id"]: bits(row["x"]) for row in dms.loaded("doubles")}
    changed = until(lambda: len(found := dms.changes("doubles")) >= len(drawn) and found, "changes")
    assert loaded == {i: same_bits(x) for i, x in enumerate(drawn)}
    assert {row["id"] - 100000: bits(row["x"]) for row in changed} == loaded
    dms.remove(task)


TYPES = {
    "a smallint": ("-32768", -32768),
    "b bigint": ("9223372036854775807", 9223372036854775807),
    "c real": ("1.1", struct.unpack("!f", struct.pack("!f", 1.1))[0]),
    "d numeric(12,4)": ("12345678.9012", Decimal("12345678.9012")),
    "e numeric": ("0.611111104488373", Decimal("0.611111")),
    "f varchar(9)": ("'ä\"\\,\n'", 'ä"\\,\n'),
    "g char(5)": ("'ab'", "ab"),
    "h uuid": ("'00000000-0000-0000-0000-00000000000a'", "00000000-0000-0000-0000-00000000000a"),
    "i jsonb": ("'{\"a\": [1]}'", '{"a": [1]}'),
    "j boolean": ("false", "false"),
    "k text": ("repeat('é', 20000)", "é" * 16384),  # LobMaxSize is 32 KB
    "l text": ("''", ""),
    "m numeric(40,2)": ("1.5", "1.50"),
}


def test_every_supported_type_in_load_and_changes(dms: Replication) -> None:
    dms.table("kinds", ", ".join(["id integer PRIMARY KEY", *TYPES]))
    values = ", ".join(text for text, _ in TYPES.values())
    dms.sql(f"INSERT INTO kinds VALUES (1, {values})")
    task = dms.task("kinds")
    dms.sql(f"INSERT INTO kinds VALUES (2, {values})", "INSERT INTO kinds VALUES (3)")
    changed = until(lambda: len(found := dms.changes("kinds")) == 2 and found, "changes")
    wanted = {name.split()[0]: value for name, (_, value) in TYPES.items()}
    for row in (dms.loaded("kinds")[0], changed[0]):
        assert {name: row[name] for name in wanted} == wanted
    assert all(changed[1][name] is None for name in wanted)
    dms.remove(task)


def test_large_value_that_an_update_leaves_alone_is_kept(dms: Replication) -> None:
    dms.table("toast", "id integer PRIMARY KEY, n integer, big text")
    dms.sql("ALTER TABLE toast ALTER big SET STORAGE EXTERNAL", "INSERT INTO toast VALUES (1, 0, repeat('x', 9000))")
    task = dms.task("toast")
    dms.sql("UPDATE toast SET n = 1")
    changed = until(lambda: dms.changes("toast"), "changes")
    assert changed[0]["big"] == "x" * 9000
    dms.remove(task)


def test_added_column_begins_a_new_file(dms: Replication) -> None:
    dms.table("wider", "id integer PRIMARY KEY, n integer")
    task = dms.task("wider")
    dms.sql(
        "INSERT INTO wider VALUES (1, 1)",
        "ALTER TABLE wider ADD COLUMN extra double precision DEFAULT 2.5",
        "INSERT INTO wider VALUES (2, 2)",
        "TRUNCATE wider",
        "INSERT INTO wider VALUES (3, 3, NULL)",
    )
    until(lambda: len(dms.changes("wider")) == 3, "changes")
    files = [dms.file("wider", name) for name in dms.keys("wider")]
    assert [file.schema.names[1:-2] for file in files] == [["id", "n"], ["id", "n", "extra"]]
    assert [row.get("extra") for row in dms.changes("wider")] == [None, 2.5, None]
    assert dms.api.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"][0]["Ddls"] == 1
    dms.remove(task)


def test_large_transaction_spans_files_and_stays_whole(dms: Replication) -> None:
    settings_ = {**S3_SETTINGS, "CdcMinFileSize": 64, "RowGroupLength": 1000, "CdcMaxBatchInterval": 3}
    role = "arn:aws:iam::000000000000:role/dms-target"
    target = dms.api.create_endpoint(
        EndpointIdentifier="small-files",
        EndpointType="target",
        EngineName="s3",
        S3Settings={**settings_, "ServiceAccessRoleArn": role},
    )["Endpoint"]["EndpointArn"]
    assert dms.test(target)["Status"] == "successful"
    dms.table("large", "id integer PRIMARY KEY, s text")
    task = dms.task("large", target=target)
    dms.sql("INSERT INTO large SELECT i, md5(i::text) FROM generate_series(1, 20000) i")
    changed = until(lambda: len(found := dms.changes("large")) >= 20000 and found, "changes")
    assert [row["id"] for row in changed] == list(range(1, 20001))
    assert len(dms.keys("large")) > 3
    assert len({row["dms_commit_at"] for row in changed}) == 1
    sequences = [row["dms_change_seq"] for row in changed]
    assert sequences == sorted(set(sequences))
    dms.remove(task)
    dms.api.delete_endpoint(EndpointArn=target)


@pytest.mark.parametrize(("column", "value", "said"), [("bytea", "'x'", "oid 17"), ("timestamp", "'infinity'", "infinity")])
def test_what_cannot_be_replicated_fails_with_its_reason(dms: Replication, column: str, value: str, said: str) -> None:
    table = f"odd_{column}"
    dms.table(table, f"id integer PRIMARY KEY, odd {column}")
    dms.sql(f"INSERT INTO {table} VALUES (1, {value})")
    task = dms.task(table, start=False)
    dms.api.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    failed = dms.status(task, "failed")
    assert said in failed["LastFailureMessage"]
    assert "column odd" in failed["LastFailureMessage"]
    statistics: Any = dms.api.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"][0]
    assert statistics["TableState"] == "Table error"
    assert failed["ReplicationTaskStats"]["TablesErrored"] == 1
    dms.remove(task)


def test_one_bad_table_leaves_the_others_alone_and_comes_back_by_a_reload(dms: Replication) -> None:
    for name in ("pair_good", "pair_bad"):
        dms.table(name, "id integer PRIMARY KEY, t timestamp")
        dms.sql(f"INSERT INTO {name} VALUES (1, '2026-11-21')")
    task = dms.task("pair_%", start=False)
    dms.start(task, "start-replication")
    dms.sql("INSERT INTO pair_bad VALUES (2, 'infinity')", "INSERT INTO pair_good VALUES (2, '2026-11-22')")
    until(lambda: len(dms.changes("pair_good")) == 1, "the good table goes on")

    def state(table: str) -> str:
        found = dms.api.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"]
        return str({entry["TableName"]: entry["TableState"] for entry in found}[table])

    until(lambda: state("pair_bad") == "Table error", "the bad table is suspended")
    assert dms.describe(task)["Status"] == "running"
    dms.sql("UPDATE pair_bad SET t = '2026-11-23' WHERE id = 2")
    dms.api.reload_tables(ReplicationTaskArn=task, TablesToReload=[{"SchemaName": "public", "TableName": "pair_bad"}])
    until(lambda: state("pair_bad") == "Table completed", "the bad table is loaded again")
    dms.sql("DELETE FROM pair_bad WHERE id = 1")
    until(lambda: set(dms.replayed("pair_bad")) == {2}, "its changes come again")
    assert set(dms.replayed("pair_good")) == {1, 2}
    dms.remove(task)


def test_objects_are_written_as_the_role_alone(dms: Replication) -> None:
    """Without the role's permission nothing gets in, and the task says which one is missing."""
    iam = dms.cloud.client("iam")
    document = iam.get_role_policy(RoleName="dms-target", PolicyName="test")["PolicyDocument"]
    dms.table("denied", "id integer PRIMARY KEY, n integer")
    task = dms.task("denied")
    dms.sql("INSERT INTO denied VALUES (1, 1)")
    until(lambda: dms.changes("denied"), "changes")
    try:
        only_list = [s for s in document["Statement"] if "s3:ListBucket" in s["Action"]]
        iam.put_role_policy(
            RoleName="dms-target", PolicyName="test", PolicyDocument=json.dumps({**document, "Statement": only_list})
        )
        dms.sql("INSERT INTO denied VALUES (2, 2)")
        failed = dms.status(task, "failed")
        assert "s3:PutObject" in failed["LastFailureMessage"]
        assert f"{BUCKET}/{FOLDER}/public/denied/" in failed["LastFailureMessage"]
        assert "not authorized" in dms.test(dms.target)["LastFailureMessage"]
    finally:
        iam.put_role_policy(RoleName="dms-target", PolicyName="test", PolicyDocument=json.dumps(document))
    assert dms.test(dms.target)["Status"] == "successful"
    dms.start(task, "resume-processing")
    until(lambda: set(dms.replayed("denied")) == {1, 2}, "what was held back")
    dms.remove(task)
