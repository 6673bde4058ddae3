"""The portal over its own socket: CKAN's shapes, downloads, control, restarts; and the ingestion against it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from moto import mock_aws
from portal_calls import PACKAGE_ID, action, control, get, package

from ingestion.backoff import Backoff
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.client import Portal
from ingestion.boston311.model import Discover, Fetch
from ingestion.boston311.operations import discover, fetch
from local.sources import boston311

CSV = b"case_enquiry_id,open_dt\n1,2011-07-01 00:00:00\n"


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[boston311.Portal]:
    running = boston311.start(0, tmp_path / "home")
    yield running
    running.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "files"
    for name in ("b.csv", "sub dir/a.CSV", "ignored.txt", ".hidden/x.csv"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CSV + name.encode())
    return directory


def test_the_default_is_every_year_the_new_system_and_a_dictionary(portal: boston311.Portal) -> None:
    found = package(portal)
    assert found["id"] == PACKAGE_ID
    assert {"key": "origin", "value": "simulated"} in found["extras"]
    *years, new, dictionary = found["resources"]
    assert [r["name"].upper() for r in years] == [f"311 SERVICE REQUESTS - {year}" for year in range(2011, 2027)]
    assert (new["name"], dictionary["name"]) == ("311 Service Requests - NEW SYSTEM", "311 Data Dictionary")
    assert [r["format"] for r in found["resources"]] == ["CSV"] * 17 + ["PDF"]
    bodies = [get(r["url"]).content for r in found["resources"]]
    assert sum(body.count(b"\n") - 1 for body in bodies[:-1]) == 20_000
    assert bodies[-1].startswith(b"%PDF")


def test_resource_show_tells_what_package_show_tells(portal: boston311.Portal) -> None:
    for resource in package(portal)["resources"]:
        assert action(portal, "resource_show", id=resource["id"]).json()["result"] == resource


@pytest.mark.parametrize(
    ("name", "parameters", "status", "kind"),
    [
        ("package_show", {"id": "another"}, 404, "Not Found Error"),
        ("resource_show", {"id": "another"}, 404, "Not Found Error"),
        ("package_show", {}, 409, "Validation Error"),
        ("datastore_search", {"resource_id": "81a7b022-f8fc-4da5-80e4-b160058ca207"}, 404, "Not Found Error"),
        ("datastore_search_sql", {"sql": 'SELECT * FROM "81a7b022-f8fc-4da5-80e4-b160058ca207"'}, 409, "Validation Error"),
    ],
)
def test_errors_have_ckans_shape(portal: boston311.Portal, name: str, parameters: dict[str, str], status: int, kind: str) -> None:
    answer = action(portal, name, **parameters)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.json()["error"]["__type"] == kind


def test_a_download_redirects_to_an_address_that_is_signed_for_its_host(portal: boston311.Portal) -> None:
    url = package(portal)["resources"][0]["url"]
    redirect = requests.get(url, allow_redirects=False, timeout=10)
    assert redirect.status_code == 302
    target = redirect.headers["Location"]
    assert "X-Amz-Signature" in target
    assert get(target).status_code == 200
    assert get(target, Host="127.0.0.1:443").status_code == 403
    assert get(target.partition("?")[0]).status_code == 403


def test_conditions_and_ranges(portal: boston311.Portal) -> None:
    control(portal, origin="simulated", rows=500, years=[2022])
    url = package(portal)["resources"][0]["url"]
    whole = get(url)
    size, etag = len(whole.content), whole.headers["ETag"]
    assert int(whole.headers["Content-Length"]) == size
    assert "Last-Modified" in whole.headers
    assert get(url, If_None_Match=etag).status_code == 304
    assert get(url, If_None_Match='"other"').status_code == 200
    part = get(url, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{size}"
    assert get(url, Range=f"bytes={size - 5}-").content == whole.content[-5:]
    assert get(url, Range="bytes=-7").content == whole.content[-7:]
    beyond = get(url, Range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert get(url, Range="bytes=1-2", If_Range='"other"').content == whole.content
    head = requests.head(url, allow_redirects=True, timeout=10)
    assert (head.headers["Content-Length"], head.headers["ETag"], head.content) == (str(size), etag, b"")


def test_files_are_served_as_they_are_under_their_relative_path(portal: boston311.Portal, folder: Path) -> None:
    assert control(portal, origin="files", directory=str(folder)).json()["directory"] == str(folder)
    found = package(portal)
    assert {"key": "origin", "value": "files"} in found["extras"]
    assert [(r["id"], r["name"]) for r in found["resources"]] == [("b.csv", "b.csv"), ("sub dir/a.CSV", "sub dir/a.CSV")]
    for resource in found["resources"]:
        assert get(resource["url"]).content == (folder / resource["id"]).read_bytes()


def test_a_files_identity_is_its_content_not_its_time(portal: boston311.Portal, folder: Path) -> None:
    control(portal, origin="files", directory=str(folder))
    before = package(portal)["resources"][0]
    etag = get(before["url"]).headers["ETag"]
    os.utime(folder / "b.csv", (1_000_000_000, 1_000_000_000))
    touched = package(portal)["resources"][0]
    assert touched["url"] == before["url"]
    assert touched["last_modified"] != before["last_modified"]
    assert get(touched["url"]).headers["ETag"] == etag
    (folder / "b.csv").write_bytes(CSV)
    changed = package(portal)["resources"][0]
    assert changed["url"] != before["url"]
    assert get(changed["url"]).headers["ETag"] != etag
    assert get(before["url"]).status_code == 404


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"origin": "nowhere"}, "nowhere"),
        ({"origin": "files", "directory": "relative"}, "absolute"),
        ({"origin": "files", "directory": "/no/such/directory"}, "no directory"),
        ({"origin": "simulated", "rows": -1}, "rows"),
    ],
)
def test_a_bad_wish_is_refused_with_a_reason_and_changes_nothing(
    portal: boston311.Portal, wish: dict[str, Any], message: str
) -> None:
    before = portal.state()
    answer = control(portal, **wish)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert requests.get(f"{portal.url}/_control", timeout=10).json() == before


def test_an_empty_directory_is_refused(portal: boston311.Portal, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = control(portal, origin="files", directory=str(tmp_path / "empty"))
    assert answer.status_code == 400
    assert "no *.csv" in answer.json()["error"]["message"]


def test_control_answers_to_local_names_alone(portal: boston311.Portal) -> None:
    assert get(f"{portal.url}/_control", Host="portal.example.org").status_code == 403


def test_the_choice_survives_a_restart_also_when_the_directory_is_gone_meanwhile(tmp_path: Path, folder: Path) -> None:
    first = boston311.start(0, tmp_path)
    control(first, origin="files", directory=str(folder))
    first.stop()
    folder.rename(folder.with_name("elsewhere"))
    second = boston311.start(0, tmp_path)
    try:
        assert second.state()["origin"] == "files"
        assert second.state()["directory"] == str(folder)
        answer = action(second, "package_show", id=PACKAGE_ID)
        assert answer.status_code == 503
        assert str(folder) in answer.json()["error"]["message"]
    finally:
        second.stop()


def test_a_restart_serves_the_same_simulated_version(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        running = boston311.start(0, tmp_path)
        control(running, origin="simulated", rows=300, years=[2022])
        resource = package(running)["resources"][0]
        seen.append((urlsplit(resource["url"]).path, resource["last_modified"], get(resource["url"]).headers["ETag"]))
        running.stop()
    assert seen[0] == seen[1]


def test_live_without_internet_says_so(portal: boston311.Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.sources.boston311.live.UPSTREAM", "http://127.0.0.1:9")
    control(portal, origin="live")
    answer = action(portal, "package_show", id=PACKAGE_ID)
    assert answer.status_code == 502
    assert answer.json()["success"] is False
    assert "internet" in answer.json()["error"]["message"]


def test_live_relays_another_portal_and_rewrites_its_addresses(
    portal: boston311.Portal, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = boston311.start(0, tmp_path / "upstream")
    try:
        control(upstream, origin="files", directory=str(folder))
        monkeypatch.setattr("local.sources.boston311.live.UPSTREAM", upstream.url)
        control(portal, origin="live")
        resource = package(portal)["resources"][0]
        assert resource["url"].startswith(portal.url)
        answer = get(resource["url"])
        assert answer.content == (folder / "b.csv").read_bytes()
        assert get(resource["url"], If_None_Match=answer.headers["ETag"]).status_code == 304
        assert get(resource["url"], Range="bytes=0-3").content == answer.content[:4]
    finally:
        upstream.stop()


def test_a_port_in_use_is_an_error_at_once(portal: boston311.Portal, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        boston311.start(portal.port, tmp_path)


def test_the_real_file_comes_through_byte_for_byte(portal: boston311.Portal, shared_data: Path) -> None:
    control(portal, origin="files", directory=str(shared_data / "boston311"))
    resource = next(r for r in package(portal)["resources"] if r["id"] == "legacy/2011_h2.csv")
    assert get(resource["url"]).content == (shared_data / "boston311/legacy/2011_h2.csv").read_bytes()


def test_ingestion_takes_a_package_once_and_then_finds_nothing_new(portal: boston311.Portal) -> None:
    control(portal, origin="simulated", rows=400, years=[2022, 2024], new_system="none")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t")
        s3.create_bucket(Bucket="bronze")
        bronze = Bronze(s3=s3, bucket="bronze", source="boston311")
        client = Portal(url=portal.url, package_id=PACKAGE_ID, backoff=Backoff(attempts=1))
        found = discover(Discover(op="discover", run_id="r"), portal=client, bronze=bronze)
        answers = [
            fetch(
                Fetch(op="fetch", run_id="r", origin=found.origin, resource=resource),
                portal=client, bronze=bronze, source="boston311", time_left=lambda: 900.0,
            )
            for resource in found.resources
        ]  # fmt: skip
        assert [(a.outcome, a.rows) for a in answers] == [("changed", 200), ("changed", 200)]
        again = [
            fetch(
                Fetch(op="fetch", run_id="s", origin=found.origin, resource=resource),
                portal=client, bronze=bronze, source="boston311", time_left=lambda: 900.0,
            )
            for resource in found.resources
        ]  # fmt: skip
        assert {a.outcome for a in again} == {"unchanged"}
        assert discover(Discover(op="discover", run_id="t"), portal=client, bronze=bronze).resources == []
        manifest = s3.get_object(Bucket="bronze", Key=f"boston311/manifests/{found.resources[0].resource_id}.json")
        assert json.loads(manifest["Body"].read())["origin"] == "simulated"
