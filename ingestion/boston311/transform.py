"""Pure functions: what a package says, and what the bytes of a resource are."""

import csv
import io
import re
from typing import Any

from pydantic import ValidationError

from ingestion.boston311.model import Manifest, Package, Records, Refused, Resource

# Enough for any first record; the longest real header has 600 bytes.
HEAD_BYTES = 1 << 16
SHOWN_BYTES = 120
KEY_COLUMNS = frozenset({"caseenquiryid", "caseid"})
_HTML = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)


def package_of(result: dict[str, Any]) -> Package:
    """CSV resources of `package_show`'s result. The origin stands in `extras`; a portal without it is the real one.

    Raises ValidationError when a resource has no id, name or url.
    """
    extras = {extra.get("key"): extra.get("value") for extra in result.get("extras") or []}
    found = [
        Resource(resource_id=r["id"], name=r.get("name") or r["id"], url=r["url"], last_modified=r.get("last_modified"))
        for r in result.get("resources") or []
        if is_csv(r)
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
    """Looks at a body as it streams by: number of records, first record. seen: what was known up to the byte it begins at.

    Raises Refused (block_page, empty_body, no_header, no_key_column) as soon as it is certain.
    """

    def __init__(self, *, content_type: str | None, seen: Records | None = None) -> None:
        if (content_type or "").split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
            raise Refused("block_page", f"the portal answered {content_type}, a page for people, instead of a CSV")
        self._head = bytearray()
        self._seen = seen or Records(header=[], newlines=0, quoted=False, ended=True)

    def feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._count(chunk)
        if not self._seen.header:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
            if len(self._head) >= HEAD_BYTES:
                self._read_header()

    def finish(self) -> None:
        """To be called after the last chunk."""
        if not self._seen.header:
            self._read_header()

    @property
    def header(self) -> list[str]:
        return self._seen.header

    @property
    def rows(self) -> int:
        """Records after the header."""
        return self._seen.newlines + (not self._seen.ended) - 1

    def seen(self) -> Records:
        """What is known up to here; only once the header is."""
        return self._seen.model_copy()

    def _count(self, chunk: bytes) -> None:
        # A newline ends a record when the number of quotes before it is even; a doubled quote keeps the parity.
        first, *others = chunk.split(b'"')
        quoted, newlines = self._seen.quoted, 0 if self._seen.quoted else first.count(b"\n")
        for piece in others:
            quoted = not quoted
            if not quoted:
                newlines += piece.count(b"\n")
        self._seen.quoted = quoted
        self._seen.newlines += newlines
        self._seen.ended = chunk.endswith(b"\n")

    def _read_header(self) -> None:
        head = bytes(self._head)
        if not head.strip():
            raise Refused("empty_body", "the portal sent no bytes" if not head else "the portal sent nothing but white space")
        if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
            raise Refused("block_page", f"the body is a page for people, not a CSV: it begins {_beginning(head)}")
        self._seen.header = parse_header(head)


def parse_header(head: bytes) -> list[str]:
    """Column names of the first CSV record. Raises Refused("no_header" | "no_key_column")."""
    text = head.decode("utf-8-sig", errors="replace")
    try:
        header = next(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, StopIteration) as error:
        raise Refused("no_header", f"no CSV record can be read at the beginning ({error}): {_beginning(head)}") from error
    if len(header) < 2:
        raise Refused("no_header", f"the first line has one column: {_beginning(head)}")
    if KEY_COLUMNS.isdisjoint(name.lower().replace("_", "").strip() for name in header):
        raise Refused("no_key_column", f"the first line names neither case_enquiry_id nor case_id: {_beginning(head)}")
    return header


def _beginning(head: bytes) -> str:
    """The first characters of a body, as a message shows them."""
    return repr(head[:SHOWN_BYTES].decode("utf-8", errors="replace").strip().partition("\n")[0])
