"""A listing into bronze: pages as received, the manifest last, nothing twice; and what is asked of coins that it lacks."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import responses

from ingestion.bronze import OriginMismatch
from ingestion.coins import fetch_handler
from ingestion.coins.bronze import Bronze
from ingestion.coins.client import LISTINGS, MAP, CoinMarketCap
from ingestion.coins.failures import CoinMarketCapRejected
from ingestion.coins.fetch import ask, fetch
from ingestion.coins.listing import coins_in, instant_of, iso, listed_at_of, listing_id
from ingestion.coins.model import Ask, Fetch, Fetched, Manifest

URL = "https://api.example.org"
AT = "2026-11-21T11:00:00.123Z"
BUCKET = "bronze"


@pytest.fixture
def web(s3: Any) -> Iterator[responses.RequestsMock]:  # after moto, which patches `requests` too
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def bronze(s3: Any) -> Bronze:
    return Bronze(s3=s3, bucket=BUCKET, source="coins")


class Api:
    """Serves the first coins of a market of `size`. asked: (start, limit) of every call."""

    def __init__(self, web: responses.RequestsMock, size: int, *, origin: str = "simulated", total: bool = True) -> None:
        self.size, self.origin, self.total = size, origin, total
        self.asked: list[tuple[int, int]] = []
        self.bodies: list[bytes] = []
        web.add_callback(responses.GET, f"{URL}/public-api{LISTINGS}", callback=self._answer)

    def _answer(self, request: Any) -> tuple[int, dict[str, str], bytes]:
        start, limit = int(request.params["start"]), int(request.params["limit"])
        self.asked.append((start, limit))
        coins = [{"id": n} for n in range(start, min(start + limit, self.size + 1))]
        status = {"timestamp": AT, "error_code": 0, "credit_count": -(-len(coins) // 250)}
        status |= {"total_count": self.size} if self.total else {}
        self.bodies.append(json.dumps({"status": status, "data": coins}, indent=1).encode())
        return 200, {"x-tributary-origin": self.origin}, self.bodies[-1]


def run(bronze: Bronze, coins: int, run_id: str = "run-1") -> Fetched:
    event = Fetch(op="fetch", run_id=run_id)
    return fetch(event, api=CoinMarketCap(url=URL, key=None), bronze=bronze, source="coins", coins=coins)


def manifest(bronze: Bronze, answer: Fetched) -> Manifest:
    found = bronze.manifest(answer.manifest)
    assert found is not None
    return found


def versions(s3: Any) -> list[str]:
    return sorted(v["Key"] for v in s3.list_object_versions(Bucket=BUCKET).get("Versions", []))


def test_pages_lie_in_bronze_as_received_and_the_manifest_names_them(s3: Any, web: responses.RequestsMock, bronze: Bronze) -> None:
    api = Api(web, 9_000)
    answer = run(bronze, 7_000)
    assert api.asked == [(1, 5000), (5001, 2000)]
    assert answer.listing_id.startswith("20261121T110000123Z-")
    assert (answer.origin, answer.listed_at, answer.coins) == ("simulated", AT, 7000)
    assert answer.manifest == f"coins/manifests/{answer.listing_id}.json"
    folder = f"coins/listings/{answer.listing_id}"
    assert versions(s3) == [
        f"{folder}/page-0001.json.gz",
        f"{folder}/page-0002.json.gz",
        answer.manifest,
        "coins/origin.json",
    ]
    held = manifest(bronze, answer)
    assert bronze.pages(held) == api.bodies
    first = s3.get_object(Bucket=BUCKET, Key=held.pages[0].key)
    assert (first["VersionId"], first["ETag"].strip('"')) == (held.pages[0].version_id, held.pages[0].etag)
    assert gzip.decompress(first["Body"].read()) == api.bodies[0]
    assert (held.coins, held.total_count, held.credits, held.complete, held.run_id) == (7000, 9000, 28, True, "run-1")


@pytest.mark.parametrize(
    ("size", "coins", "total", "asked", "complete"),
    [
        (9000, 5000, True, [(1, 5000)], True),
        (3000, 5000, True, [(1, 5000)], True),
        (3000, 5000, False, [(1, 5000)], True),
        (5000, 7000, True, [(1, 5000), (5001, 2000)], True),
        (300, 250, False, [(1, 250)], True),
    ],
)
def test_no_more_pages_are_asked_for_than_there_are(
    web: responses.RequestsMock, bronze: Bronze, size: int, coins: int, total: bool, asked: list[Any], complete: bool
) -> None:
    api = Api(web, size, total=total)
    answer = run(bronze, coins)
    assert api.asked == asked
    assert answer.coins == min(size, coins)
    assert manifest(bronze, answer).complete is complete


def test_a_listing_that_lacks_coins_which_the_api_says_there_are_is_not_complete(
    web: responses.RequestsMock, bronze: Bronze
) -> None:
    status = {"timestamp": AT, "error_code": 0, "total_count": 5503}
    web.get(f"{URL}/public-api{LISTINGS}", json={"status": status, "data": [{"id": 1}]}, headers={"x-tributary-origin": "files"})
    answer = run(bronze, 5000)
    assert not manifest(bronze, answer).complete


def test_the_same_listing_again_writes_nothing(s3: Any, web: responses.RequestsMock, bronze: Bronze) -> None:
    Api(web, 10)
    first = run(bronze, 10)
    before = versions(s3)
    assert run(bronze, 10, run_id="run-2") == first
    assert versions(s3) == before
    assert manifest(bronze, first).run_id == "run-1"


def test_what_was_cut_off_before_the_manifest_is_written_anew(s3: Any, web: responses.RequestsMock, bronze: Bronze) -> None:
    Api(web, 10)
    first = run(bronze, 10)
    s3.delete_object(Bucket=BUCKET, Key=first.manifest)
    assert run(bronze, 10, run_id="run-2") == first
    assert manifest(bronze, first).run_id == "run-2"


def test_another_origin_is_refused_before_anything_is_written(s3: Any, web: responses.RequestsMock, bronze: Bronze) -> None:
    bronze.claim_origin("live")
    Api(web, 10)
    with pytest.raises(OriginMismatch, match="origin 'live'"):
        run(bronze, 10)
    assert versions(s3) == ["coins/origin.json"]


@pytest.mark.parametrize("timestamp", [None, "", "today", 5])
def test_a_listing_without_an_instant_is_refused(web: responses.RequestsMock, bronze: Bronze, timestamp: object) -> None:
    web.get(f"{URL}/public-api{LISTINGS}", json={"status": {"timestamp": timestamp, "error_code": 0}, "data": []})
    with pytest.raises(CoinMarketCapRejected, match="timestamp"):
        run(bronze, 10)


def test_listing_ids_sort_by_time_and_know_it() -> None:
    early, late = (instant_of({"timestamp": at}) for at in ("2026-11-21T11:00:00.009Z", "2026-11-21T12:00:00.010+01:00"))
    assert iso(early) == "2026-11-21T11:00:00.009Z"
    ids = [listing_id(early, [b"z"]), listing_id(late, [b"a"])]
    assert ids == sorted(ids)
    assert [listed_at_of(one) for one in ids] == [early, late]
    assert listing_id(early, [b"a", b"b"]) == listing_id(early, [b"ab"]) != listing_id(early, [b"ba"])


def test_coins_are_found_in_every_shape_of_data() -> None:
    assert coins_in([1, 2]) == [1, 2]
    assert coins_in({"ONE": [1, 2], "TWO": [3]}) == [1, 2, 3]
    assert coins_in({"1": {"id": 1}}) == [{"id": 1}]
    assert coins_in({"XYZ": []}) == []


def test_inactive_is_only_what_the_api_calls_so(web: responses.RequestsMock) -> None:
    known = {
        "inactive": [{"id": 1, "is_active": 0}, {"id": 2, "is_active": 1}, {"id": 9, "is_active": 0}, {"id": None, "is_active": 0}],
        "untracked": [{"id": 3, "is_active": 0}, {"id": 4}, {"id": [5], "is_active": 0}],
    }
    for state, coins in known.items():
        wanted = responses.matchers.query_param_matcher({"listing_status": state}, strict_match=False)
        web.get(f"{URL}/public-api{MAP}", json={"status": {"error_code": 0}, "data": coins}, match=[wanted])
    api = CoinMarketCap(url=URL, key=None)
    assert ask(Ask(op="ask", run_id="r", missing=[1, 2, 3, 4, 5]), api=api).inactive == [1, 3]
    web.calls.reset()
    assert ask(Ask(op="ask", run_id="r", missing=[1]), api=api).inactive == [1]
    assert len(web.calls) == 1  # all were found among the inactive
    assert ask(Ask(op="ask", run_id="r", missing=[]), api=api).inactive == []
    assert len(web.calls) == 1


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 300_000


def test_the_handler_takes_the_key_from_its_secret_and_does_not_tell_it(
    s3: Any, web: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = {"s3": s3, "secretsmanager": boto3.client("secretsmanager", region_name="us-east-1")}
    clients["secretsmanager"].create_secret(Name="the-key", SecretString="k-1-2-3\n")
    variables = {"BRONZE_BUCKET": BUCKET, "SOURCE": "coins", "API_URL": URL, "KEY_SECRET": "the-key", "COINS": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(fetch_handler.aws, "client", clients.__getitem__)
    fetch_handler._environment.cache_clear()
    web.get(f"{URL}{LISTINGS}", json={"status": {"timestamp": AT, "error_code": 0}, "data": [{"id": 1}]})
    answer = fetch_handler.handler({"op": "fetch", "run_id": "r"}, Context())
    assert web.calls[0].request.headers["X-CMC_PRO_API_KEY"] == "k-1-2-3"
    assert (answer["origin"], answer["coins"]) == ("live", 1)
    everything = json.dumps(answer) + repr(fetch_handler._environment())
    for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        body = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        everything += (gzip.decompress(body) if entry["Key"].endswith(".gz") else body).decode()
    assert "k-1-2-3" not in everything
    web.get(f"{URL}{MAP}", json={"status": {"error_code": "0"}, "data": [{"id": 7, "is_active": 0}]})
    assert fetch_handler.handler({"op": "ask", "run_id": "r", "missing": [7]}, Context()) == {"inactive": [7]}
    fetch_handler._environment.cache_clear()
