"""A listing into a real PostgreSQL: order, repetition, loss in the middle, bits; and the migration that made the tables."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import psycopg2
import pytest
from coins_database import CONTRACT, Database, new_database, server
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from bench.laptop import free_ports
from ingestion.coins import load as load_module
from ingestion.coins import table
from ingestion.coins.bronze import Bronze
from ingestion.coins.listing import iso, listing_id
from ingestion.coins.load import load, mark
from ingestion.coins.model import Load, Loaded, Manifest, Mark
from ingestion.postgres import Credentials, DatabaseUnavailable
from lake.contracts import Column
from lake.postgres import MigrationRefused

NOON = datetime(2026, 11, 21, 12)  # noqa: DTZ001
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with server(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def database(cluster: Any) -> Database:
    return new_database(cluster.port)


@pytest.fixture
def bronze(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bronze]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bronze")
        s3.put_bucket_versioning(Bucket="bronze", VersioningConfiguration={"Status": "Enabled"})
        yield Bronze(s3=s3, bucket="bronze", source="coins")


def coin(number: int, price: float | None = 1.5, **changed: Any) -> dict[str, Any]:
    quote = {"symbol": "USD", "price": price, "last_updated": "2026-11-21T11:59:00.000Z"}
    made = {"id": number, "name": f"Coin\t{number} \\ ", "symbol": "A,B", "slug": f"coin-{number}", "quote": [quote]}
    return {**made, **changed}


def put(bronze: Bronze, coins: list[Any], *, at: datetime = NOON, complete: bool = True, run_id: str = "r") -> str:
    """A listing in bronze as fetch leaves it; answers the manifest's key."""
    body = json.dumps({"status": {"error_code": 0}, "data": coins}).encode()
    listing = listing_id(at, [body])
    manifest = Manifest(
        source="coins",
        origin="simulated",
        run_id=run_id,
        listing_id=listing,
        listed_at=iso(at),
        fetched_at=iso(at),
        pages=[bronze.put_page(listing, 1, body)],
        coins=len(coins),
        total_count=None,
        credits=1,
        complete=complete,
    )
    bronze.put_manifest(manifest)
    return bronze.manifest_key(listing)


def run(bronze: Bronze, database: Database, key: str, *, run_id: str = "r", accept: str = "-") -> Loaded:
    event = Load(op="load", run_id=run_id, manifest=key, accept=accept)
    return load(event, bronze=bronze, connect=database.connect, threshold=0.01)


def account(bronze: Bronze, run_id: str = "r") -> dict[str, int]:
    part = bronze.part(run_id)
    assert part is not None
    told = part.tables[0].model_dump(include={"read", "written", "unchanged", "superseded", "quarantined"})
    assert told["read"] == sum(told.values()) - told["read"]
    return {name: count for name, count in told.items() if count}


def test_a_listing_is_there_with_its_id_and_instant_on_every_row(bronze: Bronze, database: Database) -> None:
    key = put(bronze, [coin(1), coin(2, platform={"id": 1027}, cmc_rank=2.0, infinite_supply=0)])
    answer = run(bronze, database, key)
    assert (answer.outcome, answer.rows, answer.missing, answer.object) == ("loaded", 2, [], key)
    assert account(bronze) == {"read": 2, "written": 2}
    columns = "id, name, symbol, cmc_rank, platform_id, infinite_supply, is_active, listing_id, last_listed_at, last_updated"
    updated = NOON - timedelta(minutes=1)
    assert database.ask(f"SELECT {columns} FROM tb_coins ORDER BY id") == [
        (1, "Coin\t1 \\ ", "A,B", None, None, None, True, answer.listing_id, NOON, updated),
        (2, "Coin\t2 \\ ", "A,B", 2, 1027, False, True, answer.listing_id, NOON, updated),
    ]
    assert database.ask("SELECT listing_id, listed_at, coins, rows FROM listings") == [(answer.listing_id, NOON, 2, 2)]


def test_the_same_listing_by_another_run_is_unchanged_and_by_the_same_run_the_same_answer(
    bronze: Bronze, database: Database
) -> None:
    key = put(bronze, [coin(1), coin(2)])
    first = run(bronze, database, key)
    before, told = database.content(), account(bronze)
    assert run(bronze, database, key) == first
    assert account(bronze) == told
    again = run(bronze, database, key, run_id="r2")
    assert (again.outcome, again.rows) == ("unchanged", 0)
    assert account(bronze, "r2") == {"read": 2, "unchanged": 2}
    assert database.content() == before


