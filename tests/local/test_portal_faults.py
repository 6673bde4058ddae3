"""Faults that the portal shows on demand, and what the ingestion makes of them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto import mock_aws
from portal_calls import PACKAGE_ID, action, control, get, package

from ingestion.backoff import Backoff
from ingestion.boston311 import client, operations
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.model import Discover, Fetch
from local.sources import boston311

YEAR, ROWS = "2022", 300


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[boston311.Portal]:
    running = boston311.start(0, tmp_path / "home")
    control(running, **wish())
    yield running
    running.stop()


def wish(*faults: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"origin": "simulated", "rows": ROWS, "years": [int(YEAR)], "new_system": "none", "faults": faults, **more}


def fault(kind: str, **fields: Any) -> dict[str, Any]:
    return {"on": YEAR, "kind": kind, **fields}


def address(portal: boston311.Portal) -> str:
    return str(package(portal)["resources"][0]["url"])


def whole(portal: boston311.Portal) -> bytes:
    return get(address(portal)).content


def arm(portal: boston311.Portal, *faults: dict[str, Any]) -> None:
    assert control(portal, **wish(*faults)).status_code == 200


@pytest.mark.parametrize("status", [403, 408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("retry_after", [None, 0, 7])
@pytest.mark.parametrize("on", ["api", YEAR])
def test_a_status_comes_so_many_times_and_then_no_more(
    portal: boston311.Portal, on: str, retry_after: int | None, status: int
) -> None:
    url = address(portal)
    arm(portal, {"on": on, "kind": "status", "status": status, "retry_after": retry_after, "times": 2})
    other = {"api": lambda: get(url), YEAR: lambda: action(portal, "package_show", id=PACKAGE_ID)}
    hit = other[YEAR if on == "api" else "api"]
    assert other[on]().status_code == 200
    for _ in range(2):
        answer = hit()
        assert answer.status_code == status
        assert answer.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))
    assert hit().status_code == 200


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("on", ["api", YEAR])
def test_the_firewalls_page_is_html(portal: boston311.Portal, on: str, status: int) -> None:
    url = address(portal)
    arm(portal, {"on": on, "kind": "block_page", "status": status})
    answer = action(portal, "package_show", id=PACKAGE_ID) if on == "api" else get(url)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "Request Rejected" in answer.text


def test_the_api_can_deny_with_status_200(portal: boston311.Portal) -> None:
    arm(portal, {"on": "api", "kind": "denied"})
    answer = action(portal, "package_show", id=PACKAGE_ID)
    assert (answer.status_code, answer.json()["success"]) == (200, False)


def test_a_truncated_body_ends_before_its_length(portal: boston311.Portal) -> None:
    body = whole(portal)
    arm(portal, fault("truncated", after=500, times=1))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match=rf"IncompleteRead\(500 bytes read, {len(body) - 500} more"):
        whole(portal)
    assert whole(portal) == body


def test_a_resumed_download_meets_the_fault_again(portal: boston311.Portal) -> None:
    url = address(portal)
    arm(portal, fault("truncated", after=500, times=1))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match=r"IncompleteRead\(500 bytes read, 500 more"):
        get(url, Range="bytes=2000-2999")
    assert len(get(url, Range="bytes=2000-2999").content) == 1000


def test_a_reset_comes_in_the_middle_of_the_body(portal: boston311.Portal) -> None:
    body = whole(portal)
    arm(portal, fault("reset", after=20_000, times=1))
    with pytest.raises(requests.exceptions.RequestException, match="ConnectionResetError"):
        whole(portal)
    assert whole(portal) == body


def test_an_empty_body_says_that_it_is_empty(portal: boston311.Portal) -> None:
    arm(portal, fault("empty", times=1))
    answer = get(address(portal))
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "0", b"")
    assert whole(portal)


def test_a_slow_body_comes_whole_and_takes_its_time(portal: boston311.Portal) -> None:
    body = whole(portal)
    arm(portal, fault("slow", bytes_per_second=2 * len(body), times=1))
    began = time.monotonic()
    assert whole(portal) == body
    assert 0.4 < time.monotonic() - began < 5
    began = time.monotonic()
    assert whole(portal) == body
    assert time.monotonic() - began < 0.4


def test_faults_of_one_resource_take_turns_and_begin_anew_with_each_control(portal: boston311.Portal) -> None:
    faults = [fault("status", status=503, times=1), fault("status", status=429, times=2)]
    url = address(portal)
    for _ in range(2):
        arm(portal, *faults)
        assert [get(url).status_code for _ in range(4)] == [503, 429, 429, 200]


def test_faults_touch_no_other_resource_and_are_kept_over_a_restart(tmp_path: Path) -> None:
    first = boston311.start(0, tmp_path)
    two = {**wish(fault("status", status=500)), "years": [2022, 2023]}
    control(first, **two)
    first.stop()
    second = boston311.start(0, tmp_path)
    try:
        statuses = [get(r["url"]).status_code for r in package(second)["resources"]]
        assert statuses == [500, 200, 200]
    finally:
        second.stop()


def test_a_missing_resource_is_not_listed_and_has_no_address(portal: boston311.Portal) -> None:
    url, rid = address(portal), package(portal)["resources"][0]["id"]
    control(portal, **wish(missing=[YEAR]))
    assert [r["format"] for r in package(portal)["resources"]] == ["PDF"]
    assert get(url).status_code == 404
    assert action(portal, "resource_show", id=rid).status_code == 404


def test_files_can_be_missing_and_faulty_too(portal: boston311.Portal, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("case_enquiry_id\n1\n")
    faults = [{"on": "b.csv", "kind": "status", "status": 503}]
    assert control(portal, origin="files", directory=str(folder), missing=["a.csv"], faults=faults).status_code == 200
    (only,) = package(portal)["resources"]
    assert only["id"] == "b.csv"
    assert get(only["url"]).status_code == 503


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (wish(fault("flood")), "flood"),
        (wish(fault("status", status=404)), "status"),
        (wish(fault("status")), "status"),
        (wish(fault("slow", bytes_per_second=0)), "bytes_per_second"),
        (wish({"on": "1999", "kind": "empty"}), "no resource '1999'; there are 2022"),
        (wish({"on": "api", "kind": "reset"}), "the API has none"),
        (wish(fault("denied")), "api"),
        (wish(missing=["1999"]), "no resource '1999'"),
        (wish(editions=[{"resource": "1999", "changed": 1}]), "1999"),
        (wish(editions=[{"resource": YEAR, "changed": ROWS + 1}]), "more rows than there are"),
        (wish(new_system="27 columns"), "28 columns"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_a_reason_and_changes_nothing(
    portal: boston311.Portal, bad: dict[str, Any], message: str
) -> None:
    before = portal.state()
    answer = control(portal, **bad)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert portal.state() == before


def test_an_edition_has_another_address_a_later_time_and_another_etag(portal: boston311.Portal) -> None:
    before = package(portal)["resources"][0]
    old = get(before["url"])
    control(portal, **wish(editions=[{"resource": YEAR, "changed": 5, "vanished": 2}]))
    after = package(portal)["resources"][0]
    assert after["id"] == before["id"]
    assert after["url"] != before["url"]
    assert after["last_modified"] > before["last_modified"]
    assert get(before["url"]).status_code == 404
    new = get(after["url"])
    assert new.headers["ETag"] != old.headers["ETag"]
    assert new.content.count(b"\n") == old.content.count(b"\n") - 2
    part = get(after["url"], Range="bytes=100-", If_Range=old.headers["ETag"])
    assert (part.status_code, part.content) == (200, new.content)
    part = get(after["url"], Range="bytes=100-", If_Range=new.headers["ETag"])
    assert (part.status_code, part.content) == (206, new.content[100:])
    control(portal, **wish())
    again = package(portal)["resources"][0]
    assert (again["url"], again["last_modified"]) == (before["url"], before["last_modified"])
    assert get(again["url"]).content == old.content


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ([{"on": "api", "kind": "status", "status": 403, "times": 2}], "changed"),
        ([{"on": "api", "kind": "block_page", "times": 2}], "changed"),
        ([fault("status", status=429, retry_after=0, times=2)], "changed"),
        ([fault("reset", after=30_000, times=2)], "changed"),
        ([fault("truncated", after=30_000, times=2)], "changed"),
        ([fault("truncated", after=10)], "refused"),
        ([fault("empty")], "refused"),
        ([fault("block_page")], "refused"),
    ],
)
def test_the_ingestion_lives_through_what_passes_and_refuses_what_stays(
    portal: boston311.Portal, faults: list[dict[str, Any]], outcome: str
) -> None:
    arm(portal, *faults)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t")
        s3.create_bucket(Bucket="bronze")
        bronze = Bronze(s3=s3, bucket="bronze", source="boston311")
        patient = Backoff(attempts=3, sleep=lambda _: None)
        reader = client.Portal(url=portal.url, package_id=PACKAGE_ID, backoff=patient)
        found = operations.discover(Discover(op="discover", run_id="r"), portal=reader, bronze=bronze)
        event = Fetch(op="fetch", run_id="r", origin=found.origin, resource=found.resources[0])
        answer = operations.fetch(event, portal=reader, bronze=bronze, source="boston311", time_left=lambda: 900.0)
        assert answer.outcome == outcome
        if answer.outcome == "changed":
            assert answer.rows == ROWS
