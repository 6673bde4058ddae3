"""Calls of CoinMarketCap's API on this machine, for tests."""

from typing import Any

import requests

from local.sources import coinmarketcap
from local.sources.coinmarketcap import TEST_KEY

LISTINGS, QUOTES = "cryptocurrency/listings/latest", "cryptocurrency/quotes/latest"
SMALL = {"origin": "simulated", "coins": 60, "inactive": 12}


def control(server: coinmarketcap.Server, **wish: Any) -> requests.Response:
    return requests.put(f"{server.url}/_control", json=wish, timeout=10)


def get(server: coinmarketcap.Server, path: str, *, key: str | None = TEST_KEY, **query: Any) -> requests.Response:
    headers = {} if key is None else {"X-CMC_PRO_API_KEY": key}
    return requests.get(f"{server.url}/{path}", params=query, headers=headers, timeout=30)


def listing(server: coinmarketcap.Server, version: int = 3, **query: Any) -> dict[str, Any]:
    answer = get(server, f"v{version}/{LISTINGS}", **query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ids(answer: dict[str, Any]) -> list[int]:
    return [coin["id"] for coin in answer["data"]]


def refusal(answer: requests.Response) -> tuple[int, Any]:
    body = answer.json()
    assert set(body) == {"status"}
    assert set(body["status"]) == {"timestamp", "error_code", "error_message", "elapsed", "credit_count"}
    assert body["status"]["credit_count"] == 0
    return answer.status_code, body["status"]["error_code"]
