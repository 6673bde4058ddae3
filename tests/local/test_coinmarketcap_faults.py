"""Faults of CoinMarketCap's API on demand."""

import threading
import time
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


def arm(server: coinmarketcap.Server, **fault: Any) -> None:
    answer = control(server, **SMALL, faults=[{"times": 1, **fault}])
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [(401, None, "1001"), (402, None, "1004"), (402, 1003, "1003"), (403, 1007, "1007"), (429, None, "1008"), (500, None, "500")],
)
def test_a_status_comes_so_many_times_and_then_no_more(
    server: coinmarketcap.Server, status: int, code: int | None, shown: str
) -> None:
    arm(server, kind="status", status=status, code=code, retry_after=7, times=2)
    for _ in range(2):
        answer = get(server, f"v3/{LISTINGS}")
        assert refusal(answer) == (status, shown)
        assert answer.headers["Retry-After"] == "7"
    assert get(server, f"v3/{LISTINGS}").status_code == 200


def test_a_fault_can_be_of_one_endpoint_and_of_one_page(server: coinmarketcap.Server) -> None:
    arm(server, kind="status", status=500, on="map")
    assert get(server, f"v3/{LISTINGS}").status_code == 200
    assert get(server, "v1/cryptocurrency/map").status_code == 500
    arm(server, kind="status", status=500, start=26)
    assert get(server, f"v3/{LISTINGS}", start=1).status_code == 200
    assert get(server, f"v3/{LISTINGS}", start=26).status_code == 500


def test_a_body_can_hold_an_error_under_status_200(server: coinmarketcap.Server) -> None:
    arm(server, kind="body_code", code=1010)
    assert refusal(get(server, f"v1/{LISTINGS}")) == (200, 1010)


def test_the_api_can_hang_and_a_stop_does_not_wait_for_it(server: coinmarketcap.Server) -> None:
    arm(server, kind="hang", seconds=0.5, times=1)
    begun = time.monotonic()
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{server.url}/v3/{LISTINGS}", timeout=0.2)
    assert time.monotonic() - begun < 0.5
    arm(server, kind="hang", seconds=600)
    lost: list[BaseException] = []

    def wait() -> None:
        try:
            get(server, f"v3/{LISTINGS}")
        except requests.ConnectionError as error:
            lost.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    server.stop()
    waiting.join(5)
    assert lost


def test_a_truncated_body_ends_before_its_length(server: coinmarketcap.Server) -> None:
    arm(server, kind="truncated", after=500)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="500 bytes read"):
        get(server, f"v3/{LISTINGS}")
    assert get(server, f"v3/{LISTINGS}").status_code == 200


@pytest.mark.parametrize("form", ["html", "cut"])
def test_a_body_can_be_no_json(server: coinmarketcap.Server, form: str) -> None:
    arm(server, kind="wrong_json", form=form)
    answer = get(server, f"v3/{LISTINGS}")
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_so_many_coins_are_damaged(server: coinmarketcap.Server) -> None:
    control(server, **SMALL, tick=9)
    sound = listing(server, limit=60)["data"]
    control(server, **SMALL, tick=9, faults=[{"kind": "damaged", "coins": 40, "times": 1}])
    assert sum(a != b for a, b in zip(sound, listing(server, limit=60)["data"], strict=True)) == 40
    assert listing(server, limit=60)["data"] == sound


def test_an_older_listing_comes_between_two_that_follow_each_other(server: coinmarketcap.Server) -> None:
    first = listing(server)["status"]["timestamp"]
    arm(server, kind="older", minutes=90)
    older, newer = (listing(server)["status"]["timestamp"] for _ in range(2))
    assert older < first < newer


def test_after_a_fault_the_same_listing_comes_and_nothing_was_charged(server: coinmarketcap.Server) -> None:
    first = server.state()["served"]["tick"] if listing(server) else None
    arm(server, kind="truncated", after=10)
    with pytest.raises(requests.RequestException):
        get(server, f"v3/{LISTINGS}")
    assert server.state()["served"]["tick"] == first
    listing(server)
    assert server.state()["served"]["tick"] == first + 1
