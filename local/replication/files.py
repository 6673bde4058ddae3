"""One Parquet file in the making: rows come one by one, row groups go to a temporary file, so that memory stays bounded."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from local.replication.columns import Options, SourceColumn, TargetColumn, target
from local.replication.messages import Value


@dataclass(frozen=True)
class Format:
    """The target endpoint's settings. timestamp_column, sequence_columns: names of the columns that are added, if any."""

    types: Options
    operation: bool = True
    timestamp_column: str = ""
    sequence_columns: tuple[str, ...] = ()
    compression: str = "gzip"
    dictionary: bool = True
    statistics: bool = True
    row_group: int = 10_000


@dataclass(frozen=True)
class Layout:
    """The columns of a table's files: the operation, the table's own, the timestamp, the change sequence."""

    source: tuple[SourceColumn, ...]
    columns: tuple[TargetColumn, ...]
    format: Format

    @classmethod
    def of(cls, source: Sequence[SourceColumn], form: Format) -> "Layout":
        """Raises UnsupportedColumn."""
        return cls(tuple(source), tuple(target(column, form.types) for column in source), form)

    @property
    def schema(self) -> pa.Schema:
        added = [self.format.timestamp_column] if self.format.timestamp_column else []
        return pa.schema(
            [
                *([("Op", pa.string())] if self.format.operation else []),
                *((column.name, column.type) for column in self.columns),
                *((name, pa.string()) for name in (*added, *self.format.sequence_columns)),
            ]
        )

    def table(self, rows: Sequence["Change"]) -> pa.Table:
        """Raises UnsupportedColumn for a value that its column cannot hold."""
        texts = zip(*(row.values for row in rows), strict=True)
        own = [column.array(values) for column, values in zip(self.columns, texts, strict=True)]
        operations = [pa.array([row.operation for row in rows], pa.string())] if self.format.operation else []
        moments = [pa.array([row.moment for row in rows], pa.string())] if self.format.timestamp_column else []
        sequences = [pa.array([row.sequence for row in rows], pa.string()) for _ in self.format.sequence_columns]
        return pa.Table.from_arrays([*operations, *own, *moments, *sequences], schema=self.schema)


@dataclass(frozen=True, slots=True)
class Change:
    """A row of a file. operation: I, U or D; values: the server's text; moment: value of the timestamp column."""

    operation: str
    values: Sequence[Value]
    moment: str
    sequence: str | None = None


class ParquetFile:
    """Rows of one table and one layout. size: bytes written so far, which is what CdcMinFileSize is compared with."""

    def __init__(self, layout: Layout, directory: Path) -> None:
        self.layout = layout
        self.rows = 0
        self._pending: list[Change] = []
        self._stream: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 (closed by `close`)
        form = layout.format
        self._writer = pq.ParquetWriter(
            self._stream,
            layout.schema,
            version="1.0",
            data_page_version="1.0",
            compression=form.compression,
            use_dictionary=form.dictionary,
            write_statistics=form.statistics,
            store_schema=False,  # DMS's files carry no Arrow schema
        )

    @property
    def size(self) -> int:
        return self._stream.tell()

    def add(self, change: Change) -> None:
        """Raises UnsupportedColumn."""
        self._pending.append(change)
        self.rows += 1
        if len(self._pending) >= self.layout.format.row_group:
            self._flush()

    def finish(self) -> IO[bytes]:
        """The whole file, to be read from its beginning; the caller closes this object afterwards. Raises UnsupportedColumn."""
        self._flush()
        self._writer.close()
        self._stream.seek(0)
        return self._stream

    def close(self) -> None:
        """Forget everything."""
        self._writer.close()  # else it would write its footer when it is collected, to a closed stream
        self._stream.close()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(self.layout.table(self._pending))
            self._pending = []
