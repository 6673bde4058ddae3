"""CoinMarketCap's client: what is asked, what is asked again and what is final; and the key, which is said nowhere."""

import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import responses
from botocore.exceptions import ClientError

from ingestion.backoff import Backoff
from ingestion.coins.client import LISTINGS, MAP, PAGE, CoinMarketCap
from ingestion.coins.failures import (
    CoinMarketCapError,
    CoinMarketCapExhausted,
    CoinMarketCapRejected,
    CoinMarketCapUnavailable,
    code_of,
    failure,
)
from ingestion.coins.key import HEADER, ApiKey, KeyMalformed, read_key

URL = "https://api.example.org"
KEY = "b54bcf4d-1bca-4e8e-9a24-22ff2c3d462c"
GOOD = {"status": {"timestamp": "2026-11-21T11:00:00.123Z", "error_code": "0", "credit_count": 20}, "data": []}


def told(code: object, message: str | None = None) -> dict[str, Any]:
    return {"status": {"error_code": code, "error_message": message, "credit_count": 0}}


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def api(slept: list[float]) -> CoinMarketCap:
    backoff = Backoff(attempts=3, base=0.5, cap=8.0, retry_after_cap=60.0, sleep=slept.append, jitter=lambda: 1.0)
    return CoinMarketCap(url=URL, key=ApiKey(KEY), backoff=backoff)


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def test_the_listing_is_asked_for_in_dollars_with_the_key(web: responses.RequestsMock, api: CoinMarketCap) -> None:
    body = json.dumps(GOOD).encode() + b" "
    web.get(f"{URL}{LISTINGS}", body=body)
    answer = api.listings(start=5001, limit=2000)
    assert (answer.body, answer.status["credit_count"], answer.data, answer.origin) == (body, 20, [], "live")
    (call,) = web.calls
    assert call.request.params == {"start": "5001", "limit": "2000", "sort": "market_cap", "sort_dir": "desc", "convert": "USD"}
    assert call.request.headers[HEADER] == KEY


def test_without_a_key_the_public_endpoint_is_asked_and_no_header_sent(web: responses.RequestsMock) -> None:
    web.get(f"{URL}/public-api{LISTINGS}", json=GOOD, headers={"x-tributary-origin": "simulated"})
    assert CoinMarketCap(url=URL, key=None).listings(start=1, limit=1).origin == "simulated"
    assert HEADER not in web.calls[0].request.headers


TERMINAL = [(401, 1001), (401, "1002"), (402, 1003), (402, "1004"), (403, 1005), (403, 1006), (403, 1007), (400, 400), (404, None)]
TERMINAL += [(403, None), (301, None), (200, 400), (200, "1001"), (418, 77), (429, 1009), (429, "1010"), (200, 1010)]
TRANSIENT = [(429, 1008), (429, "1011"), (429, 1022), (429, None), (500, 500), (503, None), (408, None), (409, None)]
TRANSIENT += [(200, 500), (200, "1008"), (200, 1022), (504, "0")]


@pytest.mark.parametrize(("status", "code"), TERMINAL)
def test_a_clear_no_is_final(
    web: responses.RequestsMock, api: CoinMarketCap, slept: list[float], status: int, code: object
) -> None:
    web.get(f"{URL}{LISTINGS}", status=status, json=told(code, "why not"))
    with pytest.raises(CoinMarketCapRejected, match=f"HTTP {status}.*why not") as raised:
        api.listings(start=1, limit=1)
    assert (raised.value.status, raised.value.code) == (status, code_of(code))
    assert (slept, len(web.calls)) == ([], 1)


@pytest.mark.parametrize(("status", "code"), TRANSIENT)
def test_the_rest_is_asked_twice_more(
    web: responses.RequestsMock, api: CoinMarketCap, slept: list[float], status: int, code: object
) -> None:
    web.get(f"{URL}{LISTINGS}", status=status, json=told(code, "later"))
    with pytest.raises(CoinMarketCapUnavailable, match=f"HTTP {status}.*later"):
        api.listings(start=1, limit=1)
    assert len(web.calls) == 3
    assert slept == ([60.0, 60.0] if code in (1008, "1008") else [0.5, 1.0])


