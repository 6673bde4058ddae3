"""What changed in a table, read once for all the tables that are made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.spark.publish import DeltaTable, within

# Delta's own names for a range of versions whose changes are not there any more, or never were.
GONE = (
    "DELTA_MISSING_CHANGE_DATA",  # the feed was off
    "DELTA_CHANGE_DATA_FILE_NOT_FOUND",  # VACUUM
    "DELTA_FILE_NOT_FOUND",  # VACUUM; the feed of an append is read from its data files
    "SparkFileNotFoundException",
    "FAILED_READ_FILE.FILE_NOT_EXIST",
    "java.io.FileNotFoundException",
    "DELTA_VERSION_NOT_FOUND",  # the log was cleaned up
    "DELTA_VERSIONS_NOT_CONTIGUOUS",
    "VersionNotFoundException",
    "DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_SCHEMA_CHANGE",
    "DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_DATA_SCHEMA",
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """rows: rows that were there before and not after, or after and not before, each once; count: how many.

    partitions: the values of the table's partition columns in which they lie.
    """

    rows: DataFrame
    count: int
    partitions: dict[str, list[Any]]


class Feed:
    """The `columns` of `table`, which nobody writes meanwhile; `columns` holds the table's partition columns."""

    def __init__(self, table: DeltaTable, columns: Sequence[str]) -> None:
        self._table, self._columns = table, tuple(columns)
        self._changes: dict[tuple[int, int], Change | None] = {}

    @cached_property
    def newest(self) -> int:
        """The table's version now."""
        return self._table.version()

    def rows(self, partitions: dict[str, list[Any]]) -> DataFrame:
        """The rows as they are now, of these partitions alone."""
        return within(self._table.read(version=self.newest), partitions).select(*self._columns)

    def change(self, after: int, version: int) -> Change | None:
        """How the versions above `after` up to `version` changed the columns; None, and the log says it, once that is gone."""
        asked = (after, version)
        if asked not in self._changes:
            self._changes[asked] = self._read(after, version)
        return self._changes[asked]

    def close(self) -> None:
        """Frees what was kept."""
        for change in self._changes.values():
            if change is not None:
                change.rows.unpersist()

    def _read(self, after: int, version: int) -> Change | None:
        reader = self._table.spark.read.format("delta").option("readChangeFeed", "true")
        try:
            feed = reader.option("startingVersion", after + 1).option("endingVersion", version).load(self._table.uri)
            there = F.when(F.col("_change_type").isin("insert", "update_postimage"), 1).otherwise(-1)
            rows = feed.groupBy(*self._columns).agg(F.sum(there).alias("_there")).where("_there <> 0").drop("_there").persist()
            count = rows.count()
        except (PySparkException, Py4JJavaError) as error:
            if not any(name in str(error) for name in GONE):
                raise
            name = self._table.contract.name
            print(
                f"{name}: the changes of versions {after + 1} to {version} cannot be read any more: {_first_line(error)}",
                flush=True,
            )
            return None
        found = rows.select(*self._table.contract.partitions).distinct().collect()
        values = {column: sorted({row[column] for row in found}) for column in self._table.contract.partitions}
        return Change(rows=rows, count=count, partitions=values)


def _first_line(error: Exception) -> str:
    return next(line for line in str(error).splitlines() if any(name in line for name in GONE))
