"""Keys, limits and credits under a clock of the test's; what a request may ask for; how far answers have come."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sources.coinmarketcap import parameters
from local.sources.coinmarketcap.choice import ChoiceError, Key, Simulated, parse
from local.sources.coinmarketcap.errors import ApiError
from local.sources.coinmarketcap.ledger import Ledger
from local.sources.coinmarketcap.market import instant
from local.sources.coinmarketcap.progress import Progress
from local.sources.coinmarketcap.simulated import SimulatedMarket

NOON = datetime(2026, 11, 30, 12, 0, 10, tzinfo=UTC).timestamp()


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock=clock)


def admit(ledger: Ledger, name: str | None = "k", *, ip_minute: int = 1_000, **key: Any) -> None:
    ledger.admit(name, {"k": Key(**key), "other": Key()}, address="127.0.0.1", ip_minute=ip_minute)


def refused(ledger: Ledger, name: str | None = "k", *, ip_minute: int = 1_000, **key: Any) -> tuple[int, int, int | None]:
    with pytest.raises(ApiError) as error:
        admit(ledger, name, ip_minute=ip_minute, **key)
    return error.value.code, error.value.status, error.value.retry_after


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        (None, "ok", (1002, 401, None)),
        ("", "ok", (1002, 401, None)),
        ("unknown", "ok", (1001, 401, None)),
        ("k", "not_activated", (1003, 402, None)),
        ("k", "expired", (1004, 402, None)),
        ("k", "disabled", (1007, 403, None)),
    ],
)
def test_a_key_that_has_no_right(ledger: Ledger, name: str | None, state: str, expected: tuple[int, int, None]) -> None:
    assert refused(ledger, name, state=state) == expected


def test_the_minute_begins_with_its_first_request_and_other_keys_have_their_own(ledger: Ledger, clock: Clock) -> None:
    for _ in range(3):
        admit(ledger, minute=3)
        clock.now += 10
    assert refused(ledger, minute=3) == (1008, 429, 30)
    admit(ledger, "other")
    clock.now += 30
    admit(ledger, minute=3)


def test_credits_of_the_day_come_back_at_midnight(ledger: Ledger, clock: Clock) -> None:
    ledger.charge("k", 20)
    assert refused(ledger, daily=20) == (1009, 429, 12 * 3600 - 10)
    clock.now += 12 * 3600
    admit(ledger, daily=20)


def test_credits_of_the_month_come_back_on_its_first(ledger: Ledger, clock: Clock) -> None:
    ledger.charge("k", 14_999)
    admit(ledger)
    ledger.charge("k", 20)
    assert refused(ledger) == (1010, 429, 12 * 3600 - 10)
    clock.now += 12 * 3600
    admit(ledger)


def test_an_address_is_limited_over_all_its_keys(ledger: Ledger, clock: Clock) -> None:
    admit(ledger, ip_minute=2)
    assert refused(ledger, None, ip_minute=2)[0] == 1002
    assert refused(ledger, "other", ip_minute=2) == (1011, 429, 60)


def test_without_a_key_an_address_is_limited(ledger: Ledger, clock: Clock) -> None:
    ledger.admit_keyless(address="a", keyless_minute=1)
    with pytest.raises(ApiError) as error:
        ledger.admit_keyless(address="a", keyless_minute=1)
    assert (error.value.code, error.value.status) == (1022, 429)
    ledger.admit_keyless(address="b", keyless_minute=1)


def test_the_info_counts_requests_and_credits(ledger: Ledger, clock: Clock) -> None:
    admit(ledger)
    ledger.charge("k", 20)
    info = ledger.info("k", Key())
    assert info["plan"]["credit_limit_monthly_reset_timestamp"] == "2026-12-01T00:00:00.000Z"
    assert info["plan"]["credit_limit_monthly_reset"] == "In 0 days, 11 hours, 59 minutes"
    assert info["usage"] == {
        "current_minute": {"requests_made": 1, "requests_left": 29},
        "current_day": {"credits_used": 20},
        "current_month": {"credits_used": 20, "credits_left": 14_980},
    }
    assert ledger.info("k", Key(daily=30))["usage"]["current_day"] == {"credits_used": 20, "credits_left": 10}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "5001"}, '"limit" must be less than or equal to 5000'),
        ({"limit": "0"}, '"limit" must be larger than or equal to 1'),
        ({"limit": "many"}, '"limit" must be a number'),
        ({"limit": "1.5"}, '"limit" must be an integer'),
        ({"limit": "inf"}, '"limit" must be an integer'),
        ({"start": "0"}, '"start" must be larger than or equal to 1'),
        ({"id": "1"}, '"id" is not allowed'),
        ({"convert": ""}, '"convert" is not allowed to be empty'),
        ({"convert": "USD,XYZ"}, 'Invalid value for "convert": "XYZ"'),
        ({"convert_id": "9"}, 'Invalid value for "convert_id": "9"'),
        ({"convert": "USD", "convert_id": "1"}, "exclusive peers"),
        ({"sort": "beauty"}, '"sort" must be one of [name, symbol'),
        ({"aux": "tags,beauty"}, '"aux" must be one of ['),
        ({"cryptocurrency_type": "shares"}, '"cryptocurrency_type" must be one of [all, coins, tokens]'),
        ({"price_min": "x"}, '"price_min" must be a number'),
    ],
)
def test_a_listing_that_cannot_be_asked_for(query: dict[str, str], message: str) -> None:
    with pytest.raises(ApiError) as error:
        parameters.listing(query)
    assert (error.value.code, error.value.status) == (400, 400)
    assert message in error.value.text


@given(
    query=st.dictionaries(st.sampled_from(["start", "limit", "convert", "sort", "aux", "price_max", "tag"]), st.text(max_size=8))
)
def test_whatever_is_asked_is_answered_or_refused(query: dict[str, str]) -> None:
    with suppress(ApiError):
        found = parameters.listing(query)
        assert found.start >= 1
        assert 1 <= found.limit <= parameters.MAX_LIMIT
        assert set(found.convert) <= set(parameters.CURRENCIES)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, '"value" must contain at least one of [id, symbol, slug]'),
        ({"symbol": ""}, '"symbol" is not allowed to be empty'),
        ({"id": "1,x"}, '"id" should include one or more valid CoinMarketCap cryptocurrency ids'),
    ],
)
def test_quotes_that_cannot_be_asked_for(query: dict[str, str], message: str) -> None:
    with pytest.raises(ApiError) as error:
        parameters.quotes(query)
    assert message in error.value.text


@pytest.mark.parametrize("state", ["lost", ""])
def test_a_map_of_a_status_that_does_not_exist(state: str) -> None:
    with pytest.raises(ApiError):
        parameters.map_({"listing_status": f"active,{state}"})


def a_listing(market: SimulatedMarket, *, start: int = 1, advance: bool = True) -> str:
    answer = market.listing(3, parameters.listing({"start": str(start), "limit": "5"}), advance=advance)
    return answer.body[:60].decode()


def test_listings_are_a_minute_apart_at_least_and_go_with_the_clock(tmp_path: Path, clock: Clock) -> None:
    progress = Progress(tmp_path / "progress.json")
    market = SimulatedMarket(Simulated(coins=20, inactive=0), progress, clock=clock)
    first = a_listing(market)
    begun = progress.tick
    assert begun is not None
    assert NOON - 60 < instant(begun).timestamp() <= NOON
    second = a_listing(market)
    assert progress.tick == begun + 1
    assert a_listing(market, start=6) == second
    assert first != second
    clock.now += 3600
    a_listing(market)
    assert progress.tick == begun + 60


def test_an_answer_that_did_not_arrive_comes_again(tmp_path: Path, clock: Clock) -> None:
    market = SimulatedMarket(Simulated(coins=20, inactive=0), Progress(tmp_path / "progress.json"), clock=clock)
    a_listing(market)
    lost = a_listing(market, advance=False)
    assert a_listing(market) == lost
    assert a_listing(market) != lost


def test_progress_is_kept(tmp_path: Path) -> None:
    first = Progress(tmp_path / "progress.json")
    first.reached(7)
    first.answered(tmp_path, timestamp="t", file="f")
    again = Progress(tmp_path / "progress.json")
    assert (again.tick, again.answer(tmp_path), again.answer(tmp_path / "another")) == (7, ("t", "f"), None)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"origin": "nowhere"}, "nowhere"),
        ({"origin": "simulated", "coins": 0}, "coins"),
        ({"origin": "simulated", "beauty": 1}, "beauty"),
        ({"origin": "simulated", "faults": [{"kind": "damaged", "on": "map", "coins": 1}]}, "faults"),
        ({"origin": "simulated", "keys": {"k": {"state": "lost"}}}, "keys.k.state"),
        ([], "body"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_by_name(wish: Any, message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        parse(wish)
