"""The portal client: what is retried, what is final, what it sends."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import responses
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.backoff import Backoff, retry_after
from ingestion.boston311 import client as client_module
from ingestion.boston311.client import Portal, chunks, without_default_port
from ingestion.boston311.failures import PortalRejected, PortalUnavailable, Truncated

URL = "https://portal.example.org"
SHOW = f"{URL}/api/3/action/package_show"
DATA = f"{URL}/dataset/p/resource/r/download/tmp1.csv"
PACKAGE = {"success": True, "result": {"resources": [], "extras": []}}


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def portal(slept: list[float]) -> Portal:
    return Portal(url=URL, package_id="p", backoff=Backoff(attempts=3, sleep=slept.append, jitter=lambda: 1.0))


@responses.activate
@pytest.mark.parametrize("status", [403, 408, 429, 500, 502, 503, 504])
def test_a_throttling_or_failing_portal_is_asked_again(portal: Portal, slept: list[float], status: int) -> None:
    responses.get(SHOW, status=status)
    responses.get(SHOW, json=PACKAGE)
    assert portal.package().origin == "live"
    assert slept == [0.5]


@responses.activate
def test_waiting_doubles_and_the_last_failure_is_raised_with_the_portals_words(portal: Portal, slept: list[float]) -> None:
    responses.get(SHOW, status=502, json={"success": False, "error": {"message": "no internet here"}})
    with pytest.raises(PortalUnavailable, match="HTTP 502: no internet here"):
        portal.package()
    assert slept == [0.5, 1.0]


@responses.activate
def test_retry_after_is_honoured_in_seconds_and_as_a_date(portal: Portal, slept: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    responses.get(SHOW, status=429, headers={"Retry-After": "7"})
    responses.get(SHOW, status=503, headers={"Retry-After": date})
    responses.get(SHOW, json=PACKAGE)
    portal.package()
    assert slept[0] == 7
    assert 25 < slept[1] <= 30


@responses.activate
@pytest.mark.parametrize("status", [400, 401, 404, 409, 410])
def test_a_clear_no_is_final(portal: Portal, slept: list[float], status: int) -> None:
    responses.get(SHOW, status=status, json={"success": False, "error": {"message": "Not found"}})
    with pytest.raises(PortalRejected, match="Not found") as raised:
        portal.package()
    assert raised.value.status == status
    assert slept == []


@responses.activate
def test_success_false_counts_whatever_the_status(portal: Portal) -> None:
    responses.get(SHOW, status=200, json={"success": False, "error": {"__type": "Not Found Error", "message": "gone"}})
    with pytest.raises(PortalRejected, match="gone"):
        portal.package()


@responses.activate
def test_a_block_page_instead_of_json_is_transient(portal: Portal, slept: list[float]) -> None:
    responses.get(SHOW, body="<html>Request blocked</html>", content_type="text/html")
    responses.get(SHOW, json=PACKAGE)
    portal.package()
    assert len(slept) == 1


@responses.activate
def test_no_connection_is_transient(portal: Portal) -> None:
    responses.get(SHOW, body=requests.ConnectionError("refused"))
    with pytest.raises(PortalUnavailable, match=r"no answer from portal\.example\.org"):
        portal.package()


@responses.activate
def test_a_redirect_to_port_443_is_followed_without_it_and_the_condition_travels_along(portal: Portal) -> None:
    responses.get(DATA, status=302, headers={"Location": "https://s3.example.org:443/data.csv?X-Amz-Signature=1"})
    responses.get("https://s3.example.org/data.csv", status=304)
    with portal.download(DATA, known='"e"') as response:
        assert response is None
    final = responses.calls[-1].request
    assert final.url == "https://s3.example.org/data.csv?X-Amz-Signature=1"
    assert final.headers["If-None-Match"] == '"e"'
    assert final.headers["Accept-Encoding"] == "identity"
    assert final.headers["User-Agent"].startswith("tributary/")


@responses.activate
@pytest.mark.parametrize("target", ["http://[bad", "file:///etc/passwd", DATA])
def test_a_redirect_to_nowhere_holds_up_this_download_alone(portal: Portal, target: str) -> None:
    responses.get(DATA, status=302, headers={"Location": target})
    with pytest.raises(PortalRejected), portal.download(DATA):
        pass


@pytest.mark.parametrize(
    ("given_url", "wanted"),
    [
        ("https://h:443/p?q=1:443", "https://h/p?q=1:443"),
        ("https://h:4443/p", "https://h:4443/p"),
        ("http://h:443/p", "http://h:443/p"),
    ],
)
def test_only_the_default_port_of_https_is_dropped(given_url: str, wanted: str) -> None:
    assert without_default_port(given_url) == wanted


@responses.activate
def test_a_body_shorter_than_announced_is_truncated(portal: Portal) -> None:
    responses.get(DATA, body=b"a,b\n1,", headers={"Content-Length": "400"})
    with portal.download(DATA, known=None) as response:
        assert response is not None
        with pytest.raises(Truncated):
            list(chunks(response))


@responses.activate
def test_a_download_that_the_firewall_refuses_is_transient_and_carries_its_wish(portal: Portal) -> None:
    responses.get(DATA, status=403, headers={"Retry-After": "9"}, body="<html>", content_type="text/html")
    with pytest.raises(PortalUnavailable, match="HTTP 403") as raised, portal.download(DATA):
        pass
    assert raised.value.retry_after == 9


@responses.activate
def test_a_pause_that_the_time_left_does_not_hold_is_not_begun(slept: list[float]) -> None:
    portal = Portal(url=URL, package_id="p", backoff=Backoff(time_left=lambda: 6.0, sleep=slept.append, jitter=lambda: 1.0))
    responses.get(SHOW, status=503, headers={"Retry-After": "5"})
    responses.get(SHOW, status=503, headers={"Retry-After": "7"})
    with pytest.raises(PortalUnavailable):
        portal.package()
    assert slept == [5]


@responses.activate
def test_a_package_that_breaks_off_is_asked_for_again(portal: Portal, slept: list[float]) -> None:
    responses.get(SHOW, body=b'{"success": tr', headers={"Content-Length": "400"})
    responses.get(SHOW, json=PACKAGE)
    portal.package()
    assert len(slept) == 1


@responses.activate
def test_an_answer_does_not_fill_the_memory(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    pieces = client_module.chunks
    monkeypatch.setattr(client_module, "chunks", lambda response: (read.append(len(c)) or c for c in pieces(response)))
    responses.get(SHOW, body=b"[" * (20 << 20))
    with pytest.raises(PortalUnavailable, match="without JSON"):
        portal.package()
    assert sum(read) == 3 * (16 << 20)  # three attempts


@responses.activate
def test_a_no_stays_a_no_when_its_words_break_off(portal: Portal) -> None:
    responses.get(SHOW, status=404, body=b'{"err', content_type="application/json", headers={"Content-Length": "400"})
    with pytest.raises(PortalRejected) as raised:
        portal.package()
    assert raised.value.status == 404


@given(st.text(st.characters(max_codepoint=255)) | st.integers().map(str) | st.datetimes().map(format_datetime))
@example("²")  # a digit to str.isdigit, none to float
def test_no_retry_after_header_is_misunderstood_into_a_crash_or_a_negative_pause(written: str) -> None:
    seconds = retry_after(written)
    assert seconds is None or seconds >= 0


@given(attempt=st.integers(0, 40), jitter=st.floats(0, 1), retry_after=st.none() | st.floats(0, 1e9))
def test_no_pause_is_negative_or_endless(attempt: int, jitter: float, retry_after: float | None) -> None:
    backoff = Backoff(cap=20, retry_after_cap=120, jitter=lambda: jitter)
    pause = backoff.pause(attempt, retry_after)
    assert 0 <= pause <= 120
    assert pause >= min(retry_after or 0, 120)
