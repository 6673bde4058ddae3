"""Who the coins of a simulated market are: what does not change from one minute to the next.

A few widely known ones lead, under their real ids; every other coin and every number is invented. Names, symbols, supplies and
prices have the peculiarities that the real ones have; the rarest stand at fixed places behind the known coins, so that a market of
fifty coins shows them all.
"""

import math
import string
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # tick 0; a tick is a minute


class Known(NamedTuple):
    """price and market cap in USD; swing: how much the price moves, 1 = as a usual coin's."""

    id: int
    name: str
    symbol: str
    price: float
    market_cap: float
    max_supply: float | None
    added: str
    swing: float = 1.0


KNOWN = (
    Known(1, "Bitcoin", "BTC", 93_000, 1.85e12, 21_000_000, "2010-07-13"),
    Known(1027, "Ethereum", "ETH", 3_100, 3.7e11, None, "2015-08-07"),
    Known(825, "Tether USDt", "USDT", 1, 1.8e11, None, "2015-02-25", 0.002),
    Known(52, "XRP", "XRP", 2.2, 1.3e11, 100_000_000_000, "2013-08-04"),
    Known(1839, "BNB", "BNB", 860, 1.2e11, None, "2017-07-25"),
    Known(5426, "Solana", "SOL", 140, 7.7e10, None, "2020-04-10"),
    Known(3408, "USDC", "USDC", 1, 7.4e10, None, "2018-10-08", 0.001),
    Known(1958, "TRON", "TRX", 0.28, 2.6e10, None, "2017-09-13"),
    Known(74, "Dogecoin", "DOGE", 0.15, 2.3e10, None, "2013-12-15"),
    Known(2010, "Cardano", "ADA", 0.43, 1.5e10, 45_000_000_000, "2017-10-01"),
    Known(1975, "Chainlink", "LINK", 13, 9e9, 1_000_000_000, "2017-09-20"),
    Known(2, "Litecoin", "LTC", 85, 6.5e9, 84_000_000, "2013-04-28"),
)
# By place: a name or symbol that breaks what is often assumed of names and symbols.
NAMES = {
    12: "Ore ",
    13: "Tidewater Credits ",
    14: "Café Crème",
    15: "太陽コイン",
    16: "Ӂолот 🪙",
    17: "Twice",
    18: "Twice",
    19: '"Q"',
}
SYMBOLS = {20: "OAK,OAK2", 21: "QUAD", 22: "QUAD", 23: "QUAD", 24: "QUAD", 25: "X", 26: "FOURTEENLETTRS", 27: "$pump"}
PRICES = {28: 1.31e-20, 29: 6.07e-19, 30: 475_020.5}
ROCKETS = range(31, 38)  # their price jumps to 3,437 times and back every week, in turn
STALE = frozenset({38})  # not updated for two days

# Share of coins below, log10 of the price in USD.
_PRICE = ((0, -17.5), (0.012, -9), (0.05, -5.5), (0.25, -2.9), (0.5, -1.85), (0.75, -0.75), (0.95, 0.9), (0.99, 3.1), (1, 4.4))
# The same of the market cap of those that have one.
_CAP = ((0, 1.5), (0.1, 4), (0.4, 6), (0.7, 7.2), (0.9, 8.5), (1, 9.8))
_SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u")]
_TAILS = ("", " Coin", " Token", " Finance", " Protocol", " Network", " DAO", " Inu")
_TAGS = ("mineable", "pow", "pos", "defi", "memes", "gaming", "collectibles-nfts", "ethereum-ecosystem", "layer-1", "state-channel")
_PLATFORMS = ((1027, "Ethereum", "ETH", "ethereum"), (1839, "BNB", "BNB", "bnb"), (5426, "Solana", "SOL", "solana"))
_SYMBOL_SPACE = 42_000  # as many as make one symbol in fifteen shared, as among the real 5,000


@dataclass(frozen=True, slots=True)
class Coin:
    """price: in USD at rest; waves: (amplitude of the price's logarithm, phase) for each of the market's periods.

    recent: whether its price is known of the last month alone, so that changes over more are 0.
    """

    index: int
    id: int
    name: str
    symbol: str
    slug: str
    added: datetime
    tags: tuple[str, ...]
    platform: dict[str, object] | None
    pairs: int
    price: float
    volume: float
    waves: tuple[tuple[float, float], ...]
    circulating: float
    total: float
    maximum: float | None
    infinite: bool
    self_reported: float | None
    recent: bool


def universe(seed: int, count: int, *, periods: int) -> list[Coin]:
    """The first `count` coins of a seed; periods: of the market's waves."""
    return [_coin(seed, index, periods) for index in range(count)]


