"""One run of a source's silver job: what is new in bronze, batch by batch, into the silver table and its quarantine.

The same for every source. A source says only which bronze inputs there are, how to read them into typed rows, and which of two
rows of one key is newer.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from lake.aws import split_uri
from lake.contracts import Contract
from lake.jobs import Arguments
from lake.names import ledger_prefix
from lake.spark.account import Account, Report, RunParts
from lake.spark.ledger import Batch, Input, Ledger, Refusal
from lake.spark.objects import Pinned
from lake.spark.publish import Counts, DeltaTable, Newer, append, publish
from lake.spark.rules import QUARANTINE_COLUMNS, Tally, judged, quarantine_rows, tallies

STEP = "silver"
ATTEMPTS = 3  # an object replaced while it is read makes the batch read again


class BronzeMoved(Exception):
    """Objects were replaced each time the batch was read."""


class Source(Protocol):
    """What differs from source to source."""

    @property
    def contract(self) -> Contract: ...

    @property
    def newer(self) -> Newer:
        """Whether a row replaces the one that silver holds."""

    @property
    def order(self) -> tuple[str, ...]:
        """Columns that order rows of one key within a batch, the greatest wins; must settle every tie of unequal rows."""

    def inputs(self, s3: Any, *, bucket: str, taken: set[tuple[str, str]]) -> Iterable[Input]:
        """Inputs in bronze that no batch has taken, in a stable order."""

    def data(self, item: Input) -> tuple[str, str]:
        """(key, version) of the object that holds the rows of `item`."""

    def refusal(self, item: Input) -> str | None:
        """The rule by which the input is refused unread, or None."""

    def read(self, spark: SparkSession, item: Input, *, uri: str) -> DataFrame:
        """Typed rows (see lake.spark.rules) of the object at `uri`."""


@dataclass(frozen=True, kw_only=True)
class SilverRun:
    spark: SparkSession
    s3: Any
    source: Source
    arguments: Arguments

    def run(self) -> Report:
        """Redoes an unfinished batch, releases what --accept names, then works what is new; leaves the run's part of the report."""
        self._create_tables()
        ledger = Ledger(self.s3, bucket=split_uri(self.arguments.silver)[0], prefix=ledger_prefix(self.arguments.source))
        run_id, accept = self.arguments.run_id, self.arguments.accept
        unfinished = ledger.unfinished()
        if unfinished is not None:
            self._work(ledger, unfinished)
        if accept is not None:
            released = ledger.refused_by(accept)
            if released:
                self._work(ledger, ledger.plan(released, run_id=run_id, accepts=accept))
            else:
                print(f"what run {accept} refused was released already, or has a newer version", flush=True)
        bucket = split_uri(self.arguments.bronze)[0]
        new = list(self.source.inputs(self.s3, bucket=bucket, taken=ledger.taken()))
        if new:
            self._work(ledger, ledger.plan(new, run_id=run_id))
        zero = Report(step=STEP, tables=(self.table.zero(),))
        return RunParts(self.s3, bronze=self.arguments.bronze, step=STEP).tell(run_id, ledger, zero=zero)

    @property
    def table(self) -> DeltaTable:
        contract = self.source.contract
        return DeltaTable(spark=self.spark, contract=contract, uri=f"{self.arguments.silver}/{contract.table}")

    def _create_tables(self) -> None:
        """Both tables exist from the first run on, empty if need be: crawlers and queries find them."""
        self.table.create()
        quarantine = f"delta.`{self.arguments.silver}/{self.source.contract.quarantine}`"
        self.spark.sql(f"CREATE TABLE IF NOT EXISTS {quarantine} ({QUARANTINE_COLUMNS}) USING delta")

    def _work(self, ledger: Ledger, batch: Batch) -> None:
        print(f"batch {batch.number}: {len(batch.inputs)} inputs", flush=True)
        committed = self.table.commit_of(batch.number)
        if committed is not None:
            refused = [Refusal(**{**r, "item": Input(**r["item"])}) for r in committed["refused"]]
            account = Account(**{**committed["account"], "version": self.table.version()})
        else:
            account, refused = self._commit(batch)
        shown = tuple({"object": refusal.object, "rule": refusal.rule} for refusal in refused)
        report = Report(step=STEP, refused=shown, tables=(account,))
        ledger.finish(batch, run_id=self.arguments.run_id, refused=refused, report=report.to_json())
        self._pinned().forget()

    def _commit(self, batch: Batch) -> tuple[Account, list[Refusal]]:
        unread = {n: rule for n, item in enumerate(batch.inputs) if (rule := self.source.refusal(item))}
        readable = {n: item for n, item in enumerate(batch.inputs) if n not in unread}
        if not readable:
            return self.table.zero(), self._refusals(batch, unread)
        for _ in range(ATTEMPTS):
            pinned = self._pinned()
            rows = self._read(readable, pinned).persist()
            try:
                found = tallies(rows)
                if pinned.unmoved():
                    over = {n: rule for n, tally in found.items() if (rule := tally.over(self.source.contract))}
                    refused = unread | ({} if batch.accepts else over)
                    kept = {n: tally for n, tally in found.items() if n not in refused}
                    return self._publish(batch, rows, kept, self._refusals(batch, refused))
            finally:
                rows.unpersist()
        raise BronzeMoved(f"objects of batch {batch.number} were replaced while they were read, {ATTEMPTS} times; run again")

    def _read(self, items: dict[int, Input], pinned: Pinned) -> DataFrame:
        frames = []
        for number, item in items.items():
            key, version = self.source.data(item)
            typed = self.source.read(self.spark, item, uri=pinned.uri(key, version))
            frames.append(
                judged(typed, self.source.contract)
                .withColumn("_input", F.lit(number))
                .withColumn("_object", F.lit(key))
                .withColumn("_version", F.lit(version))
            )
        return reduce(DataFrame.unionByName, frames)

    def _pinned(self) -> Pinned:
        return Pinned(
            self.s3,
            bucket=split_uri(self.arguments.bronze)[0],
            staging_bucket=split_uri(self.arguments.silver)[0],
            staging_prefix=f"{ledger_prefix(self.arguments.source)}staging/",
        )

    def _refusals(self, batch: Batch, rules: dict[int, str]) -> list[Refusal]:
        return [
            Refusal(object=self.source.data(batch.inputs[number])[0], rule=rule, item=batch.inputs[number])
            for number, rule in sorted(rules.items())
        ]

    def _publish(
        self, batch: Batch, rows: DataFrame, kept: dict[int, Tally], refused: list[Refusal]
    ) -> tuple[Account, list[Refusal]]:
        if not kept:
            return self.table.zero(), refused
        contract, run_id = self.source.contract, self.arguments.run_id
        rows = rows.where(F.col("_input").isin(*kept))
        read, quarantined = (sum(getattr(tally, name) for tally in kept.values()) for name in ("read", "bad"))
        if quarantined:
            bad = quarantine_rows(rows.where("_rule IS NOT NULL"), batch=batch.number)
            uri = f"{self.arguments.silver}/{contract.quarantine}"
            append(uri, bad, table=contract.quarantine, batch=batch.number, metadata=json.dumps({"batch": batch.number}))
        latest = Window.partitionBy(*contract.key).orderBy(*[F.desc(column) for column in self.source.order])
        good = rows.where("_rule IS NULL").withColumn("_rank", F.row_number().over(latest)).where("_rank = 1")
        good = good.select(*[column.name for column in contract.columns]).persist()
        try:
            counts = Counts(read=read, superseded=read - quarantined - good.count(), quarantined=quarantined)
            account = publish(
                self.table,
                good,
                batch=batch.number,
                run_id=run_id,
                counts=counts,
                newer=self.source.newer,
                refused=[asdict(refusal) for refusal in refused],
            )
        finally:
            good.unpersist()
        return account, refused
