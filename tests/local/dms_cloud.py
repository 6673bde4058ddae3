"""A laptop cloud with DMS between a real PostgreSQL and a bucket. Import `dms` into a test file to have it."""

import io
import json
import os
import re
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine_cloud import Cloud, allow

from bench.laptop import free_ports
from local.engines import postgres

BUCKET, FOLDER = "dms-bronze", "coins/dms"
MASTER, REPLICATOR, PASSWORD = "master", "replicator", "not-a-secret-1"  # of this test's server alone
S3_SETTINGS = {
    **{"BucketName": BUCKET, "BucketFolder": FOLDER, "DataFormat": "parquet", "ParquetVersion": "parquet-1-0"},
    **{"CompressionType": "gzip", "IncludeOpForFullLoad": True, "TimestampColumnName": "dms_commit_at"},
    **{"UseTaskStartTimeForFullLoadTimestamp": True, "ParquetTimestampInMillisecond": True, "CdcMaxBatchInterval": 1},
    "EncryptionMode": "sse-s3",
}
SETTINGS = {
    "TargetMetadata": {"SupportLobs": True, "LimitedSizeLobMode": True, "LobMaxSize": 32},
    "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"},
    "ChangeProcessingDdlHandlingPolicy": {"HandleSourceTableTruncated": False, "HandleSourceTableDropped": False},
    "Logging": {"EnableLogging": True},
}
Rows = list[dict[str, Any]]


def mappings(table: str) -> str:
    where = {"schema-name": "public", "table-name": table}
    added = {"rule-target": "column", "rule-action": "add-column", "value": "dms_change_seq", "expression": "$AR_H_CHANGE_SEQ"}
    return json.dumps(
        {
            "rules": [
                {"rule-type": "selection", "rule-id": "1", "rule-name": "1", "object-locator": where, "rule-action": "include"},
                {
                    **{"rule-type": "transformation", "rule-id": "2", "rule-name": "2", "object-locator": where},
                    **added,
                    "data-type": {"type": "string", "length": 50},
                },
            ]
        }
    )


