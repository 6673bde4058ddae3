"""One resource into bronze, and the comparison before it: what is written, when, and what is not."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import responses
from moto import mock_aws

from ingestion.boston311 import bronze as bronze_module
from ingestion.boston311 import handler as handler_module
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.client import Backoff, Portal, PortalUnavailable
from ingestion.boston311.model import Discover, Fetch, Fetched, OriginMismatch, Resource
from ingestion.boston311.operations import discover, fetch

URL = "https://portal.example.org"
SHOW = f"{URL}/api/3/action/package_show"
BUCKET = "bronze"
CSV = b"case_enquiry_id,open_dt\n1,2011-07-01 00:00:00\n2,2011-07-02 00:00:00\n"
RESOURCE = Resource(resource_id="legacy/2011.csv", name="2011", url=f"{URL}/download/tmp1.csv", last_modified="2026-11-01T00:00:00")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def web(s3: Any) -> Iterator[responses.RequestsMock]:  # after moto, which patches `requests` too
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def portal() -> Portal:
    return Portal(url=URL, package_id="p", backoff=Backoff(attempts=2, sleep=lambda _: None))


@pytest.fixture
def bronze(s3: Any) -> Bronze:
    return Bronze(s3=s3, bucket=BUCKET, source="boston311")


@pytest.fixture
def run(portal: Portal, bronze: Bronze) -> Callable[..., Fetched]:
    def call(resource: Resource = RESOURCE, origin: Any = "files") -> Fetched:
        event = Fetch(op="fetch", run_id="run-1", origin=origin, resource=resource)
        return fetch(event, portal=portal, bronze=bronze, source="boston311")

    return call


def keys(s3: Any) -> list[str]:
    return sorted(v["Key"] for v in s3.list_object_versions(Bucket=BUCKET).get("Versions", []))


def package(*resources: Resource, origin: str = "files") -> dict[str, Any]:
    entries = [
        {"id": r.resource_id, "name": r.name, "format": "CSV", "url": r.url, "last_modified": r.last_modified} for r in resources
    ]
    return {"success": True, "result": {"resources": entries, "extras": [{"key": "origin", "value": origin}]}}


def test_a_new_resource_is_stored_byte_for_byte_with_a_manifest_that_names_the_version(
    s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched]
) -> None:
    web.get(RESOURCE.url, body=CSV, headers={"ETag": '"e1"'}, content_type="text/csv")
    result = run()
    assert (result.outcome, result.rows, result.bytes, result.rule) == ("changed", 2, len(CSV), None)
    manifest = json.loads(s3.get_object(Bucket=BUCKET, Key="boston311/manifests/legacy/2011.csv.json")["Body"].read())
    assert manifest["object"]["key"] == result.object == f"boston311/resources/legacy/2011.csv/{manifest['sha256'][:16]}.csv.gz"
    stored = s3.get_object(Bucket=BUCKET, Key=result.object, VersionId=manifest["object"]["version_id"])
    assert gzip.decompress(stored["Body"].read()) == CSV
    assert stored["ETag"].strip('"') == manifest["object"]["etag"]
    assert manifest["header"] == ["case_enquiry_id", "open_dt"]
    assert (manifest["etag"], manifest["origin"], manifest["run_id"]) == ('"e1"', "files", "run-1")


def test_the_portal_is_asked_on_condition_and_304_changes_nothing(
    s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched]
) -> None:
    web.get(RESOURCE.url, body=CSV, headers={"ETag": '"e1"'})
    run()
    before = keys(s3)
    web.replace(responses.GET, RESOURCE.url, status=304)
    assert run().outcome == "unchanged"
    assert web.calls[-1].request.headers["If-None-Match"] == '"e1"'
    assert keys(s3) == before


def test_the_same_bytes_under_another_etag_are_unchanged(s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched]) -> None:
    web.get(RESOURCE.url, body=CSV, headers={"ETag": '"e1"'})
    run()
    before = keys(s3)
    web.replace(responses.GET, RESOURCE.url, body=CSV, headers={"ETag": '"e2"'})
    assert run().outcome == "unchanged"
    assert keys(s3) == before


def test_equal_bytes_give_equal_objects(s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched]) -> None:
    web.get(RESOURCE.url, body=CSV)
    first = run()
    other = run(RESOURCE.model_copy(update={"resource_id": "other.csv"}))
    etags = {s3.head_object(Bucket=BUCKET, Key=key)["ETag"] for key in (first.object, other.object)}
    assert len(etags) == 1


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ({"body": "<html>Request blocked</html>", "content_type": "text/html"}, "block_page"),
        ({"body": b""}, "empty_body"),
        ({"body": CSV, "headers": {"Content-Length": "9000"}}, "truncated_body"),
        ({"body": b"no header here\n"}, "no_header"),
        ({"body": b"a,b\n1,2\n"}, "no_key_column"),
    ],
)
def test_what_is_no_csv_of_ours_is_refused_and_leaves_nothing_behind(
    s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched], answer: dict[str, Any], rule: str
) -> None:
    web.get(RESOURCE.url, **answer)
    result = run()
    assert (result.outcome, result.rule, result.object) == ("refused", rule, RESOURCE.resource_id)
    assert keys(s3) == []


def test_an_outage_is_raised_not_refused(web: responses.RequestsMock, run: Callable[..., Fetched]) -> None:
    web.get(RESOURCE.url, status=503)
    with pytest.raises(PortalUnavailable):
        run()


def test_an_address_that_died_since_discover_is_looked_up_again(web: responses.RequestsMock, run: Callable[..., Fetched]) -> None:
    moved = RESOURCE.model_copy(update={"url": f"{URL}/download/tmp2.csv"})
    web.get(RESOURCE.url, status=404)
    web.get(SHOW, json=package(moved))
    web.get(moved.url, body=CSV)
    assert run().outcome == "changed"


def test_a_resource_that_is_gone_is_refused(web: responses.RequestsMock, run: Callable[..., Fetched]) -> None:
    web.get(RESOURCE.url, status=404)
    web.get(SHOW, json=package())
    assert run().rule == "resource_missing"


def test_a_portal_that_changes_its_origin_during_a_run_is_not_mixed_in(
    web: responses.RequestsMock, run: Callable[..., Fetched]
) -> None:
    web.get(RESOURCE.url, status=404)
    web.get(SHOW, json=package(RESOURCE, origin="simulated"))
    with pytest.raises(OriginMismatch):
        run()


def test_killed_before_the_manifest_the_next_run_does_the_work_again(
    s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched], bronze: Bronze, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.get(RESOURCE.url, body=CSV, headers={"ETag": '"e1"'})
    with monkeypatch.context() as patch:
        patch.setattr(bronze, "put_manifest", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run()
    assert [k for k in keys(s3) if "manifests" in k] == []
    assert run().outcome == "changed"
    assert bronze.manifest(RESOURCE.resource_id) is not None


def test_a_large_body_goes_up_in_parts_and_comes_back_whole(
    s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze_module, "PART_BYTES", 5 << 20)
    body = CSV + random.Random(1).randbytes(12 << 20).hex().encode() + b",x\n"
    web.get(RESOURCE.url, body=body)
    stored = s3.get_object(Bucket=BUCKET, Key=run().object)
    assert stored["ETag"].strip('"').endswith("-3")
    assert gzip.decompress(stored["Body"].read()) == body


def test_a_failed_upload_leaves_no_parts(s3: Any, bronze: Bronze, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(bronze_module, "PART_BYTES", 5 << 20)
    monkeypatch.setattr(s3, "complete_multipart_upload", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    path = tmp_path / "body"
    path.write_bytes(bytes(11 << 20))
    with path.open("rb") as body, pytest.raises(KeyboardInterrupt):
        bronze.put_data(resource_id="r", sha256="0" * 64, body=body, size=11 << 20)
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_discover_lists_what_may_have_changed_and_what_is_missing(
    web: responses.RequestsMock, run: Callable[..., Fetched], portal: Portal, bronze: Bronze
) -> None:
    gone = RESOURCE.model_copy(update={"resource_id": "gone.csv"})
    web.get(RESOURCE.url, body=CSV)
    run()
    run(gone)
    new = RESOURCE.model_copy(update={"resource_id": "new.csv"})
    web.get(SHOW, json=package(RESOURCE, new))
    found = discover(Discover(op="discover", run_id="run-2"), portal=portal, bronze=bronze)
    assert (found.origin, found.resources, found.missing) == ("files", [new], ["gone.csv"])


def test_a_lake_of_one_origin_refuses_another_and_says_how_to_start_over(bronze: Bronze) -> None:
    bronze.claim_origin("files")
    bronze.claim_origin("files")
    with pytest.raises(OriginMismatch, match="lake down --wipe"):
        bronze.claim_origin("simulated")


def test_the_handler_reads_its_environment_and_answers_plain_json(
    s3: Any, web: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"BRONZE_BUCKET": BUCKET, "PORTAL_URL": URL, "PACKAGE_ID": "p", "SOURCE": "boston311"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler_module.aws, "client", lambda _: s3)
    handler_module._environment.cache_clear()
    web.get(SHOW, json=package(RESOURCE))
    web.get(RESOURCE.url, body=CSV)
    found = handler_module.handler({"op": "discover", "run_id": "r"}, None)
    assert json.loads(json.dumps(found)) == found
    event = {"op": "fetch", "run_id": "r", "origin": found["origin"], "resource": found["resources"][0]}
    assert handler_module.handler(event, None)["outcome"] == "changed"