def test_an_older_listing_overwrites_nothing_newer(bronze: Bronze, database: Database) -> None:
    newer = run(bronze, database, put(bronze, [coin(1, 100.0), coin(2, 200.0)]))
    older = put(bronze, [coin(1, 1.0), coin(3, 3.0)], at=NOON - timedelta(hours=1))
    answer = run(bronze, database, older, run_id="r2")
    assert (answer.outcome, answer.rows, answer.missing) == ("older", 1, [])
    assert account(bronze, "r2") == {"read": 2, "written": 1, "superseded": 1}
    assert database.ask("SELECT id, price, listing_id FROM tb_coins ORDER BY id") == [
        (1, 100.0, newer.listing_id),
        (2, 200.0, newer.listing_id),
        (3, 3.0, answer.listing_id),
    ]


def test_in_whatever_order_listings_come_the_rows_are_those_of_the_newest(bronze: Bronze, database: Database) -> None:
    contents = []
    for order in ((0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)):
        database.ask("TRUNCATE tb_coins, listings")
        for hour in order:  # the last two are of the same instant
            at = NOON + timedelta(hours=min(hour, 2))
            run(bronze, database, put(bronze, [coin(1, float(hour)), coin(10 + hour)], at=at))
        contents.append(database.ask("SELECT * FROM tb_coins ORDER BY id"))
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]) == 5


def test_of_a_coin_on_two_pages_the_one_updated_later_counts(bronze: Bronze, database: Database) -> None:
    late = {"symbol": "USD", "price": 9.0, "last_updated": "2026-11-21T11:59:30.000Z"}
    answer = run(bronze, database, put(bronze, [coin(1, quote=[late]), coin(2), coin(1, 5.0)]))
    assert account(bronze) == {"read": 3, "written": 2, "superseded": 1}
    assert (answer.outcome, answer.rows) == ("loaded", 2)
    assert database.ask("SELECT price FROM tb_coins WHERE id = 1") == [(9.0,)]


def test_bad_coins_are_set_aside_and_over_the_threshold_nothing_touches_the_database(bronze: Bronze, database: Database) -> None:
    good = [coin(n) for n in range(1, 100)]
    within = put(bronze, [*good, coin(100, -1.0)])
    assert run(bronze, database, within).rows == 99
    assert account(bronze) == {"read": 100, "written": 99, "quarantined": 1}
    before = database.content()
    over = put(bronze, [*good[:98], coin(99, -1.0), {**coin(100), "name": None}], at=NOON + timedelta(hours=1))

    def unwanted() -> Any:
        raise AssertionError("the database was touched")

    answer = load(Load(op="load", run_id="r2", manifest=over), bronze=bronze, connect=unwanted, threshold=0.01)
    assert (answer.outcome, answer.rule, answer.rows) == ("refused", "bad_coins", 0)
    assert "2 of 100 coins cannot be rows, the contract allows 1.00%" in answer.error
    assert database.content() == before
    assert account(bronze, "r2") == {}
    # Released by name, it is loaded but for what cannot be rows.
    later = put(bronze, good, at=NOON + timedelta(hours=2), run_id="r3")
    assert run(bronze, database, later, run_id="r3", accept="r2").outcome == "loaded"
    assert account(bronze, "r3") == {"read": 199, "written": 197, "quarantined": 2}


def test_a_coin_is_inactive_only_once_it_is_marked_and_no_older_listing_brings_it_back(bronze: Bronze, database: Database) -> None:
    run(bronze, database, put(bronze, [coin(1), coin(2), coin(3)]))
    partial = run(bronze, database, put(bronze, [coin(1)], at=NOON + timedelta(hours=1), complete=False))
    assert partial.missing == []
    bad = {**coin(2), "name": ""}
    answer = run(bronze, database, put(bronze, [coin(1), *(coin(n) for n in range(50, 170)), bad], at=NOON + timedelta(hours=3)))
    assert answer.missing == [3]  # 2 is in the listing, bad as it is
    assert database.ask("SELECT count(*) FROM tb_coins WHERE NOT is_active") == [(0,)]
    event = Mark(op="mark", run_id="r", listing_id=answer.listing_id, inactive=[3])
    for _ in range(2):
        assert mark(event, connect=database.connect).marked == 1
    row = [(False, answer.listing_id, NOON + timedelta(hours=3))]
    assert database.ask("SELECT is_active, listing_id, last_listed_at FROM tb_coins WHERE id = 3") == row
    run(bronze, database, put(bronze, [coin(3)], at=NOON + timedelta(hours=2)))
    assert database.ask("SELECT is_active, listing_id, last_listed_at FROM tb_coins WHERE id = 3") == row
    run(bronze, database, put(bronze, [coin(3)], at=NOON + timedelta(hours=4)))
    assert database.ask("SELECT is_active FROM tb_coins WHERE id = 3") == [(True,)]
    assert mark(event, connect=database.connect).marked == 0
    with pytest.raises(table.ListingUnknown):
        mark(event.model_copy(update={"listing_id": "20260101T000000000Z-00000000"}), connect=database.connect)


