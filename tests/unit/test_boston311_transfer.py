"""A large resource: broken off and taken up again, by the same invocation or the next; changed or lost meanwhile."""

import gzip
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import responses
from botocore.exceptions import ClientError
from moto import mock_aws

from ingestion.backoff import Backoff
from ingestion.boston311 import bronze as bronze_module
from ingestion.boston311 import packing, transfer
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.client import Portal
from ingestion.boston311.model import Fetch, Fetched, More, Resource, parse_event
from ingestion.boston311.operations import fetch

URL = "https://portal.example.org/download/tmp1.csv"
BUCKET = "bronze"
MIB = 1 << 20
EVENT = Fetch(op="fetch", run_id="run-1", origin="files", resource=Resource(resource_id="2024", name="2024", url=URL))


def csv_of(mebibytes: int, seed: int) -> bytes:
    """A CSV that hardly compresses, with quotes, commas and line breaks all over."""
    text = random.Random(seed).randbytes(mebibytes * MIB).translate((bytes(range(32, 127)) * 3)[:255] + b"\n")
    fields = (text[first : first + 9_999].replace(b'"', b'""') for first in range(0, len(text), 9_999))
    return b"case_id,text\n" + b"".join(b'%d,"%b"\n' % (n, field) for n, field in enumerate(fields))


BODY, OTHER = csv_of(15, seed=1), csv_of(8, seed=2)


class Server:
    """Serves `body`.

    cuts: after how many bytes of the answer each request's connection breaks; ranges: whether it knows them; longest: the most that
    it gives of one; encoded: it compresses, though nobody asked for that.
    """

    def __init__(self, body: bytes, etag: str | None = '"e1"') -> None:
        self.body, self.etag = body, etag
        self.cuts: list[int] = []
        self.ranges = True
        self.longest = len(body)
        self.encoded = False
        self.asked: list[str | None] = []

    def __call__(self, request: Any) -> tuple[int, dict[str, str], bytes]:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        headers = {"ETag": self.etag} if self.etag else {}
        first = 0
        last = len(self.body)
        if wanted and self.ranges and request.headers["If-Range"] == self.etag:
            first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
            last = min(last, first + self.longest)
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{len(self.body)}"
        body = self.body[first:last]
        if self.encoded:
            headers["Content-Encoding"], body = "gzip", gzip.compress(body, 1)
        headers["Content-Length"] = str(len(body))
        return 206 if first else 200, headers, body[: self.cuts.pop(0)] if self.cuts else body


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(bronze_module, "PART_BYTES", 5 * MIB)
    for module in (packing, transfer):
        monkeypatch.setattr(module, "LINK_BYTES", MIB)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def server(s3: Any) -> Iterator[Server]:
    served = Server(BODY)
    with responses.RequestsMock() as web:
        web.add_callback(responses.GET, URL, callback=served)
        yield served


@pytest.fixture
def invoke(s3: Any) -> Callable[..., Fetched | More]:
    """One invocation; looks: how often it looks at its clock before its time runs short."""

    def call(event: dict[str, Any] | Fetch = EVENT, looks: int = 10**9) -> Fetched | More:
        clock = iter(range(looks))
        request = parse_event(json.loads(json.dumps(event if isinstance(event, dict) else event.model_dump())))
        assert isinstance(request, Fetch)
        return fetch(
            request,
            portal=Portal(url="https://portal.example.org", package_id="p", backoff=Backoff(attempts=3, sleep=lambda _: None)),
            bronze=Bronze(s3=s3, bucket=BUCKET, source="boston311"),
            source="boston311",
            time_left=lambda: 10.0 if next(clock, None) is None else 900.0,
        )

    return call


def stored(s3: Any, answer: Fetched | More) -> bytes:
    assert isinstance(answer, Fetched)
    assert answer.outcome == "changed", answer
    return gzip.decompress(s3.get_object(Bucket=BUCKET, Key=answer.object)["Body"].read())


