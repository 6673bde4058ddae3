"""The source database: connections, its slot, and the tables that a task replicates."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.extras
from psycopg2 import errors, sql

from local.replication.columns import SourceColumn
from local.replication.errors import Fatal, Transient
from local.replication.mappings import Mappings

# As a subscriber asks for it: text that reads back as the same value, whatever the server's settings are.
_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        **{"datestyle": "ISO", "intervalstyle": "postgres", "timezone": "UTC", "extra_float_digits": 3, "bytea_output": "hex"},
        **{"statement_timeout": 0, "lock_timeout": 0, "idle_in_transaction_session_timeout": 0},
    }.items()
)
_REFUSALS = ("password authentication failed", "does not exist", "pg_hba.conf", "permission denied", "must be superuser")
_REFUSALS_TAKEN = 5  # a password that is being rotated is refused for a moment
_SLOT_SECONDS = 20.0

_TABLES = """
SELECT n.nspname, c.relname, array_agg(p.pubname::text) FILTER (WHERE p.pubname IS NOT NULL)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_publication_tables p ON p.schemaname = n.nspname AND p.tablename = c.relname
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%%'
GROUP BY 1, 2 ORDER BY 1, 2
"""
_COLUMNS = """
SELECT attname, atttypid::bigint, atttypmod FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""


@dataclass(frozen=True)
class SourceTable:
    """A table that the mappings select. publications: those that hold it."""

    schema: str
    name: str
    publications: tuple[str, ...]

    @property
    def identifier(self) -> sql.Composable:
        return sql.Identifier(self.schema, self.name)


class Database:
    """`login()` gives host, port, username, password, dbname; asked for every connection."""

    def __init__(self, login: Callable[[], dict[str, Any]], database: str, sslmode: str) -> None:
        self._login = login
        self._database = database
        self._sslmode = sslmode
        self._refused = 0

    def connect(self, *, replication: bool = False) -> Any:
        """Raises Transient while the server is away, Fatal when it refuses for good."""
        login = self._login()
        more = {"connection_factory": psycopg2.extras.LogicalReplicationConnection} if replication else {}
        try:
            made = psycopg2.connect(
                host=login["host"],
                port=int(login["port"]),
                user=login["username"],
                password=login["password"],
                dbname=self._database or login["dbname"] or login["username"],
                sslmode=self._sslmode,
                connect_timeout=10,
                client_encoding="utf8",
                application_name="dms",
                options=_OPTIONS,
                **{"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
                **more,
            )
        except psycopg2.Error as error:
            said = " ".join(str(error).split())
            refused = any(text in said for text in _REFUSALS)
            self._refused = self._refused + 1 if refused else 0
            raise (Fatal if self._refused >= _REFUSALS_TAKEN else Transient)(f"connecting to the source: {said}") from None
        self._refused = 0
        return made

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        """A cursor in autocommit."""
        connection = self.connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    # What is asked of the server ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Whether changes can be captured as this user. Raises Fatal, Transient."""
        with self.session() as cursor:
            cursor.execute("SELECT current_setting('wal_level')")
            level = cursor.fetchone()[0]
            if level != "logical":
                raise Fatal(f"wal_level is {level}, not logical: on RDS, set rds.logical_replication to 1 and restart the server")
            cursor.execute(
                "SELECT rolreplication OR rolsuper OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication'"
                " AND pg_has_role(u.oid, r.oid, 'member')), rolname FROM pg_roles u WHERE rolname = current_user"
            )
            may, user = cursor.fetchone()
            if not may:
                raise Fatal(f"the user {user} may not replicate: grant it rds_replication (elsewhere: the attribute REPLICATION)")

    def position(self) -> int:
        """Where the server's log ends just now. Raises Transient."""
        with self.session() as cursor:
            cursor.execute("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint")
            return int(cursor.fetchone()[0])

    def tables(self, mappings: Mappings) -> list[SourceTable]:
        with self.session() as cursor:
            cursor.execute(_TABLES)
            found = [SourceTable(schema, name, tuple(held or ())) for schema, name, held in cursor.fetchall()]
        return [table for table in found if mappings.selects(table.schema, table.name)]

    def columns(self, cursor: Any, table: SourceTable) -> list[SourceColumn]:
        """Within the cursor's transaction."""
        cursor.execute(_COLUMNS, (table.identifier.as_string(cursor),))
        return [SourceColumn(*row) for row in cursor.fetchall()]

    def drop_slot(self, slot: str) -> None:
        """Forget the slot, unless it is gone; one whose reader has just been killed is waited for. Raises Fatal, Transient."""
        end = time.monotonic() + _SLOT_SECONDS
        while True:
            try:
                with self.session() as cursor:
                    query = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
                    cursor.execute(query, (slot,))
                return
            except errors.ObjectInUse as error:
                if time.monotonic() > end:
                    raise Transient(f"the slot {slot} is in use: {error}") from error
                time.sleep(0.1)
            except psycopg2.Error as error:
                raise failure(error, f"dropping the slot {slot}") from error


def failure(error: psycopg2.Error, what: str) -> Fatal | Transient:
    """What an error of the server means for the task; `what` was tried."""
    said = f"{what}: {' '.join(str(error).split())}"
    away = (psycopg2.OperationalError, psycopg2.InterfaceError, errors.ObjectInUse)
    return Transient(said) if isinstance(error, away) or type(error) is psycopg2.DatabaseError else Fatal(said)
