"""One run of a source's silver job: what is new in bronze, batch by batch, into the silver tables and their quarantine.

The same for every source. A source says only which bronze inputs there are, how to read and clean them, and what must be decided
of an input from all of its rows together.

Each input is read and cleaned once and kept, uncompressed, until its batch is published: a third faster than to read it again for
the rows that are written. What decides which these are is done on few columns; wide rows are hardly ever shuffled.
"""

import json
from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any, Protocol
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from lake.aws import split_uri
from lake.contracts import Contract
from lake.jobs import Arguments
from lake.names import ledger_prefix
from lake.spark.account import Report, RunParts
from lake.spark.columns import row_hash
from lake.spark.ledger import Batch, Input, Ledger, Refusal
from lake.spark.objects import Pinned
from lake.spark.progress import told
from lake.spark.publications import Publications, Rows
from lake.spark.publish import DeltaTable, append
from lake.spark.replay import replayed
from lake.spark.rules import QUARANTINE_COLUMNS, Tally, judged, quarantine_rows, tallies

STEP = "silver"
ATTEMPTS = 3  # an object replaced while it is read makes the batch read again


class BronzeMoved(Exception):
    """Objects were replaced each time the batch was read."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What all rows of an input together say. choice: for Source.finish; said: for people; refused: the rule, if it is refused."""

    choice: str
    said: str = ""
    refused: str | None = None


class Source(Protocol):
    """What differs from source to source."""

    @property
    def contract(self) -> Contract: ...

    @property
    def superseded(self) -> Contract:
        """Table of the rows that other publishers' rows of the same key supersede."""

    @property
    def publisher(self) -> str:
        """Column: rows of one value come together, and a newer version of them replaces all of the older."""

    @property
    def rank(self) -> tuple[Column, ...]:
        """Over the contract's columns: of the rows of one key the greatest wins. What is equal in all is settled by row_hash."""

    @property
    def late(self) -> tuple[str, ...]:
        """Columns that are known only after the decision: `clean` gives what it has in their place."""

    @property
    def evidence(self) -> dict[str, Column]:
        """Conditions over cleaned rows; of each the good rows of an input are counted."""

    def inputs(self, s3: Any, *, bucket: str, taken: set[tuple[str, str]]) -> Iterable[Input]:
        """Inputs in bronze that no batch has taken, the oldest version of a key first."""

    def data(self, item: Input) -> tuple[str, str]:
        """(key, version) of the object that holds the rows of `item`."""

    def about(self, item: Input) -> dict[str, str]:
        """Columns that are the same for all rows of the input; the same names for every input."""

    def refusal(self, item: Input) -> str | None:
        """The rule by which the input is refused unread, or None."""

    def shape(self, item: Input) -> Hashable:
        """Inputs of one shape are read together: a plan is compiled once a shape, not once an input."""

    def read(self, spark: SparkSession, shape: Any, uris: list[str]) -> DataFrame:
        """Rows as strings, and `_corrupt` (the line, if it has another number of fields), of objects of one shape."""

    def clean(self, raw: DataFrame, shape: Any) -> DataFrame:
        """Typed rows (see lake.spark.rules) from raw ones that also carry the columns of `about`; keeps further `_` columns."""

    def decide(self, item: Input, tally: Tally) -> Decision: ...

    def finish(self, cleaned: DataFrame) -> DataFrame:
        """The `late` columns and partitions, from cleaned rows and `_choice`; must work where other columns are absent."""


