"""The simulated market: a pure function of seed and minute, with the peculiarities of the real one."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sources.coinmarketcap.damage import DAMAGES, backdated, damaged
from local.sources.coinmarketcap.market import HORIZONS, Market, Snapshot, instant
from local.sources.coinmarketcap.shapes import CHANGES, listed, mapped, quoted

SEED, TICK, WINDOW = 7, 460_000, 5_000
SMALL = Market(seed=SEED, coins=60, inactive=12, churn=1)


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(seed=SEED, coins=5_150, inactive=300, churn=1)


@pytest.fixture(scope="module")
def snapshot(market: Market) -> Snapshot:
    return market.at(TICK)


def ids(snapshot: Snapshot) -> set[int]:
    return {quote.coin.id for quote in snapshot.listed}


@given(seed=st.integers(0, 2**32), tick=st.integers(0, 10**7))
def test_the_market_is_a_pure_function_of_seed_and_minute(seed: int, tick: int) -> None:
    one, other = (Market(seed=seed, coins=20, inactive=6, churn=2) for _ in range(2))
    one.at(tick + 60)
    assert one.at(tick) == other.at(tick)


@given(tick=st.integers(0, 10**7))
def test_any_minute_has_as_many_coins_and_ranks_them_by_market_cap(tick: int) -> None:
    found = SMALL.at(tick)
    assert len(found.listed) == len(ids(found)) == 60
    caps = [quote.market_cap for quote in found.listed]
    assert caps == sorted(caps, reverse=True)
    assert all(quote.rank in (None, place) for place, quote in enumerate(found.listed, 1))
    assert all(quote.price > 0 and quote.volume >= 0 for quote in found.listed)


@given(tick=st.integers(0, 10**6))
def test_a_change_in_percent_is_the_change_of_the_same_market(tick: int) -> None:
    now = {quote.coin.id: quote for quote in SMALL.at(tick).listed}
    for place, ticks in enumerate(HORIZONS[:3]):
        if tick >= ticks:
            before = {q.coin.id: q for q in SMALL.quotes((q.coin for q in now.values()), tick - ticks)}
            for identifier, quote in now.items():
                change = 100 * (quote.price / before[identifier].price - 1)
                assert quote.changes[place] in (pytest.approx(change, abs=1e-6, rel=1e-9), 0.0)


def test_each_minute_some_are_delisted_some_listed_and_some_only_leave_the_window(market: Market) -> None:
    before, after = market.at(TICK), market.at(TICK + 1)
    gone, new = ids(before) - ids(after), ids(after) - ids(before)
    assert len(gone) == len(new) == 1
    assert {market.status(market.by_id[identifier], TICK + 1) for identifier in gone} == {"inactive"}
    assert {market.status(market.by_id[identifier], TICK) for identifier in new} == {"untracked"}
    windows = [{quote.coin.id for quote in found.listed[:WINDOW]} for found in (before, after)]
    assert (windows[0] - windows[1]) & ids(after)
    ranks = [{quote.coin.id: quote.rank for quote in found.listed} for found in (before, after)]
    assert sum(ranks[0][identifier] != ranks[1][identifier] for identifier in ids(before) & ids(after)) > 1_000


def test_a_market_without_churn_keeps_its_coins() -> None:
    still = Market(seed=SEED, coins=30, inactive=5, churn=0)
    assert ids(still.at(0)) == ids(still.at(999))
    assert ids(Market(seed=SEED, coins=10, inactive=0, churn=3).at(5)) == ids(
        Market(seed=SEED, coins=10, inactive=0, churn=3).at(6)
    )


def test_minutes_follow_each_other_in_time() -> None:
    instants = [instant(tick) for tick in range(TICK, TICK + 2_000)]
    assert instants == sorted(set(instants))


def test_names_and_symbols_are_no_keys(snapshot: Snapshot) -> None:
    coins = [quote.coin for quote in snapshot.listed]
    symbols, names = Counter(c.symbol for c in coins), Counter(c.name for c in coins)
    assert 200 < sum(n > 1 for n in symbols.values()) < 450
    assert max(symbols.values()) >= 4
    assert any(n > 1 for n in names.values())
    assert any(c.name != c.name.strip() for c in coins)
    assert any(not c.name.isascii() for c in coins)
    assert any("," in c.symbol for c in coins)
    assert len({c.slug for c in coins}) == len({c.id for c in coins}) == len(coins)


def test_numbers_are_as_extreme_as_the_real_ones(snapshot: Snapshot) -> None:
    quotes = snapshot.listed
    prices = sorted(quote.price for quote in quotes)
    assert prices[0] < 2e-20
    assert 470_000 < prices[-1] < 480_000
    assert sum(price < 1e-18 for price in prices) == 2
    assert sum(price < 1e-9 for price in prices) > 30
    assert 300_000 < max(quote.changes[2] for quote in quotes) < 400_000
    assert min(quote.changes[2] for quote in quotes) < -99.9
    assert max(quote.coin.total for quote in quotes) == 1e18
    share = {
        "circulating": sum(not q.coin.circulating for q in quotes),
        "no maximum": sum(q.coin.maximum is None for q in quotes),
        "no platform": sum(q.coin.platform is None for q in quotes),
        "unranked": sum(q.rank is None for q in quotes[:WINDOW]),
        "maximum 0": sum(q.coin.maximum == 0 for q in quotes),
        "maximum below total": sum(q.coin.maximum is not None and q.coin.maximum < q.coin.total for q in quotes),
        "total below circulating": sum(q.coin.total < q.coin.circulating for q in quotes),
        "no volume": sum(not q.volume for q in quotes),
    }
    assert 0.4 < share["circulating"] / len(quotes) < 0.55
    assert 0.4 < share["no maximum"] / len(quotes) < 0.6
    assert all(share.values())


def test_a_field_is_an_integer_in_one_coin_and_a_float_in_the_next(snapshot: Snapshot) -> None:
    coins = [json.loads(json.dumps(listed(quote, version=3, convert=("USD",)))) for quote in snapshot.listed[:WINDOW]]
    for name in ("circulating_supply", "total_supply", "max_supply"):
        assert {type(coin[name]) for coin in coins} >= {int, float}
    for name in ("percent_change_60d", "percent_change_90d"):
        assert {type(coin["quote"][0][name]) for coin in coins} == {int, float}
    assert {type(coin["max_supply"]) for coin in coins} == {int, float, type(None)}


def test_every_number_is_written_so_that_the_same_double_is_read(snapshot: Snapshot) -> None:
    for quote in snapshot.listed:
        coin = json.loads(json.dumps(listed(quote, version=1, convert=("USD",))))
        assert float(coin["quote"]["USD"]["price"]) == quote.price
        assert float(coin["total_supply"]) == quote.coin.total


def test_v3_has_a_list_of_quotes_and_v1_a_dictionary(snapshot: Snapshot) -> None:
    quote = snapshot.listed[0]
    v1, v3 = (listed(quote, version=version, convert=("USD", "BTC")) for version in (1, 3))
    assert list(v1["quote"]) == ["USD", "BTC"]
    assert [(q["id"], q["symbol"]) for q in v3["quote"]] == [(2781, "USD"), (1, "BTC")]
    assert v3["is_active"] == 1
    assert "is_active" not in v1
    assert set(CHANGES) <= set(v1["quote"]["USD"])
    assert all(isinstance(tag, str) for tag in v3["tags"])
    tagged = next(q for q in snapshot.listed if q.coin.tags)
    assert set(quoted(tagged, version=2, convert=("USD",), year=2026, active=True)["tags"][0]) == {"slug", "name", "category"}


def test_fields_come_with_the_years(snapshot: Snapshot) -> None:
    of_year = {year: listed(snapshot.listed[0], version=1, convert=("USD",), year=year) for year in (2021, 2023, 2026)}
    assert "infinite_supply" not in of_year[2021]
    assert "infinite_supply" in of_year[2023]
    assert "minted_market_cap" not in of_year[2023]
    assert "minted_market_cap" in of_year[2026]
    assert len(of_year[2021]["quote"]["USD"]) == 10
    assert "market_cap_dominance" in of_year[2023]["quote"]["USD"]


def test_the_map_tells_only_what_it_is_asked_for(snapshot: Snapshot) -> None:
    quote = snapshot.listed[0]
    bare = mapped(quote, status="untracked", aux=frozenset(), now="now")
    assert list(bare) == ["id", "rank", "name", "symbol", "slug"]
    assert mapped(quote, status="untracked", aux=frozenset({"is_active", "status"}), now="now").items() >= {
        ("is_active", 0),
        ("status", "untracked"),
    }


@given(count=st.integers(1, 80))
def test_so_many_coins_are_damaged_and_the_others_stay_as_they_are(count: int) -> None:
    coins = [listed(quote, version=3, convert=("USD",)) for quote in SMALL.at(TICK).listed]
    body = json.dumps({"status": {}, "data": coins}).encode()
    found = json.loads(damaged(body, count))["data"]
    assert sum(a != b for a, b in zip(json.loads(body)["data"], found, strict=True)) == min(count, len(coins))


def test_every_damage_is_another_one() -> None:
    coin = listed(SMALL.at(TICK).listed[0], version=1, convert=("USD",))
    results = {json.dumps(damage(json.loads(json.dumps(coin)))) for damage in DAMAGES}
    assert len(results) == len(DAMAGES)
    assert json.dumps(coin) not in results


def test_a_backdated_listing_differs_in_its_time_alone() -> None:
    answer = {"status": {"timestamp": "2026-11-21T00:10:00.123Z"}, "data": [{"id": 1}]}
    assert json.loads(backdated(json.dumps(answer).encode(), 60)) == {
        "status": {"timestamp": "2026-11-20T23:10:00.123Z"},
        "data": [{"id": 1}],
    }
