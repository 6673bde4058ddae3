"""A table of what several publishers publish, of whom each replaces all of its rows at once, and one row of a key counts.

Two Delta tables hold every row of every publisher's newest version: the table itself the row of each key that ranks highest, the
superseded table all others. So a row whose publisher withdraws it gives way to the next, and the order in which publishers come
never matters. Everything is decided on narrow rows; wide rows are picked for what is written.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from lake.spark.account import Account, Report
from lake.spark.ledger import Batch
from lake.spark.publish import DeltaTable, commit

BATCH, TABLE, SUPERSEDED = "batch", "table", "superseded"  # where a row is found: `_from`
BROADCAST_ROWS = 500_000  # of three narrow columns: some 50 MB on every executor


@dataclass(frozen=True, kw_only=True)
class Rows:
    """good: a batch's good rows, all columns of the table; kept, as they are read several times.

    publishers: whose rows these are, all of them; None: of everybody, so that whatever else the tables hold is withdrawn, and what
    they hold is not trusted but hashed anew. read, quarantined: rows of the batch, and of these the bad ones.
    """

    read: int
    quarantined: int
    publishers: list[str] | None
    good: DataFrame


@dataclass(frozen=True, kw_only=True)
class Publications:
    """rank: see Source.rank; hashed: rows with their row_hash made anew."""

    table: DeltaTable
    superseded: DeltaTable
    publisher: str
    rank: tuple[Column, ...]
    hashed: Callable[[DataFrame], DataFrame]

    def versions(self) -> dict[str, int]:
        return {table.contract.name: table.version() for table in (self.table, self.superseded)}

    def publish(self, rows: Rows, *, batch: Batch, report: Report, metadata: dict[str, Any]) -> Report:
        """Brings the batch's rows into both tables and returns `report` with their accounts.

        Starts from the versions that the batch was planned on, so a batch that was killed between the two commits is worked again
        from the same rows. The commit of `table` is the last and carries the report.
        """
        publishing = _Publishing(to=self, rows=rows, batch=batch, kept=[])
        try:
            return publishing.run(report, metadata)
        finally:
            for frame in publishing.kept:
                frame.unpersist()


@dataclass(frozen=True, kw_only=True)
class _Publishing:
    to: Publications
    rows: Rows
    batch: Batch
    kept: list[DataFrame]

    def run(self, report: Report, metadata: dict[str, Any]) -> Report:
        held = self._held()
        found = self._keep(self._found())
        totals = self._totals(found)
        everything = self.rows.publishers is None or not any(self.batch.tables.values())  # version 0 is an empty table
        if everything:
            untouched: dict[str, int] = {}
            contenders, before = found.where("_best").select(*self._columns), held
        else:
            untouched, contenders, before = self._touched(found.where("_best").select(*self._columns), held)
        place = F.row_number().over(Window.partitionBy(*self._key).orderBy(F.desc("_rank")))
        placed = contenders.withColumn("_place", place)
        winners = self._keep(self._moves(placed.where("_place = 1"), before.where(F.col("_from") == TABLE), self._key))
        losers = self._keep(
            self._moves(placed.where("_place > 1"), before.where(F.col("_from") == SUPERSEDED), [*self._key, self.to.publisher])
        )
        won, lost = self._tally(winners, self.to.table), self._tally(losers, self.to.superseded)
        account, other = self._accounts(totals, won, lost, untouched)
        version = self._commit(self.to.superseded, losers, lost, found=found, totals=totals, metadata=metadata)
        other = replace(other, version=version)
        metadata = {**metadata, "report": replace(report, tables=(account, other)).to_json()}
        excluded = self._excluded(found, winners, losers) if everything else None
        version = self._commit(self.to.table, winners, won, found=found, totals=totals, excluded=excluded, metadata=metadata)
        return replace(report, tables=(replace(account, version=version), other))

    @property
    def _key(self) -> list[str]:
        return list(self.to.table.contract.key)

    @property
    def _id(self) -> list[str]:
        """Columns that tell apart rows which differ in anything."""
        return [*self._key, self.to.publisher, "row_hash"]

    @property
    def _columns(self) -> list[str]:
        return [*self._id, *self.to.table.contract.partitions, "_rank", "_from"]

    def _keep(self, frame: DataFrame) -> DataFrame:
        self.kept.append(frame.persist())
        return frame

    def _narrow(self, rows: DataFrame, place: str) -> DataFrame:
        return rows.withColumns({"_rank": F.struct(*self.to.rank, "row_hash"), "_from": F.lit(place)}).select(*self._columns)

    def _held(self) -> DataFrame:
        """What the tables hold before the batch."""
        frames = []
        for table, place in ((self.to.table, TABLE), (self.to.superseded, SUPERSEDED)):
            rows = table.read(version=self.batch.tables[table.contract.name])
            if self.rows.publishers is None:
                rows = self.to.hashed(rows)
            frames.append(self._narrow(rows, place))
        return frames[0].unionByName(frames[1])

    def _found(self) -> DataFrame:
        """The rows of the batch, whether each `_repeats` another, and whether it is its publisher's `_best` of the key."""
        narrow = self._narrow(self.rows.good, BATCH).repartition(*self._key)
        # Ranks end in the hash, so that equal rows are neighbours.
        ranked = Window.partitionBy(*self._key, self.to.publisher).orderBy(F.desc("_rank"))
        repeats = F.lag("row_hash").over(ranked).eqNullSafe(F.col("row_hash"))
        return narrow.withColumns({"_repeats": repeats, "_best": F.row_number().over(ranked) == 1})

    def _totals(self, found: DataFrame) -> "_Totals":
        row = found.agg(
            F.count("*").alias("read"), F.count_if(~F.col("_repeats")).alias("different"), F.count_if(F.col("_best")).alias("best")
        ).first()
        return _Totals(read=row["read"], different=row["different"], best=row["best"])

    def _touched(self, best: DataFrame, held: DataFrame) -> tuple[dict[str, int], DataFrame, DataFrame]:
        """Where a publisher's row of a key came, changed or went, all rows of the key are ranked anew; nothing else is looked at.

        Returns (rows of the batch elsewhere, by where they are; the rows to rank; those of their keys that the tables hold).
        """
        own = F.col(self.to.publisher).isin(self.rows.publishers)
        on = [*self._key, self.to.publisher]
        old = held.where(own).select(*on, F.col("row_hash").alias("_old"), F.col("_from").alias("_held"))
        compared = self._keep(best.select(*on, "row_hash").join(old, on, "full"))
        differs = ~F.col("row_hash").eqNullSafe(F.col("_old"))
        keys = self._keep(compared.where(differs).select(*self._key).distinct())
        bounds = keys.agg(F.count("*"), *[f(name) for name in self._key for f in (F.min, F.max)]).first()
        keys = _few(keys, bounds[0])
        near = held
        for n, name in enumerate(self._key):  # literals, by which Delta skips files
            near = near.where(F.col(name).between(F.lit(bounds[2 * n + 1]), F.lit(bounds[2 * n + 2])))
        before = near.join(keys, self._key, "left_semi")
        elsewhere = compared.where("row_hash IS NOT NULL").join(keys, self._key, "left_anti")
        untouched = {row["_held"]: row["count"] for row in elsewhere.groupBy("_held").count().collect()}
        ranked = best.join(keys, self._key, "left_semi").unionByName(before.where(~own))
        return untouched, ranked, before

    def _moves(self, now: DataFrame, before: DataFrame, on: list[str]) -> DataFrame:
        """One row for each of `on`: `_action` (insert, update, delete, unchanged), the row's `_id` columns and `_from`, where it is
        now; `_was_<partition>`, where it was."""
        partitions = self.to.table.contract.partitions
        rest = [name for name in self._id if name not in on]
        new = now.select(*on, F.struct(*rest, "_from").alias("_new"))
        old = before.select(*on, F.struct(*rest, *partitions).alias("_old"))
        same = reduce(Column.__and__, [F.col(f"_new.{name}") == F.col(f"_old.{name}") for name in rest])
        action = (
            F.when(F.col("_old").isNull(), "insert")
            .when(F.col("_new").isNull(), "delete")
            .when(same, "unchanged")
            .otherwise("update")
        )
        return new.join(old, on, "full").select(
            *on, "_new.*", action.alias("_action"), *[F.col(f"_old.{name}").alias(f"_was_{name}") for name in partitions]
        )

    def _tally(self, moves: DataFrame, table: DeltaTable) -> "_Tally":
        was = {name: f"_was_{name}" for name in table.contract.partitions}
        rows = moves.groupBy("_action", "_from", *was.values()).count().collect()
        touched = [{name: row[column] for name, column in was.items()} for row in rows if row["_action"] in ("update", "delete")]
        counts: dict[tuple[str, str | None], int] = {}
        for row in rows:
            place = (row["_action"], row["_from"])
            counts[place] = counts.get(place, 0) + row["count"]
        return _Tally(counts=counts, touched=touched)

    def _accounts(self, totals: "_Totals", won: "_Tally", lost: "_Tally", untouched: dict[str, int]) -> tuple[Account, Account]:
        """A row that returns from the superseded table is read once more: no row of the batch was written in its place."""
        repeated = totals.read - totals.best
        table = Account(
            table=self.to.table.contract.name,
            read=self.rows.read + won.of(("insert", "update"), (TABLE, SUPERSEDED)),
            written=won.of(("insert", "update"), None),
            unchanged=won.of(("unchanged",), (BATCH,)) + untouched.get(TABLE, 0),
            superseded=repeated + lost.of(("insert", "update", "unchanged"), (BATCH,)) + untouched.get(SUPERSEDED, 0),
            quarantined=self.rows.quarantined,
            withdrawn=won.of(("delete",), None),
        )
        written, unchanged = lost.of(("insert", "update"), None), lost.of(("unchanged",), None) + untouched.get(SUPERSEDED, 0)
        superseded = Account(
            table=self.to.superseded.contract.name,
            read=written + unchanged,
            written=written,
            unchanged=unchanged,
            withdrawn=lost.of(("delete",), None),
        )
        return table, superseded

    def _excluded(self, found: DataFrame, winners: DataFrame, losers: DataFrame) -> DataFrame:
        """Rows of the batch that the table does not get, where it gets most: few to look up, however many are written."""
        kept = winners.where((F.col("_action") == "unchanged") & (F.col("_from") == BATCH))
        frames = (found.where("NOT _best AND NOT _repeats"), losers.where(F.col("_from") == BATCH), kept)
        return reduce(DataFrame.unionByName, [frame.select(*self._id) for frame in frames])

    def _commit(
        self,
        table: DeltaTable,
        moves: DataFrame,
        tally: "_Tally",
        *,
        found: DataFrame,
        totals: "_Totals",
        excluded: DataFrame | None = None,
        metadata: dict[str, Any],
    ) -> int:
        """The table's version afterwards."""
        if not tally.changes():
            return self.batch.tables[table.contract.name]
        written = moves.where("_action IN ('insert', 'update')")
        parts = []
        count = tally.of(("insert", "update"), (BATCH,))
        if count:
            own = written.where(F.col("_from") == BATCH)
            parts.append(self._of_batch(own, count, found=found, totals=totals, excluded=excluded))
        for source, place in ((self.to.table, TABLE), (self.to.superseded, SUPERSEDED)):
            if tally.of(("insert", "update"), (place,)):
                rows = source.read(version=self.batch.tables[source.contract.name])
                rows = self.to.hashed(rows) if self.rows.publishers is None else rows
                back = written.where(F.col("_from") == place).select(*self._id)
                parts.append(rows.join(_few(back, tally.of(("insert", "update"), (place,))), self._id, "left_semi"))
        names = [column.name for column in table.contract.columns]
        parts = [part.select(*names, F.lit("upsert").alias("_action")) for part in parts]
        if tally.of(("delete",), None):
            rest = [F.lit(None).cast(c.type).alias(c.name) for c in table.contract.columns if c.name not in table.contract.key]
            parts.append(moves.where("_action = 'delete'").select(*table.contract.key, "_action", *rest))
        changes = reduce(DataFrame.unionByName, parts)
        commit(table, changes, touched=tally.touched, batch=self.batch.number, metadata=metadata)
        return table.version()

    def _of_batch(
        self, written: DataFrame, count: int, *, found: DataFrame, totals: "_Totals", excluded: DataFrame | None
    ) -> DataFrame:
        """The wide rows of `written`, picked by these or, where that is the shorter list, by those that are not written."""
        rows, others = self.rows.good, totals.different - count
        if excluded is None or others > count:
            rows = rows.join(_few(written.select(*self._id), count), self._id, "left_semi")
        elif others:
            rows = rows.join(_few(excluded, others), self._id, "left_anti")
        if totals.read == totals.different:
            return rows
        repeated = _few(found.where("_repeats").select(*self._id).distinct(), totals.read - totals.different)
        once = rows.join(repeated, self._id, "left_anti")
        return once.unionByName(rows.join(repeated, self._id, "left_semi").dropDuplicates(self._id))


def _few(frame: DataFrame, count: int) -> DataFrame:
    """`frame` as the small side of a join, if it is."""
    return F.broadcast(frame) if count <= BROADCAST_ROWS else frame


@dataclass(frozen=True, kw_only=True)
class _Totals:
    """Of a batch: rows, rows that differ from each other in anything, and of these the best of each publisher and key."""

    read: int
    different: int
    best: int


@dataclass(frozen=True, kw_only=True)
class _Tally:
    """counts: moves by (action, where the row is, None for one that goes); touched: partitions of rows replaced or removed."""

    counts: dict[tuple[str, str | None], int]
    touched: list[dict[str, Any]]

    def of(self, actions: tuple[str, ...], places: tuple[str, ...] | None) -> int:
        return sum(n for (action, place), n in self.counts.items() if action in actions and (places is None or place in places))

    def changes(self) -> bool:
        return self.of(("insert", "update", "delete"), None) > 0
