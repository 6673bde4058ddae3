"""The answers of a simulated market. Rendered coins are kept for the last minutes, so that a page is rendered once."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any

from local.sources.coinmarketcap import parameters, shapes
from local.sources.coinmarketcap.choice import Simulated
from local.sources.coinmarketcap.coins import EPOCH
from local.sources.coinmarketcap.envelope import Answer, dump, envelope, iso, status
from local.sources.coinmarketcap.errors import invalid
from local.sources.coinmarketcap.market import Market, Quote, instant
from local.sources.coinmarketcap.progress import Progress

PER_CREDIT = {("listings", 1): 200, ("listings", 3): 250, ("quotes", 1): 100, ("quotes", 2): 100, ("quotes", 3): 250}
KEPT = 3  # rendered minutes


class SimulatedMarket:
    """clock: seconds since 1970."""

    def __init__(self, choice: Simulated, progress: Progress, *, clock: Callable[[], float] = time.time) -> None:
        self._choice, self._progress, self._clock = choice, progress, clock
        self._lock = threading.Lock()
        self._rendered: OrderedDict[tuple[int, int, tuple[str, ...]], dict[int, bytes]] = OrderedDict()

    @cached_property
    def _market(self) -> Market:
        """Made when it is first asked for: whoever starts the server may never ask."""
        choice = self._choice
        return Market(seed=choice.seed, coins=choice.coins, inactive=choice.inactive, churn=choice.churn)

    def listing(self, version: int, query: parameters.Listing, *, advance: bool, minutes_ago: int = 0) -> Answer:
        """advance: whether the client gets this answer, so that the next listing is a later one."""
        with self._lock:
            tick = max(0, self._tick(query, advance=advance) - minutes_ago)
            snapshot = self._market.at(tick)
            wanted = snapshot.listed if query.plain else _selected(snapshot.listed, query)
            page = wanted[query.start - 1 : query.start - 1 + query.limit]
            credits = _credits("listings", version, len(page), query.convert)
            head = self._head(version, snapshot.tick, credits, total=len(wanted))
            return Answer(envelope(head, b"[" + b",".join(self._coins(version, tick, page, query)) + b"]"), credits)

    def quotes(self, version: int, query: parameters.Quotes) -> Answer:
        """Raises ApiError 400 for what cannot be found, where the version says so."""
        with self._lock:
            snapshot = self._market.at(self._now())
            ranked = {quote.coin.id: quote for quote in snapshot.listed}
            found: dict[str, list[dict[str, Any]]] = {value: [] for value in query.values}
            coins = [coin for coin in self._market.coins if _name(coin, query.by) in found]
            unranked = self._market.quotes((coin for coin in coins if coin.id not in ranked), snapshot.tick)
            quotes = [ranked[coin.id] for coin in coins if coin.id in ranked]
            for quote in (*sorted(quotes, key=lambda quote: -quote.market_cap), *unranked):
                found[_name(quote.coin, query.by)].append(
                    shapes.quoted(
                        quote,
                        version=version,
                        convert=query.convert,
                        year=self._choice.fields,
                        active=quote.coin.id in ranked,
                    )
                )
        data = _quotes_data(version, query, found)
        credits = _credits("quotes", version, len(coins), query.convert)
        return Answer(envelope(self._head(version, snapshot.tick, credits), dump(data)), credits)

    def map(self, query: parameters.Map) -> Answer:
        with self._lock:
            snapshot = self._market.at(self._now())
            ranked = {quote.coin.id: quote for quote in snapshot.listed}
            wanted = {
                coin.id: state
                for coin in self._market.coins
                if (state := self._market.status(coin, snapshot.tick)) in query.statuses
            }
            coins = [self._market.by_id[identifier] for identifier in sorted(wanted)]
            coins = [coin for coin in coins if not query.symbols or coin.symbol in query.symbols]
            if query.by_rank:
                coins.sort(key=lambda coin: (ranked[coin.id].rank if coin.id in ranked else None) or math.inf)
            page = coins[query.start - 1 : query.start - 1 + query.limit]
            unranked = {q.coin.id: q for q in self._market.quotes((coin for coin in page if coin.id not in ranked), snapshot.tick)}
            now = iso(snapshot.instant)
            data = [
                shapes.mapped(ranked.get(coin.id) or unranked[coin.id], status=wanted[coin.id], aux=query.aux, now=now)
                for coin in page
            ]
        return Answer(envelope(self._head(1, snapshot.tick, 0), dump(data)), 0)

    def key_info(self, data: dict[str, Any]) -> Answer:
        return Answer(envelope(self._head(1, self._now(), 0), dump(data)), 0)

    def report(self) -> dict[str, Any]:
        """What GET /_control shows beside the choice."""
        last = self._progress.tick
        return {"served": None if last is None else {"tick": last, "timestamp": iso(instant(last))}}

    def _now(self) -> int:
        """The minute of the last listing; of the clock before the first."""
        if self._choice.tick is not None:
            return self._choice.tick
        return self._minute() if self._progress.tick is None else self._progress.tick

    def _tick(self, query: parameters.Listing, *, advance: bool) -> int:
        if query.start > 1:
            pages_before = (query.start - 1) // query.limit if self._choice.moving_pages else 0
            return self._now() + pages_before
        if self._choice.tick is not None:
            return self._choice.tick
        last = self._progress.tick
        tick = self._minute() if last is None else max(last + 1, self._minute())
        if advance:
            self._progress.reached(tick)
        return tick

    def _minute(self) -> int:
        return max(0, int((self._clock() - EPOCH.timestamp()) // 60))

    def _head(self, version: int, tick: int, credits: int, *, total: int | None = None) -> dict[str, Any]:
        elapsed = 5 + tick * 31 % 60
        return status(version, timestamp=iso(instant(tick)), elapsed=elapsed, credits=credits, total=total)

    def _coins(self, version: int, tick: int, page: list[Quote], query: parameters.Listing) -> list[bytes]:
        def coin(quote: Quote) -> dict[str, Any]:
            return shapes.listed(quote, version=version, convert=query.convert, year=self._choice.fields)

        if query.left_out:
            return [dump({name: value for name, value in coin(quote).items() if name not in query.left_out}) for quote in page]
        key = (tick, version, query.convert)
        rendered = self._rendered.setdefault(key, {})
        self._rendered.move_to_end(key)
        while len(self._rendered) > KEPT:
            self._rendered.popitem(last=False)
        for quote in page:
            if quote.coin.id not in rendered:
                rendered[quote.coin.id] = dump(coin(quote))
        return [rendered[quote.coin.id] for quote in page]


def _name(coin: Any, by: str) -> str:
    return str(getattr(coin, by))


def _credits(endpoint: str, version: int, coins: int, convert: tuple[str, ...]) -> int:
    """Nothing found costs one credit too."""
    return max(1, math.ceil(coins / PER_CREDIT[endpoint, version])) + len(convert) - 1


def _quotes_data(version: int, query: parameters.Quotes, found: dict[str, list[dict[str, Any]]]) -> Any:
    missing = [value for value, coins in found.items() if not coins]
    if missing and (query.by == "id" or version == 1) and not (version == 3 and query.skip_invalid):
        raise invalid(f'Invalid value{"s" if len(missing) > 1 else ""} for "{query.by}": "{",".join(missing)}"')
    if version == 3:
        return [coin for coins in found.values() for coin in coins]
    if version == 2 and query.by == "symbol":
        return found
    # By slug the answer is by id.
    return {(str(coins[0]["id"]) if query.by == "slug" else value): coins[0] for value, coins in found.items() if coins}


_FIELDS: dict[str, Callable[[Quote], Any]] = {
    "name": lambda q: q.coin.name.lower(),
    "symbol": lambda q: q.coin.symbol.lower(),
    "date_added": lambda q: q.coin.added,
    "market_cap": lambda q: q.market_cap,
    "market_cap_strict": lambda q: q.market_cap,
    "price": lambda q: q.price,
    "circulating_supply": lambda q: q.coin.circulating,
    "total_supply": lambda q: q.coin.total,
    "max_supply": lambda q: q.coin.maximum or 0,
    "num_market_pairs": lambda q: q.coin.pairs,
    "volume_24h": lambda q: q.volume,
    "percent_change_1h": lambda q: q.changes[0],
    "percent_change_24h": lambda q: q.changes[1],
    "percent_change_7d": lambda q: q.changes[2],
}


def _selected(quotes: list[Quote], query: parameters.Listing) -> list[Quote]:
    found = [
        quote
        for quote in quotes
        if (query.kind == "all" or (quote.coin.platform is not None) == (query.kind == "tokens"))
        and (query.tag == "all" or query.tag in quote.coin.tags)
        and all(least <= _FIELDS[name](quote) <= most for name, least, most in query.bounds)
    ]
    return (
        found
        if query.sort == "market_cap" and query.descending
        else sorted(found, key=_FIELDS[query.sort], reverse=query.descending)
    )