def test_after_a_transient_failure_the_answer_is_taken(web: responses.RequestsMock, api: CoinMarketCap, slept: list[float]) -> None:
    web.get(f"{URL}{LISTINGS}", status=429, json=told(1008), headers={"Retry-After": "7"})
    web.get(f"{URL}{LISTINGS}", status=429, json=told(1008), headers={"Retry-After": "3600"})
    web.get(f"{URL}{LISTINGS}", json=GOOD)
    assert api.listings(start=1, limit=1).data == []
    assert slept == [7, 60]


def test_a_wait_that_the_function_has_no_time_for_is_not_begun(web: responses.RequestsMock, slept: list[float]) -> None:
    api = CoinMarketCap(url=URL, key=None, backoff=Backoff(sleep=slept.append, time_left=lambda: 59.0))
    web.get(f"{URL}/public-api{LISTINGS}", status=429, json=told(1008))
    with pytest.raises(CoinMarketCapUnavailable):
        api.listings(start=1, limit=1)
    assert (slept, len(web.calls)) == ([], 1)


@pytest.mark.parametrize(
    ("code", "now", "until"),
    [
        (1009, datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (1010, datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (1010, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (1010, datetime(2028, 1, 31, 12, tzinfo=UTC), datetime(2028, 2, 1, tzinfo=UTC)),
    ],
)
def test_used_up_credits_say_when_there_are_new_ones(code: int, now: datetime, until: datetime) -> None:
    found = failure("/v3", status=429, code=code, words="", retry_after=None, now=now)
    assert isinstance(found, CoinMarketCapExhausted)
    assert found.until == until
    assert f"{until:%Y-%m-%d %H:%M} UTC" in str(found)


@pytest.mark.parametrize("body", [json.dumps(GOOD)[:-5], "", "<html>blocked</html>", '{"status": {"error_code": 0}'])
def test_an_answer_that_ends_early_or_is_no_json_is_transient(web: responses.RequestsMock, api: CoinMarketCap, body: str) -> None:
    web.get(f"{URL}{LISTINGS}", body=body)
    with pytest.raises(CoinMarketCapUnavailable, match="no whole JSON"):
        api.listings(start=1, limit=1)
    assert len(web.calls) == 3


def test_a_body_shorter_than_announced_is_transient(web: responses.RequestsMock, api: CoinMarketCap) -> None:
    body = json.dumps(GOOD)
    web.get(f"{URL}{LISTINGS}", body=body, headers={"Content-Length": str(len(body) + 9)}, auto_calculate_content_length=False)
    with pytest.raises(CoinMarketCapUnavailable, match="broke off"):
        api.listings(start=1, limit=1)


@pytest.mark.parametrize("answer", [{}, [], {"data": []}, {"status": GOOD["status"]}, {"status": [], "data": []}])
def test_json_without_an_envelope_is_final(web: responses.RequestsMock, api: CoinMarketCap, answer: Any) -> None:
    web.get(f"{URL}{LISTINGS}", json=answer)
    with pytest.raises(CoinMarketCapRejected, match="without status and data"):
        api.listings(start=1, limit=1)


def test_an_answer_that_comes_too_slowly_is_given_up_when_the_time_is(web: responses.RequestsMock) -> None:
    clock = iter([100.0, 0.0])
    api = CoinMarketCap(url=URL, key=None, backoff=Backoff(attempts=1), time_left=lambda: next(clock))
    web.get(f"{URL}/public-api{LISTINGS}", json=GOOD)
    with pytest.raises(CoinMarketCapUnavailable, match="still coming"):
        api.listings(start=1, limit=1)


def test_no_read_lasts_longer_than_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts = []

    def get(_: object, url: str, **options: Any) -> Any:
        timeouts.append(options["timeout"])
        raise requests.ReadTimeout("nothing came")

    monkeypatch.setattr(requests.Session, "get", get)
    for left in (600.0, 25.0, 0.0):
        with pytest.raises(CoinMarketCapUnavailable, match=r"no answer from .* ReadTimeout"):
            CoinMarketCap(url=URL, key=None, backoff=Backoff(attempts=1), time_left=lambda left=left: left).listings(
                start=1, limit=1
            )
    assert timeouts == [(10.0, 60.0), (10.0, 25.0), (10.0, 1.0)]


def test_the_map_is_read_page_by_page_and_no_further_than_wanted(web: responses.RequestsMock, api: CoinMarketCap) -> None:
    full = [{"id": n} for n in range(PAGE)]
    first = {"listing_status": "inactive", "start": "1"}
    web.get(f"{URL}{MAP}", json={**GOOD, "data": full}, match=[responses.matchers.query_param_matcher(first, strict_match=False)])
    second = {"start": str(PAGE + 1), "limit": str(PAGE)}
    rest = {**GOOD, "data": [{"id": PAGE}, None]}
    web.get(f"{URL}{MAP}", json=rest, match=[responses.matchers.query_param_matcher(second, strict_match=False)])
    found = api.map("inactive")
    assert next(found) == {"id": 0}
    assert len(web.calls) == 1
    assert [coin["id"] for coin in found][-1] == PAGE
    assert len(web.calls) == 2


# The key ------------------------------------------------------------------------------------------------------------------


class Secrets:
    """The part of Secrets Manager that is asked."""

    def __init__(self, value: str | None, error: str | None = None) -> None:
        self._value, self._error = value, error

    def get_secret_value(self, **_: str) -> dict[str, Any]:
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": "no"}}, "GetSecretValue")
        return {} if self._value is None else {"SecretString": self._value}


def test_a_secret_without_a_value_means_no_key() -> None:
    for secrets in (Secrets(None), Secrets(""), Secrets(" - \n"), Secrets(None, "ResourceNotFoundException")):
        assert read_key(secrets, "key") is None
    with pytest.raises(ClientError):
        read_key(Secrets(None, "AccessDeniedException"), "key")


@pytest.mark.parametrize("value", [f"{KEY}\nX-Other: 1", f"{KEY} {KEY}", f"{KEY}é"])
def test_what_cannot_be_a_key_is_refused_unsaid(value: str) -> None:
    with pytest.raises(KeyMalformed) as raised:
        read_key(Secrets(value), "the-secret")
    assert "the-secret" in str(raised.value)
    assert KEY not in everything(raised.value)


def everything(error: BaseException) -> str:
    """All that can be read of an exception: its text, its chain with all their attributes, the traceback."""
    found = ["".join(traceback.format_exception(error))]
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        found += [repr(one), str(one), repr(vars(one))]
        found += [repr(getattr(held, "headers", "")) for held in vars(one).values()]
        pending += [e for e in (one.__cause__, one.__context__) if e is not None]
    return "\n".join(found)


def _failures() -> dict[str, Any]:
    return {
        "echoed": {"status": 401, "json": told(1001, f"This API Key {KEY} is invalid.")},
        "throttled": {"status": 429, "json": told(1011, KEY)},
        "used up": {"status": 429, "json": told(1010, KEY)},
        "server": {"status": 500, "body": KEY},
        "redirected": {"status": 302, "headers": {"Location": "https://elsewhere.example.org/"}},
        "cut": {"body": json.dumps(GOOD)[:-3]},
        "short": {"body": b"{}", "headers": {"Content-Length": "99"}, "auto_calculate_content_length": False},
        "no envelope": {"json": {}},
        "refused": {"body": requests.ConnectionError("refused")},
        "hung": {"body": requests.ReadTimeout("read timed out")},
        "header": {"body": requests.exceptions.InvalidHeader(f"value: {KEY!r}")},
        "unreadable": {"body": ValueError(KEY)},
    }


@pytest.mark.parametrize("name", _failures())
def test_the_key_is_in_no_exception_log_line_or_repr(
    web: responses.RequestsMock, api: CoinMarketCap, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    web.get(f"{URL}{LISTINGS}", **_failures()[name])
    elsewhere = web.get("https://elsewhere.example.org/", json=GOOD)
    with pytest.raises(CoinMarketCapError) as raised:
        api.listings(start=1, limit=1)
    assert web.calls[0].request.headers[HEADER] == KEY  # it was sent, and to nobody else
    assert elsewhere.call_count == 0
    assert KEY not in everything(raised.value)
    assert KEY not in caplog.text


def test_the_key_shows_itself_nowhere(api: CoinMarketCap) -> None:
    key = ApiKey(KEY)
    assert KEY not in f"{key} {key!r} {[key]} {api!r}"
    with pytest.raises(TypeError):
        pickle.dumps(key)
