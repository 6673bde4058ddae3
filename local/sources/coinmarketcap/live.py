"""Relay to the real service: the same requests, its answers."""

from collections.abc import Mapping

import requests

from local.sources.coinmarketcap.errors import PlainError

UPSTREAM = "https://pro-api.coinmarketcap.com"
FORWARDED = ("Accept", "User-Agent", "X-CMC_PRO_API_KEY")
RETURNED = ("Content-Type", "Retry-After")
TIMEOUT = (10, 60)  # seconds to connect, seconds between two reads


def relayed(method: str, target: str, headers: Mapping[str, str]) -> requests.Response:
    """The service's answer to `target` (path and query), read whole. Raises PlainError 502 when it cannot be reached."""
    sent = {name: headers[name] for name in FORWARDED if name in headers}
    try:
        return requests.request(method, UPSTREAM + target, headers=sent, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        # Not `from error`: its text may repeat what was sent.
        raise PlainError(
            502,
            "Bad Gateway",
            f"{UPSTREAM} cannot be reached from this machine ({type(error).__name__}): origin 'live' needs the internet; "
            "choose 'simulated' or 'files' to work without",
        ) from None
