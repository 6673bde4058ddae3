"""PostgreSQL's columns as DMS writes them to Parquet: types, and whole columns of the server's text turned into Arrow arrays.

Source types after "Source data types for PostgreSQL" in the DMS guide; target types after its table for S3 in Parquet.
"""

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

Texts = Sequence[str | None]
Convert = Callable[[pa.Array], pa.Array]

_MODIFIER_HEADER = 4
# A NUMERIC without precision is moved as NUMERIC(28,6).
_BARE_NUMERIC = (28, 6)
_WIDEST = 38
# smallint, integer, bigint, oid, real, double precision (bit for bit: the server prints what reads back the same), date.
_CAST = {
    **{21: pa.int16(), 23: pa.int32(), 20: pa.int64(), 26: pa.int64()},
    **{700: pa.float32(), 701: pa.float64(), 1082: pa.date32()},
}
_SHORT_TEXTS = {19: "name", 1042: "char", 1043: "varchar", 2950: "uuid"}
_LARGE_TEXTS = {25: "text", 114: "json", 3802: "jsonb"}
_BOOLEAN, _TIMESTAMP, _TIMESTAMP_TZ, _NUMERIC, _CHAR = 16, 1114, 1184, 1700, 1042


class UnsupportedColumn(Exception):
    """A column that cannot be replicated; the text names it and says why."""


@dataclass(frozen=True)
class SourceColumn:
    """As in pg_attribute: type_oid is atttypid, modifier is atttypmod (-1: none)."""

    name: str
    type_oid: int
    modifier: int


@dataclass(frozen=True)
class Options:
    """What endpoints and task settings say about types. lob_kilobytes: LobMaxSize, where large values are cut off."""

    milliseconds: bool = False
    boolean_as_boolean: bool = False
    lob_kilobytes: int = 32


@dataclass(frozen=True)
class TargetColumn:
    """A column of the Parquet file, and how the server's text becomes its values."""

    name: str
    type: pa.DataType
    convert: Convert

    def array(self, texts: Texts) -> pa.Array:
        """Raises UnsupportedColumn for a value that the type cannot hold."""
        try:
            return self.convert(pa.array(texts, pa.string()))
        except (pa.ArrowInvalid, ValueError, decimal.InvalidOperation) as error:
            said = " ".join(str(error).split())[:200]
            raise UnsupportedColumn(f"column {self.name}: a value does not fit Parquet's {self.type}: {said}") from error


def target(column: SourceColumn, options: Options) -> TargetColumn:
    """The column in the target. Raises UnsupportedColumn for types that the laptop's DMS does not replicate."""
    oid, name = column.type_oid, column.name
    if oid in _CAST:
        return TargetColumn(name, _CAST[oid], lambda texts: pc.cast(texts, _CAST[oid]))
    if oid == _BOOLEAN:
        if options.boolean_as_boolean:
            return TargetColumn(name, pa.bool_(), lambda texts: pc.equal(texts, "t"))
        return TargetColumn(name, pa.string(), lambda texts: pc.if_else(pc.equal(texts, "t"), "true", "false"))
    if oid in (_TIMESTAMP, _TIMESTAMP_TZ):
        kind = pa.timestamp("ms" if options.milliseconds else "us", "UTC")
        return TargetColumn(name, kind, lambda texts: _timestamps(texts, kind))
    if oid == _NUMERIC:
        return _numeric(column)
    if oid == _CHAR:  # TrimSpaceInChar is DMS's default
        return TargetColumn(name, pa.string(), lambda texts: pc.utf8_rtrim(texts, " "))
    if oid in _SHORT_TEXTS:
        return TargetColumn(name, pa.string(), lambda texts: texts)
    if oid in _LARGE_TEXTS:
        return TargetColumn(name, pa.string(), lambda texts: _cut(texts, options.lob_kilobytes * 1024))
    raise UnsupportedColumn(f"column {name}: the laptop's DMS does not replicate the type with oid {oid}")


def _timestamps(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    # Parquet 1.0 knows instants only (TIMESTAMP_MILLIS): what has no zone is taken for UTC; what has one is printed in UTC.
    # The server prints microseconds; what milliseconds cannot hold is cut off.
    moments = pc.cast(pc.replace_substring_regex(texts, r"\+00$", ""), pa.timestamp("us"))
    if kind.unit == "ms":
        moments = pc.floor_temporal(moments, unit="millisecond")
    return pc.cast(pc.assume_timezone(moments, "UTC"), kind)


def _numeric(column: SourceColumn) -> TargetColumn:
    precision, scale = _BARE_NUMERIC
    if column.modifier >= _MODIFIER_HEADER:
        both = column.modifier - _MODIFIER_HEADER
        precision, scale = both >> 16, both & 0x7FF
        if precision > _WIDEST:
            return TargetColumn(column.name, pa.string(), lambda texts: texts)
        if scale > precision:  # a negative scale too: its eleven bits read as a large number
            raise UnsupportedColumn(f"column {column.name}: a scale outside 0..{precision} is not replicated")
    kind = pa.decimal128(precision, scale)
    unit = decimal.Decimal(1).scaleb(-scale)
    context = decimal.Context(prec=precision, rounding=decimal.ROUND_HALF_UP)

    def convert(texts: pa.Array) -> pa.Array:
        values = (None if text is None else decimal.Decimal(text).quantize(unit, context=context) for text in texts.to_pylist())
        return pa.array(list(values), kind)

    return TargetColumn(column.name, kind, convert)


def _cut(texts: pa.Array, limit: int) -> pa.Array:
    """Limited LOB mode: what is longer is cut off, between characters."""
    longest = pc.max(pc.binary_length(texts)).as_py()
    if longest is None or longest <= limit:
        return texts
    cut = (None if text is None else text.encode()[:limit].decode(errors="ignore") for text in texts.to_pylist())
    return pa.array(list(cut), pa.string())
