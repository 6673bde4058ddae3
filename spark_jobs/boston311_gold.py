"""EMR step: the answers on Boston 311 from silver.service_requests."""

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.contracts import contract
from lake.jobs import parse
from lake.spark.columns import row_hash
from lake.spark.deps import unpack
from lake.spark.gold import GoldTable, update
from lake.spark.session import spark_session

MICROSECONDS_A_DAY = 86_400 * 1_000_000
CASE = ("case_id", "opened_at", "target_at", "closed_at", "neighborhood", "reason", "type", "department", "opened_year")


class BadParameter(ValueError):
    """A parameter of the job cannot be used; the text says which and what is allowed."""


def case_delays(requests: DataFrame, *, min_delay_days: float = 0.0) -> DataFrame:
    """Columns of gold.case_delays from those of silver.service_requests: closed cases with a target that were closed after it.

    delay_days is the time between the two instants in days of 86,400 s, so the night on which clocks change counts as it lasted.
    Only delays above `min_delay_days` are kept.
    """
    microseconds = F.unix_micros("closed_at") - F.unix_micros("target_at")
    late = requests.where("status = 'Closed'").withColumn("delay_days", microseconds / MICROSECONDS_A_DAY)
    late = late.where(F.col("delay_days") > min_delay_days).select(*CASE, "delay_days")
    return late.withColumn("row_hash", row_hash(sorted(late.columns)))


def min_delay_days(parameters: dict[str, str]) -> float:
    """The job's only parameter, in days. Raises BadParameter."""
    unknown = sorted(set(parameters) - {"min_delay_days"})
    if unknown:
        raise BadParameter(f"unknown parameter {', '.join(unknown)}; this job takes min_delay_days")
    try:
        days = float(parameters.get("min_delay_days", "0"))
    except ValueError as error:
        raise BadParameter(f"min_delay_days must be a number of days, not {parameters['min_delay_days']!r}") from error
    if not 0 <= days < float("inf"):
        raise BadParameter(f"min_delay_days must be zero or more, not {days}")
    return days


def delays() -> GoldTable:
    """gold.case_delays from silver.service_requests, one row a case at most."""
    return GoldTable(
        contract=contract("gold.case_delays"),
        source=contract("silver.service_requests"),
        scope=("case_id",),
        answer=lambda requests, parameters: case_delays(requests, min_delay_days=min_delay_days(parameters)),
    )


def main(argv: Sequence[str]) -> None:
    unpack()
    from lake.aws import client

    arguments = parse(argv)
    min_delay_days(arguments.parameters)  # a parameter that cannot be used is said before anything is planned
    update(spark_session("boston311_gold"), client("s3", region=arguments.region), delays(), arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