def until(asked: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = asked()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Replication:
    """The cloud, the server, one instance, both endpoints; a task per test and table."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.cloud = cloud
        (port,) = free_ports(1)
        self.server = postgres.start(directory / "postgres", port, master=MASTER, password=PASSWORD)
        self.s3 = cloud.client("s3")
        self.api = cloud.client("dms")

    def connect(self, database: str = "tributary") -> Any:
        login = {"host": "127.0.0.1", "port": self.server.port, "user": MASTER, "password": PASSWORD}
        made = psycopg2.connect(**login, dbname=database, sslmode="require")
        made.autocommit = True
        return made

    def sql(self, *statements: str, database: str = "tributary") -> list[tuple[Any, ...]]:
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def make(self) -> None:
        """Everything but tasks."""
        self.sql("CREATE DATABASE tributary", database="postgres")
        self.sql(f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{PASSWORD}'", "CREATE PUBLICATION tributary_dms")
        self.cloud.bucket(BUCKET)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        login = {"host": "127.0.0.1", "port": self.server.port, "username": REPLICATOR, "password": PASSWORD}
        secrets = self.cloud.client("secretsmanager")
        secret = secrets.create_secret(Name="dms-source", SecretString=json.dumps({**login, "dbname": "tributary"}))["ARN"]
        reader = self.cloud.role("dms-secret", allow("secretsmanager:GetSecretValue"), service="dms.us-east-1.amazonaws.com")
        writer = self.cloud.role(
            "dms-target",
            allow("s3:PutObject", "s3:DeleteObject", on=(f"arn:aws:s3:::{BUCKET}/{FOLDER}/*",)),
            allow("s3:ListBucket", on=(f"arn:aws:s3:::{BUCKET}",)),
            service="dms.amazonaws.com",
        )
        self.cloud.role("dms-vpc-role", allow("ec2:Describe*"), service="dms.amazonaws.com")
        self.cloud.role("dms-cloudwatch-logs-role", allow("logs:*"), service="dms.amazonaws.com")
        made = self.api.create_replication_instance(
            ReplicationInstanceIdentifier="small", ReplicationInstanceClass="dms.t3.small", ResourceIdentifier="small"
        )
        self.instance = made["ReplicationInstance"]["ReplicationInstanceArn"]
        self.source = self.api.create_endpoint(
            EndpointIdentifier="source",
            EndpointType="source",
            EngineName="postgres",
            DatabaseName="tributary",
            SslMode="require",
            PostgreSQLSettings={
                **{"SecretsManagerSecretId": secret, "SecretsManagerAccessRoleArn": reader},
                **{"PluginName": "test-decoding", "HeartbeatEnable": True, "CaptureDdls": False},
            },
        )["Endpoint"]["EndpointArn"]
        self.target = self.api.create_endpoint(
            EndpointIdentifier="target",
            EndpointType="target",
            EngineName="s3",
            S3Settings={**S3_SETTINGS, "ServiceAccessRoleArn": writer},
        )["Endpoint"]["EndpointArn"]
        for endpoint in (self.source, self.target):
            assert self.test(endpoint)["Status"] == "successful"

    def test(self, endpoint: str) -> dict[str, Any]:
        """The connection once its test has ended."""
        self.api.test_connection(ReplicationInstanceArn=self.instance, EndpointArn=endpoint)

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.api.describe_connections(Filters=[{"Name": "endpoint-arn", "Values": [endpoint]}])[
                "Connections"
            ][0]
            return found if found["Status"] != "testing" else None

        answer: dict[str, Any] = until(ended, "the connection is tested")
        return answer

    def table(self, name: str, columns: str) -> None:
        """A table in the publication, readable to the replicator, with whole rows before a change in the log."""
        self.sql(
            f"CREATE TABLE {name} ({columns})",
            f"ALTER TABLE {name} REPLICA IDENTITY FULL",
            f"GRANT SELECT ON {name} TO {REPLICATOR}",
            f"ALTER PUBLICATION tributary_dms ADD TABLE {name}",
        )

    def task(self, table: str, *, start: bool = True, target: str | None = None) -> str:
        made = self.api.create_replication_task(
            ReplicationTaskIdentifier=f"task-{re.sub('[^a-z0-9]', '', table)}",
            SourceEndpointArn=self.source,
            TargetEndpointArn=target or self.target,
            ReplicationInstanceArn=self.instance,
            MigrationType="full-load-and-cdc",
            TableMappings=mappings(table),
            ReplicationTaskSettings=json.dumps(SETTINGS),
        )
        arn = str(made["ReplicationTask"]["ReplicationTaskArn"])
        if start:
            self.start(arn, "start-replication")
        return arn

    def start(self, arn: str, how: str) -> None:
        """And wait until the full load has ended: what is changed then is delivered as a change."""
        self.api.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType=how)
        until(lambda: self.status(arn, "running")["ReplicationTaskStats"]["FullLoadProgressPercent"] == 100, "the load ends")

    def stop(self, arn: str) -> None:
        self.api.stop_replication_task(ReplicationTaskArn=arn)
        self.status(arn, "stopped")

    def status(self, arn: str, wanted: str, seconds: float = 30.0) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found = self.describe(arn)
            if found["Status"] == "failed" and wanted != "failed":
                raise AssertionError(found.get("LastFailureMessage"))
            return found if found["Status"] == wanted else None

        answer: dict[str, Any] = until(reached, f"the task is {wanted}", seconds)
        return answer

    def describe(self, arn: str) -> dict[str, Any]:
        found = self.api.describe_replication_tasks(Filters=[{"Name": "replication-task-arn", "Values": [arn]}])
        return dict(found["ReplicationTasks"][0])

    def remove(self, arn: str) -> None:
        if self.describe(arn)["Status"] in ("running", "starting"):
            self.stop(arn)
        self.api.delete_replication_task(ReplicationTaskArn=arn)

    # What is in the bucket --------------------------------------------------------------------------------------------------

    def keys(self, table: str) -> list[str]:
        """Names of the table's objects, in the order of their names."""
        prefix = f"{FOLDER}/public/{table}/"
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return sorted(entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", []))

    def file(self, table: str, name: str) -> pa.Table:
        body = self.s3.get_object(Bucket=BUCKET, Key=f"{FOLDER}/public/{table}/{name}")["Body"].read()
        return pq.read_table(io.BytesIO(body))

    def changes(self, table: str) -> Rows:
        """Rows of all objects of changes, in the order of names and rows."""
        names = [name for name in self.keys(table) if not name.startswith("LOAD")]
        return [row for name in names for row in self.file(table, name).to_pylist()]

    def loaded(self, table: str) -> Rows:
        return [row for name in self.keys(table) if name.startswith("LOAD") for row in self.file(table, name).to_pylist()]

    def replayed(self, table: str, key: str = "id", *, exact: bool = False) -> dict[Any, dict[str, Any]]:
        """The table as its objects tell it: loaded rows, then every change in order.

        exact: no change may tell what the load held already, nor be about a row that is not there.
        """
        added = ("Op", "dms_commit_at", "dms_change_seq")
        rows: dict[Any, dict[str, Any]] = {}
        for row in (*self.loaded(table), *self.changes(table)):
            assert not exact or (row[key] in rows) == (row["Op"] != "I"), row
            if row["Op"] == "D":
                rows.pop(row[key], None)
            else:
                rows[row[key]] = {name: value for name, value in row.items() if name not in added}
        return rows

    def process(self, arn: str) -> int:
        """The pid of the task's process."""
        last = arn.rpartition(":")[2].lower()
        for path in (self.cloud.home / "children").glob("*.json"):
            record = json.loads(path.read_text())
            if "local.replication" in record["identity"] and last in record["identity"]:
                return int(record["pid"])
        raise AssertionError("the task has no process")


class Writer:
    """Changes a table (id integer primary key, n integer) about 200 times a second, over crashes.

    changes: rows whose change was confirmed to it.
    """

    def __init__(self, replication: Replication, table: str) -> None:
        self._replication = replication
        self._table = table
        self._going = threading.Event()
        self._going.set()
        self.changes = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        number = 0
        while self._going.is_set():
            try:
                connection = self._replication.connect()
                with connection.cursor() as cursor:
                    while self._going.is_set():
                        self._change(cursor, number)
                        number += 1
                        self.changes += cursor.rowcount
                        time.sleep(0.004)
                connection.close()
            except psycopg2.Error:
                time.sleep(0.05)  # the server is away; whether the last change was committed is not known

    def _change(self, cursor: Any, number: int) -> None:
        which = number % 5
        if which < 2:
            cursor.execute(f"INSERT INTO {self._table} VALUES (%s, 0) ON CONFLICT (id) DO NOTHING", (number,))
        elif which < 4:
            cursor.execute(f"UPDATE {self._table} SET n = n + 1 WHERE id = (SELECT max(id) FROM {self._table})")
        else:
            cursor.execute(f"DELETE FROM {self._table} WHERE id = (SELECT min(id) FROM {self._table})")

    def stop(self) -> None:
        self._going.clear()
        self._thread.join(10)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def bits(value: float | None) -> bytes | None:
    return None if value is None else struct.pack("!d", value)


@pytest.fixture(scope="module")
def dms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replication]:
    directory = tmp_path_factory.mktemp("dms")
    cloud = Cloud(directory)
    cloud.start()
    made = None
    try:
        made = Replication(cloud, directory)
        made.make()
        yield made
    finally:
        cloud.stop()
        if made:
            made.server.stop()
