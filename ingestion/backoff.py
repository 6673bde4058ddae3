"""When a source is asked again, and how long after."""

import itertools
import logging
import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Unavailable(Exception):
    """Transient: throttled, overloaded or unreachable. `retry_after` is the source's wish in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Backoff:
    """Exponential, full jitter, capped. Retry-After is a floor, capped too: a source cannot park the function.

    time_left: seconds that may pass; a longer pause is not begun.
    """

    def __init__(
        self,
        *,
        attempts: int = 5,
        base: float = 0.5,
        cap: float = 20.0,
        retry_after_cap: float = 120.0,
        time_left: Callable[[], float] = lambda: math.inf,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.attempts = attempts
        self._base, self._cap, self._retry_after_cap = base, cap, retry_after_cap
        self._time_left, self._sleep, self._jitter = time_left, sleep, jitter

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after failed attempt `attempt` (from 0)."""
        drawn = self._jitter() * min(self._cap, self._base * float(2**attempt))
        return max(drawn, min(retry_after or 0.0, self._retry_after_cap))

    def wait(self, failures: int, error: Unavailable) -> bool:
        """Sleeps after the `failures`-th failure in a row. False, at once, if it was the last or there is no time for it."""
        if failures >= self.attempts:
            return False
        seconds = self.pause(failures - 1, error.retry_after)
        if seconds > self._time_left():
            return False
        log.warning("attempt %d of %d: %s; again in %.1f s", failures, self.attempts, error, seconds)
        self._sleep(seconds)
        return True

    def run(self, call: Callable[[], T]) -> T:
        """Repeats `call` while it raises Unavailable; raises the last one."""
        for failures in itertools.count(1):
            try:
                return call()
            except Unavailable as error:
                if not self.wait(failures, error):
                    raise
        raise AssertionError("counting does not end")


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number of seconds or an HTTP date; None when absent or unreadable."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
