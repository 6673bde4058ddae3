"""The simulated market: who is listed and at which price, a pure function of (seed, tick). A tick is a minute.

Prices are waves around a resting price, so that any minute costs the same to compute and every change of percent is the change
between two minutes of the same market. Of a pool of coins `churn` are delisted and as many listed each tick: a delisted one is
inactive, then untracked, then listed again.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

from local.sources.coinmarketcap.coins import EPOCH, ROCKETS, STALE, Coin, universe

Status = Literal["active", "inactive", "untracked"]
HOUR, DAY = 60, 1440
# (length in ticks, size of a usual coin's swing as a share of its price)
WAVES = ((3.7, 0.0006), (97, 0.006), (1.31 * DAY, 0.03), (9.3 * DAY, 0.1), (71 * DAY, 0.35))
HORIZONS = (HOUR, DAY, 7 * DAY, 30 * DAY, 60 * DAY, 90 * DAY)
JUMP = math.log(3437)
JUMP_PERIOD = 14 * DAY
NO_VOLUME = 0.08  # share of coins whose volume is reported as 0


@dataclass(frozen=True, slots=True)
class Quote:
    """A coin in one tick. USD; changes in percent, in the order of HORIZONS; rank: None = unranked; interest: sorts those without a
    market cap, and is the volume unless that is reported as 0.
    """

    coin: Coin
    price: float
    changes: tuple[float, ...]
    volume: float
    volume_change: float
    market_cap: float
    interest: float
    updated: datetime
    rank: int | None = None
    dominance: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """The market in one tick: active coins by market cap."""

    tick: int
    instant: datetime
    listed: list[Quote]


def instant(tick: int) -> datetime:
    """When a tick's answers are made: the minute, and some milliseconds of their own."""
    return EPOCH + timedelta(minutes=tick, milliseconds=tick * 7919 % 1000)


class Market:
    """coins: active in every tick; inactive: beside them; churn: delisted, and as many listed, from a tick to the next."""

    def __init__(self, *, seed: int, coins: int, inactive: int, churn: int) -> None:
        self.coins = universe(seed, coins + inactive, periods=len(WAVES))
        self.by_id = {coin.id: coin for coin in self.coins}
        self._inactive, self._churn = inactive, churn
        # Only so many coins take part in the churn; the others stay, the known ones among them.
        self._rotating = min(inactive, coins // 2)
        self._stable = coins - self._rotating
        self.at = lru_cache(maxsize=4)(self._at)

    def status(self, coin: Coin, tick: int) -> Status:
        if coin.index < self._stable:
            return "active"
        pool = self._rotating + self._inactive
        place = (coin.index - self._stable + self._churn * tick) % pool
        if place < self._rotating:
            return "active"
        return "inactive" if place < self._rotating + self._inactive * 2 / 3 else "untracked"

    def quotes(self, coins: Iterable[Coin], tick: int) -> list[Quote]:
        """Unranked quotes, in the order given."""
        return [_quote(coin, tick) for coin in coins]

    def _at(self, tick: int) -> Snapshot:
        quotes = self.quotes((coin for coin in self.coins if self.status(coin, tick) == "active"), tick)
        quotes.sort(key=lambda q: (-q.market_cap, -q.interest, q.coin.id))
        total = sum(quote.market_cap for quote in quotes) or 1.0
        for place, quote in enumerate(quotes, 1):
            # Frozen for all who read; nobody has seen it yet.
            object.__setattr__(quote, "rank", place if quote.market_cap or quote.volume else None)
            object.__setattr__(quote, "dominance", round(100 * quote.market_cap / total, 4))
        return Snapshot(tick, instant(tick), quotes)


def _height(coin: Coin, tick: int) -> float:
    """Logarithm of the price over the resting price."""
    height = 0.0
    for (length, size), (swing, phase) in zip(WAVES, coin.waves, strict=True):
        height += size * swing * math.sin(math.tau * tick / length + phase)
    if coin.index in ROCKETS and (tick + coin.index * 2 * DAY) % JUMP_PERIOD < JUMP_PERIOD // 2:
        height += JUMP
    return height


def _quote(coin: Coin, tick: int) -> Quote:
    now = _height(coin, tick)
    price = coin.price * math.exp(now)
    reach = HORIZONS[3] if coin.recent else HORIZONS[-1]
    changes = tuple(round(100 * math.expm1(now - _height(coin, tick - h)), 8) if h <= reach else 0.0 for h in HORIZONS)
    (_, fast), (_, slow) = coin.waves[0], coin.waves[2]
    turn = 0.3 * math.sin(math.tau * tick / 11.3 + fast) + 0.4 * math.sin(math.tau * tick / (1.7 * DAY) + slow)
    before = 0.3 * math.sin(math.tau * (tick - DAY) / 11.3 + fast) + 0.4 * math.sin(math.tau * (tick - DAY) / (1.7 * DAY) + slow)
    interest = coin.volume * math.exp(turn)
    reported = fast / math.tau >= NO_VOLUME
    lag = timedelta(days=2, hours=9) if coin.index in STALE else timedelta(minutes=coin.id % 2)
    return Quote(
        coin=coin,
        price=price,
        changes=changes,
        volume=round(interest, 8) if reported else 0.0,
        volume_change=round(100 * math.expm1(turn - before), 4) if reported else 0.0,
        market_cap=price * coin.circulating,
        interest=interest,
        updated=EPOCH + timedelta(minutes=tick) - lag,
    )
