"""Who may ask and how often: keys, their credits and requests, the limits of an address. Counted from the start of the server."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.sources.coinmarketcap.choice import Key
from local.sources.coinmarketcap.envelope import iso
from local.sources.coinmarketcap.errors import ApiError

MINUTE = 60.0
_REFUSED = {"not_activated": 1003, "expired": 1004, "disabled": 1007}


@dataclass
class _Window:
    """A minute begins with its first request."""

    since: float = -MINUTE
    made: int = 0

    def made_at(self, now: float) -> int:
        return self.made if now < self.since + MINUTE else 0

    def count(self, now: float) -> None:
        if now >= self.since + MINUTE:
            self.since, self.made = now, 0
        self.made += 1


@dataclass
class _Account:
    minute: _Window = field(default_factory=_Window)
    credits: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by day "2026-11-21" and by month "2026-11"


class Ledger:
    """clock: seconds since 1970."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = defaultdict(_Account)
        self._addresses: dict[str, _Window] = defaultdict(_Window)
        self._keyless: dict[str, _Window] = defaultdict(_Window)

    def admit(self, name: str | None, keys: Mapping[str, Key], *, address: str, ip_minute: int) -> Key:
        """Counts a request with the key called `name`. Raises ApiError: who has no right to ask counts for his address alone."""
        now = self._clock()
        with self._lock:
            self._pass(self._addresses[address], now, ip_minute, 1011)
            if not name:
                raise ApiError(1002)
            key = keys.get(name)
            if key is None:
                raise ApiError(1001)
            if key.state in _REFUSED:
                raise ApiError(_REFUSED[key.state])
            account = self._accounts[name]
            self._pass(account.minute, now, key.minute, 1008)
            day, month = _periods(now)
            if key.daily is not None and account.credits[day] >= key.daily:
                raise ApiError(1009, retry_after=_seconds_to(_tomorrow(now), now))
            if account.credits[month] >= key.monthly:
                raise ApiError(1010, retry_after=_seconds_to(_next_month(now), now))
            return key

    def admit_keyless(self, *, address: str, keyless_minute: int) -> None:
        """Raises ApiError 1022."""
        with self._lock:
            self._pass(self._keyless[address], self._clock(), keyless_minute, 1022)

    def charge(self, name: str, credits: int) -> None:
        with self._lock:
            for period in _periods(self._clock()):
                self._accounts[name].credits[period] += credits

    def info(self, name: str, key: Key) -> dict[str, Any]:
        """The data of /v1/key/info."""
        now = self._clock()
        reset = _next_month(now)
        left = reset - datetime.fromtimestamp(now, UTC)
        hours, minutes = divmod(left.seconds // 60, 60)
        with self._lock:
            account = self._accounts[name]
            made = account.minute.made_at(now)
            day, month = (account.credits[period] for period in _periods(now))
        today = {"credits_used": day} | ({} if key.daily is None else {"credits_left": max(0, key.daily - day)})
        daily = (
            {}
            if key.daily is None
            else {"credit_limit_daily": key.daily, "credit_limit_daily_reset_timestamp": iso(_tomorrow(now))}
        )
        return {
            "plan": {
                **daily,
                "credit_limit_monthly": key.monthly,
                "credit_limit_monthly_reset": f"In {left.days} days, {hours} hours, {minutes} minutes",
                "credit_limit_monthly_reset_timestamp": iso(reset),
                "rate_limit_minute": key.minute,
            },
            "usage": {
                "current_minute": {"requests_made": made, "requests_left": max(0, key.minute - made)},
                "current_day": today,
                "current_month": {"credits_used": month, "credits_left": max(0, key.monthly - month)},
            },
        }

    def _pass(self, window: _Window, now: float, limit: int, code: int) -> None:
        if window.made_at(now) >= limit:
            raise ApiError(code, retry_after=max(1, round(window.since + MINUTE - now)))
        window.count(now)


def _periods(now: float) -> tuple[str, str]:
    moment = datetime.fromtimestamp(now, UTC)
    return f"{moment:%Y-%m-%d}", f"{moment:%Y-%m}"


def _tomorrow(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _next_month(now: float) -> datetime:
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _seconds_to(moment: datetime, now: float) -> int:
    return max(1, round(moment.timestamp() - now))
