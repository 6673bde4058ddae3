"""The contract's rules over typed rows: which row is quarantined, and under which rule.

A typed row carries, beside the contract's columns (but those that are known only when its input has been looked through):
`_row` struct<string...> (the fields as received), `_corrupt` string (the line, where it has another number of fields than the
header; else null), `_unreadable` string (a column whose text could not be cast), `_input` int (position of its input in the
batch).
"""

from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.contracts import RELEASABLE, Contract

QUARANTINE_COLUMNS = "batch bigint NOT NULL, rule string NOT NULL, object string NOT NULL, version_id string NOT NULL, raw string"


def judged(typed: DataFrame, contract: Contract) -> DataFrame:
    """`typed` with `_rule` string, the first rule that the row breaks (null: none), and `_raw` string, the row as received if bad.

    The order is: row_malformed, <column>_unreadable, <column>_missing (required columns), then the contract's own rules.
    """
    broken: list[Column] = [
        F.when(F.col("_corrupt").isNotNull(), F.lit("row_malformed")),
        F.concat(F.col("_unreadable"), F.lit("_unreadable")),
    ]
    required = [c.name for c in contract.columns if c.required and c.name in typed.columns]
    broken += [F.when(F.col(name).isNull(), F.lit(f"{name}_missing")) for name in required]
    # A rule over a null is no violation: whether a column may be null is said by `required`.
    broken += [F.when(~F.expr(f"({rule.expression})"), F.lit(rule.name)) for rule in contract.rules]
    with_rule = typed.withColumn("_rule", F.coalesce(*broken))
    raw = F.when(F.col("_rule").isNotNull(), F.coalesce(F.col("_corrupt"), F.to_json("_row")))
    return with_rule.withColumn("_raw", raw).drop("_row", "_corrupt", "_unreadable")


def quarantine_rows(bad: DataFrame, *, batch: int) -> DataFrame:
    """Rows of the quarantine table (QUARANTINE_COLUMNS) from judged rows."""
    return bad.select(
        F.lit(batch).cast("bigint").alias("batch"),
        F.col("_rule").alias("rule"),
        F.col("_object").alias("object"),
        F.col("_version").alias("version_id"),
        F.col("_raw").alias("raw"),
    )


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Rows of one input: read, and of these bad; most: the rule broken most often; evidence: rows that show something, by what."""

    read: int
    bad: int
    most: str | None
    evidence: dict[str, int] = field(default_factory=dict)

    def over(self, contract: Contract) -> str | None:
        """Why the input is refused, or None while it is within the contract's threshold."""
        if self.bad <= contract.threshold * self.read:
            return None
        return f"{self.most}: {self.bad} of {self.read} rows broke a rule, {RELEASABLE} {contract.threshold:.2%}"


def tallies(judged_rows: DataFrame, evidence: dict[str, Column]) -> dict[int, Tally]:
    """A tally by `_input`, with the aggregates `evidence` over its good rows; an input without rows has none."""
    good = F.col("_rule").isNull()
    rows = judged_rows.groupBy("_input").agg(
        F.count("*").alias("read"),
        F.count("_rule").alias("bad"),
        F.mode("_rule").alias("most"),
        *[F.count_if(good & seen).alias(name) for name, seen in evidence.items()],
    )
    return {
        row["_input"]: Tally(read=row["read"], bad=row["bad"], most=row["most"], evidence={name: row[name] for name in evidence})
        for row in rows.collect()
    }
