"""CoinMarketCap's API over its own socket: shapes, the market from run to run, keys and limits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from coinmarketcap_calls import LISTINGS, QUOTES, SMALL, control, get, ids, listing, refusal

from local.sources import coinmarketcap
from local.sources.coinmarketcap import TEST_KEY


@pytest.fixture
def server(tmp_path: Path) -> Iterator[coinmarketcap.Server]:
    running = coinmarketcap.start(0, tmp_path / "home")
    assert control(running, **SMALL).status_code == 200
    yield running
    running.stop()


# --- the API


@pytest.mark.parametrize(("version", "per_credit", "code", "quote"), [(1, 200, 0, dict), (3, 250, "0", list)])
def test_a_listing_has_its_versions_shape_and_costs(
    server: coinmarketcap.Server, version: int, per_credit: int, code: object, quote: type
) -> None:
    control(server, origin="simulated", coins=600, inactive=10)
    found = listing(server, version, limit=600, convert="USD,BTC")
    status = found["status"]
    assert (status["error_code"], status["total_count"]) == (code, 600)
    assert status["credit_count"] == -(-600 // per_credit) + 1
    assert len(found["data"]) == len(set(ids(found))) == 600
    assert {type(coin["quote"]) for coin in found["data"]} == {quote}
    usage = get(server, "v1/key/info").json()["data"]["usage"]
    assert usage["current_month"]["credits_used"] == status["credit_count"]
    assert usage["current_minute"]["requests_made"] == 2


def test_there_is_no_v2_of_listings_and_no_endpoint_but_the_known(server: coinmarketcap.Server) -> None:
    for path in (f"v2/{LISTINGS}", "v3/anything", ""):
        answer = get(server, path)
        assert (answer.status_code, answer.json()) == (404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"})
    assert refusal(get(server, "v2/cryptocurrency/ohlcv/historical", id=1)) == (403, 1006)
    assert requests.post(f"{server.url}/v3/{LISTINGS}", json={}, timeout=10).status_code == 405


def test_pages_make_up_the_market_of_one_minute(server: coinmarketcap.Server) -> None:
    pages = [listing(server, start=start, limit=25) for start in (1, 26, 51, 76)]
    assert [len(page["data"]) for page in pages] == [25, 25, 10, 0]
    assert len({page["status"]["timestamp"] for page in pages}) == 1
    assert len({i for page in pages for i in ids(page)}) == 60


def test_pages_can_move_so_that_a_coin_is_on_two_of_them_or_on_none(server: coinmarketcap.Server) -> None:
    control(server, origin="simulated", coins=2_000, inactive=50, moving_pages=True)
    pages = [listing(server, start=start, limit=500) for start in (1, 501, 1_001, 1_501)]
    assert len({page["status"]["timestamp"] for page in pages}) == 4
    seen = [i for page in pages for i in ids(page)]
    assert len(seen) == 2_000 > len(set(seen))


def test_three_runs_see_three_markets_in_the_order_of_time(server: coinmarketcap.Server) -> None:
    runs = [listing(server, limit=60) for _ in range(3)]
    times = [run["status"]["timestamp"] for run in runs]
    assert times == sorted(set(times))
    assert len({json.dumps(run["data"]) for run in runs}) == 3
    assert set(ids(runs[0])) != set(ids(runs[2]))


def test_a_delisted_coin_is_inactive_in_the_map_and_all_coins_are_somewhere(server: coinmarketcap.Server) -> None:
    before = set(ids(listing(server, limit=60)))
    after = set(ids(listing(server, limit=60)))
    states = {
        state: {
            coin["id"]: coin for coin in get(server, "v1/cryptocurrency/map", listing_status=state, aux="is_active").json()["data"]
        }
        for state in ("active", "inactive", "untracked")
    }
    assert set(states["active"]) == after
    assert before - after
    assert before - after <= set(states["inactive"])
    assert sum(len(coins) for coins in states.values()) == 72
    for state, coins in states.items():
        assert {coin["is_active"] for coin in coins.values()} == {int(state == "active")}


def test_the_map_has_pages_and_costs_nothing(server: coinmarketcap.Server) -> None:
    query = {"listing_status": "inactive,untracked", "limit": 5}
    pages = [get(server, "v1/cryptocurrency/map", start=start, **query).json() for start in (1, 6, 11, 16)]
    assert [len(page["data"]) for page in pages] == [5, 5, 2, 0]
    found = [i for page in pages for i in ids(page)]
    assert found == sorted(set(found))
    assert pages[0]["status"]["credit_count"] == 0
    assert "total_count" not in pages[0]["status"]
    assert get(server, "v1/key/info").json()["data"]["usage"]["current_month"]["credits_used"] == 0


def test_quotes_by_symbol_are_lists_in_v2_because_coins_share_symbols(server: coinmarketcap.Server) -> None:
    v2 = get(server, f"v2/{QUOTES}", symbol="QUAD,NOSUCHSYMBOL").json()
    assert v2["data"]["NOSUCHSYMBOL"] == []
    assert len(v2["data"]["QUAD"]) == 4
    assert v2["status"]["credit_count"] == 1
    nothing = get(server, f"v2/{QUOTES}", symbol="NOSUCHSYMBOL")
    assert (nothing.status_code, nothing.json()["status"]["credit_count"]) == (200, 1)
    assert get(server, f"v1/{QUOTES}", symbol="QUAD").json()["data"]["QUAD"]["symbol"] == "QUAD"
    assert get(server, f"v2/{QUOTES}", id="1,1027").json()["data"]["1027"]["symbol"] == "ETH"
    v3 = get(server, f"v3/{QUOTES}", id="1,99", skip_invalid="true").json()
    assert [(coin["symbol"], type(coin["quote"])) for coin in v3["data"]] == [("BTC", list)]
    assert refusal(get(server, f"v2/{QUOTES}", id="99")) == (400, 400)
    assert refusal(get(server, f"v3/{QUOTES}")) == (400, "400")


def test_selections_and_orders(server: coinmarketcap.Server) -> None:
    tokens = listing(server, limit=60, cryptocurrency_type="tokens")
    assert tokens["status"]["total_count"] == len(tokens["data"]) > 0
    assert all(coin["platform"] for coin in tokens["data"])
    prices = [coin["quote"][0]["price"] for coin in listing(server, limit=60, sort="price", sort_dir="asc", price_min=1)["data"]]
    assert prices == sorted(prices)
    assert prices[0] >= 1
    bare = listing(server, limit=1, aux="cmc_rank")["data"][0]
    assert "cmc_rank" in bare
    assert "tags" not in bare


def test_every_answer_names_its_origin(server: coinmarketcap.Server) -> None:
    for answer in (get(server, f"v3/{LISTINGS}"), get(server, f"v3/{LISTINGS}", key="wrong"), get(server, "v1/key/info")):
        assert answer.headers["x-tributary-origin"] == "simulated"


# --- keys and limits


def test_keys(server: coinmarketcap.Server) -> None:
    states = {"paid": "not_activated", "old": "expired", "bad": "disabled"}
    control(server, **SMALL, keys={name: {"state": state} for name, state in states.items()})
    found = {name: refusal(get(server, f"v1/{LISTINGS}", key=name)) for name in (*states, "unknown", None)}
    assert found == {"paid": (402, 1003), "old": (402, 1004), "bad": (403, 1007), "unknown": (401, 1001), None: (401, 1002)}
    assert refusal(get(server, f"v3/{LISTINGS}", key=None)) == (401, "1002")


@pytest.mark.parametrize(
    ("key", "asked", "code"),
    [({"minute": 2}, 2, 1008), ({"daily": 1}, 1, 1009), ({"monthly": 2}, 2, 1010)],
)
def test_limits(server: coinmarketcap.Server, key: dict[str, int], asked: int, code: int) -> None:
    control(server, **SMALL, keys={"k": key})
    for _ in range(asked):
        assert get(server, f"v1/{LISTINGS}", key="k").status_code == 200
    answer = get(server, f"v1/{LISTINGS}", key="k")
    assert refusal(answer) == (429, code)
    assert int(answer.headers["Retry-After"]) >= 1
    control(server, **SMALL, keys={"k": {**key, "minute": 1}}, retry_after=False)
    get(server, f"v1/{LISTINGS}", key="k")
    assert "Retry-After" not in get(server, f"v1/{LISTINGS}", key="k").headers


def test_without_a_key_three_endpoints_answer_under_their_own_prefix(server: coinmarketcap.Server) -> None:
    control(server, **SMALL, keyless_minute=4)
    assert get(server, f"public-api/v3/{LISTINGS}", key=None).json()["status"]["error_code"] == "0"
    assert get(server, f"public-api/v3/{QUOTES}", key=None, id=1).status_code == 200
    assert get(server, "public-api/v1/cryptocurrency/map", key=None).status_code == 200
    assert refusal(get(server, "public-api/v1/key/info", key=None)) == (403, 1005)
    assert refusal(get(server, f"public-api/v3/{LISTINGS}", key=TEST_KEY)) == (400, "400")
    assert get(server, f"public-api/v3/{LISTINGS}", key=None).status_code == 200
    assert refusal(get(server, f"public-api/v3/{LISTINGS}", key=None)) == (429, "1022")
    assert get(server, f"v3/{LISTINGS}").status_code == 200


def test_an_address_is_limited_too(server: coinmarketcap.Server) -> None:
    control(server, **SMALL, ip_minute=1)
    get(server, f"v1/{LISTINGS}")
    assert refusal(get(server, f"v1/{LISTINGS}")) == (429, 1011)
