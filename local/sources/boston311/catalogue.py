"""The package's resources under one choice, and their bytes as files on disk.

Simulated resources are written to disk when first asked for, so that length, hash and ranges are known and a second download costs
nothing; a row is never held longer than its day.
"""

import hashlib
import logging
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Protocol

from local.sources.boston311.choice import Files, Simulated, csv_files
from local.sources.boston311.parts import NEW

log = logging.getLogger(__name__)

READ_BYTES = 1 << 20
# Resource ids of data.boston.gov by year: the simulated package answers under the real names.
IDS = {
    "2011": "94b499d9-712a-4d2a-b790-7ceec5c9c4b1",
    "2012": "382e10d9-1864-40ba-bef6-4eea3c75463c",
    "2013": "407c5cd0-f764-4a41-adf8-054ff535049e",
    "2014": "bdae89c8-d4ce-40e9-a6e1-a5203953a2e0",
    "2015": "c9509ab4-6f6d-4b97-979a-0cf2a10c922b",
    "2016": "b7ea6b1b-3ca4-4c5b-9713-6dc1db52379a",
    "2017": "30022137-709d-465e-baae-ca155b51927d",
    "2018": "2be28d90-3a90-4af1-a3f6-f28c1e25880a",
    "2019": "ea2e4696-4a2d-429c-9807-d02eb92e0222",
    "2020": "6ff6a6fd-3141-4440-a880-6f60a37fe789",
    "2021": "f53ebccd-bc61-49f9-83db-625f209c95f5",
    "2022": "81a7b022-f8fc-4da5-80e4-b160058ca207",
    "2023": "e6013a93-1321-4f2a-bf91-8d8a02f1e62f",
    "2024": "dff4d804-5031-443a-8409-8344efd0e5c8",
    "2025": "9d7c2214-4709-478a-a2e8-fb2020a5bb94",
    "2026": "1a0b420d-99f1-4887-9851-990b2a5a6e17",
    NEW: "254adca6-64ab-4c5c-9fc0-a6da622be185",
}
DICTIONARY_ID = "311d1c71-0000-4000-8000-000000000311"
_DICTIONARY = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
# A change of the generator is a new upload: addresses and times must then change.
_GENERATOR = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()


@dataclass(frozen=True)
class Resource:
    """One entry of the package. `upload` changes with the content and is part of the address; `modified`: UTC.

    key: what the control calls it.
    """

    key: str
    id: str
    name: str
    format: str
    mimetype: str
    upload: str
    modified: datetime


@dataclass(frozen=True)
class Content:
    """The open bytes of a resource and their hash."""

    stream: IO[bytes]
    size: int
    sha256: str


class Catalogue(Protocol):
    def resources(self) -> list[Resource]: ...

    @contextmanager
    def content(self, resource: Resource) -> Iterator[Content]:
        """Raises OSError when the bytes cannot be had."""
        ...


class FilesCatalogue:
    """Each CSV is a resource: its id and name are the path below the directory, its identity the hash of its bytes."""

    def __init__(self, choice: Files) -> None:
        self._directory, self._missing = choice.directory, choice.missing
        self._hashes = HashCache()

    def resources(self) -> list[Resource]:
        """Raises OSError when the directory is gone or a file cannot be read."""
        if not self._directory.is_dir():
            raise FileNotFoundError(f"the directory that the portal serves is gone: {self._directory}")
        found = []
        for path in csv_files(self._directory):
            relative = path.relative_to(self._directory).as_posix()
            if relative in self._missing:
                continue
            with path.open("rb") as stream:
                sha256 = self._hashes.of(stream)
            modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            found.append(Resource(relative, relative, relative, "CSV", "text/csv", sha256[:8], modified))
        return found

    @contextmanager
    def content(self, resource: Resource) -> Iterator[Content]:
        with (self._directory / resource.id).open("rb") as stream:
            yield _content(stream, self._hashes.of(stream))


class SimulatedCatalogue:
    """Yearly resources in the vintages of the legacy system, the new system, and the data dictionary that stands beside them."""

    def __init__(self, choice: Simulated, *, home: Path) -> None:
        self._choice = choice
        self._directory = home / "portal"
        self._hashes = HashCache()
        self._writing = threading.Lock()
        self._parts = {part.key: part for part in choice.parts()}

    def resources(self) -> list[Resource]:
        listed = [key for key in self._parts if key not in self._choice.missing]
        return [
            *(self._resource(key, IDS[key], _name(key), "CSV", "text/csv") for key in listed),
            self._resource(DICTIONARY_ID, DICTIONARY_ID, "311 Data Dictionary", "PDF", "application/pdf"),
        ]

    @contextmanager
    def content(self, resource: Resource) -> Iterator[Content]:
        path = self._directory / resource.upload
        with self._writing:
            if not path.exists():
                self._write(path, resource)
        with path.open("rb") as stream:
            yield _content(stream, self._hashes.of(stream))

    def prune(self) -> None:
        """Removes what was written for another choice; a download that is under way keeps its open file."""
        kept = {resource.upload for resource in self.resources()}
        for path in self._directory.glob("*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _resource(self, key: str, rid: str, name: str, form: str, mimetype: str) -> Resource:
        editions = self._choice.editions_of(key)
        identity = self._parts[key].identity if key in self._parts else key
        digest = hashlib.sha256(f"{_GENERATOR}:{rid}:{self._choice.seed}:{identity}:{editions}".encode())
        # Any instant will do if the same version always has the same, and a newer one a later.
        first = datetime(2026, 11, 1, 6, tzinfo=UTC) + timedelta(seconds=zlib.crc32(digest.digest()) % 43_200)
        return Resource(key, rid, name, form, mimetype, digest.hexdigest()[:8], first + timedelta(days=len(editions)))

    def _write(self, path: Path, resource: Resource) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as stream:
            for block in self._blocks(resource.key):
                stream.write(block)
        part.replace(path)
        log.info("simulated %s: %d bytes", resource.name, path.stat().st_size)

    def _blocks(self, key: str) -> Iterator[bytes]:
        if key == DICTIONARY_ID:
            return iter((_DICTIONARY,))
        return self._parts[key].blocks(self._choice.seed, self._choice.editions_of(key))


class HashCache:
    """SHA-256 of open files, remembered by (device, inode, size, mtime): a file is read again only when one of them changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int, int], str] = {}

    def of(self, stream: IO[bytes]) -> str:
        stat = os.fstat(stream.fileno())
        key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if key not in self._known:
            stream.seek(0)
            sha256 = hashlib.sha256()
            while piece := stream.read(READ_BYTES):
                sha256.update(piece)
            self._known[key] = sha256.hexdigest()
        return self._known[key]


def _content(stream: IO[bytes], sha256: str) -> Content:
    size = stream.seek(0, 2)
    stream.seek(0)
    return Content(stream, size, sha256)


def _name(key: str) -> str:
    if key == NEW:
        return "311 Service Requests - NEW SYSTEM"
    return f"311 SERVICE REQUESTS - {key}" if key in ("2016", "2020") else f"311 Service Requests - {key}"
