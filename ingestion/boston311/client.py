"""The portal over HTTP: CKAN's action API and resource downloads."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from ingestion import bodies
from ingestion.backoff import Backoff, retry_after
from ingestion.bodies import announced_length, is_encoded
from ingestion.boston311.failures import TRANSIENT_STATUS, PortalRejected, PortalUnavailable, Truncated
from ingestion.boston311.model import Package, Resource
from ingestion.boston311.transform import package_of

ANSWER_BYTES = 16 << 20  # of an action; the package's has 60 KB
ERROR_BYTES = 1 << 16
TIMEOUT = (10, 60)  # seconds to connect, seconds between two reads
USER_AGENT = "tributary/1.0 (data lake ingestion; python-requests)"
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The download redirects to a presigned address with `:443` in its host; sending that breaks the signature."""
        target = super().get_redirect_target(resp)
        return without_default_port(target) if target else None


def without_default_port(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.netloc.endswith(":443"):
        return urlunsplit(parts._replace(netloc=parts.netloc.removesuffix(":443")))
    return url


class Portal:
    """One package of one CKAN portal."""

    def __init__(self, *, url: str, package_id: str, backoff: Backoff | None = None) -> None:
        self._url = url.rstrip("/")
        self._package_id = package_id
        self.backoff = backoff or Backoff()
        self._session = _Session()
        # identity: Content-Length must count the bytes that we hash.
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})

    def package(self) -> Package:
        """CSV resources and origin. Raises PortalUnavailable, PortalRejected."""
        return package_of(self.backoff.run(lambda: self._action("package_show", id=self._package_id)))

    def find(self, resource_id: str) -> tuple[Package, Resource | None]:
        """The package as it is now and the resource in it; None when it is no longer listed."""
        package = self.package()
        return package, next((r for r in package.resources if r.resource_id == resource_id), None)

    def _action(self, name: str, **parameters: str) -> dict[str, Any]:
        with self._get(f"{self._url}/api/3/action/{name}", params=parameters) as response:
            body = _beginning(response, ANSWER_BYTES)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            # A block page of the firewall comes with 200.
            raise PortalUnavailable(f"{name} answered {response.status_code} without JSON") from error
        if not isinstance(answer, dict) or answer.get("success") is not True:
            raise PortalRejected(f"{name} answered success=false: {_reason(body)}", status=response.status_code)
        result = answer.get("result")
        if not isinstance(result, dict):
            raise PortalRejected(f"{name} answered a result that is no object", status=response.status_code)
        return result

    @contextmanager
    def download(self, url: str, *, known: str | None = None) -> Iterator[requests.Response | None]:
        """The open response, or None when the portal still has the version whose ETag is `known`.

        Raises PortalUnavailable, PortalRejected. Read it with `chunks`.
        """
        with self._get(url, headers={"If-None-Match": known} if known else {}) as response:
            yield None if response.status_code == 304 else response

    @contextmanager
    def resume(self, url: str, *, etag: str, first: int, size: int | None) -> Iterator[requests.Response | None]:
        """The open response with the bytes from `first` on; None when the portal has another version by now, or knows no ranges.

        etag, size: of the version that was begun. Raises PortalUnavailable, PortalRejected. Read it with `chunks`.
        """
        headers = {"Range": f"bytes={first}-", "If-Range": etag}
        with self._get(url, headers=headers, accepted=(200, 206, 416)) as response:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            same = (
                response.status_code == 206
                and not is_encoded(response)
                and found is not None
                and int(found[1]) == first
                and (size is None or found[2] in ("*", str(size)))
                and response.headers.get("ETag", etag) == etag
            )
            yield response if same else None

    @contextmanager
    def _get(self, url: str, *, accepted: tuple[int, ...] = (200, 304), **options: Any) -> Iterator[requests.Response]:
        try:
            response = self._session.get(url, timeout=TIMEOUT, stream=True, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise PortalUnavailable(f"no answer from {urlsplit(url).netloc}: {type(error).__name__}") from error
        except (requests.RequestException, ValueError) as error:  # too many redirects, an address that is none
            raise PortalRejected(f"{url}: {error}", status=0) from error
        with response:
            _check_status(response, accepted)
            yield response


def announced_bytes(response: requests.Response) -> int | None:
    """Size of the resource as the answer announces it, None when it does not, or counts encoded bytes."""
    if response.status_code == 206:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return int(found[2]) if found and found[2] != "*" else None
    return None if is_encoded(response) else announced_length(response)


def chunks(response: requests.Response) -> Iterator[bytes]:
    """The body, as ingestion.bodies has it. Raises Truncated, PortalUnavailable."""
    try:
        yield from bodies.chunks(response)
    except bodies.BrokenOff as error:
        raise Truncated(str(error)) from error
    except bodies.ConnectionLost as error:
        raise PortalUnavailable(str(error)) from error


def _check_status(response: requests.Response, accepted: tuple[int, ...]) -> None:
    status = response.status_code
    if status in accepted:
        return
    message = f"{urlsplit(response.url).path} answered HTTP {status}"
    if "json" in response.headers.get("Content-Type", ""):
        with suppress(PortalUnavailable):  # the status counts, whatever becomes of the words
            message += f": {_reason(_beginning(response, ERROR_BYTES))}"
    if status in TRANSIENT_STATUS:
        raise PortalUnavailable(message, retry_after=retry_after(response.headers.get("Retry-After")))
    raise PortalRejected(message, status=status)


def _beginning(response: requests.Response, limit: int) -> bytes:
    """The body, or its first `limit` bytes: an answer is not allowed to fill the memory. Raises PortalUnavailable."""
    body = bytearray()
    for chunk in chunks(response):
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])


def _reason(body: bytes) -> str:
    """The message in CKAN's error, else the beginning of the body."""
    try:
        return str(json.loads(body)["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:300].decode(errors="replace")
