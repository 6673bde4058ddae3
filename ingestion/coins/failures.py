"""What CoinMarketCap's failures are: terminal or transient, by HTTP status and by the error code of the body.

The code goes before the status, and counts with HTTP 200 too (documentation, "Errors and Rate Limits").
"""

from datetime import UTC, datetime, timedelta

from ingestion.backoff import Unavailable

OK = 0
MINUTE_LIMIT, DAILY_LIMIT, MONTHLY_LIMIT = 1008, 1009, 1010
TRANSIENT_CODES = frozenset({MINUTE_LIMIT, 1011, 1022})  # 1011 and 1022 (undocumented): too much from one address
TERMINAL_CODES = {
    1001: "the key in the secret is invalid",
    1002: "no key was sent",
    1003: "the key's plan was never activated",
    1004: "the key's plan has expired",
    1005: "this endpoint wants a key, and the secret holds none",
    1006: "the key's plan does not have this endpoint",
    1007: "the key is disabled",
}
TRANSIENT_STATUS = frozenset({408, 409, 429})
MINUTE = 60.0


class CoinMarketCapError(Exception):
    """CoinMarketCap did not give what was asked."""


class CoinMarketCapUnavailable(CoinMarketCapError, Unavailable):
    """Transient: throttled, overloaded, unreachable, or the answer broke off."""


class CoinMarketCapRejected(CoinMarketCapError):
    """Terminal: CoinMarketCap understood and said no. `status`: HTTP; `code`: of the body, None without one."""

    def __init__(self, message: str, *, status: int, code: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class CoinMarketCapExhausted(CoinMarketCapRejected):
    """The credits of the day or the month are used up; `until` is the instant at which there are new ones."""

    def __init__(self, message: str, *, status: int, code: int, until: datetime) -> None:
        super().__init__(message, status=status, code=code)
        self.until = until


def failure(
    where: str, *, status: int, code: int | None, words: str, retry_after: float | None, now: datetime
) -> CoinMarketCapError | None:
    """What an answer's status and code mean; None: it is good. retry_after: seconds, of the header."""
    if code == OK or code is None:
        if status == 200:
            return None
        code = None
    said = f"{where} answered HTTP {status}" + (f", error {code}" if code else "") + (f": {words.rstrip('.')}" if words else "")
    if code in (DAILY_LIMIT, MONTHLY_LIMIT):
        until = _tomorrow(now) if code == DAILY_LIMIT else _next_month(now)
        period = "day" if code == DAILY_LIMIT else "month"
        text = f"{said}. The {period}'s credits are used up; there are new ones from {until:%Y-%m-%d %H:%M} UTC on"
        return CoinMarketCapExhausted(text, status=status, code=code, until=until)
    if code in TERMINAL_CODES:
        return CoinMarketCapRejected(f"{said} ({TERMINAL_CODES[code]})", status=status, code=code)
    if code in TRANSIENT_CODES:
        wait = MINUTE if retry_after is None and code == MINUTE_LIMIT else retry_after
        return CoinMarketCapUnavailable(said, retry_after=wait)
    # An unknown code that comes with HTTP 200 is judged as the status that it looks like.
    judged = code if status == 200 and code is not None else status
    if judged in TRANSIENT_STATUS or 500 <= judged < 600:
        return CoinMarketCapUnavailable(said, retry_after=retry_after)
    return CoinMarketCapRejected(said, status=status, code=code)


def code_of(value: object) -> int | None:
    """An error code, which is a number on v1 and v2 and may be a text on v3; None for anything else."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() else None
    return value if type(value) is int else None


def _tomorrow(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _next_month(now: datetime) -> datetime:
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
