"""Coins from the API through PostgreSQL and replication to bronze, by `lake` alone. Tests share a lake and come in any order."""

import gzip
import io
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import pyarrow.parquet as pq
import pytest
import requests
from conftest import Laptop

from lake.names import CHANGE_SEQUENCE, OPERATION, manifest_prefix, replicated_prefix

COINS = 300
DELIVERED = 30.0
REAL = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "data" / "cmc"
NUMBERS = ("price", "volume_24h", "percent_change_24h", "market_cap")


@pytest.fixture(scope="module")
def market(deployed: Laptop) -> Callable[..., None]:
    def serve(**wish: Any) -> None:
        address = f"http://127.0.0.1:{deployed.ports['coinmarketcap_port']}/_control"
        body = {"source": "coins", "origin": "simulated", "coins": COINS, "inactive": 10, **wish}
        answer = requests.put(address, json=body, timeout=60)
        assert answer.status_code == 200, answer.text

    return serve


def connected(deployed: Laptop) -> psycopg2.extensions.connection:
    """As the master, whose password only the secret knows."""
    secret = deployed.client("secretsmanager").get_secret_value(SecretId=deployed.names.secret("postgres_master"))
    told = json.loads(secret["SecretString"])
    user = {"user": told["username"], "password": told["password"], "dbname": told["dbname"]}
    connection = psycopg2.connect(host=told["host"], port=told["port"], sslmode="require", **user)
    connection.autocommit = True
    return connection


@pytest.fixture
def database(deployed: Laptop) -> Iterator[psycopg2.extensions.connection]:
    connection = connected(deployed)
    yield connection
    connection.close()


def asked(database: psycopg2.extensions.connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def bronze(laptop: Laptop, key: str) -> bytes:
    body: bytes = laptop.client("s3").get_object(Bucket=laptop.names.bucket("bronze"), Key=key)["Body"].read()
    return body


def keys(laptop: Laptop, prefix: str) -> list[str]:
    pages = laptop.client("s3").get_paginator("list_objects_v2").paginate(Bucket=laptop.names.bucket("bronze"), Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def changes(laptop: Laptop) -> list[dict[str, Any]]:
    """Everything that replication delivered, in the order of file names and rows."""
    files = [key for key in sorted(keys(laptop, replicated_prefix("coins"))) if "/LOAD" not in key]
    return [row for key in files for row in pq.read_table(io.BytesIO(bronze(laptop, key))).to_pylist()]


def run(laptop: Laptop, *arguments: str) -> dict[str, Any]:
    report = laptop.json("run", "coins", *arguments)
    (account,) = report["tables"]
    assert account["read"] == sum(account[name] for name in ("written", "unchanged", "superseded", "quarantined"))
    return {**report, **account}


def test_every_number_of_a_listing_is_the_same_in_the_api_the_database_and_bronze(
    deployed: Laptop, market: Callable[..., None], database: psycopg2.extensions.connection
) -> None:
    market()
    report = run(deployed, "--only", "ingest")
    assert (report["outcome"], report["written"], report["quarantined"]) == ("succeeded", COINS, 0)
    (listing,) = asked(database, "SELECT listing_id FROM listings ORDER BY listed_at DESC LIMIT 1")[0]
    manifest = json.loads(bronze(deployed, f"{manifest_prefix('coins')}{listing}.json"))
    page = json.loads(gzip.decompress(bronze(deployed, manifest["pages"][0]["key"])))
    received = {coin["id"]: coin for coin in page["data"]}
    stored = {r[0]: r[1:] for r in asked(database, f"SELECT id, {', '.join(NUMBERS)} FROM tb_coins WHERE listing_id = %s", listing)}
    delivered = {row["id"]: row for row in changes(deployed) if row["listing_id"] == listing}
    assert set(received) <= set(stored) == set(delivered)
    for number, coin in received.items():
        (quote,) = [q for q in coin["quote"] if q["symbol"] == "USD"]
        for place, name in enumerate(NUMBERS):
            sent = quote[name]
            came = (stored[number][place], delivered[number][name])
            if sent is None:
                assert came == (None, None)
            else:
                assert {struct.pack("<d", value) for value in came} == {struct.pack("<d", float(sent))}, (number, name)


def test_a_change_by_hand_is_in_bronze_within_seconds_in_order(deployed: Laptop, database: psycopg2.extensions.connection) -> None:
    own = 2_000_000_001
    row = (own, "Hand", "HAND", "hand", True, "by-hand", "2026-01-01")
    columns = "id, name, symbol, slug, is_active, listing_id, last_listed_at"
    asked(database, f"INSERT INTO tb_coins ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)", *row)
    asked(database, "UPDATE tb_coins SET price = 1e-20 WHERE id = %s", own)
    asked(database, "DELETE FROM tb_coins WHERE id = %s", own)
    end = time.monotonic() + DELIVERED
    found: list[dict[str, Any]] = []
    while len(found) < 3 and time.monotonic() < end:
        found = [change for change in changes(deployed) if change["id"] == own]
        time.sleep(0.5)
    assert [(c[OPERATION], c["price"]) for c in found] == [("I", None), ("U", 1e-20), ("D", 1e-20)]
    assert sorted(found, key=lambda c: c[CHANGE_SEQUENCE]) == found


def test_a_damaged_listing_changes_nothing_and_can_be_released(
    deployed: Laptop, market: Callable[..., None], database: psycopg2.extensions.connection
) -> None:
    before = asked(database, "SELECT count(*), sum(hashtext(tb_coins::text)) FROM tb_coins")
    market(faults=[{"kind": "damaged", "coins": COINS // 10}])
    report = run(deployed)
    (refused,) = report["refused"]
    assert (report["written"], asked(database, "SELECT count(*), sum(hashtext(tb_coins::text)) FROM tb_coins")) == (0, before)
    assert "the contract allows" in refused["rule"]
    market()
    released = run(deployed, "--accept", report["run_id"])
    assert (released["read"], released["quarantined"], released["refused"]) == (2 * COINS, COINS // 10, [])


def test_a_request_that_is_refused_for_good_says_what_to_do(deployed: Laptop, market: Callable[..., None]) -> None:
    market(faults=[{"kind": "status", "status": 402, "code": 1004}])
    said = deployed.lake("run", "coins", code=1)
    assert "CoinMarketCapRejected" in said.stderr
    market()
    assert run(deployed)["outcome"] == "succeeded"


def test_a_killed_laptop_loses_no_change(deployed: Laptop, market: Callable[..., None]) -> None:
    market()
    begun = deployed.begin("run", "coins")
    time.sleep(1.5)
    deployed.kill()
    begun.wait(60)
    deployed.lake("up")
    report = run(deployed)
    assert (report["outcome"], report["written"]) == ("succeeded", COINS)
    held = set(asked(connected(deployed), "SELECT id, listing_id FROM tb_coins"))
    assert held <= {(change["id"], change["listing_id"]) for change in changes(deployed)}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not beside the project")
def test_real_answers_load_in_the_order_of_their_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    laptop = Laptop(tmp_path_factory.mktemp("real"))
    try:
        laptop.lake("up")
        first = run(laptop, "--from", str(REAL))
        written = [first["written"], *(run(laptop)["written"] for _ in range(6))]
    finally:
        laptop.lake("down", "--wipe", "--yes")
    assert written[-1] == 0  # the last answer again
    assert all(count > 0 for count in written[:6])
