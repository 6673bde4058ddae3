"""What only the superuser of the laptop's PostgreSQL does: make users and databases as RDS makes them for its customers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from local.home import read_json

ADMIN = "rdsadmin"
ROLES = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_superuser') THEN
        CREATE ROLE rds_superuser NOLOGIN;
        GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication') THEN
        CREATE ROLE rds_replication NOLOGIN;
    END IF;
END $$
"""


@dataclass(frozen=True)
class Admin:
    """port: of the server, on 127.0.0.1; secret: file with the superuser's password."""

    port: int
    secret: Path

    def connect(self, database: str) -> Any:
        """A psycopg2 connection as superuser, in autocommit; psycopg2.OperationalError if there is none to be had."""
        made = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=ADMIN,
            password=read_json(self.secret)["password"],
            dbname=database,
            sslmode="require",
            connect_timeout=5,
        )
        made.autocommit = True
        return made

    def _ask(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        connection = self.connect("postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)  # without values a % is no placeholder
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def setting(self, name: str) -> str:
        return str(self._ask("SELECT current_setting(%s)", name)[0][0])

    def create_master(self, master: str, password: str) -> None:
        """Make the master user as RDS does, unless it is there: then its password stays as it is."""
        self._ask(ROLES)
        if self._ask("SELECT 1 FROM pg_roles WHERE rolname = %s", master):
            return
        role = sql.Identifier(master)
        # REPLICATION: on RDS who holds rds_replication may give it on; here a user must have the attribute to give it.
        made = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER CREATEDB CREATEROLE REPLICATION PASSWORD {}")
        self._ask(made.format(role, sql.Literal(password)))
        self._ask(sql.SQL("GRANT rds_superuser, rds_replication TO {} WITH ADMIN OPTION").format(role))
        self._ask(sql.SQL("ALTER DATABASE postgres OWNER TO {}").format(role))

    def set_password(self, user: str, password: str) -> None:
        self._ask(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password)))

    def create_database(self, name: str, owner: str) -> None:
        """Make a database, unless it is there."""
        if not self._ask("SELECT 1 FROM pg_database WHERE datname = %s", name):
            self._ask(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
