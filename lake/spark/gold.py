"""One run of a gold table: what changed in its input since the last batch, read from the change feed, into the table.

A batch is a range of the input table's versions, kept in the same ledger as the batches of silver. The first batch reads the
whole input.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lake.aws import split_uri
from lake.contracts import Contract
from lake.jobs import Arguments
from lake.names import ledger_prefix
from lake.spark.account import Account, Report, RunParts
from lake.spark.ledger import Batch, Input, Ledger
from lake.spark.publish import Counts, DeltaTable, publish, within

STEP = "gold"
BEFORE_ALL = -1  # as "the last version that is in the table": nothing is


@dataclass(frozen=True, kw_only=True)
class GoldTable:
    """answer: rows of the input table and the batch's parameters -> rows of this one (the contract's columns, unique by its key).

    scope: the contract's columns (also columns of the input) that say which rows of this table a changed input row can touch.
    """

    contract: Contract
    source: Contract
    scope: tuple[str, ...]
    answer: Callable[[DataFrame, dict[str, str]], DataFrame]


def update(spark: SparkSession, s3: Any, gold: GoldTable, arguments: Arguments) -> Report:
    """Brings the table up to the input's current version; leaves the run's part of the report and returns it."""
    table = DeltaTable(spark=spark, contract=gold.contract, uri=f"{arguments.gold}/{gold.contract.table}")
    source = DeltaTable(spark=spark, contract=gold.source, uri=f"{arguments.silver}/{gold.source.table}")
    table.create()
    ledger = Ledger(s3, bucket=split_uri(arguments.gold)[0], prefix=ledger_prefix(gold.contract.table))
    batch = ledger.unfinished()
    if batch is not None:
        _work(ledger, batch, table=table, source=source, gold=gold, run_id=arguments.run_id)
    last = ledger.last()
    done_to = int(last.inputs[0].version) if last is not None else BEFORE_ALL
    newest = source.version()
    # Rows made under other parameters answer another question: then the whole table is made anew.
    same = last is not None and last.inputs[0].facts["parameters"] == arguments.parameters
    if newest > done_to or not same:
        facts = {"after": done_to if same else BEFORE_ALL, "parameters": arguments.parameters}
        item = Input(key=gold.source.name, version=str(newest), facts=facts)
        batch = ledger.plan([item], run_id=arguments.run_id)
        _work(ledger, batch, table=table, source=source, gold=gold, run_id=arguments.run_id)
    zero = Report(step=STEP, tables=(table.zero(),))
    return RunParts(s3, bronze=arguments.bronze, step=STEP).tell(arguments.run_id, ledger, zero=zero)


def _work(ledger: Ledger, batch: Batch, *, table: DeltaTable, source: DeltaTable, gold: GoldTable, run_id: str) -> None:
    committed = table.commit_of(batch.number)
    if committed is not None:
        account = Account(**{**committed["account"], "version": table.version()})
    else:
        account = _commit(batch, table=table, source=source, gold=gold, run_id=run_id)
    report = Report(step=STEP, tables=(account,))
    ledger.finish(batch, run_id=run_id, report=report.to_json())


def _commit(batch: Batch, *, table: DeltaTable, source: DeltaTable, gold: GoldTable, run_id: str) -> Account:
    (item,) = batch.inputs
    version, after = int(item.version), int(item.facts["after"])
    rows = source.read(version=version)
    scope, partitions = None, {}
    if after != BEFORE_ALL:
        feed = source.spark.read.format("delta").option("readChangeFeed", "true")
        changes = feed.option("startingVersion", after + 1).option("endingVersion", version).load(source.uri)
        common = [column for column in gold.source.partitions if column in gold.contract.partitions]
        changed = changes.select(*gold.scope, *common).distinct()
        scope = changed.select(*gold.scope).distinct()
        if scope.isEmpty():
            return table.zero()  # the input's versions were maintenance
        # Before- and after-images name every partition in which a changed row was or is: no other needs to be read.
        partitions = {column: [row[0] for row in changed.select(column).distinct().collect()] for column in common}
        rows = within(rows, partitions).join(scope, list(gold.scope), "left_semi")
    answer = gold.answer(rows, item.facts["parameters"]).select(*[column.name for column in gold.contract.columns]).persist()
    try:
        counts = Counts(read=answer.count())
        return publish(
            table,
            answer,
            batch=batch.number,
            run_id=run_id,
            counts=counts,
            scope=scope,
            partitions=partitions,
            whole=scope is None,
        )
    finally:
        answer.unpersist()
