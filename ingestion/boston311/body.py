"""A resource's bytes on their way into bronze: examined, hashed, packed and uploaded as they arrive."""

from datetime import UTC, datetime
from typing import Self

from ingestion.boston311.bronze import Upload
from ingestion.boston311.model import Progress
from ingestion.boston311.packing import Packer
from ingestion.boston311.transform import Inspector
from ingestion.bronze import StoredObject


class Body:
    """etag: of the version that it is, as the portal gives it; size: in bytes, if it was announced; ranged: whether a part of it
    can be asked for.

    received: bytes so far; progress: the last border at which another invocation could take it up, None before the first.
    """

    def __init__(
        self,
        *,
        etag: str | None,
        upload: Upload,
        size: int | None = None,
        content_type: str | None = None,
        ranged: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self.etag, self.size = etag, size
        self._ranged = ranged
        self._upload = upload
        self._inspector = Inspector(content_type=content_type, seen=progress.records if progress else None)
        self._packer = Packer(size=progress.bytes, chain=progress.chain) if progress else Packer()
        self.received = progress.bytes if progress else 0
        self.fetched_at = progress.fetched_at if progress else _now()
        self.progress = progress

    @classmethod
    def resumed(cls, progress: Progress, *, upload: Upload) -> Self:
        return cls(etag=progress.etag, size=progress.size, upload=upload, progress=progress)

    def feed(self, chunk: bytes) -> None:
        """Raises Refused as soon as it is certain that this is no CSV of the source."""
        for piece in self._packer.cut(chunk):
            self._inspector.feed(piece)
            self._upload.write(self._packer.feed(piece))
            self.received += len(piece)
            if self._packer.is_border and self._upload.is_part:
                self._upload.end_part()
                self.progress = self._border()

    def finish(self, *, vouched: bool) -> None:
        """To be called after the last byte. vouched: the portal told that it is. Raises Refused."""
        self._inspector.finish(vouched=vouched)

    def store(self) -> StoredObject:
        self._upload.write(self._packer.finish())
        return self._upload.complete()

    def abort(self) -> None:
        self._upload.abort()

    @property
    def resumable_as(self) -> str | None:
        """The ETag by which more bytes of the same version can be asked for. A weak one does not promise equal bytes (RFC 9110)."""
        return self.etag if self._ranged and self.etag and not self.etag.startswith("W/") else None

    @property
    def content_hash(self) -> str:
        return self._packer.content_hash

    @property
    def header(self) -> list[str]:
        return self._inspector.header

    @property
    def rows(self) -> int:
        return self._inspector.rows

    def _border(self) -> Progress | None:
        if self.resumable_as is None or self._upload.upload_id is None:
            return None
        return Progress(
            etag=self.resumable_as,
            bytes=self._packer.size,
            size=self.size,
            chain=self._packer.chain,
            records=self._inspector.seen(),
            key=self._upload.key,
            upload_id=self._upload.upload_id,
            parts=list(self._upload.parts),
            fetched_at=self.fetched_at,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
