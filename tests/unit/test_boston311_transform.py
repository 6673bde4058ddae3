"""What a package says, and what the bytes of a resource are."""

import csv
import io
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.boston311.model import Manifest, Refused, Resource, StoredObject
from ingestion.boston311.transform import Inspector, may_have_changed, package_of, parse_manifest

CSV = b"case_enquiry_id,open_dt\n1,2011-07-01 00:00:00\n"


def inspect(*pieces: bytes, content_type: str | None = "text/csv") -> Inspector:
    inspector = Inspector(content_type=content_type)
    for piece in pieces:
        inspector.feed(piece)
    inspector.finish()
    return inspector


def test_csv_resources_are_found_by_format_or_address_and_the_dictionary_is_left_out() -> None:
    entries: list[dict[str, Any]] = [
        {"id": "2", "name": "311 SERVICE REQUESTS - 2020", "format": "csv", "url": "u2", "last_modified": "t"},
        {"id": "1", "name": "311 Data Dictionary", "format": "PDF", "url": "https://h/d.pdf"},
        {"id": "3", "name": "311 Service Requests - NEW SYSTEM", "format": "", "url": "https://h/tmp1.CSV"},
    ]
    package = package_of({"resources": entries, "extras": [{"key": "origin", "value": "files"}]})
    assert [r.resource_id for r in package.resources] == ["2", "3"]
    assert package.origin == "files"


def test_a_portal_that_does_not_tell_its_origin_is_the_real_one() -> None:
    assert package_of({"resources": []}).origin == "live"


def test_a_changed_address_or_time_may_be_a_changed_resource() -> None:
    resource = Resource(resource_id="r", name="n", url="u", last_modified="t")
    manifest = Manifest(
        source="boston311", origin="files", run_id="x", resource_id="r", resource_name="n", url="u", last_modified="t", etag=None,
        content_hash="0", bytes=0, header=[], fetched_at="", object=StoredObject(key="k", version_id=None, etag="e"),
    )  # fmt: skip
    assert not may_have_changed(resource, manifest)
    assert may_have_changed(resource, None)
    assert may_have_changed(resource.model_copy(update={"url": "v"}), manifest)
    assert may_have_changed(resource.model_copy(update={"last_modified": "s"}), manifest)


def test_a_damaged_manifest_counts_as_none() -> None:
    assert parse_manifest(b'{"source": "boston311"') is None


@pytest.mark.parametrize(
    ("body", "content_type", "rule"),
    [
        (CSV, "text/html; charset=utf-8", "block_page"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "text/csv", "block_page"),
        (b"<HTML><body>Request blocked", None, "block_page"),
        (b"", "text/csv", "empty_body"),
        (b" \n\n", "text/csv", "empty_body"),
        (b"one column only\n1\n", "text/csv", "no_header"),
        (b'"never closed,a\nb', "text/csv", "no_header"),
        (b"open_dt,closed_dt\n1,2\n", "text/csv", "no_key_column"),
        (b"Exported by somebody, on some day\ncase_enquiry_id,open_dt\n", "text/csv", "no_key_column"),
    ],
)
def test_what_is_no_resource_is_refused_by_name(body: bytes, content_type: str | None, rule: str) -> None:
    with pytest.raises(Refused) as raised:
        inspect(body, content_type=content_type)
    assert raised.value.rule == rule


@pytest.mark.parametrize(
    "first_line",
    [
        b"case_enquiry_id,open_dt\n",
        b",CASE_ENQUIRY_ID,OPEN_DT\n",
        b"case_id,open_date\r\n",
        b'\xef\xbb\xbf"case_id","a\nb"\n',
    ],
)
def test_every_vintage_has_its_key_column(first_line: bytes) -> None:
    assert inspect(first_line).header == next(csv.reader(io.StringIO(first_line.decode("utf-8-sig"), newline="")))


@given(
    rows=st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r")), min_size=2, max_size=3), max_size=20),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    ending=st.booleans(),
)
def test_rows_and_header_do_not_depend_on_how_the_body_is_cut(rows: list[list[str]], cuts: list[int], ending: bool) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["case_id", "text"], *rows])
    body = out.getvalue().encode()
    body = body if ending else body.removesuffix(b"\n")
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    inspector = inspect(*(body[a:b] for a, b in pairwise(edges)))
    assert inspector.header == ["case_id", "text"]
    assert inspector.rows == len(rows)
