"""Glue job: Boston 311 bronze CSV into silver.service_requests."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from lake.contracts import Contract, contract
from lake.jobs import Arguments, parse
from lake.names import manifest_prefix
from lake.spark.columns import instant, row_hash, text, unreadable
from lake.spark.deps import unpack
from lake.spark.ledger import Input
from lake.spark.objects import new_manifests
from lake.spark.publish import Newer
from lake.spark.session import spark_session
from lake.spark.silver import SilverRun

ZONE = "America/New_York"
WALL_CLOCK = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?$"
# The city writes this instead of "no deadline" (18 rows of 2011).
NO_TARGET = "2059-12-31 19:00:00"

# Vintage B, the portal's header until about 2023: published name -> column of silver. Matched without case and underscores.
TEXTS = {
    "ontime": "on_time",
    "casestatus": "status",
    "closurereason": "closure_reason",
    "casetitle": "case_title",
    "subject": "subject",
    "reason": "reason",
    "type": "type",
    "queue": "queue",
    "department": "department",
    "submittedphoto": "submitted_photo",
    "closedphoto": "closed_photo",
    "location": "location",
    "firedistrict": "fire_district",
    "pwddistrict": "pwd_district",
    "citycouncildistrict": "city_council_district",
    "policedistrict": "police_district",
    "neighborhood": "neighborhood",
    "neighborhoodservicesdistrict": "neighborhood_services_district",
    "ward": "ward",
    "precinct": "precinct",
    "locationstreetname": "street_name",
    "locationzipcode": "zip",
    "source": "source",
}
TIMES = {"opendt": "opened_at", "targetdt": "target_at", "closeddt": "closed_at"}
NUMBERS = {"latitude": "latitude", "longitude": "longitude"}
NEWER = Newer(condition="published_at >= _target.published_at", columns=("published_at",))
VINTAGE_B = {"caseenquiryid", *TEXTS, *TIMES, *NUMBERS}


def plain(name: str) -> str:
    """A header name as vintages are compared: lower case, no underscores."""
    return name.strip().lower().replace("_", "")


@dataclass(frozen=True, kw_only=True)
class Boston311:
    contract: Contract
    newer: Newer = NEWER
    order: tuple[str, ...] = ("published_at", "resource_id", "row_hash")

    def inputs(self, s3: Any, *, bucket: str, taken: set[tuple[str, str]]) -> Iterable[Input]:
        return new_manifests(s3, bucket=bucket, prefix=manifest_prefix("boston311"), taken=taken)

    def data(self, item: Input) -> tuple[str, str]:
        return item.facts["object"]["key"], item.facts["object"]["version_id"]

    def refusal(self, item: Input) -> str | None:
        header = [plain(name) for name in item.facts["header"]]
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            return f"duplicate_columns: {', '.join(twice)}"
        if set(header) != VINTAGE_B:
            missing = ", ".join(sorted(VINTAGE_B - set(header))) or "none"
            unknown = ", ".join(sorted(set(header) - VINTAGE_B)) or "none"
            return f"unknown_vintage: not the header of vintage B (missing: {missing}; unknown: {unknown})"
        return None

    def read(self, spark: SparkSession, item: Input, *, uri: str) -> DataFrame:
        names = [plain(name) for name in item.facts["header"]]
        return typed(
            raw_rows(spark, names, uri=uri),
            resource_id=item.facts["resource_id"],
            published_at=item.facts["fetched_at"],
        )


def raw_rows(spark: SparkSession, names: Sequence[str], *, uri: str) -> DataFrame:
    """CSV with a header as strings `names`, plus `_corrupt` (the line, if it has another number of fields)."""
    schema = T.StructType([T.StructField(name, T.StringType()) for name in (*names, "_corrupt")])
    reader = spark.read.schema(schema).option("header", True).option("columnNameOfCorruptRecord", "_corrupt")
    return reader.option("multiLine", True).option("quote", '"').option("escape", '"').csv(uri)


def typed(raw: DataFrame, *, resource_id: str, published_at: str) -> DataFrame:
    """Columns of silver.service_requests from the strings of vintage B, with `_row`, `_corrupt` and `_unreadable`.

    published_at: ISO 8601 with offset.
    """
    columns = {"case_id": text("caseenquiryid")}
    columns |= {column: text(name) for name, column in TEXTS.items()}
    readings = []
    for name, column in TIMES.items():
        written = text(name)
        if column == "target_at":
            written = F.when(written != NO_TARGET, written)
        columns[column] = instant(written, zone=ZONE, pattern=WALL_CLOCK)
        readings.append((column, written, columns[column]))
    for name, column in NUMBERS.items():
        columns[column] = text(name).cast("double")
        readings.append((column, text(name), columns[column]))
    published = sorted(columns)
    frame = raw.select(
        *[value.alias(column) for column, value in columns.items()],
        F.struct(*[F.col(name) for name in raw.columns if name != "_corrupt"]).alias("_row"),
        F.col("_corrupt"),
        unreadable(readings).alias("_unreadable"),
        F.lit(resource_id).alias("resource_id"),
        F.lit(published_at).cast("timestamp").alias("published_at"),
    )
    return frame.withColumns({"row_hash": row_hash(published), "opened_year": F.year("opened_at")})


def main(argv: Sequence[str]) -> None:
    unpack()
    from lake.aws import client

    arguments: Arguments = parse(argv)
    source = Boston311(contract=contract("silver.service_requests"))
    SilverRun(
        spark=spark_session("boston311_silver"), s3=client("s3", region=arguments.region), source=source, arguments=arguments
    ).run()


if __name__ == "__main__":
    main(sys.argv[1:])
