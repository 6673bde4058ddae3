"""Listings that are not as they should be: coins that cannot be read, and a listing of an earlier time."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local.sources.coinmarketcap.envelope import iso


def _quotes(coin: dict[str, Any]) -> list[dict[str, Any]]:
    quote = coin["quote"]
    return list(quote.values()) if isinstance(quote, dict) else list(quote)


def _quote(**values: Any) -> Callable[[dict[str, Any]], Any]:
    def damage(coin: dict[str, Any]) -> Any:
        for quote in _quotes(coin):
            quote.update(values)
        return coin

    return damage


def _coin(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda coin: {**coin, **values}


# None of them can be taken for a coin, whatever the reader forgives.
DAMAGES: tuple[Callable[[dict[str, Any]], Any], ...] = (
    _quote(price="n/a"),
    lambda coin: {name: value for name, value in coin.items() if name != "id"},
    _coin(circulating_supply=-1),
    _quote(price="NaN"),
    _coin(quote=None),
    _coin(symbol=None),
    _coin(id="not a number"),
    lambda coin: _coin(last_updated="yesterday")(_quote(last_updated="yesterday")(coin)),
    _quote(volume_24h="Infinity"),
    lambda coin: f"coin {coin['id']}",
)


def damaged(body: bytes, count: int) -> bytes:
    """The listing with `count` of its coins, evenly spread, damaged in turn; all of them if there are fewer."""
    answer = json.loads(body)
    data = answer["data"]
    if isinstance(data, list):
        count = min(count, len(data))
        for number in range(count):
            place = number * len(data) // count
            data[place] = DAMAGES[number % len(DAMAGES)](data[place])
    return json.dumps(answer, ensure_ascii=False).encode()


def backdated(body: bytes, minutes: int) -> bytes:
    """The answer as if it had been made so many minutes earlier."""
    answer = json.loads(body)
    made = datetime.fromisoformat(answer["status"]["timestamp"])
    answer["status"]["timestamp"] = iso(made - timedelta(minutes=minutes))
    return json.dumps(answer, ensure_ascii=False).encode()
