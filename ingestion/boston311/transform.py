"""Pure functions: what a package says, and what the bytes of a resource are."""

import codecs
import csv
import io
import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from ingestion.boston311.model import Manifest, Package, Refused, Resource
from ingestion.boston311.records import Records

# Enough for any first record; the longest real header has 600 bytes.
HEAD_BYTES = 1 << 16
SHOWN_BYTES = 120
KEY_COLUMNS = frozenset({"caseenquiryid", "caseid"})
MAX_PREAMBLE_LINES = 100
_OTHER_MARKS = {"UTF-32": codecs.BOM_UTF32_LE, "UTF-16": codecs.BOM_UTF16_LE, "UTF-16 (big-endian)": codecs.BOM_UTF16_BE}


def package_of(result: dict[str, Any]) -> Package:
    """CSV resources of `package_show`'s result. The origin stands in `extras`; a portal without it is the real one.

    One without id or address is left out: the others go on, and if it was there before, it is reported as missing.
    """
    extras = {extra.get("key"): extra.get("value") for extra in result.get("extras") or []}
    found = [
        Resource(resource_id=r["id"], name=r.get("name") or r["id"], url=r["url"], last_modified=r.get("last_modified"))
        for r in result.get("resources") or []
        if is_csv(r) and r.get("id") and r.get("url")
    ]
    return Package(origin=extras.get("origin", "live"), resources=sorted(found, key=lambda r: (r.name, r.resource_id)))


def is_csv(resource: dict[str, Any]) -> bool:
    """By format; by the address where the format is blank. The data dictionary (PDF) is in the same list."""
    form = (resource.get("format") or "").strip().lower()
    return form == "csv" if form else (resource.get("url") or "").lower().endswith(".csv")


def may_have_changed(resource: Resource, manifest: Manifest | None) -> bool:
    """False only when address and time are those of the last download: both change at every upload."""
    return manifest is None or (resource.url, resource.last_modified) != (manifest.url, manifest.last_modified)


def parse_manifest(body: bytes) -> Manifest | None:
    """The manifest, or None when it does not parse (then the resource is fetched anew)."""
    try:
        return Manifest.model_validate_json(body)
    except ValidationError:
        return None


class Inspector:
    """Looks at a body as it streams by. seen: what was known up to the byte it begins at.

    Raises Refused as soon as it is certain: block_page, empty_body, not_utf8, nul_byte, no_header, no_key_column,
    text_before_header, and at the end truncated_body, cr_line_ends, no_rows.
    """

    def __init__(self, *, content_type: str | None, seen: Records | None = None) -> None:
        if (content_type or "").split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
            raise Refused("block_page", f"the portal answered {content_type}, a page for people, instead of a CSV")
        self._head = bytearray()
        self._seen = seen or Records()
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._utf8.setstate((bytes.fromhex(self._seen.pending), 0))

    def feed(self, chunk: bytes) -> None:
        if self._seen.header:
            self._read(chunk)
            return
        self._head += chunk
        if len(self._head) >= HEAD_BYTES:
            self._begin()

    def finish(self, *, vouched: bool = True) -> None:
        """To be called after the last chunk. vouched: the portal told how much there is, and that is what came."""
        if not self._seen.header:
            self._begin()
        self._read(b"", final=True)
        seen = self._seen
        fields, names = seen.commas + 1, len(seen.header)
        if seen.place == "quoted":
            raise Refused(
                "truncated_body", f"it ends inside quotes that opened on line {seen.opened:,}: cut off, or a quote too many"
            )
        if seen.place != "record" and fields < names:
            raise Refused("truncated_body", f"its last line ({seen.lines + 1:,}) has {fields} of {names} fields and no end")
        if seen.place != "record" and not vouched:
            raise Refused(
                "truncated_body", f"its last line ({seen.lines + 1:,}) has no end, and the portal did not tell how long it is"
            )
        if not seen.rows:
            if b"\r" in self._head.rstrip():
                raise Refused("cr_line_ends", "its lines end with a carriage return alone; save it with line feeds (LF or CRLF)")
            raise Refused("no_rows", "nothing after the header")

    @property
    def header(self) -> list[str]:
        return self._seen.header

    @property
    def rows(self) -> int:
        return self._seen.rows

    def seen(self) -> Records:
        """What is known up to here; only once the header is."""
        return self._seen.model_copy(update={"pending": self._utf8.getstate()[0].hex()})

    def _begin(self) -> None:
        head = bytes(self._head)
        if not head.strip():
            raise Refused("empty_body", "the portal sent no bytes" if not head else "the portal sent nothing but white space")
        mark = next((name for name, mark in _OTHER_MARKS.items() if head.startswith(mark)), None)
        if mark:
            raise Refused("not_utf8", f"it begins with the byte-order mark of {mark}; save it as UTF-8")
        text = head.removeprefix(codecs.BOM_UTF8)
        if text.lstrip().startswith(b"<"):
            raise Refused("block_page", f"the body is a page for people, not a CSV: it begins {_beginning(text)}")
        self._read(text)
        self._seen.header = parse_header(text)

    def _read(self, chunk: bytes, *, final: bool = False) -> None:
        if b"\0" in chunk:
            line = self._seen.lines + chunk.count(b"\n", 0, chunk.index(b"\0")) + 1
            raise Refused("nul_byte", f"line {line:,} holds a byte 0: UTF-16 without its mark, or no text")
        try:
            self._utf8.decode(chunk, final)
        except UnicodeDecodeError as error:
            if final:
                raise Refused("truncated_body", f"its last line ({self._seen.lines + 1:,}) ends inside a character") from error
            found = error.object[: error.start]
            line = self._seen.lines + found.count(b"\n") + 1
            wrong = error.object[error.start]
            raise Refused(
                "not_utf8", f"line {line:,} holds the byte {wrong:#04x}, which is no UTF-8 there; save it as UTF-8"
            ) from error
        self._seen.read(chunk)


def parse_header(head: bytes) -> list[str]:
    """Column names of the first CSV record. Raises Refused("no_header" | "no_key_column" | "text_before_header")."""
    text = head.decode("utf-8", errors="replace")
    try:
        header = next(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, StopIteration) as error:
        raise Refused("no_header", f"no CSV record can be read at the beginning ({error}): {_beginning(head)}") from error
    if _is_header(header):
        return header
    line = _line_of_header(text)
    if line:
        raise Refused("text_before_header", f"the names of the columns are on line {line}; the file begins {_beginning(head)}")
    if len(header) < 2:
        raise Refused("no_header", f"the first line has one column: {_beginning(head)}")
    raise Refused("no_key_column", f"the first line names neither case_enquiry_id nor case_id: {_beginning(head)}")


def _is_header(names: Sequence[str]) -> bool:
    return len(names) > 1 and not KEY_COLUMNS.isdisjoint(name.lower().replace("_", "").strip() for name in names)


def _line_of_header(text: str) -> int | None:
    reader = csv.reader(io.StringIO(text, newline=""))
    with suppress(csv.Error):
        for names in itertools.islice(reader, MAX_PREAMBLE_LINES):
            if _is_header(names):
                return reader.line_num
    return None


def _beginning(head: bytes) -> str:
    """The first characters of a body, as a message shows them."""
    return repr(head[:SHOWN_BYTES].decode("utf-8", errors="replace").strip().partition("\n")[0])
