"""Whether a listing has arrived in bronze: distinct coins that carry its id, in files written since, within a limit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from botocore.exceptions import ClientError

from ingestion.coins.delivery import DeliveryLate, delivered
from ingestion.coins.model import Delivered, Delivery

BUCKET = "bronze"
FOLDER = "coins/dms/public/tb_coins/"


@pytest.fixture
def put(s3: Any, tmp_path: Path) -> Callable[..., None]:
    def call(key: str, rows: list[tuple[str, int, str]], extra: str = "") -> None:
        path = tmp_path / "made.parquet"
        listed = ", ".join(str(row) for row in rows)
        duckdb.execute(
            f"COPY (SELECT *{extra} FROM (VALUES {listed}) t(Op, id, listing_id)) TO '{path}' (FORMAT parquet, CODEC gzip)"
        )
        s3.upload_file(str(path), BUCKET, key)

    return call


def ask(s3: Any, rows: int, *, since: datetime | None = None, now: datetime | None = None) -> Delivery:
    since = since or datetime.now(UTC) - timedelta(seconds=30)
    event = Delivered(op="delivered", run_id="r", listing_id="L2", rows=rows, since=since.isoformat())
    return delivered(event, s3=s3, bucket=BUCKET, source="coins", limit_minutes=15, now=now or since)


def test_distinct_coins_of_the_listing_are_counted_over_all_files(s3: Any, put: Callable[..., None]) -> None:
    put(f"{FOLDER}LOAD00000001.parquet", [("I", 1, "L2"), ("I", 2, "L2"), ("I", 3, "L1")])
    changes = f"{FOLDER}{datetime.now(UTC):%Y%m%d-%H%M%S}000.parquet"
    put(changes, [("U", 2, "L2"), ("U", 3, "L2"), ("D", 4, "L0")], extra=", 1.5 AS tvl")
    put("coins/dms/public/listings/LOAD00000001.parquet", [("I", 9, "L2")])
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}notes.txt", Body=b"no Parquet")
    assert ask(s3, 3) == Delivery(delivered=True, rows=3)
    assert ask(s3, 4) == Delivery(delivered=False, rows=3)


def test_where_nothing_is_expected_nothing_is_waited_for(s3: Any) -> None:
    assert ask(s3, 0) == Delivery(delivered=True, rows=0)
    assert ask(s3, 1) == Delivery(delivered=False, rows=0)


def test_files_of_before_are_not_read(s3: Any, put: Callable[..., None]) -> None:
    put(f"{FOLDER}LOAD00000001.parquet", [("I", 1, "L2")])
    (written,) = (entry["LastModified"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"])
    assert ask(s3, 1, since=written + timedelta(seconds=1)).rows == 0
    # S3 tells whole seconds: a file of the same second may have been written after.
    assert ask(s3, 1, since=written.replace(microsecond=0) + timedelta(milliseconds=999)).rows == 1


def test_a_file_that_a_reload_removes_meanwhile_is_passed_over(
    s3: Any, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(f"{FOLDER}LOAD00000001.parquet", [("I", 1, "L2")])
    put(f"{FOLDER}LOAD00000002.parquet", [("I", 2, "L2")])
    get = s3.get_object

    def gone(**target: Any) -> Any:
        if target["Key"].endswith("1.parquet"):
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        return get(**target)

    monkeypatch.setattr(s3, "get_object", gone)
    assert ask(s3, 2) == Delivery(delivered=False, rows=1)


def test_after_the_limit_it_is_late_and_says_where_to_look(s3: Any, put: Callable[..., None]) -> None:
    put(f"{FOLDER}LOAD00000001.parquet", [("I", 1, "L2")])
    since = datetime.now(UTC)
    assert not ask(s3, 2, since=since, now=since + timedelta(minutes=15)).delivered
    with pytest.raises(DeliveryLate, match=r"1 of 2 rows of listing L2 .* after 15 minutes, in 1 files.*replication task"):
        ask(s3, 2, since=since, now=since + timedelta(minutes=15, seconds=1))
    assert ask(s3, 1, since=since, now=since + timedelta(hours=1)).delivered
