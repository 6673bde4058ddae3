"""One resource into bronze, and the comparison before it: what is written, when, and what is not."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses

from ingestion.backoff import Backoff
from ingestion.boston311 import handler as handler_module
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.client import Portal
from ingestion.boston311.failures import PortalUnavailable
from ingestion.boston311.model import Discover, Fetch, Fetched, Resource
from ingestion.boston311.operations import discover, fetch
from ingestion.bronze import OriginMismatch

URL = "https://portal.example.org"
SHOW = f"{URL}/api/3/action/package_show"
BUCKET = "bronze"
CSV = b"case_enquiry_id,open_dt\n1,2011-07-01 00:00:00\n2,2011-07-02 00:00:00\n"
RESOURCE = Resource(resource_id="legacy/2011.csv", name="2011", url=f"{URL}/download/tmp1.csv", last_modified="2026-11-01T00:00:00")


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
        answer = fetch(event, portal=portal, bronze=bronze, source="boston311", time_left=lambda: 900.0)
        assert isinstance(answer, Fetched)
        return answer

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
    assert manifest["object"]["key"] == result.object == "boston311/resources/legacy/2011.csv/run-1.csv.gz"
    stored = s3.get_object(Bucket=BUCKET, Key=result.object, VersionId=manifest["object"]["version_id"])
    assert gzip.decompress(stored["Body"].read()) == CSV
    assert stored["ETag"].strip('"') == manifest["object"]["etag"]
    assert (manifest["content_hash"], manifest["bytes"]) == (hashlib.sha256(CSV).hexdigest(), len(CSV))
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


@pytest.mark.parametrize(
    ("answer", "rule", "text"),
    [
        ({"body": "<html>Request blocked</html>", "content_type": "text/html"}, "block_page", "answered text/html"),
        ({"body": "<html>Request blocked</html>"}, "block_page", "begins '<html>Request blocked</html>'"),
        ({"body": b""}, "empty_body", "no bytes"),
        ({"body": b" \n"}, "empty_body", "nothing but white space"),
        ({"body": CSV, "headers": {"Content-Length": "9000"}}, "truncated_body", f"{len(CSV)} of 9,000 bytes"),
        ({"body": b"no header here\n"}, "no_header", "one column: 'no header here'"),
        ({"body": b"a,b\n1,2\n"}, "no_key_column", "neither case_enquiry_id nor case_id: 'a,b'"),
        ({"body": b"Boston, 2026\n" + CSV}, "text_before_header", "on line 2; the file begins 'Boston, 2026'"),
        ({"body": CSV.splitlines(keepends=True)[0]}, "no_rows", "nothing after the header"),
        ({"body": CSV[:-21], "auto_calculate_content_length": True}, "truncated_body", "its last line (3) has 1 of 2 fields"),
        ({"body": CSV[:-2], "headers": {"Connection": "close"}}, "truncated_body", "the portal did not tell how long it is"),
        ({"body": CSV + b'3,"a\nb'}, "truncated_body", "inside quotes that opened on line 4"),
        ({"body": CSV + "3,caf\xe9\n".encode("cp1252")}, "not_utf8", "line 4 holds the byte 0xe9"),
        ({"body": CSV.decode().encode("utf-16")}, "not_utf8", "byte-order mark of UTF-16"),
        ({"body": CSV + b"3,\0\n"}, "nul_byte", "line 4 holds a byte 0"),
    ],
)
def test_what_is_no_csv_of_ours_is_refused_and_leaves_nothing_behind(
    s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched], answer: dict[str, Any], rule: str, text: str
) -> None:
    web.get(RESOURCE.url, **answer)
    result = run()
    assert (result.outcome, result.rule, result.object) == ("refused", rule, RESOURCE.resource_id)
    assert text in (result.error or "")
    assert keys(s3) == []


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf" + CSV, CSV.replace(b"\n", b"\r\n"), CSV + b'3,"two\nlines"\n', CSV + b"3,no end"])
def test_what_is_a_little_unusual_is_taken_as_it_is(
    s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched], body: bytes
) -> None:
    web.get(RESOURCE.url, body=body, auto_calculate_content_length=True)
    result = run()
    assert (result.outcome, result.rule) == ("changed", None)
    assert gzip.decompress(s3.get_object(Bucket=BUCKET, Key=result.object)["Body"].read()) == body
    manifest = json.loads(s3.get_object(Bucket=BUCKET, Key="boston311/manifests/legacy/2011.csv.json")["Body"].read())
    assert manifest["header"] == ["case_enquiry_id", "open_dt"]


def test_what_is_refused_leaves_what_was_there(s3: Any, web: responses.RequestsMock, run: Callable[..., Fetched]) -> None:
    web.get(RESOURCE.url, body=CSV)
    run()
    before = keys(s3)
    web.replace(responses.GET, RESOURCE.url, body=CSV + b'3,"')
    assert run().rule == "truncated_body"
    assert keys(s3) == before


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
    result = run()
    assert (result.rule, result.error) == ("resource_missing", "the package lists it no more; it did when the run began")


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


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 900_000


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
    found = handler_module.handler({"op": "discover", "run_id": "r"}, Context())
    assert json.loads(json.dumps(found)) == found
    event = {"op": "fetch", "run_id": "r", "origin": found["origin"], "resource": found["resources"][0]}
    assert handler_module.handler(event, Context())["outcome"] == "changed"
