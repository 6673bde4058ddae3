"""The body of an HTTP answer, piece by piece, and whether all of it came."""

from collections.abc import Iterator

import requests
import urllib3

CHUNK_BYTES = 1 << 16  # a slow body must not hold up the look at the clock


class BrokenOff(Exception):
    """The body ended before its announced length."""


class ConnectionLost(Exception):
    """The connection failed or fell silent within the body."""


def is_encoded(response: requests.Response) -> bool:
    """Whether the body comes compressed although that was not asked for: ranges then count other bytes than ours."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def ends_with_connection(response: requests.Response) -> bool:
    """Whether nothing but the end of the connection tells where the body ends: then a break looks like an end."""
    return announced_length(response) is None and "chunked" not in response.headers.get("Transfer-Encoding", "").lower()


def chunks(response: requests.Response) -> Iterator[bytes]:
    """The body, or the part of it that was asked for, in pieces of at most CHUNK_BYTES, each as soon as it is there.

    Raises BrokenOff, ConnectionLost; what came before was yielded.
    """
    received = 0
    expected = announced_length(response)
    try:
        # Not iter_content: it waits for a full piece, and what came of the last one before a break is lost.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            received += len(chunk)
            yield chunk
    except urllib3.exceptions.ProtocolError as error:
        raise BrokenOff(f"the body broke off after {received:,} of {_shown(expected)} bytes") from error
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionLost(f"the connection was lost after {received:,} of {_shown(expected)} bytes") from error
    if is_encoded(response):
        received = response.raw.tell()
    if expected is not None and received != expected:
        raise BrokenOff(f"the body has {received:,} of {expected:,} bytes")


def announced_length(response: requests.Response) -> int | None:
    written = response.headers.get("Content-Length", "").strip()
    return int(written) if written.isascii() and written.isdigit() else None


def _shown(expected: int | None) -> str:
    return "?" if expected is None else f"{expected:,}"
