"""Pure functions: what a package says, and what the bytes of a resource are."""

import csv
import hashlib
import io
import re
from typing import Any

from pydantic import ValidationError

from ingestion.boston311.model import Manifest, Package, Refused, Resource

# Enough for any first record; the longest real header has 600 bytes.
HEAD_BYTES = 1 << 16
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
    """Looks at a body as it streams by: hash, size, number of records, first record.

    Raises Refused("block_page" | "empty_body" | "no_header" | "no_key_column") as soon as it is certain.
    """

    def __init__(self, *, content_type: str | None) -> None:
        if (content_type or "").split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
            raise Refused("block_page")
        self._sha256 = hashlib.sha256()
        self._head = bytearray()
        self._quotes = 0
        self._newlines = 0
        self._ends_with_newline = True
        self.bytes = 0
        self.header: list[str] = []

    def feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._sha256.update(chunk)
        self.bytes += len(chunk)
        self._count(chunk)
        if not self.header:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
            if len(self._head) >= HEAD_BYTES:
                self._read_header()

    def finish(self) -> None:
        """To be called after the last chunk."""
        if not self.header:
            self._read_header()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def rows(self) -> int:
        """Records after the header."""
        return self._newlines + (not self._ends_with_newline) - 1

    def _count(self, chunk: bytes) -> None:
        # A newline ends a record when the number of quotes before it is even; a doubled quote keeps the parity.
        for piece in chunk.split(b'"'):
            if self._quotes % 2 == 0:
                self._newlines += piece.count(b"\n")
            self._quotes += 1
        self._quotes -= 1
        self._ends_with_newline = chunk.endswith(b"\n")

    def _read_header(self) -> None:
        head = bytes(self._head)
        if not head.strip():
            raise Refused("empty_body")
        if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
            raise Refused("block_page")
        self.header = parse_header(head)


def parse_header(head: bytes) -> list[str]:
    """Column names of the first CSV record. Raises Refused("no_header" | "no_key_column")."""
    text = head.decode("utf-8-sig", errors="replace")
    try:
        header = next(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, StopIteration) as error:
        raise Refused("no_header") from error
    if len(header) < 2:
        raise Refused("no_header")
    if KEY_COLUMNS.isdisjoint(name.lower().replace("_", "").strip() for name in header):
        raise Refused("no_key_column")
    return header
