"""Whether replication has brought a listing to bronze: by the rows that carry its id in the files written since."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from botocore.exceptions import ClientError

from ingestion.coins.model import TABLE, Delivered, Delivery
from lake.names import replicated_prefix

log = logging.getLogger(__name__)

_, _, NAME = TABLE.partition(".")
CLOCKS_APART = timedelta(minutes=5)


class DeliveryLate(Exception):
    """Replication did not deliver a listing within the limit; the text says what came and where to look."""


def delivered(event: Delivered, *, s3: Any, bucket: str, source: str, limit_minutes: float, now: datetime) -> Delivery:
    """Counts coins, not rows: replication delivers at least once. Raises DeliveryLate."""
    since = datetime.fromisoformat(event.since).astimezone(UTC)
    keys = [key for key, modified in _files(s3, bucket, _folder(source), since) if modified >= since.replace(microsecond=0)]
    rows = _count(s3, bucket, keys, event.listing_id)
    log.info("run %s: %d of %d rows of listing %s in %d files", event.run_id, rows, event.rows, event.listing_id, len(keys))
    if rows >= event.rows:
        return Delivery(delivered=True, rows=rows)
    if now - since > timedelta(minutes=limit_minutes):
        raise DeliveryLate(
            f"{rows} of {event.rows} rows of listing {event.listing_id} are in s3://{bucket}/{_folder(source)} after "
            f"{limit_minutes:g} minutes, in {len(keys)} files. The database has them. Look at the replication task: whether it "
            "runs, what its log says, and whether the replication slot is held (docs/runbooks/replication.md); once it goes on, "
            "run the source again"
        )
    return Delivery(delivered=False, rows=rows)


def _folder(source: str) -> str:
    return f"{replicated_prefix(source)}public/{NAME}/"


def _files(s3: Any, bucket: str, prefix: str, since: datetime) -> Iterator[tuple[str, datetime]]:
    """Keys of Parquet files with the instant at which they were written, in whole seconds as S3 tells it.

    Names of changes are times, by another clock than ours; those of full loads begin with LOAD, behind all of them.
    """
    first = f"{prefix}{since - CLOCKS_APART:%Y%m%d-%H%M%S}"
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, StartAfter=first):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith(".parquet"):
                yield entry["Key"], entry["LastModified"]


def _count(s3: Any, bucket: str, keys: Sequence[str], listing_id: str) -> int:
    """Distinct coins of the listing. Files are fetched whole: DuckDB's own way to S3 is an extension that it would download."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = [
            str(path) for number, key in enumerate(keys) if _fetch(s3, bucket, key, path := Path(scratch) / f"{number}.parquet")
        ]
        if not paths:
            return 0
        with duckdb.connect(config={"threads": 1, "temp_directory": scratch}) as connection:
            statement = "SELECT count(DISTINCT id) FROM read_parquet(?, union_by_name = true) WHERE listing_id = ?"
            (count,) = connection.execute(statement, [paths, listing_id]).fetchone()
    return int(count)


def _fetch(s3: Any, bucket: str, key: str, path: Path) -> bool:
    """False when it is gone: a reload has removed it, and writes its rows anew."""
    try:
        path.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return False
    return True
