"""Result files as Athena writes them: every value quoted, NULL as nothing at all; texts with tabs for SHOW and DESCRIBE."""

from __future__ import annotations

import re
from typing import Any

_CELL = re.compile(r'(?:"((?:[^"]|"")*)")?(,|\n)', re.DOTALL)
_PRECISION = {
    "tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19, "real": 17, "double": 17, "timestamp": 3,
    "timestamp with time zone": 3, "varchar": 2147483647, "json": 0, "varbinary": 1073741824,
}  # fmt: skip
Row = list[str | None]


def column_info(column: list[Any]) -> dict[str, Any]:
    """ColumnInfo of GetQueryResults for (name, type, [precision, scale])."""
    name, kind, digits = column
    precision, scale = digits or (_PRECISION.get(kind, 0), 0)
    shown = {"real": "float", "unknown": "varchar"}.get(kind, kind)
    where = {"CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": name, "Label": name}
    rest = {"Precision": precision, "Scale": scale, "Nullable": "UNKNOWN", "CaseSensitive": kind in ("varchar", "char")}
    return {**where, "Type": shown, **rest}


class Results:
    """Writes and reads result files with the caller's S3 client; the last ones read are kept in memory."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[str, list[Row]]] = {}

    def write(self, s3: Any, execution: dict[str, Any], rows: list[Row]) -> None:
        """The result file. Raises ClientError."""
        names = [c[0] for c in execution["_columns"]]
        if execution["StatementType"] == "DML":
            body = "".join(_line(row) for row in [names, *rows])
        else:
            body = "".join("\t".join(v or "" for v in row) + "\n" for row in rows)
        bucket, key = _place(execution)
        s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), ContentType="text/csv")

    def read(self, s3: Any, execution: dict[str, Any]) -> list[Row]:
        """All rows of GetQueryResults, the line of names included. Raises ClientError."""
        bucket, key = _place(execution)
        # HeadObject asks for s3:GetObject too: no page is answered from memory to somebody who may not read it.
        tag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
        kept = self._read.get(key)
        if kept and kept[0] == tag:
            return kept[1]
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        if execution["StatementType"] == "DML":
            rows = _parse(body)
        else:
            width = len(execution["_columns"])
            rows = [_padded(line.split("\t", width - 1), width) for line in body.split("\n")[:-1]]
        if len(self._read) >= 4:
            self._read.pop(next(iter(self._read)), None)
        self._read[key] = (tag, rows)
        return rows


def _padded(cells: list[str], width: int) -> Row:
    return [*cells, *[""] * (width - len(cells))]


def _place(execution: dict[str, Any]) -> tuple[str, str]:
    bucket, _, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
    return bucket, key


def _line(row: Row) -> str:
    return ",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in row) + "\n"


def _parse(body: str) -> list[Row]:
    rows: list[Row] = []
    row: Row = []
    for found in _CELL.finditer(body):
        row.append(None if found[1] is None else found[1].replace('""', '"'))
        if found[2] == "\n":
            rows.append(row)
            row = []
    return rows
