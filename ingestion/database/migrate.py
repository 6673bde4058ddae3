"""The database as a deployment wants it: roles, tables, publication, rights. Idempotent, in one transaction, by the master user."""

from collections.abc import Sequence
from typing import Any

from psycopg2 import extensions, sql

from ingestion.database import tables
from ingestion.postgres import Credentials
from lake.contracts import Column, Contract
from lake.names import HEARTBEAT_SCHEMA
from lake.postgres import EXISTING, Existing, migration

_LOCK = 0x7462_6D69_6772_6174
_RDS_REPLICATION = "rds_replication"


class RightsMissing(Exception):
    """The master user cannot give a right that another user needs."""


def migrate(connection: Any, *, contract: Contract, loader: Credentials, replicator: Credentials) -> list[str]:
    """What was done to tables, for the log. Raises MigrationRefused (nothing is changed then), RightsMissing."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        for user in (loader, replicator):
            _role(cursor, user)
        _may_replicate(cursor, replicator.username)
        done = [
            *_table(cursor, contract.table, contract.columns, contract.key),
            *_table(cursor, tables.LISTINGS, tables.LISTINGS_COLUMNS, tables.LISTINGS_KEY),
        ]
        cursor.execute(tables.LISTINGS_DEFAULT)
        _publication(cursor, contract.table)
        _rights(cursor, contract.table, loader=loader.username, replicator=replicator.username)
    return done


def encrypted(connection: Any, user: Credentials) -> str:
    """The password as the server keeps it: statements, and with them passwords, may be logged."""
    password = user.password.get_secret_value()
    found: str = extensions.encrypt_password(password, user.username, scope=connection, algorithm="scram-sha-256")
    return found


def _role(cursor: Any, user: Credentials) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user.username,))
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    statement = sql.SQL("{} ROLE {} WITH LOGIN NOCREATEDB NOCREATEROLE PASSWORD {}")
    password = sql.Literal(encrypted(cursor.connection, user))
    cursor.execute(statement.format(verb, sql.Identifier(user.username), password))


def _may_replicate(cursor: Any, user: str) -> None:
    """On RDS by membership, elsewhere by the attribute, which only its holder can give."""
    cursor.execute("SELECT rolreplication FROM pg_roles WHERE rolname = current_user")
    (has_attribute,) = cursor.fetchone()
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (_RDS_REPLICATION,))
    on_rds = cursor.fetchone() is not None
    if on_rds:
        cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(_RDS_REPLICATION), sql.Identifier(user)))
    if has_attribute:
        cursor.execute(sql.SQL("ALTER ROLE {} WITH REPLICATION").format(sql.Identifier(user)))
    if not (on_rds or has_attribute):
        raise RightsMissing(f"the master user may not let {user} replicate: it needs REPLICATION itself, or {_RDS_REPLICATION}")


def _table(cursor: Any, table: str, columns: Sequence[Column], key: Sequence[str]) -> list[str]:
    cursor.execute(EXISTING, (f"public.{table}",))
    existing = [Existing(name=name, type=kind, required=required, key=place) for name, kind, required, place in cursor.fetchall()]
    statements = migration(table, columns, key, existing)
    for statement in statements:
        cursor.execute(statement)
    return statements


def _publication(cursor: Any, table: str) -> None:
    name, published = sql.Identifier(tables.PUBLICATION), sql.Identifier(table)
    cursor.execute("SELECT relreplident FROM pg_class WHERE oid = to_regclass(%s)", (f"public.{table}",))
    if cursor.fetchone() != ("f",):  # locks the table
        cursor.execute(sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL").format(published))
    cursor.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", (tables.PUBLICATION,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(name, published))
        return
    cursor.execute("SELECT tablename FROM pg_publication_tables WHERE pubname = %s", (tables.PUBLICATION,))
    if cursor.fetchall() != [(table,)]:
        cursor.execute(sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(name, published))


def _rights(cursor: Any, table: str, *, loader: str, replicator: str) -> None:
    """Least: whatever was given before is taken back first."""
    cursor.execute("SELECT current_database()")
    names = {
        "database": sql.Identifier(cursor.fetchone()[0]),
        "loader": sql.Identifier(loader),
        "replicator": sql.Identifier(replicator),
        "table": sql.Identifier(table),
        "listings": sql.Identifier(tables.LISTINGS),
        "heartbeat": sql.Identifier(HEARTBEAT_SCHEMA),
    }
    for statement in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC, {loader}, {replicator}",
        "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {loader}",
        "GRANT CONNECT ON DATABASE {database} TO {replicator}",
        "GRANT USAGE ON SCHEMA public TO {loader}, {replicator}",
        "REVOKE ALL ON {table}, {listings} FROM PUBLIC, {loader}, {replicator}",
        "GRANT SELECT, INSERT, UPDATE ON {table} TO {loader}",
        "GRANT SELECT, INSERT ON {listings} TO {loader}",
        "GRANT SELECT ON {table} TO {replicator}",
        "CREATE SCHEMA IF NOT EXISTS {heartbeat}",
        "GRANT USAGE, CREATE ON SCHEMA {heartbeat} TO {replicator}",
    ):
        cursor.execute(sql.SQL(statement).format(**names))
