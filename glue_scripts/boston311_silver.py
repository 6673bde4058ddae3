"""Glue job: Boston 311 bronze CSV, legacy and new system, into silver.service_requests."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from glue_scripts.boston311 import clocks
from glue_scripts.boston311.rows import TIMES, cleaned
from glue_scripts.boston311.vintages import plain, refusal, vintage_of
from lake.contracts import Contract, contract
from lake.jobs import Arguments, parse
from lake.names import manifest_prefix
from lake.spark.deps import unpack
from lake.spark.ledger import Input
from lake.spark.objects import new_manifests
from lake.spark.rules import Tally
from lake.spark.session import spark_session
from lake.spark.silver import Decision, SilverRun

Shape = tuple[str, ...]  # a header, its names as vintages compare them


@dataclass(frozen=True, kw_only=True)
class Boston311:
    contract: Contract
    superseded: Contract
    settings: clocks.Settings
    publisher: str = "resource_id"
    late: tuple[str, ...] = TIMES

    @property
    def rank(self) -> tuple[Column, ...]:
        """The latest event of the case wins, then the greatest name: nothing that depends on which file came first."""
        return (F.greatest("opened_at", "closed_at"), F.col("resource_name"), F.col("resource_id"))

    @property
    def evidence(self) -> dict[str, Column]:
        return clocks.evidence(F.col("target_at"), F.col("closed_at"), F.col("_seen_closed"))

    def inputs(self, s3: Any, *, bucket: str, taken: set[tuple[str, str]]) -> Iterable[Input]:
        return new_manifests(s3, bucket=bucket, prefix=manifest_prefix("boston311"), taken=taken)

    def data(self, item: Input) -> tuple[str, str]:
        return item.facts["object"]["key"], item.facts["object"]["version_id"]

    def about(self, item: Input) -> dict[str, str]:
        return {"resource_id": item.facts["resource_id"], "resource_name": item.facts["resource_name"]}

    def refusal(self, item: Input) -> str | None:
        return refusal(self.shape(item))

    def shape(self, item: Input) -> Shape:
        return tuple(plain(name) for name in item.facts["header"])

    def read(self, spark: SparkSession, shape: Shape, uris: list[str]) -> DataFrame:
        # A nameless column needs a name of its own, and Spark takes an address for a pattern.
        names = [name or f"unnamed{position}" for position, name in enumerate(shape)]
        schema = T.StructType([T.StructField(name, T.StringType()) for name in (*names, "_corrupt")])
        reader = spark.read.schema(schema).option("header", True).option("columnNameOfCorruptRecord", "_corrupt")
        reader = reader.option("multiLine", True).option("quote", '"').option("escape", '"')
        return reader.csv([re.sub(r"([\[\]{}*?\\])", r"\\\1", uri) for uri in uris])

    def clean(self, raw: DataFrame, shape: Shape) -> DataFrame:
        vintage = vintage_of(shape)
        if vintage is None:
            raise ValueError(f"no vintage has the columns {shape}")
        return cleaned(raw, vintage)

    def decide(self, item: Input, tally: Tally) -> Decision:
        vintage = vintage_of(self.shape(item))
        if vintage is not None and vintage.system == "new":
            return clocks.decide_new_system(self.settings)
        return clocks.decide(tally, self.settings)

    def finish(self, frame: DataFrame) -> DataFrame:
        times = {name: clocks.instants(F.col(name), F.col("_choice")) for name in TIMES}
        # Boston's year, not that of UTC: a file of one year is a partition of one year.
        return frame.withColumns(times).withColumn("opened_year", F.year(F.from_utc_timestamp("opened_at", clocks.ZONE)))


def source(settings: dict[str, str]) -> Boston311:
    """settings: those of clocks.Settings. Raises TypeError for any other."""
    table, superseded = contract("silver.service_requests"), contract("silver.service_requests_superseded")
    return Boston311(contract=table, superseded=superseded, settings=clocks.Settings(**settings))


def main(argv: Sequence[str]) -> None:
    unpack()
    from lake.aws import client

    arguments: Arguments = parse(argv)
    spark = spark_session("boston311_silver")
    SilverRun(spark=spark, s3=client("s3", region=arguments.region), source=source(arguments.settings), arguments=arguments).run()


if __name__ == "__main__":
    main(sys.argv[1:])
