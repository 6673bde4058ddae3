"""From a commit in PostgreSQL to the object in bronze, through the deployed laptop cloud: one row, and a whole listing at once."""

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import psycopg2
import pyarrow.parquet as pq

from bench.laptop import Laptop, laptop
from lake.names import replicated_prefix
from lake.settings import load

LIMIT_SECONDS = 60.0
ACCOUNT = "000000000000"


def commit_to_bronze() -> Iterator[str]:
    settings = load("local")
    names = settings.names(account=ACCOUNT)
    with laptop() as cloud:
        cloud.lake("run", "coins")
        secrets, s3 = _client(cloud, "secretsmanager"), _client(cloud, "s3")
        told = json.loads(secrets.get_secret_value(SecretId=names.secret("postgres_loader"))["SecretString"])
        with psycopg2.connect(
            host=told["host"],
            port=told["port"],
            user=told["username"],
            password=told["password"],
            dbname=told["dbname"],
            sslmode="require",
        ) as connection:
            for what, where in (("one row", "WHERE id = 1"), ("5,000 rows in one transaction", "")):
                with connection.cursor() as cursor:
                    cursor.execute(f"UPDATE tb_coins SET price = price * 2 {where}")
                    rows = cursor.rowcount
                    began = time.time()
                    connection.commit()
                took = _delivered(s3, names.bucket("bronze"), rows, began) - began
                yield (
                    f"{what}, commit to bronze{took:8.2f} s   "
                    f"of which the batch interval, a setting, may be {settings.replication.batch_seconds} s"
                )


def _client(cloud: Laptop, service: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{cloud.environment['LAKE_PORT']}", **keys)


def _delivered(s3: Any, bucket: str, rows: int, since: float) -> float:
    """When the object was there that completes `rows` rows in objects written since."""
    counted: dict[str, int] = {}
    while time.time() < since + LIMIT_SECONDS:
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix=replicated_prefix("coins")).get("Contents", ()):
            if entry["LastModified"].timestamp() >= since - 1 and entry["Key"] not in counted:
                body = io.BytesIO(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
                committed = pq.read_table(body, columns=["dms_commit_at"]).column(0).to_pylist()
                first = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(since - 1))
                counted[entry["Key"]] = sum(at >= first for at in committed)
        if sum(counted.values()) >= rows:
            return time.time()
        time.sleep(0.05)
    raise RuntimeError(f"{rows} rows were not in bronze after {LIMIT_SECONDS:.0f} s")
