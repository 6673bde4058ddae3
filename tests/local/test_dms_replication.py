"""The laptop's DMS between a real PostgreSQL and S3: full load, changes, their files, types and order, and being killed."""

import re
import signal
import time

import pyarrow as pa
from dms_cloud import FOLDER, Replication, Writer, dms, kill, until

__all__ = ["dms"]


def settled(dms: Replication, table: str) -> None:
    """Everything that was committed has arrived."""

    def same() -> bool:
        wanted = dict(dms.sql(f"SELECT id, n FROM {table}"))
        return {key: row["n"] for key, row in dms.replayed(table).items()} == wanted

    until(same, f"the files of {table} tell its rows", 20)


def ordered(dms: Replication, table: str) -> list[str]:
    """The change sequences without repetitions; fails when they do not grow, or when a repetition is not a whole tail."""
    sequences = [row["dms_change_seq"] for row in dms.changes(table)]
    assert all(re.fullmatch(r"\d{35}", sequence) for sequence in sequences)
    first_seen = list(dict.fromkeys(sequences))
    assert first_seen == sorted(first_seen)
    return first_seen


def test_full_load_then_changes_in_commit_order(dms: Replication) -> None:
    dms.table("flow", "id integer PRIMARY KEY, n integer, b boolean, t timestamp(3), x double precision, s text")
    dms.sql("INSERT INTO flow SELECT i, 0, i % 2 = 0, '2026-11-21 10:00:00.123', i / 3.0, 'é' || i FROM generate_series(1, 50) i")
    task = dms.task("flow")
    dms.sql(
        "BEGIN; INSERT INTO flow VALUES (51, 1, NULL, NULL, NULL, NULL); UPDATE flow SET n = 2 WHERE id = 51; COMMIT",
        "UPDATE flow SET n = 3, s = NULL WHERE id = 1",
        "DELETE FROM flow WHERE id = 2",
    )
    changes = until(lambda: len(dms.changes("flow")) >= 4 and dms.changes("flow"), "changes")
    loaded = dms.file("flow", "LOAD00000001.parquet")
    names = ["Op", "id", "n", "b", "t", "x", "s", "dms_commit_at", "dms_change_seq"]
    types = [pa.string(), pa.int32(), pa.int32(), pa.string(), pa.timestamp("ms", "UTC"), pa.float64(), pa.string()]
    assert loaded.schema == pa.schema(list(zip(names, [*types, pa.string(), pa.string()], strict=True)))
    assert set(loaded["Op"].to_pylist()) == {"I"}
    assert set(loaded["b"].to_pylist()) == {"true", "false"}
    assert loaded["dms_change_seq"].null_count == 50
    assert len(set(loaded["dms_commit_at"].to_pylist())) == 1
    assert [(row["Op"], row["id"], row["n"], row["s"]) for row in changes] == [
        ("I", 51, 1, None),
        ("U", 51, 2, None),
        ("U", 1, 3, None),
        ("D", 2, 0, "é2"),
    ]
    assert changes[0]["dms_commit_at"] == changes[1]["dms_commit_at"]  # one transaction, one commit
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", changes[0]["dms_commit_at"])
    ordered(dms, "flow")
    assert all(re.fullmatch(r"LOAD00000001\.parquet|\d{8}-\d{9}\.parquet", name) for name in dms.keys("flow"))
    statistics = dms.api.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"][0]
    assert (statistics["FullLoadRows"], statistics["TableState"]) == (50, "Table completed")
    assert (statistics["Inserts"], statistics["Updates"], statistics["Deletes"]) == (1, 2, 1)
    dms.remove(task)
    assert dms.sql("SELECT count(*) FROM pg_replication_slots") == [(0,)]


def test_load_and_changes_meet_exactly(dms: Replication) -> None:
    dms.table("met", "id integer PRIMARY KEY, n integer")
    writer = Writer(dms, "met")
    until(lambda: writer.changes > 50, "rows to load")
    task = dms.task("met")
    time.sleep(1.0)
    writer.stop()
    settled(dms, "met")
    assert dms.loaded("met")
    dms.replayed("met", exact=True)
    ordered(dms, "met")
    dms.remove(task)


