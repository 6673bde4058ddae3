"""The bytes of a download, whole or damaged as a fault wants it."""

import socket
import struct
import time
from http.server import BaseHTTPRequestHandler
from typing import IO

from local.sources.boston311.catalogue import READ_BYTES
from local.sources.boston311.faults import Reset, Slow, Truncated


def send(to: BaseHTTPRequestHandler, stream: IO[bytes], start: int, stop: int, fault: Truncated | Reset | Slow | None) -> None:
    """Sends stream[start:stop]; a fault's `after` counts from `start`, so that a resumed download meets it again."""
    stream.seek(start)
    end = min(stop, start + fault.after) if isinstance(fault, Truncated | Reset) else stop
    slowness = fault.bytes_per_second if isinstance(fault, Slow) else None
    # Ten pieces a second are slow enough to see and fast enough for no client to call it silence.
    size = READ_BYTES if slowness is None else max(1, slowness // 10)
    while start < end and (piece := stream.read(min(size, end - start))):
        to.wfile.write(piece)
        start += len(piece)
        if slowness is not None:
            time.sleep(len(piece) / slowness)
    if isinstance(fault, Reset):
        # Without lingering, a close is sent as a reset.
        to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if start < stop:  # by a fault, or because somebody cut the file short while it was sent
        to.close_connection = True
