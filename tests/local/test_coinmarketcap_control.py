"""What CoinMarketCap's API on this machine serves: how it is stated, kept and refused; and the relay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from coinmarketcap_calls import LISTINGS, SMALL, control, get, listing, refusal

from local.sources import coinmarketcap


@pytest.fixture
def server(tmp_path: Path) -> Iterator[coinmarketcap.Server]:
    running = coinmarketcap.start(0, tmp_path / "home")
    assert control(running, **SMALL).status_code == 200
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"origin": "nowhere"}, "nowhere"),
        ({"origin": "files", "directory": "relative"}, "absolute"),
        ({"origin": "files", "directory": "/no/such/directory"}, "no directory"),
        ({"origin": "simulated", "coins": -1}, "coins"),
    ],
)
def test_a_bad_wish_is_refused_with_a_reason_and_changes_nothing(
    server: coinmarketcap.Server, wish: dict[str, Any], message: str
) -> None:
    before = server.state()
    answer = control(server, **wish)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert requests.get(f"{server.url}/_control", timeout=10).json() == before


def test_what_control_shows_can_be_put_back(server: coinmarketcap.Server) -> None:
    listing(server)
    assert control(server, **server.state()).json()["coins"] == 60


def test_control_answers_to_local_names_alone(server: coinmarketcap.Server) -> None:
    answer = requests.get(f"{server.url}/_control", headers={"Host": "api.example.org"}, timeout=10)
    assert answer.status_code == 403


def test_a_market_that_stands_still_is_the_same_after_a_restart(tmp_path: Path) -> None:
    bodies = []
    for home in ("a", "a", "b"):
        running = coinmarketcap.start(0, tmp_path / home)
        if len(bodies) != 1:
            control(running, **SMALL, tick=1234)
        bodies += [get(running, f"v3/{LISTINGS}").content]
        running.stop()
    assert bodies[0] == bodies[1] == bodies[2]


def test_a_port_in_use_is_an_error_at_once(server: coinmarketcap.Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        coinmarketcap.start(server.port, tmp_path)


def test_what_was_kept_and_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "coinmarketcap.json").write_text("{")
    with pytest.raises(coinmarketcap.ChoiceError, match=r"coinmarketcap\.json is damaged"):
        coinmarketcap.start(0, tmp_path)


def test_live_without_internet_says_so_and_never_shows_the_key(
    server: coinmarketcap.Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("local.sources.coinmarketcap.live.UPSTREAM", "http://127.0.0.1:9")
    control(server, origin="live")
    answer = get(server, f"v3/{LISTINGS}", key="a-secret-key")
    assert (answer.status_code, "internet" in answer.text) == (502, True)
    assert "x-tributary-origin" not in answer.headers
    assert "a-secret-key" not in answer.text + caplog.text


def test_live_relays_another_server_with_the_callers_key(
    server: coinmarketcap.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = coinmarketcap.start(0, tmp_path / "upstream")
    try:
        control(upstream, **SMALL, tick=5, keys={"mine": {"minute": 1}})
        monkeypatch.setattr("local.sources.coinmarketcap.live.UPSTREAM", upstream.url)
        control(server, origin="live")
        answer = get(server, f"v3/{LISTINGS}", key="mine", limit=3)
        assert len(answer.json()["data"]) == 3
        assert "x-tributary-origin" not in answer.headers
        limited = get(server, f"v3/{LISTINGS}", key="mine")
        assert (refusal(limited), "Retry-After" in limited.headers) == ((429, "1008"), True)
    finally:
        upstream.stop()