@dataclass(frozen=True, kw_only=True)
class SilverRun:
    spark: SparkSession
    s3: Any
    source: Source
    arguments: Arguments

    def run(self) -> Report:
        """Redoes an unfinished batch, releases what --accept names, then works what is new or replays what --replay names.

        Leaves the run's part of the report, and returns it."""
        self._create_tables()
        ledger = Ledger(self.s3, bucket=split_uri(self.arguments.silver)[0], prefix=ledger_prefix(self.arguments.source))
        unfinished = ledger.unfinished()
        if unfinished is not None:
            self._work(ledger, unfinished, committed=self._publications.table.commit_of(unfinished.number))
        if self.arguments.accept is not None:
            released = ledger.refused_by(self.arguments.accept)
            if released:
                self._plan_and_work(ledger, released, accepts=self.arguments.accept)
            else:
                print(f"what run {self.arguments.accept} refused was released already, or has a newer version", flush=True)
        if self.arguments.replay is not None:
            inputs, whole = replayed(ledger.accepted(), self.arguments.replay)
            if inputs:
                self._plan_and_work(ledger, inputs, replays=whole)
        else:
            bucket = split_uri(self.arguments.bronze)[0]
            for inputs in _rounds(self.source.inputs(self.s3, bucket=bucket, taken=ledger.taken())):
                self._plan_and_work(ledger, inputs)
        zero = Report(step=STEP, tables=(self._publications.table.zero(), self._publications.superseded.zero()))
        return RunParts(self.s3, bronze=self.arguments.bronze, step=STEP).tell(self.arguments.run_id, ledger, zero=zero)

    @property
    def _publications(self) -> Publications:
        source = self.source
        return Publications(
            table=self._table(source.contract),
            superseded=self._table(source.superseded),
            publisher=source.publisher,
            rank=source.rank,
            hashed=self._hashed,
        )

    def _table(self, contract: Contract) -> DeltaTable:
        return DeltaTable(spark=self.spark, contract=contract, uri=f"{self.arguments.silver}/{contract.table}")

    def _create_tables(self) -> None:
        """All tables exist from the first run on, empty if need be: crawlers and queries find them."""
        self._publications.table.create()
        self._publications.superseded.create()
        quarantine = f"delta.`{self.arguments.silver}/{self.source.contract.quarantine}`"
        self.spark.sql(f"CREATE TABLE IF NOT EXISTS {quarantine} ({QUARANTINE_COLUMNS}) USING delta")

    def _plan_and_work(self, ledger: Ledger, inputs: Iterable[Input], *, accepts: str = "", replays: bool = False) -> None:
        versions = self._publications.versions()
        run_id = self.arguments.run_id
        self._work(ledger, ledger.plan(inputs, run_id=run_id, accepts=accepts, replays=replays, tables=versions))

    def _work(self, ledger: Ledger, batch: Batch, *, committed: dict[str, Any] | None = None) -> None:
        """committed: metadata of the table's commit of this batch, if a run that was killed made it."""
        if committed is not None:
            report = Report.from_json(committed["report"])
            table, *others = report.tables  # the commit could not tell its own version
            report = replace(report, tables=(replace(table, version=self._publications.table.version()), *others))
            refused = [Refusal(**{**r, "item": Input(**r["item"])}) for r in committed["refused"]]
        else:
            report, refused = self._commit(batch)
        ledger.finish(batch, run_id=self.arguments.run_id, refused=refused, report=report.to_json())
        self._pinned().forget()

    def _commit(self, batch: Batch) -> tuple[Report, list[Refusal]]:
        unread = {n: rule for n, item in enumerate(batch.inputs) if (rule := self.source.refusal(item))}
        readable = {n: item for n, item in enumerate(batch.inputs) if n not in unread}
        if not readable:
            return self._publish(batch, unread, {}, None)
        for _ in range(ATTEMPTS):
            pinned = self._pinned()
            rows = self._judged(readable, pinned).persist(StorageLevel.MEMORY_AND_DISK_DESER)
            try:
                with told(f"batch {batch.number}: {len(readable)} inputs read"):
                    found = tallies(rows, self.source.evidence)
                if pinned.unmoved():
                    return self._publish(batch, unread, found, rows)
            finally:
                rows.unpersist()
        raise BronzeMoved(f"objects of batch {batch.number} were replaced while they were read, {ATTEMPTS} times; run again")

    def _publish(
        self, batch: Batch, unread: dict[int, str], found: dict[int, Tally], judged_rows: DataFrame | None
    ) -> tuple[Report, list[Refusal]]:
        """found: what the rows of an input say, by its number; judged_rows: None if no input can be read."""
        decisions, rules = {}, dict(unread)
        for number, tally in found.items():
            item = batch.inputs[number]
            decision = self.source.decide(item, tally)
            over = None if batch.accepts or item.facts.get("released") else tally.over(self.source.contract)
            if over or decision.refused:
                rules[number] = over or str(decision.refused)
            else:
                decisions[number] = decision
        # A header alone would withdraw whatever the older version published: more likely a slip than a wish.
        rules |= {n: "no_rows: nothing after the header" for n in range(len(batch.inputs)) if n not in unread and n not in found}
        refused = [
            Refusal(object=self.source.data(batch.inputs[n])[0], rule=rule, item=batch.inputs[n])
            for n, rule in sorted(rules.items())
        ]
        kept = {n: batch.inputs[n] for n in sorted(decisions)}
        report = Report(
            step=STEP,
            refused=tuple({"object": refusal.object, "rule": refusal.rule} for refusal in refused),
            decisions=tuple(
                {"object": self._publisher(batch.inputs[n]), "decision": d.said} for n, d in sorted(decisions.items()) if d.said
            ),
        )
        if not kept or judged_rows is None:
            return report + Report(
                step=STEP, tables=(self._publications.table.zero(), self._publications.superseded.zero())
            ), refused
        quarantined = sum(found[n].bad for n in decisions)
        known = judged_rows.join(self._facts(kept, decisions), "_input")
        if quarantined:
            self._quarantine(known, batch)
        rows = Rows(
            read=sum(found[n].read for n in decisions),
            quarantined=quarantined,
            # What a replay refuses keeps what it had published.
            publishers=None if batch.replays and not rules else [self._publisher(item) for item in kept.values()],
            good=self.source.finish(known.where("_rule IS NULL")).withColumn("row_hash", self._last_hash()),
        )
        metadata = {"batch": batch.number, "run_id": self.arguments.run_id, "refused": [asdict(r) for r in refused]}
        with told(f"batch {batch.number}: {rows.read:,} rows published"):
            return self._publications.publish(rows, batch=batch, report=report, metadata=metadata), refused

    def _facts(self, kept: dict[int, Input], decisions: dict[int, Decision]) -> DataFrame:
        """`_choice`, `_object` and `_version` by `_input`."""
        rows = [(n, decisions[n].choice, *self.source.data(item)) for n, item in kept.items()]
        return F.broadcast(self.spark.createDataFrame(rows, "_input int, _choice string, _object string, _version string"))

    def _quarantine(self, rows: DataFrame, batch: Batch) -> None:
        name = self.source.contract.quarantine
        uri = f"{self.arguments.silver}/{name}"
        bad = quarantine_rows(rows.where("_rule IS NOT NULL"), batch=batch.number)
        versions = ["object", "version_id"]
        held = self.spark.read.format("delta").load(uri).select(*versions).distinct()
        new = bad.join(held, versions, "left_anti").select(*bad.columns)  # a replay meets the same rows once more
        append(uri, new, table=name, batch=batch.number, metadata=json.dumps({"batch": batch.number}))

    def _judged(self, items: dict[int, Input], pinned: Pinned) -> DataFrame:
        shapes: dict[Hashable, list[int]] = {}
        for number, item in items.items():
            shapes.setdefault(self.source.shape(item), []).append(number)
        frames = [self._of_one_shape(shape, {n: items[n] for n in numbers}, pinned) for shape, numbers in shapes.items()]
        return reduce(DataFrame.unionByName, frames)

    def _of_one_shape(self, shape: Hashable, items: dict[int, Input], pinned: Pinned) -> DataFrame:
        objects = {n: self.source.data(item) for n, item in items.items()}
        uris = {pinned.uri(*objects[n]): n for n in items}
        raw = self.source.read(self.spark, shape, list(uris))
        about = []
        for path in raw.inputFiles():
            number = uris[unquote(path)]
            about.append((path, number, *self.source.about(items[number]).values()))
        names = self.source.about(next(iter(items.values())))
        schema = ", ".join(["_path string, _input int", *[f"`{name}` string" for name in names]])
        known = F.broadcast(self.spark.createDataFrame(about, schema))
        strings = raw.columns
        raw = raw.withColumn("_path", F.input_file_name()).join(known, "_path").drop("_path")
        row = F.struct(*[F.col(f"`{name}`") for name in strings if name != "_corrupt"])
        cleaned = self.source.clean(raw.withColumn("_row", row), shape).withColumn("_content", row_hash(self._early))
        return judged(cleaned, self.source.contract)

    def _publisher(self, item: Input) -> str:
        return self.source.about(item)[self.source.publisher]

    @property
    def _early(self) -> list[str]:
        contract = self.source.contract
        own = {"row_hash", *contract.partitions, *self.source.late}
        return sorted(column.name for column in contract.columns if column.name not in own)

    def _last_hash(self) -> Column:
        return row_hash([*self.source.late, "_content"])

    def _hashed(self, rows: DataFrame) -> DataFrame:
        """Rows of a table with `row_hash` made anew from their columns."""
        return rows.withColumn("_content", row_hash(self._early)).withColumn("row_hash", self._last_hash()).drop("_content")

    def _pinned(self) -> Pinned:
        return Pinned(
            self.s3,
            bucket=split_uri(self.arguments.bronze)[0],
            staging_bucket=split_uri(self.arguments.silver)[0],
            staging_prefix=f"{ledger_prefix(self.arguments.source)}staging/",
        )


def _rounds(inputs: Iterable[Input]) -> list[list[Input]]:
    """Batches in which each key stands once, the oldest versions first: one that is refused leaves the older one published."""
    waiting: dict[str, list[Input]] = {}
    for item in inputs:
        waiting.setdefault(item.key, []).append(item)
    deepest = max(map(len, waiting.values()), default=0)
    return [[versions[n] for versions in waiting.values() if n < len(versions)] for n in range(deepest)]