def leftovers(s3: Any) -> list[str]:
    return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]


def content_hash(s3: Any) -> str:
    manifest = s3.get_object(Bucket=BUCKET, Key="boston311/manifests/2024.json")["Body"].read()
    return str(json.loads(manifest)["content_hash"])


def test_what_does_not_fit_into_one_invocation_goes_on_in_the_next(s3: Any, server: Server, invoke: Any) -> None:
    answer, invocations = invoke(looks=120), 1
    while answer.outcome == "more":
        event = answer.model_dump()
        assert len(json.dumps(event)) < 2000
        assert event["rounds"] == invocations
        assert s3.list_objects_v2(Bucket=BUCKET).get("Contents", []) == []  # nothing to be seen before the last byte
        answer, invocations = invoke(event, looks=120), invocations + 1
    assert stored(s3, answer) == BODY
    assert (answer.bytes, invocations) == (len(BODY), 3)
    assert server.asked[0] is None
    assert all(re.fullmatch(r"bytes=\d+-", asked) for asked in server.asked[1:])
    in_parts = content_hash(s3)
    s3.delete_object(Bucket=BUCKET, Key="boston311/manifests/2024.json")
    in_one_go = invoke()
    assert (content_hash(s3), in_one_go.rows) == (in_parts, answer.rows)
    assert leftovers(s3) == []


def test_a_broken_connection_is_taken_up_where_it_broke(s3: Any, server: Server, invoke: Any) -> None:
    server.cuts = [3 * MIB + 17, 12_345]
    assert stored(s3, invoke()) == BODY
    received = 3 * MIB + 17
    assert server.asked == [None, f"bytes={received}-", f"bytes={received + 12_345}-"]


def test_a_body_that_keeps_ending_early_is_refused_and_leaves_nothing(s3: Any, server: Server, invoke: Any) -> None:
    server.ranges = False
    server.cuts = [11 * MIB] * 9
    answer = invoke()
    assert (answer.outcome, answer.rule) == ("refused", "truncated_body")
    assert answer.error == f"it ended early 3 times: the body broke off after {11 * MIB:,} of {len(BODY):,} bytes"
    assert leftovers(s3) == []


def test_each_link_that_arrives_gives_new_attempts(s3: Any, server: Server, invoke: Any) -> None:
    server.cuts = [MIB] * 12
    assert stored(s3, invoke()) == BODY


def test_without_an_etag_a_broken_download_begins_anew(s3: Any, server: Server, invoke: Any) -> None:
    server.etag, server.cuts = None, [8 * MIB]
    assert stored(s3, invoke()) == BODY
    assert server.asked == [None, None]
    assert leftovers(s3) == []


def test_another_version_met_on_the_way_is_begun_anew(s3: Any, server: Server, invoke: Any) -> None:
    more = invoke(looks=150)
    server.body, server.etag = OTHER, '"e2"'
    assert stored(s3, invoke(more)) == OTHER
    assert leftovers(s3) == []


def test_the_same_bytes_under_another_etag_are_unchanged_and_leave_nothing(s3: Any, server: Server, invoke: Any) -> None:
    invoke()
    server.etag = '"e2"'
    before = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert invoke().outcome == "unchanged"
    assert s3.list_objects_v2(Bucket=BUCKET)["Contents"] == before
    assert leftovers(s3) == []


def test_an_invocation_that_gets_nowhere_is_no_progress(s3: Any, server: Server, invoke: Any) -> None:
    more = invoke(looks=150)
    answer = invoke(more, looks=20)
    assert (answer.outcome, answer.rule) == ("refused", "too_slow")
    assert leftovers(s3) == []


def test_a_portal_without_ranges_cannot_make_a_run_go_on_for_ever(s3: Any, server: Server, invoke: Any) -> None:
    server.ranges = False
    more = invoke(looks=150)
    answer = invoke(more, looks=160)
    assert (answer.outcome, answer.rule) == ("refused", "too_slow")
    assert leftovers(s3) == []


