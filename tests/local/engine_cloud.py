"""A laptop cloud for tests of single engines: a daemon of its own, roles, tables. Import `cloud` into a test file to have it."""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from deltalake import write_deltalake

from bench.laptop import free_laptop_ports
from local import process

ACCOUNT = "000000000000"
ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90.0
Statement = dict[str, Any]


def allow(*actions: str, on: tuple[str, ...] = ("*",)) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(on)}


def reading(*buckets: str) -> Statement:
    """Read whole buckets."""
    resources = tuple(f"arn:aws:s3:::{bucket}{tail}" for bucket in buckets for tail in ("", "/*"))
    return allow("s3:GetObject", "s3:ListBucket", on=resources)


class Cloud:
    """Clients of a running daemon, as root or as a role."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = free_laptop_ports()
        self.endpoint = f"http://127.0.0.1:{self.ports['port']}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "LAKE_HOME": str(self.home), **process.variables(self.ports)}
        with (self.home / "test.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.serve"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(BotoCoreError, ClientError):
                self.client("sts").get_caller_identity()
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.2)
        raise RuntimeError((self.home / "test.log").read_text()[-3000:])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def client(self, service: str, role: str | None = None) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        if role:
            taken = self.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="tester")[
                "Credentials"
            ]
            keys = {"aws_access_key_id": taken["AccessKeyId"], "aws_secret_access_key": taken["SecretAccessKey"]}
            keys["aws_session_token"] = taken["SessionToken"]
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", **keys)

    def bucket(self, name: str) -> str:
        self.client("s3").create_bucket(Bucket=name)
        return name

    def role(self, name: str, *statements: Statement, service: str = "") -> str:
        """A role that anybody of the account, or only a service, may take."""
        principal = {"Service": service} if service else {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        iam = self.client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=json.dumps(document))
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def delta(self, uri: str, table: pa.Table, **options: Any) -> None:
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        storage = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_CONDITIONAL_PUT": "etag", **keys}
        write_deltalake(uri, table, storage_options=storage, **options)

    def delta_table(self, database: str, name: str, location: str) -> None:
        parameters = {"table_type": "DELTA", "classification": "delta", "spark.sql.sources.provider": "delta"}
        columns = [{"Name": "col", "Type": "array<string>"}]  # Spark's placeholder: Athena reads the Delta log
        wanted = {"Name": name, "Parameters": parameters, "StorageDescriptor": {"Location": location, "Columns": columns}}
        self.client("glue").create_table(DatabaseName=database, TableInput=wanted)


def case_rows(count: int) -> pa.Table:
    """case_id string, opened_at timestamp (UTC), delay_days double, neighborhood string, opened_year int."""
    start = dt.datetime(2011, 7, 1, 4, tzinfo=dt.UTC)
    return pa.table(
        {
            "case_id": [f"c{i:06d}" for i in range(count)],
            "opened_at": pa.array([start + dt.timedelta(minutes=i) for i in range(count)], pa.timestamp("us", "UTC")),
            "delay_days": [i / 4 for i in range(count)],
            "neighborhood": [f"N{i % 3}" if i % 5 else None for i in range(count)],
            "opened_year": pa.array([2011 + i % 2 for i in range(count)], pa.int32()),
        }
    )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("cloud"))
    made.start()
    try:
        yield made
    finally:
        made.stop()
