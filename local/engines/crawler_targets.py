"""What a crawler finds at its targets: Delta tables by their log, other files by their content and their folders."""

from __future__ import annotations

import fnmatch
import gzip
import json
import re
import tempfile
from dataclasses import dataclass, field
from typing import Any

from local.emulator import Credentials, Emulator

SAMPLE_BYTES = 1 << 20
Columns = list[tuple[str, str]]

_FROM_DELTA = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint", "timestamp_ntz": "timestamp"}
_FROM_DUCKDB = {
    "bigint": "bigint",
    "integer": "int",
    "hugeint": "bigint",
    "double": "double",
    "float": "float",
    "boolean": "boolean",
}
_HIVE = "org.apache.hadoop.hive"
# Format -> input format, output format, SerDe, its parameters: what Glue's built-in classifiers register.
_STORAGE: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "parquet": (
        f"{_HIVE}.ql.io.parquet.MapredParquetInputFormat",
        f"{_HIVE}.ql.io.parquet.MapredParquetOutputFormat",
        f"{_HIVE}.ql.io.parquet.serde.ParquetHiveSerDe",
        {"serialization.format": "1"},
    ),
    "json": (
        "org.apache.hadoop.mapred.TextInputFormat",
        f"{_HIVE}.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.openx.data.jsonserde.JsonSerDe",
        {},
    ),
    "csv": (
        "org.apache.hadoop.mapred.TextInputFormat",
        f"{_HIVE}.ql.io.HiveIgnoreKeyTextOutputFormat",
        f"{_HIVE}.serde2.lazy.LazySimpleSerDe",
        {"field.delim": ","},
    ),
    "delta": (
        "org.apache.hadoop.mapred.SequenceFileInputFormat",
        f"{_HIVE}.ql.io.HiveSequenceFileOutputFormat",
        f"{_HIVE}.serde2.lazy.LazySimpleSerDe",
        {"serialization.format": "1"},
    ),
}


class TargetError(Exception):
    """A target cannot be crawled; the text becomes the crawl's ErrorMessage."""


@dataclass(frozen=True)
class Found:
    """A table at a place. columns, keys: names and Glue types; partitions: their values in the order of the keys."""

    kind: str
    location: str
    columns: Columns
    keys: Columns
    parameters: dict[str, str] = field(default_factory=dict)
    partitions: list[tuple[str, ...]] = field(default_factory=list)

    def _storage(self, location: str) -> dict[str, Any]:
        reads, writes, serde, options = _STORAGE[self.kind]
        quoted = self.parameters.get("quoted") == "true"
        if quoted:
            serde, options = f"{_HIVE}.serde2.OpenCSVSerde", {"separatorChar": options["field.delim"], "quoteChar": '"'}
        if self.kind == "delta":
            options = {**options, "path": location}
        return {
            "Columns": [{"Name": name, "Type": kind} for name, kind in self.columns],
            "Location": location,
            "InputFormat": reads,
            "OutputFormat": writes,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": options},
        }

    def table_input(self, name: str, crawler: str) -> dict[str, Any]:
        """TableInput of Glue's CreateTable."""
        own = {k: v for k, v in self.parameters.items() if k != "quoted"}
        return {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": self._storage(self.location),
            "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in self.keys],
            "Parameters": {"classification": self.kind, "EXTERNAL": "TRUE", "UPDATED_BY_CRAWLER": crawler, **own},
        }

    def partition_input(self, values: tuple[str, ...]) -> dict[str, Any]:
        """PartitionInput of Glue's BatchCreatePartition."""
        folders = "".join(f"{key}={value}/" for (key, _), value in zip(self.keys, values, strict=True))
        return {"Values": list(values), "StorageDescriptor": self._storage(f"{self.location.rstrip('/')}/{folders}")}


def table_name(prefix: str, location: str) -> str:
    """The last folder's name with the crawler's prefix, lower case, other characters as underscores."""
    return re.sub(r"[^a-z0-9_]", "_", f"{prefix}{location.rstrip('/').rpartition('/')[2]}".lower())


