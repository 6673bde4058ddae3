"""A download as S3 answers it: conditional and partial requests (RFC 9110), the bytes whole or damaged as a fault wants it."""

import socket
import struct
import time
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import IO

from local.sources.boston311.catalogue import READ_BYTES, Content, Resource
from local.sources.boston311.faults import Armed, BodyFault, Empty, Fault, Reset, Slow, Truncated


class Unsatisfiable(ValueError):
    """The range begins after the end."""


def answer(to: BaseHTTPRequestHandler, resource: Resource, content: Content, faults: Armed) -> None:
    """The whole response to a GET or HEAD, by the request's conditions and range."""
    etag, size = f'"{content.sha256}"', content.size
    headers = {
        "ETag": etag,
        "Last-Modified": format_datetime(resource.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Type": resource.mimetype,
    }
    if _same_version(to.headers.get("If-None-Match"), etag):
        _head(to, 304, headers)
        return
    # With If-Range a part of another version is not wanted: the whole of the one that there is comes instead.
    wanted = to.headers.get("Range") if to.headers.get("If-Range", etag) == etag else None
    try:
        span = _span(wanted, size)
    except Unsatisfiable:
        _head(to, 416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
        return
    start, stop = span or (0, size)
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    fault = faults.strike(resource.key, BodyFault) if to.command == "GET" else None
    if isinstance(fault, Empty):
        stop = start
    _head(to, 206 if span else 200, {**headers, "Content-Length": str(stop - start)})
    if to.command == "GET":
        _body(to, content.stream, start, stop, fault)


def _head(to: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    to.send_response(status)
    for name, value in headers.items():
        to.send_header(name, value)
    to.end_headers()


def _body(to: BaseHTTPRequestHandler, stream: IO[bytes], start: int, stop: int, fault: Fault | None) -> None:
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
        # A close without lingering is sent as a reset. The server itself would say a proper farewell first.
        to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        to.rfile.close()
        to.connection.close()
    if start < stop:  # by a fault, or because somebody cut the file short while it was sent
        to.close_connection = True


def _same_version(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match names this version."""
    if header is None:
        return False
    return any(tag.strip().removeprefix("W/") in ("*", etag) for tag in header.split(","))


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """(first byte, byte after the last) of a Range header; None = the whole: no header, several ranges, or one not understood.

    Raises Unsatisfiable.
    """
    unit, _, spec = (header or "").partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or not (first + last).isdecimal():
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise Unsatisfiable(header)
    return start, stop
