"""The portal over HTTP: CKAN's action API and resource downloads, with retries.

Terminal and transient failures are different classes. The portal's firewall answers 403 for throttling, not for rights,
so 403 counts as transient here.
"""

import itertools
import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

from ingestion.boston311.model import Package, Resource
from ingestion.boston311.transform import package_of

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16  # a slow body must not hold up the look at the clock
TIMEOUT = (10, 60)  # seconds to connect, seconds between two reads
USER_AGENT = "tributary/1.0 (data lake ingestion; python-requests)"
TRANSIENT_STATUS = frozenset({403, 408, 429, 500, 502, 503, 504})
T = TypeVar("T")


class PortalError(Exception):
    """The portal did not give what was asked."""


class PortalUnavailable(PortalError):
    """Transient: throttled, overloaded or unreachable. `retry_after` is the portal's wish in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Truncated(PortalUnavailable):
    """The body ended before its Content-Length."""


class PortalRejected(PortalError):
    """Terminal: the portal understood and said no. `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Backoff:
    """Exponential, full jitter, capped. Retry-After is a floor, capped too: a portal cannot park the function."""

    def __init__(
        self,
        *,
        attempts: int = 5,
        base: float = 0.5,
        cap: float = 20.0,
        retry_after_cap: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.attempts = attempts
        self._base, self._cap, self._retry_after_cap = base, cap, retry_after_cap
        self._sleep, self._jitter = sleep, jitter

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after failed attempt `attempt` (from 0)."""
        drawn = self._jitter() * min(self._cap, self._base * float(2**attempt))
        return max(drawn, min(retry_after or 0.0, self._retry_after_cap))

    def wait(self, failures: int, error: PortalUnavailable, *, at_most: float = math.inf) -> bool:
        """Sleeps after the `failures`-th failure in a row. False, at once, if it was the last or the pause exceeds `at_most`."""
        seconds = self.pause(failures - 1, error.retry_after)
        if failures >= self.attempts or seconds > at_most:
            return False
        log.warning("attempt %d of %d: %s; again in %.1f s", failures, self.attempts, error, seconds)
        self._sleep(seconds)
        return True

    def run(self, call: Callable[[], T]) -> T:
        """Repeats `call` while it raises PortalUnavailable; raises the last one."""
        for failures in itertools.count(1):
            try:
                return call()
            except PortalUnavailable as error:
                if not self.wait(failures, error):
                    raise
        raise AssertionError("counting does not end")


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
            try:
                answer = response.json()
            except requests.exceptions.JSONDecodeError as error:
                # A block page of the firewall comes with 200.
                raise PortalUnavailable(f"{name} answered {response.status_code} without JSON") from error
        if not isinstance(answer, dict) or answer.get("success") is not True:
            raise PortalRejected(f"{name} answered success=false: {_reason(response)}", status=response.status_code)
        result = answer["result"]
        if not isinstance(result, dict):
            raise PortalRejected(f"{name} answered a result that is no object", status=response.status_code)
        return result

    @contextmanager
    def download(self, url: str, *, known: str | None = None) -> Iterator[requests.Response | None]:
        """The open response, or None when the portal still has the version whose ETag is `known`.

        Raises PortalUnavailable, PortalRejected. Read it with `chunks`.
        """
        with self._get(url, headers={"If-None-Match": known} if known else {}, stream=True) as response:
            yield None if response.status_code == 304 else response

    @contextmanager
    def resume(self, url: str, *, etag: str, first: int) -> Iterator[requests.Response | None]:
        """The open response with the bytes from `first` on, or None when the portal has another version than `etag` by now.

        Raises PortalUnavailable, PortalRejected. Read it with `chunks`.
        """
        headers = {"Range": f"bytes={first}-", "If-Range": etag}
        with self._get(url, headers=headers, stream=True, accepted=(200, 206, 416)) as response:
            begins = f"bytes {first}-"
            same = response.headers.get("ETag", etag) == etag and response.headers.get("Content-Range", "").startswith(begins)
            yield response if response.status_code == 206 and same else None

    @contextmanager
    def _get(self, url: str, *, accepted: tuple[int, ...] = (200, 304), **options: Any) -> Iterator[requests.Response]:
        try:
            response = self._session.get(url, timeout=TIMEOUT, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise PortalUnavailable(f"no answer from {urlsplit(url).netloc}: {type(error).__name__}") from error
        except requests.RequestException as error:  # too many redirects, an address that is none
            raise PortalRejected(f"{url}: {error}", status=0) from error
        with response:
            _check_status(response, accepted)
            yield response


def chunks(response: requests.Response) -> Iterator[bytes]:
    """The body, or the part of it that was asked for, in pieces of at most CHUNK_BYTES, each as soon as it is there.

    Raises Truncated, PortalUnavailable; what came before was yielded.
    """
    received = 0
    expected = response.headers.get("Content-Length")
    try:
        # Not iter_content: it waits for a full piece, and what came of the last one before a break is lost.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            received += len(chunk)
            yield chunk
    except urllib3.exceptions.ProtocolError as error:
        raise Truncated(f"the body broke off after {received} of {expected or '?'} bytes") from error
    except urllib3.exceptions.HTTPError as error:
        raise PortalUnavailable(f"the connection was lost after {received} of {expected or '?'} bytes") from error
    if expected is not None and received != int(expected):
        raise Truncated(f"the body has {received} of {expected} bytes")


def _check_status(response: requests.Response, accepted: tuple[int, ...]) -> None:
    status = response.status_code
    if status in accepted:
        return
    message = f"{urlsplit(response.url).path} answered HTTP {status}"
    if "json" in response.headers.get("Content-Type", ""):
        message += f": {_reason(response)}"
    if status in TRANSIENT_STATUS:
        raise PortalUnavailable(message, retry_after=_retry_after(response.headers.get("Retry-After")))
    raise PortalRejected(message, status=status)


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number of seconds or an HTTP date; None when absent or unreadable."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _reason(response: requests.Response) -> str:
    """The message in CKAN's error, else the beginning of the body."""
    try:
        return str(response.json()["error"]["message"])[:300]
    except (requests.exceptions.JSONDecodeError, KeyError, TypeError):
        return response.text[:300]
