"""From the simulated CoinMarketCap over bronze into a real PostgreSQL, and what each failure on the way leaves."""

import gzip
import json
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from coinmarketcap_calls import control
from coins_database import Database, new_database, server
from moto import mock_aws

from ingestion.backoff import Backoff
from ingestion.coins.bronze import Bronze
from ingestion.coins.client import CoinMarketCap
from ingestion.coins.coin import Row
from ingestion.coins.failures import CoinMarketCapError, CoinMarketCapExhausted, CoinMarketCapRejected, CoinMarketCapUnavailable
from ingestion.coins.fetch import ask, fetch
from ingestion.coins.key import ApiKey
from ingestion.coins.listing import coins_of_pages
from ingestion.coins.load import load, mark
from ingestion.coins.model import Ask, Fetch, Fetched, Load, Loaded, Mark
from local.sources import coinmarketcap

MARKET = {"origin": "simulated", "coins": 400, "inactive": 30}
FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "cmc"


@pytest.fixture
def market(tmp_path: Path) -> Iterator[coinmarketcap.Server]:
    running = coinmarketcap.start(0, tmp_path / "home")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with server(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def database(cluster: Any) -> Database:
    return new_database(cluster.port)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bronze")
        client.put_bucket_versioning(Bucket="bronze", VersioningConfiguration={"Status": "Enabled"})
        yield client


class Line:
    """The source's two Lambdas behind each other."""

    def __init__(self, market: coinmarketcap.Server, s3: Any, database: Database) -> None:
        self.market, self.s3, self.database = market, s3, database
        self.bronze = Bronze(s3=s3, bucket="bronze", source="coins")
        self.slept: list[float] = []
        self.seconds = 100.0

    def api(self, key: str | None = coinmarketcap.TEST_KEY) -> CoinMarketCap:
        backoff = Backoff(attempts=3, cap=8.0, retry_after_cap=60.0, sleep=self.slept.append)
        return CoinMarketCap(url=self.market.url, key=ApiKey(key) if key else None, backoff=backoff, time_left=lambda: self.seconds)

    def fetch(self, *, coins: int = 300, key: str | None = coinmarketcap.TEST_KEY) -> Fetched:
        return fetch(Fetch(op="fetch", run_id="r"), api=self.api(key), bronze=self.bronze, source="coins", coins=coins)

    def load(self, fetched: Fetched) -> Loaded:
        event = Load(op="load", run_id="r", manifest=fetched.manifest)
        return load(event, bronze=self.bronze, connect=self.database.connect, threshold=0.01)

    def published(self, fetched: Fetched) -> list[Any]:
        manifest = self.bronze.manifest(fetched.manifest)
        assert manifest is not None
        return coins_of_pages(self.bronze.pages(manifest))


@pytest.fixture
def line(market: coinmarketcap.Server, s3: Any, database: Database) -> Line:
    assert control(market, **MARKET).status_code == 200
    return Line(market, s3, database)


def arm(line: Line, **fault: Any) -> None:
    answer = control(line.market, **MARKET, faults=[fault])
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("key", [coinmarketcap.TEST_KEY, None], ids=["with a key", "without"])
def test_three_listings_one_after_the_other(line: Line, key: str | None) -> None:
    answers = [line.load(line.fetch(key=key)) for _ in range(3)]
    assert [answer.outcome for answer in answers] == ["loaded"] * 3
    assert [answer.rows for answer in answers] == [300] * 3
    held = line.database.ask("SELECT count(*) FROM tb_coins WHERE listing_id = %s AND is_active", answers[-1].listing_id)
    assert held == [(300,)]


def test_every_number_is_the_same_from_the_api_to_the_database(line: Line) -> None:
    control(line.market, **{**MARKET, "coins": 1000})
    fetched = line.fetch(coins=1000)
    assert line.load(fetched).rows == 1000
    of_coin = ("circulating_supply", "total_supply", "max_supply")
    of_quote = [name for name in Row._fields if name.startswith(("price", "volume", "percent", "market_cap", "fully"))]
    expected = {}
    for coin in line.published(fetched):
        (quote,) = [one for one in coin["quote"] if one["symbol"] == "USD"]
        numbers = [coin.get(name) for name in of_coin] + [quote.get(name) for name in of_quote]
        expected[coin["id"]] = [None if number is None else struct.pack(">d", number) for number in numbers]
    columns = ", ".join(f"float8send({name})" for name in (*of_coin, *of_quote))
    found = line.database.ask(f"SELECT id, {columns} FROM tb_coins")
    assert {row[0]: [None if n is None else bytes(n) for n in row[1:]] for row in found} == expected


def test_forty_damaged_coins_of_five_thousand_are_set_aside_with_reasons_and_the_others_go_on(line: Line) -> None:
    arm(line, kind="damaged", coins=40, times=1)
    control(line.market, **{**MARKET, "coins": 5000}, faults=[{"kind": "damaged", "coins": 40, "times": 1}])
    fetched = line.fetch(coins=5000)
    assert line.load(fetched).rows == 4960
    body = line.s3.get_object(Bucket="bronze", Key=f"coins/rejected/{fetched.listing_id}.json.gz")["Body"].read()
    aside = [json.loads(text) for text in gzip.decompress(body).decode().splitlines()]
    assert len(aside) == 40
    assert all(entry["reason"] and isinstance(json.loads(entry["raw"]), dict | list | str | type(None)) for entry in aside)
    assert len({entry["reason"] for entry in aside}) > 5


def test_too_many_damaged_coins_leave_the_database_as_it_was(line: Line) -> None:
    line.load(line.fetch())
    before = line.database.content()
    arm(line, kind="damaged", coins=4, times=1)
    answer = line.load(line.fetch())
    assert (answer.outcome, answer.rule) == ("refused", "bad_coins")
    assert line.database.content() == before


def test_a_listing_older_than_the_last_overwrites_nothing(line: Line) -> None:
    line.load(line.fetch())
    before = line.database.ask("SELECT * FROM tb_coins ORDER BY id")
    arm(line, kind="older", minutes=60, times=1)
    answer = line.load(line.fetch())
    assert answer.outcome == "older"
    after = {row[0]: row for row in line.database.ask("SELECT * FROM tb_coins")}
    assert [after[row[0]] for row in before] == before


def test_coins_that_leave_the_market_are_asked_for_and_marked_and_those_that_leave_the_window_are_not(line: Line) -> None:
    known = {**MARKET, "churn": 3, "moving_pages": False}
    control(line.market, **known, tick=0)
    line.load(line.fetch(coins=400))
    control(line.market, **known, tick=30)
    answer = line.load(line.fetch(coins=350))
    inactive = ask(Ask(op="ask", run_id="r", missing=answer.missing), api=line.api()).inactive
    assert 0 < len(inactive) < len(answer.missing)
    event = Mark(op="mark", run_id="r", listing_id=answer.listing_id, inactive=inactive)
    assert mark(event, connect=line.database.connect).marked == len(inactive)
    assert [found for (found,) in line.database.ask("SELECT id FROM tb_coins WHERE NOT is_active ORDER BY id")] == inactive


FAULTS: dict[str, tuple[dict[str, Any], type[CoinMarketCapError], str]] = {
    "expired": ({"kind": "status", "status": 402, "code": 1004}, CoinMarketCapRejected, "the key's plan has expired"),
    "month used up": ({"kind": "status", "status": 429, "code": 1010}, CoinMarketCapExhausted, "there are new ones from"),
    "code under 200": ({"kind": "body_code", "code": 1001}, CoinMarketCapRejected, "HTTP 200, error 1001"),
    "throttled": ({"kind": "status", "status": 429, "code": 1008, "retry_after": 2}, CoinMarketCapUnavailable, "error 1008"),
    "broken": ({"kind": "status", "status": 500}, CoinMarketCapUnavailable, "HTTP 500"),
    "hanging": ({"kind": "hang", "seconds": 5}, CoinMarketCapUnavailable, "no answer|lost"),
    "ending early": ({"kind": "truncated", "after": 1000}, CoinMarketCapUnavailable, "broke off"),
    "a page": ({"kind": "wrong_json", "form": "html"}, CoinMarketCapUnavailable, "no whole JSON"),
    "cut JSON": ({"kind": "wrong_json", "form": "cut"}, CoinMarketCapUnavailable, "no whole JSON"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_failure_leaves_nothing_in_bronze_and_does_not_say_the_key(
    line: Line, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    fault, kind, words = FAULTS[name]
    arm(line, **fault)
    line.seconds = 1.0 if name == "hanging" else 100.0
    with pytest.raises(kind, match=words) as raised:
        line.fetch()
    assert coinmarketcap.TEST_KEY not in f"{caplog.text} {raised.value} {raised.value.__context__!r}"
    assert "Contents" not in line.s3.list_objects_v2(Bucket="bronze")
    if name == "throttled":
        assert line.slept == [2.0, 2.0]
    control(line.market, **MARKET)
    assert line.load(line.fetch()).rows == 300


def test_a_failure_that_passes_is_not_noticed(line: Line) -> None:
    arm(line, kind="status", status=429, retry_after=3, times=2)
    assert line.fetch().coins == 300
    assert line.slept == [3.0, 3.0]


@pytest.mark.skipif(not FILES.is_dir(), reason="shared/data/cmc is not there")
def test_real_answers_of_every_shape_load(line: Line) -> None:
    assert control(line.market, origin="files", directory=str(FILES)).status_code == 200
    answers = [line.load(line.fetch(coins=5000)) for _ in range(6)]
    assert {answer.outcome for answer in answers} == {"loaded"}
    assert all(answer.rows > 0 for answer in answers)
    assert line.database.ask("SELECT count(*) FROM tb_coins WHERE price IS NULL OR last_updated IS NULL") == [(0,)]
    assert line.database.ask("SELECT count(*) FROM listings") == [(6,)]