MAGNITUDES = st.floats(min_value=1e-20, max_value=1e18) | st.sampled_from([0.0, 5e-324, 1.1442e-20, 0.1, 1e18, 2.0**53 + 2])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(MAGNITUDES, MAGNITUDES, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=80))
def test_doubles_are_equal_bit_for_bit(database: Database, numbers: list[tuple[float, float, float]]) -> None:
    database.ask("TRUNCATE tb_coins, listings")
    page = json.dumps(
        [coin(n, a, total_supply=b, quote={"USD": {"price": a, "market_cap": c}}) for n, (a, b, c) in enumerate(numbers, 1)]
    )
    judged = load_module.judge(json.loads(page), listing_id="l", listed_at=NOON)
    assert not judged.bad
    with database.connect() as connection:
        table.write_listing(
            connection, judged.rows, listing_id="l", listed_at=NOON, coins=len(numbers), run_id="r", listed=judged.ids
        )
    found = database.ask("SELECT float8send(price), float8send(total_supply), float8send(market_cap) FROM tb_coins ORDER BY id")
    assert [tuple(map(bytes, row)) for row in found] == [tuple(struct.pack(">d", n) for n in three) for three in numbers]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1, max_size=40))
@example(["None", "\\N", "\\.", "\\None", "NULL", "a\tb\\t\r\n", " ", "\ufeff", "\u2028", "\x7f"])
def test_texts_are_what_they_were(database: Database, names: list[str]) -> None:
    database.ask("TRUNCATE tb_coins, listings")
    judged = load_module.judge([coin(n, name=name) for n, name in enumerate(names, 1)], listing_id="l", listed_at=NOON)
    with database.connect() as connection:
        table.write_listing(connection, judged.rows, listing_id="l", listed_at=NOON, coins=1, run_id="r", listed=None)
    assert [name for (name,) in database.ask("SELECT name FROM tb_coins ORDER BY id")] == names


_KILLED = """
import sys, time
from datetime import datetime
from ingestion.coins import load, table
from ingestion.postgres import Credentials, connected
upsert = table._upsert
def pausing(cursor, rows):
    written = upsert(cursor, rows)
    print(written, flush=True)
    time.sleep(60)
    return written
table._upsert = pausing
coins = [{"id": n, "name": "n", "symbol": "s", "slug": "s", "quote": {"USD": {"price": 7.0}}} for n in range(1, 501)]
at = datetime(2026, 11, 22)
judged = load.judge(coins, listing_id="killed", listed_at=at)
with connected(Credentials.model_validate_json(sys.argv[1]), application="killed") as connection:
    table.write_listing(connection, judged.rows, listing_id="killed", listed_at=at, coins=500, run_id="r", listed=None)
"""


def as_secret(user: Credentials) -> str:
    return json.dumps({**user.model_dump(), "password": user.password.get_secret_value()})


