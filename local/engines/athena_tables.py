"""Tables of the Glue catalogue as DuckDB can read them, everything asked with the credentials of whoever runs the query."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from local.engines.athena_casts import cast as trino_cast
from local.engines.athena_expr import Ex, Position
from local.engines.athena_relations import Table
from local.engines.athena_types import (
    BOOLEAN,
    TIMESTAMP,
    VARBINARY,
    VARCHAR,
    AthenaError,
    Type,
    array,
    decimal_type,
    duck,
    parse_type,
    quote,
    text,
    unsupported,
)

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_DELTA = {
    "string": VARCHAR, "long": Type("bigint"), "integer": Type("integer"), "short": Type("smallint"), "byte": Type("tinyint"),
    "float": Type("real"), "double": Type("double"), "boolean": BOOLEAN, "binary": VARBINARY, "date": Type("date"),
    "timestamp": TIMESTAMP, "timestamp_ntz": TIMESTAMP,
}  # fmt: skip


class Catalogue:
    """Finds tables through the Glue API. glue, s3: clients of the caller; storage: delta-rs options with the same credentials."""

    def __init__(self, *, glue: Any, s3: Any, storage: dict[str, str], database: str) -> None:
        self.glue = glue
        self._s3 = s3
        self._storage = storage
        self.database = database
        self._known: dict[tuple[str, str], Table] = {}

    def __call__(self, database: str | None, name: str, position: Position) -> Table:
        place = (database or self.database, name)
        if place not in self._known:
            if place[0] == "information_schema":
                from local.engines.athena_catalogue import information_schema

                self._known[place] = information_schema(self.glue, name, position)
            else:
                self._known[place] = self._read(*place, position)
        return self._known[place]

    def entry(self, database: str, name: str, position: Position = None) -> dict[str, Any]:
        """The catalogue's entry. Raises TABLE_NOT_FOUND, SCHEMA_NOT_FOUND, PERMISSION_DENIED."""
        try:
            found: dict[str, Any] = self.glue.get_table(DatabaseName=database, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise denied(error) from error
            with permissions():
                if not _database_exists(self.glue, database):
                    raise AthenaError("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist", position) from error
            said = f"Table 'awsdatacatalog.{database}.{name}' does not exist"
            raise AthenaError("TABLE_NOT_FOUND", said, position) from error
        return found

    def _read(self, database: str, name: str, position: Position) -> Table:
        entry = self.entry(database, name, position)
        parameters, storage = entry.get("Parameters") or {}, entry.get("StorageDescriptor") or {}
        location = storage.get("Location") or ""
        if entry.get("TableType") == "VIRTUAL_VIEW":
            raise unsupported(f"The view '{database}.{name}'", position)
        if parameters.get("table_type", "").upper() == "DELTA":
            return self._delta(location)
        if parameters.get("projection.enabled", "").lower() == "true":
            raise unsupported(f"Partition projection of '{database}.{name}'", position)
        kind = data_format(entry)
        if kind is None:
            raise unsupported(f"The data format of '{database}.{name}'", position)
        columns = [(c["Name"].lower(), parse_type(c.get("Type") or "string")) for c in storage.get("Columns") or []]
        keys = [(c["Name"].lower(), parse_type(c.get("Type") or "string")) for c in entry.get("PartitionKeys") or []]
        with permissions():
            sql = " UNION ALL ".join(self._parts(entry, kind, columns, keys, location)) or _nothing(columns + keys)
        return Table(f"({sql})", columns + keys)

    # Delta ------------------------------------------------------------------------------------------------------------------

    def _delta(self, location: str) -> Table:
        """Columns come from the Delta log, as in Athena; timestamps are shown as UTC clock times in milliseconds."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        location = location.rstrip("/")
        if not location.startswith("s3://"):
            raise AthenaError("DELTA_LAKE_INVALID_TABLE", f"The location '{location}' is not in S3")
        try:
            schema = json.loads(DeltaTable(location, storage_options=self._storage).schema().to_json())
        except (DeltaError, OSError) as error:
            bucket, _, key = location.removeprefix("s3://").partition("/")
            with permissions(location):
                listed = self._s3.list_objects_v2(Bucket=bucket, Prefix=f"{key}/_delta_log/", MaxKeys=1)
                if listed["KeyCount"]:
                    self._s3.get_object(Bucket=bucket, Key=listed["Contents"][0]["Key"])
            said = f"Error getting snapshot for {location}: {str(error).splitlines()[0]}"
            raise AthenaError("DELTA_LAKE_INVALID_SCHEMA", said) from error
        columns = [(f["name"], delta_type(f["type"])) for f in schema["fields"]]
        shown = ", ".join(f"{_clock(quote(n), t)} AS {quote(n.lower())}" for n, t in columns)
        return Table(f"(SELECT {shown} FROM delta_scan({text(location)}))", [(n.lower(), t) for n, t in columns])

    # Files ------------------------------------------------------------------------------------------------------------------

    def _parts(
        self, entry: dict[str, Any], kind: str, columns: list[tuple[str, Type]], keys: list[tuple[str, Type]], location: str
    ) -> Iterator[str]:
        """One SELECT for each place that holds files."""
        if not keys:
            places: list[tuple[str, list[str]]] = [(location, [])]
        else:
            pages = self.glue.get_paginator("get_partitions").paginate(DatabaseName=entry["DatabaseName"], TableName=entry["Name"])
            places = [(p["StorageDescriptor"]["Location"], p["Values"]) for page in pages for p in page["Partitions"]]
        for place, values in places:
            files = self._files(place)
            if not files:
                continue
            shown = [f"{_read_as(kind, n, t)} AS {quote(n)}" for n, t in columns]
            pairs = zip(values, keys, strict=True)
            shown += [f"CAST({text(v)} AS {duck(t)}) AS {quote(n)}" for v, (n, t) in pairs]
            yield f"SELECT {', '.join(shown)} FROM {_reader(kind, files, columns, entry)}"

    def _files(self, location: str) -> list[str]:
        """The objects below a location, without hidden and empty ones."""
        bucket, _, key = location.removeprefix("s3://").removeprefix("s3a://").partition("/")
        prefix = f"{key.rstrip('/')}/" if key else ""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = [o for page in pages for o in page.get("Contents") or [] if o["Size"]]
        shown = [o["Key"] for o in objects if not any(p[:1] in "._" for p in o["Key"][len(prefix) :].split("/") if p)]
        return [f"s3://{bucket}/{name}" for name in shown]


def _database_exists(glue: Any, database: str) -> bool:
    try:
        glue.get_database(Name=database)
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return False
        raise
    return True


@contextlib.contextmanager
def permissions(location: str = "") -> Iterator[None]:
    """Turns a refusal by IAM into the failure that Athena reports."""
    try:
        yield
    except ClientError as error:
        raise denied(error, location) from error


def denied(error: ClientError, location: str = "") -> AthenaError:
    """An error of an AWS call as the reason of a failed query."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in _DENIED:
        where = f"Permission denied on S3 path: {location}. " if location else ""
        return AthenaError("PERMISSION_DENIED", f"{where}Access Denied (AccessDenied): {message}")
    return AthenaError("GENERIC_INTERNAL_ERROR", f"{code}: {message}")


def delta_type(kind: Any) -> Type:
    """A type of a Delta log as Athena shows it."""
    if isinstance(kind, str):
        if matched := re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", kind):
            return decimal_type(int(matched[1]), int(matched[2]))
        if kind not in _DELTA:
            raise AthenaError("DELTA_LAKE_INVALID_SCHEMA", f"Unsupported type: {kind}")
        return _DELTA[kind]
    if kind["type"] == "array":
        return array(delta_type(kind["elementType"]))
    if kind["type"] == "map":
        return Type("map", (delta_type(kind["keyType"]), delta_type(kind["valueType"])))
    return Type("row", tuple((f["name"].lower(), delta_type(f["type"])) for f in kind["fields"]))


def _clock(sql: str, kind: Type) -> str:
    """Microseconds rounded to the milliseconds that Athena's timestamp has; nested ones become clock times only."""
    if kind == TIMESTAMP:
        return f"date_trunc('millisecond', CAST({sql} AS TIMESTAMP) + INTERVAL 500 MICROSECOND)"
    return f"CAST({sql} AS {duck(kind)})" if "timestamp" in str(kind) else sql


def data_format(entry: dict[str, Any]) -> str | None:
    """json, csv (OpenCSVSerDe), text (LazySimpleSerDe) or parquet; None if it is none of them."""
    serde = ((entry.get("StorageDescriptor") or {}).get("SerdeInfo") or {}).get("SerializationLibrary") or ""
    for part, kind in (
        ("JsonSerDe", "json"),
        ("OpenCSVSerde", "csv"),
        ("LazySimpleSerDe", "text"),
        ("ParquetHiveSerDe", "parquet"),
    ):
        if part.lower() in serde.lower():
            return kind
    given = (entry.get("Parameters") or {}).get("classification", "").lower()
    return {"csv": "text"}.get(given, given) if given in ("json", "csv", "parquet") and not serde else None


def _reader(kind: str, files: list[str], columns: list[tuple[str, Type]], entry: dict[str, Any]) -> str:
    listed = "[" + ", ".join(text(f) for f in files) + "]"
    if kind == "parquet":
        return f"read_parquet({listed}, union_by_name = true)"
    if kind == "json":
        shape = ", ".join(f"{text(n)}: {text(duck(t))}" for n, t in columns)
        return f"read_json({listed}, format = 'newline_delimited', columns = {{{shape}}})"
    storage, parameters = entry["StorageDescriptor"], entry.get("Parameters") or {}
    options = {**parameters, **(storage.get("SerdeInfo") or {}).get("Parameters", {})}
    shape = ", ".join(f"{text(n)}: 'VARCHAR'" for n, _ in columns)
    if kind == "csv":
        separator, mark = options.get("separatorChar", ","), options.get("quoteChar", '"')
        escape = options.get("escapeChar", "\\")
    else:
        separator, mark, escape = options.get("field.delim", options.get("delimiter", "\x01")), "", ""
    # An empty field is an empty text in Hive; only LazySimpleSerDe knows a mark for NULL.
    null = "\\N" if kind == "text" else "\x01NULL\x01"
    skip = int(options.get("skip.header.line.count", 0))
    return (
        f"read_csv({listed}, auto_detect = false, header = false, columns = {{{shape}}}, delim = {text(separator)}, "
        f"quote = {text(mark)}, escape = {text(escape)}, nullstr = {text(null)}, skip = {skip}, "
        "null_padding = true, strict_mode = false)"
    )


def _read_as(kind: str, name: str, wanted: Type) -> str:
    """A column of a file in its catalogue type: LazySimpleSerDe has NULL for a text that is no such value, OpenCSVSerDe fails."""
    column = quote(name)
    if kind == "parquet":
        return _clock(f"CAST({column} AS {duck(wanted)})", wanted)
    if kind == "json":
        return column
    if wanted.name in ("varchar", "char"):
        return column
    if wanted.name in ("array", "map", "row"):
        raise unsupported(f"Column '{name}' of type {wanted} in a text file")
    value = column if kind == "text" else f"CASE WHEN {column} <> '' THEN {column} END"
    return trino_cast(Ex(value, VARCHAR), wanted, kind == "text", None).sql


def _nothing(columns: list[tuple[str, Type]]) -> str:
    shown = ", ".join(f"CAST(NULL AS {duck(t)}) AS {quote(n)}" for n, t in columns)
    return f"SELECT {shown} WHERE FALSE"
