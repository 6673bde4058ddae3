"""A body cut into links: each is a gzip member of its own, and the content hash is a chain over them.

Neither zlib nor hashlib can write down its state. At the border of two links there is none but a digest, so a body can be
taken up there by another process. RFC 1952 lets members stand one after the other; every reader of gzip reads them as one.
"""

import hashlib
import zlib
from collections.abc import Iterator

LINK_BYTES = 8 << 20  # before compression; shorter links compress worse, longer ones cost more to repeat
LEVEL = 4  # half the time of 6 for 15 instead of 13 %
_GZIP = 31  # zlib's window of 32 KiB, in a gzip member without name and time


class Packer:
    """size: bytes of the links closed so far; chain: hex digest of the last of them, "" before the first."""

    def __init__(self, *, size: int = 0, chain: str = "") -> None:
        if size % LINK_BYTES:
            raise ValueError(f"{size} is no border of links of {LINK_BYTES} bytes")
        self.size, self.chain = size, chain
        self._open()

    def cut(self, data: bytes) -> Iterator[bytes]:
        """`data` in pieces that end where links end; each is to be fed before the next is asked for."""
        while data:
            room = LINK_BYTES - self._held
            yield data[:room]
            data = data[room:]

    def feed(self, piece: bytes) -> bytes:
        """What is to be written now; `piece` does not reach over the end of the link."""
        self._hash.update(piece)
        self._held += len(piece)
        packed = self._gzip.compress(piece)
        if self._held == LINK_BYTES:
            packed += self._gzip.flush()
            self.size, self.chain = self.size + LINK_BYTES, self._hash.hexdigest()
            self._open()
        return packed

    @property
    def is_border(self) -> bool:
        return self._held == 0

    def finish(self) -> bytes:
        """What is left to write after the last byte."""
        return self._gzip.flush() if self._held else b""

    @property
    def content_hash(self) -> str:
        """SHA-256 of the body; of a body of several links, SHA-256 of the digest of those before and the bytes of the last."""
        return self._hash.hexdigest() if self._held or not self.chain else self.chain

    def _open(self) -> None:
        self._held = 0
        self._hash = hashlib.sha256(bytes.fromhex(self.chain))
        self._gzip = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
