"""Coins as the API writes them: v1 and v2 with a dict of quotes, v3 with a list, and the fields that each year had."""

import math
from datetime import timedelta
from typing import Any

from local.sources.coinmarketcap.coins import EPOCH, Coin
from local.sources.coinmarketcap.envelope import iso
from local.sources.coinmarketcap.market import Quote, Status
from local.sources.coinmarketcap.parameters import CURRENCIES

_SINCE = {
    2023: (
        "volume_change_24h", "market_cap_dominance", "fully_diluted_market_cap", "tvl", "tvl_ratio",
        "self_reported_circulating_supply", "self_reported_market_cap", "infinite_supply",
    ),
    2026: ("minted_market_cap",),
}  # fmt: skip
CHANGES = tuple(f"percent_change_{span}" for span in ("1h", "24h", "7d", "30d", "60d", "90d"))  # as market.HORIZONS


def number(value: float) -> float:
    """As JavaScript writes numbers: a whole one as an integer, so that a field is int in one coin and float in the next."""
    return int(value) if float(value).is_integer() else value


def _or_null(value: float | None) -> float | None:
    return None if value is None else number(value)


def listed(quote: Quote, *, version: int, convert: tuple[str, ...], year: int = 2026) -> dict[str, Any]:
    """A coin of listings/latest; year: the fields of that year, for v1 and v2."""
    coin = quote.coin
    found: dict[str, Any] = {
        "id": coin.id,
        "name": coin.name,
        "symbol": coin.symbol,
        "slug": coin.slug,
        "num_market_pairs": coin.pairs,
        "date_added": iso(coin.added),
        "tags": list(coin.tags),
        "max_supply": _or_null(coin.maximum),
        "circulating_supply": number(coin.circulating),
        "total_supply": number(coin.total),
        "infinite_supply": coin.infinite,
        "minted_market_cap": number(quote.price * coin.total),
        "platform": coin.platform,
        "cmc_rank": quote.rank,
        "self_reported_circulating_supply": _or_null(coin.self_reported),
        "self_reported_market_cap": None if coin.self_reported is None else number(coin.self_reported * quote.price),
        "tvl_ratio": None,
        "last_updated": iso(quote.updated),
    }
    if version < 3:
        found = {name: value for name, value in found.items() if not _later(name, year)}
        return {**found, "quote": {symbol: _quote(quote, symbol, year) for symbol in convert}}
    found |= {
        "is_active": 1,
        "is_fiat": 0,
        "is_market_cap_included_in_calc": int(bool(quote.market_cap)),
        "unlocked_circulating_supply": _or_null(coin.circulating or None),
        "unlocked_market_cap": number(quote.market_cap),
    }
    if coin.id % 50 == 0:  # a field that nobody has announced
        found["review"] = {"state": "done", "score": None}
    return {**found, "quote": [_quote_v3(quote, symbol) for symbol in convert]}


def quoted(quote: Quote, *, version: int, convert: tuple[str, ...], year: int, active: bool) -> dict[str, Any]:
    """A coin of quotes/latest, where tags are objects and coins can be inactive."""
    found = listed(quote, version=version, convert=convert, year=year)
    tags = [{"slug": tag, "name": tag.replace("-", " ").title(), "category": "OTHER"} for tag in found["tags"]]
    return {**found, "tags": tags, "is_active": int(active), "is_fiat": 0}


def mapped(quote: Quote, *, status: Status, aux: frozenset[str], now: str) -> dict[str, Any]:
    """A coin of map. is_active is 0 for those that are inactive and for those that are untracked."""
    coin: Coin = quote.coin
    added = iso(coin.added)
    more = {
        "is_active": int(status == "active"),
        "status": status,
        "first_historical_data": None if status == "untracked" else added,
        "last_historical_data": None if status == "untracked" else now if status == "active" else iso(EPOCH - timedelta(days=1)),
        "platform": coin.platform,
    }
    head = {"id": coin.id, "rank": quote.rank, "name": coin.name, "symbol": coin.symbol, "slug": coin.slug}
    return {**head, **{name: value for name, value in more.items() if name in aux}}


def _later(name: str, year: int) -> bool:
    return any(name in names for since, names in _SINCE.items() if since > year)


def _quote(quote: Quote, symbol: str, year: int) -> dict[str, Any]:
    rate = CURRENCIES[symbol][1]
    coin = quote.coin
    found: dict[str, Any] = {
        "price": number(quote.price / rate),
        "volume_24h": number(quote.volume / rate),
        "volume_change_24h": number(quote.volume_change),
        **dict(zip(CHANGES, map(number, quote.changes), strict=True)),
        "market_cap": number(quote.market_cap / rate),
        "market_cap_dominance": number(quote.dominance),
        "fully_diluted_market_cap": number(round((coin.maximum or coin.total) * quote.price / rate, 2)),
        "tvl": None,
        "last_updated": iso(quote.updated),
    }
    return {name: value for name, value in found.items() if not _later(name, year)} if year < 2026 else found


def _quote_v3(quote: Quote, symbol: str) -> dict[str, Any]:
    identifier, rate = CURRENCIES[symbol]
    volume = quote.volume / rate
    share = 0.5 + 0.5 * math.sin(quote.coin.id)
    return {
        "id": identifier,
        "symbol": symbol,
        **_quote(quote, symbol, 2026),
        "cex_volume_24h": number(volume * share),
        "dex_volume_24h": number(volume * (1 - share)),
        "volume_24h_reported": number(volume),
        "volume_7d": number(volume * 7),
        "volume_7d_reported": number(volume * 7),
        "volume_30d": number(volume * 30),
        "volume_30d_reported": number(volume * 30),
        "minted_market_cap": number(quote.price * quote.coin.total / rate),
        "market_cap_by_total_supply": number(quote.price * quote.coin.total / rate),
    }
