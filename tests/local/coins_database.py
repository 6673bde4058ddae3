"""A real PostgreSQL with the tables of the coins, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.laptop import free_ports
from ingestion.database.migrate import migrate
from ingestion.postgres import Credentials, connected
from lake.odcs import load_all
from local.engines import postgres

CONTRACT = load_all()["bronze.tb_coins"]


@contextmanager
def server(directory: Path) -> Iterator[Any]:
    running = postgres.start(directory, free_ports(1)[0], master="master", password="of-master")
    try:
        yield running
    finally:
        running.stop()


@dataclass
class Database:
    master: Credentials
    loader: Credentials
    replicator: Credentials

    def connect(self, user: Credentials | None = None) -> Any:
        return connected(user or self.loader, application="test")

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connect(self.master) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def migrate(self, contract: Any = CONTRACT) -> list[str]:
        with self.connect(self.master) as connection:
            return migrate(connection, contract=contract, loader=self.loader, replicator=self.replicator)

    def content(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT * FROM tb_coins ORDER BY id") + self.ask("SELECT * FROM listings ORDER BY listing_id")


def new_database(port: int) -> Database:
    """A migrated one in the server at `port`, whose users are shared."""
    name = f"t{uuid4().hex}"

    def user(username: str, database: str = name) -> Credentials:
        return Credentials(host="127.0.0.1", port=port, username=username, password=f"of-{username}", dbname=database)

    with connected(user("master", "postgres"), application="test") as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE DATABASE {name}")
    made = Database(user("master"), user("loader"), user("replicator"))
    made.migrate()
    return made