class Reader:
    """Reads targets with the crawler's credentials."""

    def __init__(self, emulator: Emulator, credentials: Credentials) -> None:
        self._s3 = emulator.client("s3", credentials)
        place = {"AWS_ENDPOINT_URL": emulator.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": emulator.region}
        self._storage = {**place, **credentials.environment()}

    def delta(self, path: str) -> Found:
        """A native Delta table; partition columns are the table's partition keys. Raises TargetError, ClientError."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        location = re.sub(r"^s3a?://", "s3://", path).rstrip("/")
        try:
            table = DeltaTable(location, storage_options=self._storage)
        except (DeltaError, OSError) as error:
            bucket, key = _split(location)
            listed = self._s3.list_objects_v2(Bucket=bucket, Prefix=f"{key}/_delta_log/", MaxKeys=1)
            if not listed["KeyCount"]:
                raise TargetError(f"{location} is not a Delta table: it has no _delta_log") from error
            self._s3.get_object(Bucket=bucket, Key=listed["Contents"][0]["Key"])
            raise TargetError(f"The Delta log of {location} cannot be read: {error}") from error
        schema = json.loads(table.schema().to_json())
        columns = [(f["name"].lower(), glue_type(f["type"])) for f in schema["fields"]]
        keys = [name.lower() for name in table.metadata().partition_columns]
        kinds = dict(columns)
        parameters = {
            "table_type": "DELTA",
            "spark.sql.sources.provider": "delta",
            "spark.sql.partitionProvider": "catalog",
            "delta.lastUpdateVersion": str(table.version()),
        }
        return Found("delta", location + "/", [c for c in columns if c[0] not in keys], [(k, kinds[k]) for k in keys], parameters)

    def files(self, path: str, exclusions: list[str]) -> list[Found]:
        """The tables below a path: itself if it holds files or partition folders, else each of its folders. Raises ClientError."""
        bucket, key = _split(re.sub(r"^s3a?://", "s3://", path).rstrip("/"))
        prefix = f"{key}/" if key else ""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = [o["Key"][len(prefix) :] for page in pages for o in page.get("Contents") or [] if o["Size"]]
        shown = [o for o in objects if not any(part[:1] in "._" for part in o.split("/") if part)]
        kept = [o for o in shown if not any(fnmatch.fnmatch(o, e.replace("**", "*")) for e in exclusions)]
        return self._tables(bucket, prefix, kept)

    def _tables(self, bucket: str, prefix: str, names: list[str]) -> list[Found]:
        if not names:
            return []
        if any("/" not in name or "=" in name.split("/")[0] for name in names):
            return [self._table(bucket, prefix, names)]
        found = []
        for folder in sorted({name.split("/")[0] for name in names}):
            inside = [name[len(folder) + 1 :] for name in names if name.startswith(f"{folder}/")]
            found += self._tables(bucket, f"{prefix}{folder}/", inside)
        return found

    def _table(self, bucket: str, prefix: str, names: list[str]) -> Found:
        kind, columns, parameters = self._inspect(bucket, prefix + sorted(names)[0])
        folders = {tuple(p for p in name.split("/")[:-1] if "=" in p) for name in names}
        partitions = sorted(f for f in folders if f)
        keys = [part.partition("=")[0].lower() for part in partitions[0]] if partitions else []
        values = [tuple(part.partition("=")[2] for part in folder) for folder in partitions if len(folder) == len(keys)]
        taken = [c for c in columns if c[0] not in keys]
        return Found(kind, f"s3://{bucket}/{prefix}", taken, [(k, "string") for k in keys], parameters, values)

    def _inspect(self, bucket: str, key: str) -> tuple[str, Columns, dict[str, str]]:
        """Format, columns and table parameters, from one file's content."""
        body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        parameters = {"objectCount": "1", "typeOfData": "file", "compressionType": "none"}
        if body[:2] == b"\x1f\x8b":
            body, parameters["compressionType"] = gzip.decompress(body), "gzip"
        if body[:4] == b"PAR1":
            return "parquet", _described("read_parquet('{}')", body, ".parquet"), parameters
        sample = body[:SAMPLE_BYTES]
        sample = sample if len(body) <= SAMPLE_BYTES else sample[: sample.rfind(b"\n") + 1]
        if sample.lstrip()[:1] == b"{":
            reader = "read_json('{}', format = 'newline_delimited', union_by_name = true)"
            return "json", _described(reader, sample, ".json"), parameters
        columns = _described("read_csv('{}', header = true, delim = ',')", sample, ".csv")
        parameters |= {"skip.header.line.count": "1", "delimiter": ",", "columnsOrdered": "true", "areColumnsQuoted": "false"}
        if b'"' in sample:
            # OpenCSVSerde reads quoted values, and texts only.
            return "csv", [(name, "string") for name, _ in columns], {**parameters, "areColumnsQuoted": "true", "quoted": "true"}
        return "csv", columns, parameters


def _split(location: str) -> tuple[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key


def _described(reader: str, body: bytes, suffix: str) -> Columns:
    import duckdb

    with tempfile.NamedTemporaryFile(suffix=suffix) as file, duckdb.connect() as connection:
        file.write(body)
        file.flush()
        try:
            described = connection.execute(f"SELECT * FROM {reader.format(file.name)} LIMIT 0").description or []
        except duckdb.Error as error:
            raise TargetError(f"A file's columns cannot be told: {str(error).splitlines()[0]}") from error
    return [
        (re.sub(r"[^a-z0-9_]", "_", name.strip().lower()), _from_duckdb(kind, suffix == ".parquet")) for name, kind, *_ in described
    ]


def _from_duckdb(kind: Any, columnar: bool) -> str:
    """Dates and times in text files stay strings, as Glue's classifiers leave them."""
    if kind.id == "list":
        return f"array<{_from_duckdb(kind.children[0][1], columnar)}>"
    if kind.id == "struct":
        return "struct<" + ",".join(f"{name.lower()}:{_from_duckdb(child, columnar)}" for name, child in kind.children) + ">"
    if kind.id == "map":
        return f"map<{_from_duckdb(kind.children[0][1], columnar)},{_from_duckdb(kind.children[1][1], columnar)}>"
    if kind.id == "decimal":
        return str(kind).lower().replace(" ", "")
    if columnar and kind.id.startswith(("timestamp", "date")):
        return "date" if kind.id == "date" else "timestamp"
    return _FROM_DUCKDB.get(kind.id, "string")


def glue_type(kind: Any) -> str:
    """A type of a Delta log as the Glue catalogue writes it."""
    if isinstance(kind, str):
        return _FROM_DELTA.get(kind, kind.replace(" ", ""))
    if kind["type"] == "array":
        return f"array<{glue_type(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{glue_type(kind['keyType'])},{glue_type(kind['valueType'])}>"
    return "struct<" + ",".join(f"{f['name'].lower()}:{glue_type(f['type'])}" for f in kind["fields"]) + ">"
