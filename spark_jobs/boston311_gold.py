"""EMR step: the answers on Boston 311 from silver.service_requests."""

import sys
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.contracts import Contract, contract
from lake.jobs import parse
from lake.spark.columns import row_hash
from lake.spark.deps import unpack
from lake.spark.gold import GoldTable, update
from lake.spark.session import spark_session
from spark_jobs.boston311_thresholds import NAMES, Thresholds

DAY = 86_400 * 1_000_000  # microseconds
UNKNOWN = "(unknown)"
CASE = ("case_id", "opened_at", "target_at", "closed_at", "neighborhood", "reason", "type", "department", "opened_year")
MONTH = "trunc(to_date(from_utc_timestamp(opened_at, 'America/New_York')), 'MONTH')"


def case_delays(requests: DataFrame, thresholds: Thresholds) -> DataFrame:
    """Columns of gold.case_delays from those of silver.service_requests: closed cases with a target that were closed after it.

    delay_days is the time between the two instants in days of 86,400 s, so the night on which clocks change counts as it lasted.
    Only delays within the thresholds are kept.
    """
    microseconds = F.unix_micros("closed_at") - F.unix_micros("target_at")
    late = requests.where("status = 'Closed'").withColumn("delay_days", microseconds / DAY)
    late = late.where(F.col("delay_days") > thresholds.min_delay_days)
    if thresholds.max_delay_days is not None:
        late = late.where(F.col("delay_days") <= thresholds.max_delay_days)
    return _hashed(late.select(*CASE, "delay_days"))


def neighborhood_service(requests: DataFrame) -> DataFrame:
    """Columns of gold.neighborhood_service from silver's opened_year, status and times, and month, neighborhood and reason.

    One row for each of the latter three. Percentiles are exact: see `percentile`.
    """
    counted = _grouped(requests, "month", "neighborhood", "reason", "opened_year")
    return _hashed(
        counted.select(
            *("month", "neighborhood", "reason", "requests", "closed"),
            (F.col("requests") - F.col("closed")).alias("open_backlog"),
            *("with_target", "on_time_share"),
            percentile("_took", 5).alias("median_days_to_close"),
            percentile("_took", 9).alias("p90_days_to_close"),
            "opened_year",
        )
    )


def response_times(requests: DataFrame) -> DataFrame:
    """Columns of gold.response_times from silver's status and times, and type and opened_year.

    One row for each of the latter two. The mean is made of a sum of integers, so the order of rows does not show in it.
    """
    counted = _grouped(requests, "type", "opened_year")
    mean = F.col("_took_sum").cast("double") / F.size("_took") / DAY
    return _hashed(
        counted.select(
            *("type", "requests", "closed"),
            (F.col("requests") - F.col("closed")).alias("open"),
            percentile("_took", 5).alias("median_days_to_close"),
            percentile("_took", 9).alias("p90_days_to_close"),
            mean.alias("mean_days_to_close"),
            "on_time_share",
            "opened_year",
        )
    )


def percentile(microseconds: str, tenths: int) -> Column:
    """Days (double) below which so many tenths of an ascending array of microseconds lie; null if it is empty.

    Between the two neighbours of the wanted place it is interpolated linearly, as percentile_cont of SQL does. All is reckoned
    in whole numbers up to the one division: the order of rows does not show, and below 28 years, where these numbers are exact as
    doubles, the result is the double nearest to the true value.
    """
    place = (F.size(microseconds) - 1) * tenths
    below, share = (place / 10).cast("int"), place % 10
    low = F.get(microseconds, below)
    high = F.when(share > 0, F.get(microseconds, below + 1)).otherwise(low)
    return (low * 10 + (high - low) * share) / (10 * DAY)


def _grouped(requests: DataFrame, *group: str) -> DataFrame:
    """By `group`: requests, closed, with_target, on_time_share, `_took` (microseconds from opening to closing, ascending, of closed
    cases that were not closed before they were opened) and `_took_sum`."""
    closed = F.col("status") == "Closed"
    took = F.unix_micros("closed_at") - F.unix_micros("opened_at")
    due = closed & F.col("target_at").isNotNull() & F.col("closed_at").isNotNull()
    taken = F.when(closed & (took >= 0), took)
    grouped = requests.groupBy(*group).agg(
        F.count(F.lit(1)).alias("requests"),
        F.count(F.when(closed, 1)).alias("closed"),
        F.count("target_at").alias("with_target"),
        (F.count(F.when(due & (F.col("closed_at") <= F.col("target_at")), 1)) / F.count(F.when(due, 1))).alias("on_time_share"),
        F.collect_list(taken).alias("_took"),
        # A few dates in a far century would not fit a bigint.
        F.sum(taken.cast("decimal(20,0)")).alias("_took_sum"),
    )
    return grouped.withColumn("_took", F.sort_array("_took"))


def _hashed(rows: DataFrame) -> DataFrame:
    return rows.withColumn("row_hash", row_hash(sorted(rows.columns)))


def tables(contracts: dict[str, Contract]) -> tuple[GoldTable, ...]:
    """What this job makes of silver.service_requests; `contracts` by name."""
    source = contracts["silver.service_requests"]
    times = ("opened_at", "target_at", "closed_at", "status", "opened_year")
    return (
        GoldTable(
            contract=contracts["gold.case_delays"],
            source=source,
            reads=(*CASE, "status"),
            scope={"case_id": "case_id"},
            answer=lambda requests, parameters: case_delays(requests, Thresholds.of(parameters)),
            parameters=NAMES,
        ),
        GoldTable(
            contract=contracts["gold.neighborhood_service"],
            source=source,
            reads=(*times, "neighborhood", "reason"),
            scope={"month": MONTH} | {name: f"coalesce({name}, '{UNKNOWN}')" for name in ("neighborhood", "reason")},
            answer=lambda requests, _: neighborhood_service(requests),
        ),
        GoldTable(
            contract=contracts["gold.response_times"],
            source=source,
            reads=(*times, "type"),
            scope={"type": f"coalesce(type, '{UNKNOWN}')", "opened_year": "opened_year"},
            answer=lambda requests, _: response_times(requests),
        ),
    )


def main(argv: Sequence[str]) -> None:
    unpack()
    from lake.aws import client

    arguments = parse(argv)
    Thresholds.of(arguments.parameters)  # a parameter that cannot be used is said before anything is planned
    names = ("silver.service_requests", "gold.case_delays", "gold.neighborhood_service", "gold.response_times")
    made = tables({name: contract(name) for name in names})
    update(spark_session("boston311_gold"), client("s3", region=arguments.region), made, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
