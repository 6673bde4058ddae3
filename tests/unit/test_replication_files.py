"""Columns and files of Parquet made from the server's text."""

import datetime as dt
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.replication.columns import Options, SourceColumn, UnsupportedColumn, target
from local.replication.files import Change, Format, Layout, ParquetFile

BOOL, INT4, TEXT, FLOAT8, DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC = 16, 23, 25, 701, 1082, 1114, 1184, 1700


def value(oid: int, text: str | None, modifier: int = -1, options: Options | None = None) -> Any:
    return target(SourceColumn("c", oid, modifier), options or Options()).array([text]).to_pylist()[0]


@given(st.floats(allow_nan=False))
def test_doubles_read_back_bit_for_bit(number: float) -> None:
    found = value(FLOAT8, repr(number).replace("inf", "Infinity"))
    assert (found, str(found)) == (number, str(number))  # -0.0 too


@given(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)))  # noqa: DTZ001
def test_timestamps_are_cut_off_at_the_millisecond(moment: dt.datetime) -> None:
    text = f"{moment.year:04d}-{moment:%m-%d %H:%M:%S}.{moment.microsecond:06d}"
    at = moment.replace(tzinfo=dt.UTC)
    assert value(TIMESTAMP, text) == at
    assert value(TIMESTAMPTZ, f"{text}+00") == at
    assert value(TIMESTAMP, text, options=Options(milliseconds=True)) == at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_booleans_are_words_unless_mapped() -> None:
    assert [value(BOOL, text) for text in ("t", "f", None)] == ["true", "false", None]
    assert [value(BOOL, text, options=Options(boolean_as_boolean=True)) for text in ("t", "f", None)] == [True, False, None]


def test_numerics() -> None:
    assert value(NUMERIC, "0.611111104488373") == Decimal("0.611111")
    assert value(NUMERIC, "-1.50", ((5 << 16) | 2) + 4) == Decimal("-1.50")
    assert value(NUMERIC, "1.5", ((39 << 16) | 2) + 4) == "1.5"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(1, 3))
def test_large_text_is_cut_between_characters(text: str, kilobytes: int) -> None:
    found = value(TEXT, text * 100, options=Options(lob_kilobytes=kilobytes))
    assert (text * 100).startswith(found)
    assert len(found.encode()) <= kilobytes * 1024
    assert len((text * 100).encode()) <= kilobytes * 1024 or len(found.encode()) > kilobytes * 1024 - 4


@pytest.mark.parametrize(
    ("oid", "text"),
    [(TIMESTAMP, "infinity"), (DATE, "-infinity"), (TIMESTAMP, "0044-03-15 10:00:00 BC"), (NUMERIC, "NaN"), (NUMERIC, "1" * 23)],
)
def test_a_value_that_parquet_cannot_hold_is_told_with_its_column(oid: int, text: str) -> None:
    with pytest.raises(UnsupportedColumn, match="column c"):
        value(oid, text)


@pytest.mark.parametrize("oid", [17, 600, 1009, 1186, 16400])
def test_types_that_are_not_replicated(oid: int) -> None:
    with pytest.raises(UnsupportedColumn, match=f"column c.*{oid}"):
        target(SourceColumn("c", oid, -1), Options())


def test_a_file_in_row_groups(tmp_path: Path) -> None:
    form = Format(Options(milliseconds=True), timestamp_column="at", sequence_columns=("seq",), row_group=10)
    layout = Layout.of([SourceColumn("id", INT4, -1), SourceColumn("s", TEXT, -1)], form)
    file = ParquetFile(layout, tmp_path)
    sizes = []
    for number in range(25):
        file.add(Change("U", [str(number), None], "2026-11-21 10:00:00.000000", f"{number:035d}"))
        sizes.append(file.size)
    found = pq.ParquetFile(io.BytesIO(file.finish().read()))
    file.close()
    assert sizes[9] > sizes[8] == sizes[0]  # a row group is written once it is full
    assert found.metadata.num_row_groups == 3
    assert found.metadata.row_group(0).column(1).compression == "GZIP"
    assert found.metadata.format_version == "1.0"
    assert b"ARROW:schema" not in (found.metadata.metadata or {})
    assert found.schema_arrow.names == ["Op", "id", "s", "at", "seq"]
    table = found.read()
    assert table["id"].to_pylist() == list(range(25))
    assert table.schema.field("s").type == pa.string()
    assert not list(tmp_path.iterdir())  # temporary files have no names


def test_a_load_without_operation() -> None:
    layout = Layout.of([SourceColumn("id", INT4, -1)], Format(Options(), operation=False))
    assert layout.table([Change("I", ["1"], "")]).to_pylist() == [{"id": 1}]