def test_process_killed_during_the_load_loads_again(dms: Replication) -> None:
    dms.table("halfway", "id integer PRIMARY KEY, n integer, s text")
    dms.sql("INSERT INTO halfway SELECT i, 0, md5(i::text) FROM generate_series(1, 200000) i")
    task = dms.task("halfway", start=False)
    dms.api.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")

    def loading() -> bool:
        found = dms.api.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"]
        return bool(found) and found[0]["TableState"] == "Full load"

    until(loading, "the load begins")
    kill(dms.process(task))
    dms.sql("UPDATE halfway SET n = 1 WHERE id = 7")
    until(lambda: dms.describe(task)["ReplicationTaskStats"]["FullLoadProgressPercent"] == 100, "the load ends")
    dms.sql("DELETE FROM halfway WHERE id = 8")
    until(lambda: [row["Op"] for row in dms.changes("halfway")][-1:] == ["D"], "changes")
    replayed = dms.replayed("halfway")
    assert len(replayed) == 199_999
    assert replayed[7]["n"] == 1
    dms.remove(task)


def test_process_killed_while_changes_come(dms: Replication) -> None:
    dms.table("killed", "id integer PRIMARY KEY, n integer")
    task = dms.task("killed")
    writer = Writer(dms, "killed")
    for _ in range(3):
        time.sleep(1.3)
        kill(dms.process(task))
    time.sleep(1.0)
    writer.stop()
    settled(dms, "killed")
    assert writer.changes > 300
    assert len(ordered(dms, "killed")) == writer.changes  # every single one, each repetition under the same sequence
    dms.remove(task)


def test_server_killed_while_changes_come(dms: Replication) -> None:
    dms.table("crashed", "id integer PRIMARY KEY, n integer")
    task = dms.task("crashed")
    writer = Writer(dms, "crashed")
    time.sleep(1.5)
    kill(dms.server.pid() or 0)
    time.sleep(0.3)
    dms.server.run()
    time.sleep(1.5)
    writer.stop()
    settled(dms, "crashed")
    assert len(ordered(dms, "crashed")) - writer.changes in (0, 1)  # of the one in flight nobody told the writer
    dms.remove(task)


def test_cloud_killed_while_changes_come(dms: Replication) -> None:
    dms.table("clouded", "id integer PRIMARY KEY, n integer")
    task = dms.task("clouded")
    writer = Writer(dms, "clouded")
    time.sleep(4)  # the cloud's own state is on disk every three seconds
    dms.cloud.stop(signal.SIGKILL)
    dms.cloud.start()
    dms.status(task, "running")
    time.sleep(1)
    writer.stop()
    settled(dms, "clouded")
    assert len(ordered(dms, "clouded")) == writer.changes
    dms.remove(task)


def test_running_task_runs_on_after_the_cloud_was_stopped(dms: Replication) -> None:
    dms.table("stopped", "id integer PRIMARY KEY, n integer")
    running, ended = dms.task("stopped"), dms.task("flowless", start=False)
    dms.cloud.stop()
    dms.sql("INSERT INTO stopped VALUES (-1, 7)")
    dms.cloud.start()
    dms.status(running, "running")
    assert dms.describe(ended)["Status"] == "ready"
    settled(dms, "stopped")
    assert len(dms.changes("stopped")) == 1
    dms.remove(running)
    dms.remove(ended)


def test_stop_resume_and_reload_twice(dms: Replication) -> None:
    dms.table("again", "id integer PRIMARY KEY, n integer")
    dms.sql("INSERT INTO again SELECT i, 0 FROM generate_series(1, 20) i")
    task = dms.task("again")
    dms.sql("UPDATE again SET n = 1 WHERE id = 1")
    dms.stop(task)
    assert [row["n"] for row in dms.changes("again")] == [1]  # a stop writes what is open
    dms.sql("UPDATE again SET n = 2 WHERE id = 1")
    dms.start(task, "resume-processing")
    settled(dms, "again")
    assert [row["n"] for row in dms.changes("again")] == [1, 2]
    for count in (1, 2):
        dms.stop(task)
        before = dms.keys("again")
        dms.sql(f"UPDATE again SET n = {count + 10} WHERE id = 2")
        dms.start(task, "reload-target")
        key = f"{FOLDER}/public/again/LOAD00000001.parquet"
        versions = until(
            lambda key=key, count=count: (
                len(found := dms.s3.list_object_versions(Bucket="dms-bronze", Prefix=key)["Versions"]) == count + 1 and found
            ),
            "a new version of the load",
        )
        assert len({version["ETag"] for version in versions}) == count + 1
        assert dms.keys("again") == before
        assert {row["id"]: row["n"] for row in dms.loaded("again")}[2] == count + 10
    dms.sql("DELETE FROM again WHERE id = 3")
    settled(dms, "again")
    dms.remove(task)