def _coin(seed: int, index: int, periods: int) -> Coin:
    rnd = Random(f"coin:{seed}:{index}")
    known = KNOWN[index] if index < len(KNOWN) else None
    identifier = known.id if known else 10_001 + index * 5 + rnd.randrange(5)
    name = known.name if known else NAMES.get(index) or _name(rnd)
    symbol = known.symbol if known else SYMBOLS.get(index) or _symbol(rnd)
    added = _date(known.added) if known else _added(rnd)
    price = known.price if known else PRICES.get(index) or _price(rnd, index)
    circulating, total, maximum = _known_supplies(known) if known else _supplies(rnd, index, price)
    calm = index in PRICES or index in ROCKETS  # nothing else moves what is at its extreme
    swing = known.swing if known else rnd.lognormvariate(0, 0.5) * (0.02 if calm else 1)
    volume = circulating * price * rnd.lognormvariate(-4, 1) if circulating else 10 ** rnd.uniform(1, 6.5)
    return Coin(
        index=index,
        id=identifier,
        name=name,
        symbol=symbol,
        slug=_slug(name) if known else f"{_slug(name) or 'coin'}-{identifier}",
        added=added,
        tags=tuple(rnd.sample(_TAGS, rnd.randrange(4))),
        platform=None if known or rnd.random() < 0.3 else _platform(rnd),
        pairs=int(rnd.lognormvariate(2.5, 1.5)) * (40 if known else 1),
        price=price,
        volume=min(volume, 6e10),
        waves=tuple((swing * rnd.uniform(0.5, 1.5), rnd.uniform(0, math.tau)) for _ in range(periods)),
        circulating=circulating,
        total=total,
        maximum=maximum,
        infinite=maximum is None and rnd.random() < 0.3,
        self_reported=None if circulating or rnd.random() < 0.5 else round(total * rnd.random(), 2),
        recent=known is None and index not in ROCKETS and rnd.random() < 1 / 30,
    )


def _name(rnd: Random) -> str:
    return "".join(rnd.choices(_SYLLABLES, k=3)).capitalize() + rnd.choice(_TAILS)


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name).lower().split())


def _symbol(rnd: Random) -> str:
    number, letters = rnd.randrange(_SYMBOL_SPACE), ""
    while number or len(letters) < 2:
        number, letter = divmod(number, 26)
        letters += string.ascii_uppercase[letter]
    return letters


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _added(rnd: Random) -> datetime:
    return _date("2013-04-28") + timedelta(days=int(4_600 * math.sqrt(rnd.random())), seconds=rnd.randrange(86_400))


def _quantile(knots: tuple[tuple[float, float], ...], share: float) -> float:
    at = min(bisect_right(knots, (share, math.inf)), len(knots) - 1)
    (x0, y0), (x1, y1) = knots[at - 1], knots[at]
    return y0 + (y1 - y0) * (share - x0) / (x1 - x0)


def _price(rnd: Random, index: int) -> float:
    return 10 ** (rnd.uniform(-6, -3) if index in ROCKETS else _quantile(_PRICE, rnd.random()))


def _known_supplies(known: Known) -> tuple[float, float, float | None]:
    circulating = float(round(known.market_cap / known.price))
    return circulating, circulating * 1.0625 if known.max_supply is None else circulating, known.max_supply


def _supplies(rnd: Random, index: int, price: float) -> tuple[float, float, float | None]:
    """circulating, total and maximum supply, in coins: often 0 or null, sometimes contradicting each other, up to 1e18."""
    whole = rnd.random() < 0.6
    supply = min(10 ** _quantile(_CAP, rnd.random()) / price, 9.9e17)
    supply = float(round(supply)) if whole else round(supply, 4)
    circulating = 0.0 if rnd.random() < 0.48 or index in ROCKETS else supply
    total = 1e18 if index == 28 else 0.0 if not circulating and rnd.random() < 0.2 else supply * rnd.choice((1, 1, 1.25, 2))
    if circulating and rnd.random() < 0.026:
        total = math.floor(circulating * 0.9)
    kind = rnd.random()
    if kind < 0.5:
        return circulating, min(total, 1e18), None
    if kind < 0.514:
        return circulating, min(total, 1e18), 0.0
    maximum = math.floor(total * 0.8) if kind < 0.55 else total * rnd.choice((1, 1, 2, 10))
    return circulating, min(total, 1e18), min(maximum, 1e18)


def _platform(rnd: Random) -> dict[str, object]:
    identifier, name, symbol, slug = rnd.choice(_PLATFORMS)
    return {"id": identifier, "name": name, "symbol": symbol, "slug": slug, "token_address": f"0x{rnd.getrandbits(160):040x}"}