def test_a_portal_that_always_has_another_version_cannot_either(
    s3: Any, server: Server, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_ROUNDS", 4)
    answer, versions = invoke(looks=150), itertools.count(2)
    for _ in range(transfer.MAX_ROUNDS - 2):
        server.etag = f'"e{next(versions)}"'
        answer = invoke(answer, looks=150)
        assert answer.outcome == "more"
    last = answer.model_dump()
    server.etag = '"last"'
    assert invoke(last, looks=150).rule == "too_slow"
    assert leftovers(s3) == []
    assert invoke(last, looks=150).rule == "too_slow", "the machine repeats the event; that is no new beginning"


def test_a_range_that_ends_early_is_not_the_end(s3: Any, server: Server, invoke: Any) -> None:
    """A server may give less than it was asked for, and say so."""
    server.cuts, server.longest = [3 * MIB], 9 * MIB
    assert stored(s3, invoke()) == BODY
    assert server.asked == [None, f"bytes={3 * MIB}-", f"bytes={12 * MIB}-"]


def test_another_size_under_the_same_etag_is_another_version(s3: Any, server: Server, invoke: Any) -> None:
    more = invoke(looks=150)
    server.body = BODY + b"9,x\n"
    assert stored(s3, invoke(more)) == server.body


def test_what_is_refused_on_the_way_leaves_nothing(s3: Any, server: Server, invoke: Any) -> None:
    bad = 13 * MIB
    server.body = BODY[:bad] + b"\xff" + BODY[bad:]
    more = invoke(looks=150)
    assert (more.outcome, len(leftovers(s3))) == ("more", 1)
    answer = invoke(more)
    assert (answer.outcome, answer.rule) == ("refused", "not_utf8")
    line = BODY.count(b"\n", 0, bad) + 1
    assert answer.error == f"line {line:,} holds the byte 0xff, which is no UTF-8 there; save it as UTF-8"
    assert leftovers(s3) == []


def test_what_comes_compressed_unasked_is_unpacked_and_not_taken_up_in_the_middle(s3: Any, server: Server, invoke: Any) -> None:
    server.encoded, server.cuts = True, [3 * MIB]
    assert stored(s3, invoke()) == BODY
    assert server.asked == [None, None]


def test_an_address_that_died_is_not_asked_again_in_the_next_invocation(s3: Any, invoke: Any) -> None:
    moved = URL.replace("tmp1", "tmp2")
    resource = {"id": "2024", "name": "2024", "format": "CSV", "url": moved}
    package = {"success": True, "result": {"resources": [resource], "extras": [{"key": "origin", "value": "files"}]}}
    with responses.RequestsMock() as web:
        web.get(URL, status=404)
        web.get("https://portal.example.org/api/3/action/package_show", json=package)
        web.add_callback(responses.GET, moved, callback=Server(BODY))
        more = invoke(looks=150)
        assert more.resource.url == moved
        assert stored(s3, invoke(more)) == BODY


def test_an_upload_that_is_gone_is_begun_anew(s3: Any, server: Server, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    more, upload_part = invoke(looks=150), s3.upload_part

    def answer(**request: Any) -> Any:  # as S3 does; moto fails with a KeyError
        if request["UploadId"] == more.progress.upload_id:
            raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "UploadPart")
        return upload_part(**request)

    monkeypatch.setattr(s3, "upload_part", answer)
    assert stored(s3, invoke(more)) == BODY


def test_the_answer_of_an_invocation_killed_after_it_is_not_needed(s3: Any, server: Server, invoke: Any) -> None:
    """The service repeats the event: what the killed invocation uploaded after it is overwritten, part by part."""
    more = invoke(looks=120)
    assert invoke(more, looks=120).outcome == "more"
    assert stored(s3, invoke(more)) == BODY
