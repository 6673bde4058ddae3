"""CoinMarketCap over HTTP: listings and the map of coins, with a key or, without one, at the public endpoint."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from ingestion import bodies
from ingestion.backoff import Backoff, retry_after
from ingestion.coins.failures import CoinMarketCapError, CoinMarketCapRejected, CoinMarketCapUnavailable, code_of, failure
from ingestion.coins.key import ApiKey

LISTINGS = "/v3/cryptocurrency/listings/latest"
MAP = "/v1/cryptocurrency/map"
KEYLESS_PREFIX = "/public-api"
PAGE = 5000  # the most coins that one answer has
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
ANSWER_BYTES = 128 << 20  # 5,000 coins are 10 MB
ORIGIN_HEADER = "x-tributary-origin"  # of the servers that only a laptop has
USER_AGENT = "tributary/1.0 (data lake ingestion; python-requests)"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """body: the bytes as received; status, data: of the envelope in it; origin: "live" unless the server says otherwise."""

    body: bytes
    status: dict[str, Any]
    data: Any
    origin: str


class CoinMarketCap:
    """key: None for the public endpoint. time_left: seconds until the caller must be done."""

    def __init__(
        self,
        *,
        url: str,
        key: ApiKey | None,
        backoff: Backoff | None = None,
        time_left: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._url = url.rstrip("/") + ("" if key else KEYLESS_PREFIX)
        self._key = key
        self._backoff = backoff or Backoff()
        self._time_left = time_left
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"})

    def listings(self, *, start: int, limit: int) -> Answer:
        """Coins from the `start`-th (from 1) on, at most `limit` (and PAGE), by market capitalisation, in US dollars.

        Costs a credit for every 250 coins begun. Raises CoinMarketCapUnavailable (after its retries), CoinMarketCapRejected.
        """
        return self._get(LISTINGS, start=start, limit=limit, sort="market_cap", sort_dir="desc", convert="USD")

    def map(self, listing_status: str) -> Iterator[dict[str, Any]]:
        """Coins of "inactive" or "untracked" state, page by page. Costs no credit. Raises as `listings`."""
        start = 1
        while True:
            found = self._get(MAP, listing_status=listing_status, start=start, limit=PAGE, sort="id").data
            if not isinstance(found, list):
                raise CoinMarketCapRejected(f"{MAP} answered data that is no list", status=200)
            yield from (coin for coin in found if isinstance(coin, dict))
            if len(found) < PAGE:
                return
            start += PAGE

    def _get(self, path: str, **parameters: str | int) -> Answer:
        return self._backoff.run(lambda: self._once(path, parameters))

    def _once(self, path: str, parameters: dict[str, str | int]) -> Answer:
        answer = self._try(path, parameters)
        # Raised here, outside any `except`: an exception of the HTTP library holds its request, and that the key.
        if isinstance(answer, CoinMarketCapError):
            raise answer
        return answer

    def _try(self, path: str, parameters: dict[str, str | int]) -> Answer | CoinMarketCapError:
        timeout = (CONNECT_SECONDS, max(1.0, min(READ_SECONDS, self._time_left())))
        try:
            # No redirects: the library would send the key along to another host.
            response = self._session.get(
                f"{self._url}{path}", params=parameters, auth=self._key, timeout=timeout, stream=True, allow_redirects=False
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            return CoinMarketCapUnavailable(f"no answer from {path} of CoinMarketCap: {type(error).__name__}")
        except (requests.RequestException, ValueError) as error:
            return CoinMarketCapRejected(f"{path} of CoinMarketCap cannot be asked: {type(error).__name__}", status=0)
        with response:
            try:
                body = self._body(response)
            except (bodies.BrokenOff, bodies.ConnectionLost) as error:
                if response.status_code != 200:  # the status counts, whatever becomes of the words
                    return self._judged(path, response, b"")
                return CoinMarketCapUnavailable(f"the answer of {path} broke off (HTTP {response.status_code}): {error}")
            return self._judged(path, response, body)

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in bodies.chunks(response):
            body += chunk
            if self._time_left() <= 0:
                raise bodies.ConnectionLost(f"it was still coming after {len(body):,} bytes when the time was up")
            if len(body) > ANSWER_BYTES:
                raise bodies.ConnectionLost(f"it has more than {ANSWER_BYTES:,} bytes")
        return bytes(body)

    def _judged(self, path: str, response: requests.Response, body: bytes) -> Answer | CoinMarketCapError:
        status = response.status_code
        try:
            envelope = json.loads(body)
        except (ValueError, RecursionError):
            envelope = None
        told = envelope.get("status") if isinstance(envelope, dict) else None
        told = told if isinstance(told, dict) else {}
        failed = failure(
            path,
            status=status,
            code=code_of(told.get("error_code")),
            words=self._scrubbed(told.get("error_message")),
            retry_after=retry_after(response.headers.get("Retry-After")),
            now=datetime.now(UTC),
        )
        if failed is not None:
            return failed
        if envelope is None:
            return CoinMarketCapUnavailable(f"{path} answered HTTP {status} with {len(body):,} bytes that are no whole JSON")
        if not isinstance(envelope, dict) or not told or "data" not in envelope:
            return CoinMarketCapRejected(f"{path} answered JSON without status and data", status=status)
        return Answer(body=body, status=told, data=envelope["data"], origin=response.headers.get(ORIGIN_HEADER, "live"))

    def _scrubbed(self, message: object) -> str:
        words = "" if message is None else str(message)[:300]
        return self._key.scrub(words) if self._key else words
