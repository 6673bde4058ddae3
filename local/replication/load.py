"""The full load: a slot, and every table as it was at the slot's consistent point, so that load and changes meet exactly."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from local.replication import names
from local.replication.clients import Objects
from local.replication.columns import SourceColumn, UnsupportedColumn
from local.replication.errors import Fatal, Stopped
from local.replication.files import Change, Layout, ParquetFile
from local.replication.plan import Plan
from local.replication.source import Database, SourceTable, failure
from local.replication.state import State

FETCH_ROWS = 2_000
NO_TABLES = (
    "No tables were found at task initialization. Either the selected table(s) or schemas(s) no longer exist or no match was "
    "found for the table selection pattern(s)."
)
COMPLETED, ERROR, LOADING, RELOADING = "Table completed", "Table error", "Full load", "Table is being reloaded"

logger = logging.getLogger("TABLES_MANAGER")


class Loader:
    """Loads whole tables. `stopping()` is asked now and then; Stopped is raised once it says so."""

    def __init__(
        self, directory: Path, plan: Plan, state: State, database: Database, objects: Objects, stopping: Callable[[], bool]
    ) -> None:
        self._directory = directory
        self._plan = plan
        self._state = state
        self._database = database
        self._objects = objects
        self._stopping = stopping

    def begin(self) -> None:
        """A new slot and every selected table; afterwards the state's phase is "changes". Raises Fatal, Transient, Stopped."""
        state, slot = self._state, self._plan.source.slot
        self._database.check()
        tables = self._database.tables(self._plan.selection())
        if not tables:
            raise Fatal(NO_TABLES)
        self._database.drop_slot(slot)
        state.phase, state.lsn, state.tables = "load", 0, {}
        state.load_started, state.load_ended = time.time(), 0.0
        for table in tables:
            state.table(table.schema, table.name)
        state.connected = True
        state.write(self._directory)
        connection = self._database.connect(replication=True)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f'CREATE_REPLICATION_SLOT "{slot}" LOGICAL pgoutput EXPORT_SNAPSHOT')
                _, point, snapshot, _ = cursor.fetchone()
            logger.info("slot %s begins at %s", slot, point)
            for table in tables:
                self._table(table, snapshot, LOADING)
        except psycopg2.Error as error:
            raise failure(error, "the full load") from error
        finally:
            connection.close()
        self._all_failed()
        high, _, low = point.partition("/")
        state.lsn = (int(high, 16) << 32) + int(low, 16)
        state.phase, state.load_ended = "changes", time.time()
        state.write(self._directory)

    def again(self, wanted: list[tuple[str, str]]) -> None:
        """Load single tables anew. Their changes since the last confirmed one follow and lead to the same rows."""
        for table in self._database.tables(self._plan.selection()):
            if (table.schema, table.name) in wanted:
                self._table(table, None, RELOADING)
                self._state.table(table.schema, table.name).reloaded = True
        self._all_failed()
        self._state.write(self._directory)

    def _all_failed(self) -> None:
        broken = [table for table in self._state.tables.values() if table.state == ERROR]
        if broken and len(broken) == len(self._state.tables):
            raise Fatal("; ".join(f"{table.schema}.{table.table}: {table.error}" for table in broken))

    def _table(self, table: SourceTable, snapshot: str | None, what: str) -> None:
        state = self._state.table(table.schema, table.name)
        state.state, state.error, state.loaded = what, "", 0
        state.load_started, state.load_ended = time.time(), 0.0
        self._state.write(self._directory)
        try:
            if not table.publications:
                raise UnsupportedColumn(
                    f"no publication holds the table: CREATE PUBLICATION ... FOR TABLE {table.schema}.{table.name}"
                )
            self._read(table, snapshot)
            state.state = COMPLETED
            logger.info("loaded %s.%s: %d rows", table.schema, table.name, state.loaded)
        except (UnsupportedColumn, psycopg2.ProgrammingError) as error:
            state.state, state.error = ERROR, " ".join(str(error).split())
            logger.error("table %s.%s is suspended: %s", table.schema, table.name, state.error)
        state.load_ended = state.updated = time.time()
        self._state.write(self._directory)

    def _read(self, table: SourceTable, snapshot: str | None) -> None:
        connection = self._database.connect()
        try:
            connection.set_session("REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                if snapshot:
                    cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
                columns = self._database.columns(cursor, table)
            layout = Layout.of(columns, self._plan.format(table.schema, table.name, load=True))
            self._write(table, layout, _rows(connection, table, columns))
        finally:
            connection.close()

    def _write(self, table: SourceTable, layout: Layout, rows: Iterator[tuple[str | None, ...]]) -> None:
        state = self._state.table(table.schema, table.name)
        moment = self._plan.task_started_at or names.timestamp_text(dt.datetime.now(dt.UTC))
        number, file = 0, ParquetFile(layout, self._directory)
        try:
            for row in rows:
                file.add(Change("I", row, moment))
                if file.rows >= self._plan.load_rows:
                    number += 1
                    self._put(table, number, file)
                    file = ParquetFile(layout, self._directory)
                if file.rows % FETCH_ROWS == 0 and self._stopping():
                    raise Stopped
            if file.rows:  # no object for an empty table
                self._put(table, number + 1, file)
        finally:
            file.close()
        state.updated = time.time()

    def _put(self, table: SourceTable, number: int, file: ParquetFile) -> None:
        try:
            key = self._objects.put(table.schema, table.name, names.load_name(number), file.finish())
        finally:
            file.close()
        self._state.table(table.schema, table.name).loaded += file.rows
        logger.info("wrote %s: %d rows", key, file.rows)


def _rows(connection: Any, table: SourceTable, columns: list[SourceColumn]) -> Iterator[tuple[str | None, ...]]:
    """Every row as the server's text, read in pieces."""
    raw = psycopg2.extensions.new_type(tuple({column.type_oid for column in columns}), "TEXT", lambda value, _cursor: value)
    names_ = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    with connection.cursor(name="full_load") as cursor:
        cursor.itersize = FETCH_ROWS
        psycopg2.extensions.register_type(raw, cursor)
        cursor.execute(sql.SQL("SELECT {} FROM {}").format(names_, table.identifier))
        yield from cursor
