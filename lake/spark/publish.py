"""The one way a table is written: classify against what is there, then one idempotent commit of what differs.

Row hashes are compared before the MERGE, so an unchanged row rewrites no file, and the MERGE names the partitions that it touches.
Each commit carries its batch as Delta's transaction id (a repeated commit is skipped) and its account as commit metadata (so a
repeated batch finds the counts of a commit that it must not make again).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from lake.contracts import Contract
from lake.spark.account import Account
from lake.spark.progress import told

HISTORY = 200  # commits looked through for a batch; a batch is redone by the next run, a few maintenance commits later at most


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Rows of a batch before the table is looked at; the rest of the account follows from the comparison."""

    read: int
    superseded: int = 0
    quarantined: int = 0


@dataclass(frozen=True, kw_only=True)
class DeltaTable:
    """A contract's table at `uri`, "s3://bucket/table"."""

    spark: SparkSession
    contract: Contract
    uri: str

    @property
    def sql_name(self) -> str:
        return f"delta.`{self.uri}`"

    def create(self) -> None:
        partitioned = f" PARTITIONED BY ({', '.join(self.contract.partitions)})" if self.contract.partitions else ""
        # Least and greatest by file: nobody asks for a range of a text that is no key, and they were a third of what writing costs.
        ranged = [c.name for c in self.contract.columns if c.name in self.contract.key or c.type != "string"]
        statistics = ",".join(name for name in ranged if name not in self.contract.partitions)
        self.spark.sql(
            f"CREATE TABLE IF NOT EXISTS {self.sql_name} ({self.contract.ddl()}) USING delta{partitioned} "
            f"TBLPROPERTIES ('delta.dataSkippingStatsColumns' = '{statistics}')"
        )

    def read(self, *, version: int | None = None) -> DataFrame:
        reader = self.spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(self.uri)

    def version(self) -> int:
        return int(self.spark.sql(f"DESCRIBE HISTORY {self.sql_name} LIMIT 1").first()["version"])

    def commit_of(self, batch: int) -> dict[str, Any] | None:
        """Metadata of the commit that carries `batch`, None if there is none."""
        history = self.spark.sql(f"DESCRIBE HISTORY {self.sql_name} LIMIT {HISTORY}").select("userMetadata")
        for row in history.where(F.col("userMetadata").isNotNull()).collect():
            metadata: dict[str, Any] = json.loads(row["userMetadata"])
            if metadata.get("batch") == batch:
                return metadata
        return None

    def zero(self) -> Account:
        return Account(table=self.contract.name, version=self.version())


@dataclass(frozen=True, kw_only=True)
class Newer:
    """condition: Spark SQL over the row's columns and `_target.<column>`; columns: those that it reads of `_target`."""

    condition: str
    columns: tuple[str, ...]


def publish(
    table: DeltaTable,
    rows: DataFrame,
    *,
    batch: int,
    run_id: str,
    counts: Counts,
    newer: Newer | None = None,
    scope: DataFrame | None = None,
    partitions: dict[str, list[Any]] | None = None,
    whole: bool = False,
    refused: list[dict[str, Any]] | None = None,
) -> Account:
    """Brings `rows` (the contract's columns, unique by its key) into `table` and returns the account.

    newer: whether a row replaces a different one that is there; always, if None.
    scope: keys (any of the table's columns) within which the table shall afterwards hold `rows` and nothing else; what is there
    beyond is withdrawn. partitions: values outside which nothing of the scope lies. whole: the scope is the whole table.
    refused: kept in the commit, for a batch that is redone.
    """
    contract = table.contract
    known = within(table.read(), partitions or {})
    if not whole:
        keys = rows.select(*contract.key) if scope is None else scope
        known = known.join(keys, keys.columns, "left_semi")
    compared = _compare(contract, rows, known, newer=newer, all_known=whole or scope is not None).persist()
    try:
        tally = compared.groupBy("_action", *[f"_target.{p}" for p in contract.partitions]).count().collect()
        by_action: dict[str, int] = {}
        for row in tally:
            by_action[row["_action"]] = by_action.get(row["_action"], 0) + row["count"]
        written = by_action.get("insert", 0) + by_action.get("update", 0)
        account = Account(
            table=contract.name,
            read=counts.read,
            written=written,
            unchanged=by_action.get("unchanged", 0),
            superseded=counts.superseded + by_action.get("older", 0),
            quarantined=counts.quarantined,
            withdrawn=by_action.get("delete", 0),
        )
        if written or account.withdrawn:
            changes = compared.where("_action IN ('insert', 'update', 'delete')")
            touched = [{p: row[p] for p in contract.partitions} for row in tally if row["_action"] in ("update", "delete")]
            report = {"batch": batch, "run_id": run_id, "account": asdict(account), "refused": refused or []}
            commit(table, changes, touched=touched, batch=batch, metadata=report)
    finally:
        compared.unpersist()
    return Account(**{**asdict(account), "version": table.version()})