def test_a_loader_killed_before_its_commit_leaves_nothing(bronze: Bronze, database: Database) -> None:
    run(bronze, database, put(bronze, [coin(1), coin(2)]))
    before = database.content()
    command = [sys.executable, "-c", _KILLED, as_secret(database.loader)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as loader:
        assert loader.stdout is not None
        assert loader.stdout.readline() == "500\n"
        assert database.content() == before
        os.kill(loader.pid, signal.SIGKILL)
        loader.wait()
    # The next one is not held up by what the dead one held.
    assert run(bronze, database, put(bronze, [coin(1)], at=NOON + timedelta(hours=1))).outcome == "loaded"
    assert database.ask("SELECT count(*) FROM tb_coins") == [(2,)]


def test_a_lost_connection_is_transient_and_a_second_try_loads(
    bronze: Bronze, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = put(bronze, [coin(n) for n in range(1, 300)])
    upsert = table._upsert

    def cut(cursor: Any, rows: Any) -> int:
        upsert(cursor, rows)
        database.ask("SELECT pg_terminate_backend(%s)", cursor.connection.info.backend_pid)
        return 0

    monkeypatch.setattr(table, "_upsert", cut)
    with pytest.raises(DatabaseUnavailable, match="database t"):
        run(bronze, database, key)
    monkeypatch.undo()
    assert database.content() == []


def test_a_database_that_is_away_is_transient_and_its_password_unsaid(database: Database) -> None:
    nowhere = database.loader.model_copy(update={"port": free_ports(1)[0]})
    wrong = Credentials.model_validate({**database.loader.model_dump(), "password": "not-this-one"})
    for user in (nowhere, wrong):
        with pytest.raises(DatabaseUnavailable) as raised, database.connect(user):
            pass
        assert user.password.get_secret_value() not in f"{raised.value} {raised.value.__cause__} {user!r}"


def test_two_loaders_at_once_take_turns(bronze: Bronze, database: Database) -> None:
    rows = [[coin(n, float(k)) for n in range(1, 400)] for k in range(4)]
    judged = [load_module.judge(coins, listing_id=f"l{k}", listed_at=NOON + timedelta(hours=k)) for k, coins in enumerate(rows)]

    def write(k: int) -> None:
        with database.connect() as connection:
            table.write_listing(
                connection,
                judged[k].rows,
                listing_id=f"l{k}",
                listed_at=NOON + timedelta(hours=k),
                coins=399,
                run_id="r",
                listed=None,
            )

    threads = [threading.Thread(target=write, args=(k,)) for k in (2, 0, 3, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.ask("SELECT DISTINCT price, listing_id FROM tb_coins") == [(3.0, "l3")]
    assert database.ask("SELECT count(*) FROM listings") == [(4,)]


# The migration ------------------------------------------------------------------------------------------------------------


def test_migrating_again_changes_nothing(database: Database) -> None:
    assert database.migrate() == []


def test_an_added_column_comes_without_loss_and_anything_else_is_refused(bronze: Bronze, database: Database) -> None:
    run(bronze, database, put(bronze, [coin(1)]))
    before = database.ask("SELECT id, price FROM tb_coins")
    added = replace(CONTRACT, columns=(*CONTRACT.columns, Column(name="tvl", type="double")))
    assert database.migrate(added) == ['ALTER TABLE "tb_coins" ADD COLUMN "tvl" double precision']
    assert database.ask("SELECT id, price FROM tb_coins") == before
    assert run(bronze, database, put(bronze, [coin(1)], at=NOON + timedelta(hours=1))).outcome == "loaded"  # by the code before it
    assert database.ask("SELECT attnames @> '{tvl}' FROM pg_publication_tables") == [(True,)]
    with pytest.raises(MigrationRefused, match="tvl exists and would be dropped"):
        database.migrate()
    retyped = replace(added, columns=tuple(replace(c, type="bigint") if c.name == "price" else c for c in added.columns))
    with pytest.raises(MigrationRefused, match="price is double precision and would become bigint"):
        database.migrate(retyped)


def test_each_user_may_do_its_work_and_nothing_else(database: Database) -> None:
    forbidden = {
        "loader": [
            "CREATE TABLE public.mine (a int)",
            "TRUNCATE tb_coins",
            "ALTER TABLE tb_coins ADD COLUMN x int",
            "CREATE ROLE another",
            "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
            "CREATE SCHEMA mine",
        ],
        "replicator": [
            "UPDATE tb_coins SET price = 0",
            "SELECT * FROM listings",
            "CREATE TEMPORARY TABLE mine (a int)",
            "CREATE TABLE public.mine (a int)",
        ],
    }
    for user in (database.loader, database.replicator):
        for statement in forbidden[user.username]:
            with database.connect(user) as connection, connection.cursor() as cursor, pytest.raises(psycopg2.Error) as refused:
                cursor.execute(statement)
            assert refused.value.pgcode == "42501", statement
    with database.connect(database.replicator) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tb_coins")
        cursor.execute("CREATE TABLE dms.awsdms_heartbeat (a int)")
        connection.rollback()
        cursor.execute("SELECT pg_create_logical_replication_slot('tributary_test', 'pgoutput', true)")
        connection.rollback()


def test_the_publication_is_of_the_coins_with_their_full_rows(database: Database) -> None:
    assert database.ask("SELECT pubname, tablename FROM pg_publication_tables") == [("tributary_dms", "tb_coins")]
    assert database.ask("SELECT relreplident FROM pg_class WHERE relname = 'tb_coins'") == [("f",)]
