"""The package's resources under one choice, and their bytes as files on disk.

Simulated resources are written to disk when first asked for, so that length, hash and ranges are known and a second download costs
nothing; a row is never held longer than its day.
"""

import hashlib
import inspect
import logging
import os
import shutil
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Protocol

from local.sources.boston311 import cases, vintages, world
from local.sources.boston311.choice import Files, Simulated, csv_files

log = logging.getLogger(__name__)

READ_BYTES = 1 << 20
# Resource ids of data.boston.gov by year: the simulated package answers under the real names.
YEARS = {
    2011: "94b499d9-712a-4d2a-b790-7ceec5c9c4b1",
    2012: "382e10d9-1864-40ba-bef6-4eea3c75463c",
    2013: "407c5cd0-f764-4a41-adf8-054ff535049e",
    2014: "bdae89c8-d4ce-40e9-a6e1-a5203953a2e0",
    2015: "c9509ab4-6f6d-4b97-979a-0cf2a10c922b",
    2016: "b7ea6b1b-3ca4-4c5b-9713-6dc1db52379a",
    2017: "30022137-709d-465e-baae-ca155b51927d",
    2018: "2be28d90-3a90-4af1-a3f6-f28c1e25880a",
    2019: "ea2e4696-4a2d-429c-9807-d02eb92e0222",
    2020: "6ff6a6fd-3141-4440-a880-6f60a37fe789",
    2021: "f53ebccd-bc61-49f9-83db-625f209c95f5",
    2022: "81a7b022-f8fc-4da5-80e4-b160058ca207",
    2023: "e6013a93-1321-4f2a-bf91-8d8a02f1e62f",
    2024: "dff4d804-5031-443a-8409-8344efd0e5c8",
    2025: "9d7c2214-4709-478a-a2e8-fb2020a5bb94",
    2026: "1a0b420d-99f1-4887-9851-990b2a5a6e17",
}
DICTIONARY_ID = "311d1c71-0000-4000-8000-000000000311"
_DICTIONARY = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
# A change of the generator is a new upload: addresses and times must then change.
_GENERATOR = hashlib.sha256("".join(inspect.getsource(module) for module in (world, cases, vintages)).encode()).hexdigest()


@dataclass(frozen=True)
class Resource:
    """One entry of the package. `upload` changes with the content and is part of the address; `modified`: UTC."""

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
        self._directory = choice.directory
        self._hashes = HashCache()

    def resources(self) -> list[Resource]:
        """Raises OSError when the directory is gone or a file cannot be read."""
        if not self._directory.is_dir():
            raise FileNotFoundError(f"the directory that the portal serves is gone: {self._directory}")
        found = []
        for path in csv_files(self._directory):
            with path.open("rb") as stream:
                sha256 = self._hashes.of(stream)
            modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            relative = path.relative_to(self._directory).as_posix()
            found.append(Resource(relative, relative, "CSV", "text/csv", sha256[:8], modified))
        return found

    @contextmanager
    def content(self, resource: Resource) -> Iterator[Content]:
        with (self._directory / resource.id).open("rb") as stream:
            yield _content(stream, self._hashes.of(stream))


class SimulatedCatalogue:
    """Yearly resources in the portal's legacy vintage, and the data dictionary that stands beside them."""

    def __init__(self, choice: Simulated, *, home: Path) -> None:
        self._choice = choice
        self._directory = home / "portal"
        self._hashes = HashCache()
        self._writing = threading.Lock()
        self._years = {YEARS[year]: year for year in choice.years}

    def resources(self) -> list[Resource]:
        yearly = [self._resource(rid, _name(year), "CSV", "text/csv") for rid, year in self._years.items()]
        return [*yearly, self._resource(DICTIONARY_ID, "311 Data Dictionary", "PDF", "application/pdf")]

    @contextmanager
    def content(self, resource: Resource) -> Iterator[Content]:
        path = self._directory / resource.upload
        with self._writing:
            if not path.exists():
                self._write(path, resource)
        with path.open("rb") as stream:
            yield _content(stream, self._hashes.of(stream))

    def clear(self) -> None:
        """Removes what was written; a download that is under way keeps its open file."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _resource(self, rid: str, name: str, form: str, mimetype: str) -> Resource:
        rows = self._choice.rows_of(self._years[rid]) if rid in self._years else 0
        key = hashlib.sha256(f"{_GENERATOR}:{self._choice.seed}:{rows}:{rid}".encode())
        # Any instant will do if the same content always has the same.
        modified = datetime(2026, 11, 1, 6, tzinfo=UTC) + timedelta(seconds=zlib.crc32(key.digest()) % 86_400)
        return Resource(rid, name, form, mimetype, key.hexdigest()[:8], modified)

    def _write(self, path: Path, resource: Resource) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as stream:
            for block in self._blocks(resource):
                stream.write(block)
        part.replace(path)
        log.info("simulated %s: %d bytes", resource.name, path.stat().st_size)

    def _blocks(self, resource: Resource) -> Iterator[bytes]:
        if resource.id == DICTIONARY_ID:
            return iter((_DICTIONARY,))
        year = self._years[resource.id]
        rows = self._choice.rows_of(year)
        return vintages.csv_blocks(vintages.VINTAGE_B, seed=self._choice.seed, year=year, rows=rows)


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


def _name(year: int) -> str:
    return f"311 SERVICE REQUESTS - {year}" if year in (2020, 2016) else f"311 Service Requests - {year}"
