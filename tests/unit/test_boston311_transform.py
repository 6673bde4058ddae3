"""What a package says, and what the bytes of a resource are."""

import csv
import io
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.boston311.model import Manifest, Refused, Resource
from ingestion.boston311.records import Records
from ingestion.boston311.transform import Inspector, may_have_changed, package_of, parse_manifest
from ingestion.bronze import StoredObject

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
        (b"Exported by somebody, on some day\ncase_enquiry_id,open_dt\n1,2\n", "text/csv", "text_before_header"),
        (b"City of Boston\n\ncase_enquiry_id,open_dt\n1,2\n", "text/csv", "text_before_header"),
        (b"<!-- moved --><p>", "text/csv", "block_page"),
        ("<p>caf\xe9</p>".encode("latin-1"), "text/csv", "block_page"),
        (b"case_id;open_dt\n1;2\n", "text/csv", "no_header"),
        (b"case_id,open_dt\n", "text/csv", "no_rows"),
        (b"case_id,open_dt\r\n", "text/csv", "no_rows"),
        (b"case_id,open_dt", "text/csv", "no_rows"),
        (b"case_id,open_dt\r1,2\r", "text/csv", "cr_line_ends"),
        (b"\xef\xbb\xbf", "text/csv", "no_header"),
        (CSV.decode().encode("utf-16"), "text/csv", "not_utf8"),
        (CSV.decode().encode("utf-32"), "text/csv", "not_utf8"),
        (b"\xfe\xff" + CSV.decode().encode("utf-16-be"), "text/csv", "not_utf8"),
        (CSV.decode().encode("utf-16-le"), "text/csv", "nul_byte"),
        (CSV + b"2,caf\xe9\n", "text/csv", "not_utf8"),
        (CSV + b"2,caf\xc3", "text/csv", "truncated_body"),
        (CSV + b"2", "text/csv", "truncated_body"),
        (CSV + b'2,"half a', "text/csv", "truncated_body"),
        (CSV + b'2,"half a ""quote"" and\n3,', "text/csv", "truncated_body"),
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
    assert inspect(first_line, b"1,2,3\n").header == next(csv.reader(io.StringIO(first_line.decode("utf-8-sig"), newline="")))


def written(rows: list[list[str]], *, quoting: Any = csv.QUOTE_MINIMAL, end: str = "\n") -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator=end, quoting=quoting).writerows([["case_id", "text"], *rows])
    return out.getvalue().encode()


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(body), *(place for place in cuts if place < len(body))})
    return [body[a:b] for a, b in pairwise(edges)]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))
ROWS = st.lists(st.tuples(TEXT, TEXT).map(list), min_size=1, max_size=20)
CUTS = st.lists(st.integers(0, 400), max_size=8)


@given(rows=ROWS, cuts=CUTS, ending=st.booleans(), quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_rows_and_header_do_not_depend_on_how_the_body_is_cut(
    rows: list[list[str]], cuts: list[int], ending: bool, quoting: Any
) -> None:
    body = written(rows, quoting=quoting)
    body = body if ending else body.removesuffix(b"\n")
    inspector = inspect(*cut(body, cuts))
    assert inspector.header == ["case_id", "text"]
    assert inspector.rows == len(rows)


@given(
    body=st.lists(st.sampled_from(['"', '"', ",", "\n", "\r\n", "a", "é", '""', ',"', '",']), max_size=60).map("".join), cuts=CUTS
)
def test_places_are_those_of_a_reader_that_goes_letter_by_letter(body: str, cuts: list[int]) -> None:
    """Well formed or not, in one piece or in many."""
    records = Records()
    for piece in cut(body.encode(), cuts):
        records.read(piece)
    expected = letter_by_letter(body)
    assert records == expected.model_copy(update={} if expected.place == "quoted" else {"opened": records.opened})


def letter_by_letter(body: str) -> Records:
    found = Records()
    for letter in body:
        if letter == '"':
            if found.place in ("record", "field"):
                found.opened = found.lines + 1
            follows: dict[str, Any] = {"record": "quoted", "field": "quoted", "quoted": "quote", "quote": "quoted"}
            found.place = follows.get(found.place, "plain")
        elif found.place == "quoted":
            found.lines += letter == "\n"
        elif letter == "\n":
            found.records, found.lines, found.commas, found.place = found.records + 1, found.lines + 1, 0, "record"
        else:
            found.commas += letter == ","
            found.place = "field" if letter == "," else "plain"
    return found


@given(body=st.binary(max_size=300), with_header=st.booleans(), cuts=CUTS)
def test_whatever_comes_is_taken_or_refused_by_name_however_it_is_cut(body: bytes, with_header: bool, cuts: list[int]) -> None:
    body = b"case_id,text\n" + body if with_header else body
    assert refusal(cut(body, cuts)) == refusal([body])


@given(rows=ROWS, cuts=CUTS, place=st.integers(0, 10_000), quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_a_body_cut_off_anywhere_is_refused_unless_what_came_has_whole_records(
    rows: list[list[str]], cuts: list[int], place: int, quoting: Any
) -> None:
    """Cut inside the last field of a row it looks whole; then only the portal can tell, and does (vouched)."""
    body = written(rows, quoting=quoting)
    left = body[: place % len(body)]
    rules = {"truncated_body", "empty_body", "no_header", "no_key_column", "no_rows"}
    found = refusal(cut(left, cuts), vouched=False)
    assert found in rules if found else left.endswith(b"\n")
    if refusal([left]) is None:
        assert len([fields for fields in csv.reader(io.StringIO(left.decode(), newline="")) if len(fields) != 2]) == 0


def refusal(pieces: list[bytes], *, vouched: bool = True) -> str | None:
    inspector = Inspector(content_type=None)
    try:
        for piece in pieces:
            inspector.feed(piece)
        inspector.finish(vouched=vouched)
    except Refused as refused:
        return refused.rule
    return None


@given(
    rows=ROWS,
    cuts=CUTS,
    place=st.integers(0, 10_000),
    wrong=st.sampled_from([b"\xe9", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\0"]),
)
def test_a_byte_that_is_no_text_is_found_with_its_line(rows: list[list[str]], cuts: list[int], place: int, wrong: bytes) -> None:
    text = written(rows).decode()
    before = text[: place % len(text)].encode()
    with pytest.raises(Refused) as raised:
        inspect(*cut(before + wrong + b"!\n1,2\n", cuts))
    line = before.count(b"\n") + 1
    assert raised.value.rule == ("nul_byte" if wrong == b"\0" else "not_utf8")
    assert str(raised.value).startswith(f"line {line} holds ")