def commit(table: DeltaTable, changes: DataFrame, *, touched: list[dict[str, Any]], batch: int, metadata: dict[str, Any]) -> None:
    """One commit of `changes`: the contract's columns, and `_action`, of which "delete" removes the row of that key and any other
    inserts or replaces it. touched: partitions that hold rows to replace or remove; none: nothing is looked up, all are new."""
    if touched:
        changes = changes.persist(StorageLevel.MEMORY_AND_DISK)  # a MERGE reads its source twice
        try:
            with told(f"{table.contract.name}: rows to merge fetched"):
                changes.count()
            with told(f"{table.contract.name}: merged"):
                _merge(table, changes, touched=touched, batch=batch, metadata=json.dumps(metadata))
        finally:
            changes.unpersist()
    else:
        rows = changes.select(*[c.name for c in table.contract.columns])
        append(table.uri, rows, table=table.contract.name, batch=batch, metadata=json.dumps(metadata))


def append(uri: str, rows: DataFrame, *, table: str, batch: int, metadata: str) -> None:
    """Appends `rows` once per (table, batch)."""
    writer = rows.write.format("delta").mode("append").option("userMetadata", metadata)
    writer.option("txnAppId", table).option("txnVersion", batch).save(uri)


def within(rows: DataFrame, partitions: dict[str, list[Any]]) -> DataFrame:
    """`rows` of these partitions, the values as literals: Delta then reads no other file."""
    for column, values in partitions.items():
        rows = rows.where(F.col(column).isin(values))
    return rows


def _compare(contract: Contract, rows: DataFrame, known: DataFrame, *, newer: Newer | None, all_known: bool) -> DataFrame:
    """`rows` with `_target` (the row that is there) and `_action`: insert, update, unchanged, older or, if `all_known`, delete."""
    key = list(contract.key)
    needed = dict.fromkeys(("row_hash", *contract.partitions, *(newer.columns if newer else ())))
    known = known.select(*key, F.struct(*needed).alias("_target"))
    joined = rows.join(known, key, "full" if all_known else "left")
    replaces = F.lit(True) if newer is None else F.expr(newer.condition)
    action = (
        F.when(F.col("_target").isNull(), "insert")
        .when(F.col("row_hash").isNull(), "delete")
        .when(F.col("row_hash") == F.col("_target.row_hash"), "unchanged")
        .when(replaces, "update")
        .otherwise("older")
    )
    return joined.withColumn("_action", action)


def _merge(table: DeltaTable, changes: DataFrame, *, touched: list[dict[str, Any]], batch: int, metadata: str) -> None:
    contract = table.contract
    columns = [c.name for c in contract.columns]
    on = [f"t.`{k}` = s.`{k}`" for k in contract.key]
    for partition in contract.partitions:
        values = ", ".join(_literal(value) for value in sorted({row[partition] for row in touched}))
        on.append(f"t.`{partition}` IN ({values})")
    changes.createOrReplaceTempView("changes")
    settings = {
        "spark.databricks.delta.merge.materializeSource": "none",  # it is kept already, and reads what is pinned
        "spark.databricks.delta.write.txnAppId": contract.name,
        "spark.databricks.delta.write.txnVersion": str(batch),
        "spark.databricks.delta.commitInfo.userMetadata": metadata,
    }
    with _session_settings(table.spark, settings):
        table.spark.sql(
            f"MERGE INTO {table.sql_name} t USING changes s ON {' AND '.join(on)} "
            "WHEN MATCHED AND s._action = 'delete' THEN DELETE "
            f"WHEN MATCHED THEN UPDATE SET {', '.join(f't.`{c}` = s.`{c}`' for c in columns)} "
            f"WHEN NOT MATCHED AND s._action <> 'delete' THEN INSERT ({', '.join(f'`{c}`' for c in columns)}) "
            f"VALUES ({', '.join(f's.`{c}`' for c in columns)})"
        )


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


@contextmanager
def _session_settings(spark: SparkSession, settings: dict[str, str]) -> Iterator[None]:
    """Delta reads a MERGE's transaction id from the session; left there it would mark the next write too."""
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key in settings:
            spark.conf.unset(key)
