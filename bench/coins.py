"""5,000 coins into PostgreSQL: the load as it is, against rows inserted one by one or by executemany, and against a bare COPY.

The server is the laptop's, of the measurement's own; every way ends with the commit. Each is done several times, and the fastest
counts; the load finds the rows there already, as every listing but the first does. The others do less: they find an empty table.
"""

import io
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from bench.laptop import free_ports, timed
from ingestion.coins import table
from ingestion.coins.coin import Row
from ingestion.coins.load import judge
from ingestion.database.migrate import migrate
from ingestion.postgres import Credentials, connected
from lake.odcs import load_all
from local.engines import postgres

COINS = 5000
ROUNDS = 5
START = datetime(2026, 1, 1)  # noqa: DTZ001
_COLUMNS = ", ".join(Row._fields)
_VALUES = ", ".join(["%s"] * len(Row._fields))


def coins_load() -> list[str]:
    """A line a way: seconds, and the ratio to the bare COPY."""
    with tempfile.TemporaryDirectory() as scratch, _database(Path(scratch)) as (master, loader):
        pages = [[_coin(number, seed) for number in range(1, COINS + 1)] for seed in range(ROUNDS)]
        validated = _best(lambda n: judge(pages[n], listing_id=f"v{n}", listed_at=START))
        with connected(loader, application="bench") as connection:
            rows = [_judged(page, n) for n, page in enumerate(pages, start=1)]
            _write(connection, _judged(pages[0], 0), 0)
            written = _best(lambda n: _write(connection, rows[n], 1 + n))
        with connected(loader, application="bench") as connection:
            whole = _best(lambda n: _write(connection, _judged(pages[n], 1 + ROUNDS + n), 1 + ROUNDS + n))
        with connected(master, application="bench", statement_seconds=600) as connection:
            copied = _best(lambda n: _bare_copy(connection, rows[n]))
            many = _best(lambda n: _executemany(connection, rows[n]), rounds=2)
            paged = _best(lambda n: _execute_values(connection, rows[n]))
    return [
        f"{what:<62}{seconds * 1000:8.0f} ms   ratio to a bare COPY {seconds / copied:6.1f}"
        for what, seconds in (
            (f"{COINS:,} coins from parsed pages to the commit", whole),
            ("  of that: judging each coin by its model", validated),
            ("  of that: COPY to staging, upsert, commit", written),
            ("bare COPY of the same rows into an empty table", copied),
            ("the to_sql way: INSERT row by row (executemany)", many),
            ("the to_sql way with many rows an INSERT (method='multi')", paged),
        )
    ]


def _judged(page: list[Any], n: int) -> list[Row]:
    return judge(page, listing_id=f"l{n}", listed_at=START + timedelta(hours=n)).rows


def _write(connection: Any, rows: list[Row], n: int) -> None:
    written = table.write_listing(
        connection,
        rows,
        listing_id=f"l{n}",
        listed_at=START + timedelta(hours=n),
        coins=COINS,
        run_id="bench",
        listed=[row.id for row in rows],
    )
    assert written.rows == COINS


def _bare_copy(connection: Any, rows: list[Row]) -> None:
    text = table.copy_text(rows)
    with connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE bare")
        cursor.copy_expert(f"COPY bare ({_COLUMNS}) FROM STDIN", io.BytesIO(text))


def _executemany(connection: Any, rows: list[Row]) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE bare")
        cursor.executemany(f"INSERT INTO bare ({_COLUMNS}) VALUES ({_VALUES})", rows)


def _execute_values(connection: Any, rows: list[Row]) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE bare")
        psycopg2.extras.execute_values(cursor, f"INSERT INTO bare ({_COLUMNS}) VALUES %s", rows, page_size=1000)


def _best(work: Callable[[int], Any], rounds: int = ROUNDS) -> float:
    return min(timed(lambda n=n: work(n))[0] for n in range(rounds))


@contextmanager
def _database(directory: Path) -> Iterator[tuple[Credentials, Credentials]]:
    server = postgres.start(directory, free_ports(1)[0], master="master", password="master")
    try:
        master, loader, replicator = (
            Credentials(host="127.0.0.1", port=server.port, username=user, password=user, dbname="bench")
            for user in ("master", "loader", "replicator")
        )
        with connected(master.model_copy(update={"dbname": "postgres"}), application="bench") as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("CREATE DATABASE bench")
        with connected(master, application="bench") as connection:
            migrate(connection, contract=load_all()["bronze.tb_coins"], loader=loader, replicator=replicator)
            with connection, connection.cursor() as cursor:
                cursor.execute("CREATE TABLE bare (LIKE tb_coins INCLUDING ALL)")
        yield master, loader
    finally:
        server.stop()


def _coin(number: int, seed: int) -> dict[str, Any]:
    """As listings v3 gives it, with the magnitudes that occur."""
    drawn = random.Random(number * 1000 + seed)
    amounts = ("price", "volume_24h", "volume_change_24h", "market_cap", "market_cap_dominance", "fully_diluted_market_cap")
    changes = [f"percent_change_{period}" for period in ("1h", "24h", "7d", "30d", "60d", "90d")]
    quote: dict[str, Any] = {name: drawn.random() * 10.0 ** drawn.randint(-18, 15) for name in amounts}
    quote |= {name: drawn.gauss(0, 50) for name in changes}
    return json.loads(
        json.dumps(
            {
                "id": number,
                "name": f"Coin {number}",
                "symbol": f"C{number % 4700}",
                "slug": f"coin-{number}",
                "platform": {"id": 1027, "name": "x", "slug": "x", "symbol": "X", "token_address": "0x0"} if number % 3 else None,
                "tags": ["tag"] * (number % 12),
                "cmc_rank": number,
                "num_market_pairs": number % 900,
                "infinite_supply": False,
                "date_added": "2020-04-28T00:00:00.000Z",
                "last_updated": "2026-11-21T10:59:00.000Z",
                "circulating_supply": drawn.randint(0, 10**12),
                "total_supply": drawn.random() * 1e12,
                "max_supply": drawn.randint(0, 10**12) if number % 2 else None,
                "quote": [{"id": 2781, "symbol": "USD", **quote, "last_updated": "2026-11-21T10:59:00.000Z"}],
            }
        )
    )


if __name__ == "__main__":
    print("\n".join(coins_load()))
