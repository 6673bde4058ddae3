"""Bronze as this source writes it: pages as received, the manifest of a listing, coins set aside, the run's part."""

import gzip
import json
from collections.abc import Sequence
from typing import Any

from ingestion.bronze import GZIP, JSON, SourceBucket, StoredObject
from ingestion.coins.model import STEP, Manifest
from ingestion.run_part import Part
from lake.names import manifest_key, run_part_key

_LEVEL = 6


class Bronze(SourceBucket):
    """Bronze of this source."""

    def manifest_key(self, listing_id: str) -> str:
        return manifest_key(self._source, listing_id)

    def manifest(self, key: str) -> Manifest | None:
        """None when there is none. Raises pydantic.ValidationError for one that is not as we write it."""
        body = self.read(key)
        return None if body is None else Manifest.model_validate_json(body)

    def put_page(self, listing_id: str, number: int, body: bytes) -> StoredObject:
        """number: from 1."""
        key = f"{self._source}/listings/{listing_id}/page-{number:04d}.json.gz"
        return self.put(key, gzip.compress(body, _LEVEL, mtime=0), content_type=GZIP)

    def pages(self, manifest: Manifest) -> list[bytes]:
        """The answers as received, exactly the versions that the manifest names."""
        return [gzip.decompress(self.read_version(page)) for page in manifest.pages]

    def put_manifest(self, manifest: Manifest) -> None:
        self.put(self.manifest_key(manifest.listing_id), manifest.model_dump_json().encode(), content_type=JSON)

    def set_aside(self, listing_id: str, bad: Sequence[tuple[str, Any]]) -> str:
        """Keeps coins as JSON lines {"reason", "raw"}; answers the key."""
        key = f"{self._source}/rejected/{listing_id}.json.gz"
        lines = "".join(json.dumps({"reason": reason, "raw": json.dumps(raw)}) + "\n" for reason, raw in bad)
        self.put(key, gzip.compress(lines.encode(), _LEVEL, mtime=0), content_type=GZIP)
        return key

    def part(self, run_id: str) -> Part | None:
        body = self.read(run_part_key(run_id, STEP))
        return None if body is None else Part.model_validate_json(body)

    def put_part(self, run_id: str, part: Part) -> None:
        self.put(run_part_key(run_id, STEP), part.model_dump_json().encode(), content_type=JSON)
