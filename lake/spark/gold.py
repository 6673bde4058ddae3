"""One run of the gold tables of a source: what changed in their input since the last batch, read from the change feed.

A batch is a range of the input table's versions, kept in the same kind of ledger as the batches of silver. Each table has a ledger
of its own. The first batch makes the whole table; so do other parameters, a replay, and a change feed that cannot be read any more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lake.aws import split_uri
from lake.contracts import Contract
from lake.jobs import Arguments
from lake.names import ledger_prefix
from lake.spark.account import Account, Report, RunParts
from lake.spark.feed import Feed
from lake.spark.ledger import Batch, Input, Ledger
from lake.spark.publish import Counts, DeltaTable, publish

STEP = "gold"
BEFORE_ALL = -1  # as "the last version that is in the table": nothing is


@dataclass(frozen=True, kw_only=True)
class GoldTable:
    """answer: rows of the input and the batch's parameters -> rows of this table (the contract's columns, unique by its key).

    scope: by column of this table, Spark SQL over the input: which rows of this table an input row can touch. `answer` finds these
    columns in its rows. A partition column that input and table share must have one value in all that makes up a row.
    reads: columns of the input that scope and answer use. parameters: names of those that answer takes.
    """

    contract: Contract
    source: Contract
    reads: tuple[str, ...]
    scope: Mapping[str, str]
    answer: Callable[[DataFrame, dict[str, str]], DataFrame]
    parameters: tuple[str, ...] = ()

    def scoped(self, rows: DataFrame) -> DataFrame:
        """`rows` of the input with the columns of scope."""
        return rows.selectExpr(
            *[column for column in rows.columns if column not in self.scope],
            *[f"{expression} AS {column}" for column, expression in self.scope.items()],
        )


def update(spark: SparkSession, s3: Any, tables: Sequence[GoldTable], arguments: Arguments) -> Report:
    """Brings the tables, all made from one input, up to its current version; leaves the run's part of the report and returns it."""
    source = tables[0].source
    reads = dict.fromkeys((*source.partitions, *(column for gold in tables for column in gold.reads)))
    feed = Feed(DeltaTable(spark=spark, contract=source, uri=f"{arguments.silver}/{source.table}"), tuple(reads))
    updates = [_Update(spark, s3, gold, feed, arguments) for gold in tables]
    try:
        for one in updates:
            one.run()
    finally:
        feed.close()
    zero = Report(step=STEP, tables=tuple(one.table.zero() for one in updates))
    # Told once for all tables: a part that is there says that every batch of that run is in it.
    parts = RunParts(s3, bronze=arguments.bronze, step=STEP)
    return parts.tell(arguments.run_id, *[one.ledger for one in updates], zero=zero)


class _Update:
    """One table in one run."""

    def __init__(self, spark: SparkSession, s3: Any, gold: GoldTable, feed: Feed, arguments: Arguments) -> None:
        self._gold, self._feed, self._arguments = gold, feed, arguments
        self.table = DeltaTable(spark=spark, contract=gold.contract, uri=f"{arguments.gold}/{gold.contract.table}")
        self.ledger = Ledger(s3, bucket=split_uri(arguments.gold)[0], prefix=ledger_prefix(gold.contract.table))

    def run(self) -> None:
        self.table.create()
        unfinished = self.ledger.unfinished()
        if unfinished is not None:
            self._work(unfinished, committed=self.table.commit_of(unfinished.number))
        batch = self._plan(self.ledger.last())
        if batch is not None:
            self._work(batch, committed=None)

    def _plan(self, last: Batch | None) -> Batch | None:
        """The next batch, None if the table is as it should be."""
        run_id = self._arguments.run_id
        parameters = {name: value for name, value in self._arguments.parameters.items() if name in self._gold.parameters}
        after = BEFORE_ALL if last is None else int(last.inputs[0].version)
        # Rows made under other parameters answer another question.
        if last is not None and last.inputs[0].facts["parameters"] != parameters:
            after = BEFORE_ALL
        # A run that has a batch already is a second attempt at its replay.
        if self._arguments.replay is not None and (last is None or last.run_id != run_id):
            after = BEFORE_ALL
        if after == self._feed.newest:
            return None
        facts = {"after": after, "parameters": parameters}
        item = Input(key=self._gold.source.name, version=str(self._feed.newest), facts=facts)
        return self.ledger.plan([item], run_id=run_id)

    def _work(self, batch: Batch, *, committed: dict[str, Any] | None) -> None:
        if committed is not None:
            account = Account(**{**committed["account"], "version": self.table.version()})
        else:
            account = self._commit(batch)
        report = Report(step=STEP, tables=(account,))
        self.ledger.finish(batch, run_id=self._arguments.run_id, report=report.to_json())

    def _commit(self, batch: Batch) -> Account:
        """Reads the input as it is now, also for a batch that was planned long ago, whose version may be gone: it then brings more
        than it was planned for, and the batch after it finds that much less to write.
        """
        (item,) = batch.inputs
        after, parameters = int(item.facts["after"]), item.facts["parameters"]
        change = None if after == BEFORE_ALL else self._feed.change(after, int(item.version))
        if change is None:
            print(f"{self._gold.contract.name}: made anew from {self._gold.source.name} version {self._feed.newest}", flush=True)
            return self._publish(batch, self._gold.answer(self._gold.scoped(self._feed.rows({})), parameters), whole=True)
        if change.count == 0:
            return self.table.zero()  # maintenance, or nothing that this table shows
        partitions = {column: values for column, values in change.partitions.items() if column in self._gold.contract.partitions}
        scope = self._gold.scoped(change.rows).select(*self._gold.scope).distinct()
        rows = self._gold.scoped(self._feed.rows(partitions)).join(scope, list(self._gold.scope), "left_semi")
        return self._publish(batch, self._gold.answer(rows, parameters), scope=scope, partitions=partitions)

    def _publish(self, batch: Batch, answer: DataFrame, **where: Any) -> Account:
        answer = answer.select(*[column.name for column in self._gold.contract.columns]).persist()
        try:
            counts = Counts(read=answer.count())
            return publish(self.table, answer, batch=batch.number, run_id=self._arguments.run_id, counts=counts, **where)
        finally:
            answer.unpersist()
