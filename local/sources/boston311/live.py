"""Relay to the real portal: the same requests, its answers, with its addresses rewritten to ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests

from local.sources.boston311.ckan import CkanError

UPSTREAM = "https://data.boston.gov"
FORWARDED = ("Accept", "If-None-Match", "If-Range", "Range", "User-Agent")
RETURNED = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Retry-After",
)
LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
TIMEOUT = (10, 60)  # seconds to connect, seconds between two reads


@contextmanager
def relayed(method: str, target: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """The portal's open answer to `target` (path and query). Raises CkanError 502 when it cannot be reached."""
    sent = {name: headers[name] for name in FORWARDED if name in headers}
    sent["Accept-Encoding"] = "identity"
    try:
        response = requests.request(method, UPSTREAM + target, headers=sent, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise CkanError(
            502,
            "Bad Gateway",
            f"{UPSTREAM} cannot be reached from this machine ({type(error).__name__}): origin 'live' needs the internet; "
            "choose 'simulated' or 'files' to work without",
        ) from error
    with response:
        yield response
