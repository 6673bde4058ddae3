"""One query's run: translate, read with the caller's credentials, count the bytes that came over the wire, keep to the limit."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlglot import exp

from local.emulator import Credentials, Emulator
from local.engines import athena_run
from local.engines.athena_catalogue import answer
from local.engines.athena_query import Queries
from local.engines.athena_run import failure, fetch
from local.engines.athena_scope import Query, Scope, parse
from local.engines.athena_tables import Catalogue
from local.engines.athena_types import VARCHAR, AthenaError, Type, text

WATCH_SECONDS = 0.25
IDLE_CONNECTIONS = 2
# Loading the Delta extension takes 0.4 s: connections are used again, with another secret. Nothing else is kept in them.
_idle: list[Any] = []
_guard = threading.Lock()
# More at once would only take the machine's memory; the others wait, as queries do in Athena.
_slots = threading.BoundedSemaphore(4)

_SCANNED = """SELECT coalesce(sum(CAST(response.headers['Content-Length'] AS BIGINT)), 0)
FROM duckdb_logs_parsed('HTTP') WHERE request.type = 'GET'"""


class CutOff(Exception):
    """The query read more than its workgroup allows."""


def prepare() -> None:
    """Make a connection for the first query."""
    _give(_connection())


def _connection() -> Any:
    """Extensions are loaded and the log of requests is on; after that no file and no setting can be reached."""
    connection = athena_run.connect()
    for name in ("httpfs", "delta"):
        package = import_module(f"duckdb_extension_{name}")
        found = next(Path(str(package.__file__)).parent.glob(f"extensions/*/{name}.duckdb_extension"))
        connection.execute(f"LOAD {text(str(found))}")
    # Not one caller's data for the next one, and bytes counted anew in every query.
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET allow_persistent_secrets = false")
    connection.execute("CALL enable_logging('HTTP')")
    connection.execute("CREATE SECRET caller (TYPE s3)")
    athena_run.lock(connection)
    return connection


def _take() -> Any:
    with _guard:
        if _idle:
            return _idle.pop()
    return _connection()


def _give(connection: Any) -> None:
    connection.execute("CREATE OR REPLACE SECRET caller (TYPE s3)")
    connection.execute("CALL truncate_duckdb_logs()")
    with _guard:
        if len(_idle) < IDLE_CONNECTIONS:
            _idle.append(connection)
            return
    connection.close()


class Worker:
    """Runs a statement as somebody. scanned: bytes read from tables so far; cutoff: how many are allowed, None for any."""

    def __init__(self, emulator: Emulator, caller: Credentials, catalogue: Catalogue, cutoff: int | None) -> None:
        self._emulator = emulator
        self._caller = caller
        self._catalogue = catalogue
        self._cutoff = cutoff
        self.scanned = 0

    def run(self, sql: str, started: Callable[[Any], None]) -> tuple[list[tuple[str, Type]], list[list[str | None]]]:
        """Columns and printed rows. started: is given the connection, to interrupt it, and None at its end.

        Raises AthenaError for what is wrong with the statement, CutOff.
        """
        shown = answer(sql, self._catalogue)
        if shown:
            return [(n, VARCHAR) for n in shown[0]], [list(row) for row in shown[1]]
        explained = _explained(sql)
        query = self._translate(explained or sql)
        with _slots:
            return self._run(query, explain=explained is not None, started=started)

    def _run(
        self, query: Query, *, explain: bool, started: Callable[[Any], None]
    ) -> tuple[list[tuple[str, Type]], list[list[str | None]]]:
        connection, unharmed = _take(), False
        try:
            started(connection)
            self._let_in(connection)
            if explain:
                columns, rows = [("Query Plan", VARCHAR)], _plan(connection, query)
            else:
                columns = [(n if n else f"_col{i}", t) for i, (n, t) in enumerate(query.columns)]
                rows = self._watched(connection, query)
            unharmed = True
            return columns, rows
        finally:
            started(None)
            if unharmed:
                _give(connection)
            else:
                connection.close()

    def _translate(self, sql: str) -> Query:
        tree = parse(sql.rstrip().rstrip(";"))
        if isinstance(tree, exp.Command):
            raise AthenaError("SYNTAX_ERROR", f"mismatched input '{sql.split()[0]}'", (1, 1))
        return Queries(sql, self._catalogue).query(tree, Scope())

    def _let_in(self, connection: Any) -> None:
        token = f"SESSION_TOKEN {text(self._caller.token)}, " if self._caller.token else ""
        connection.execute(
            f"CREATE OR REPLACE SECRET caller (TYPE s3, KEY_ID {text(self._caller.access_key)}, "
            f"SECRET {text(self._caller.secret_key)}, {token}REGION {text(self._emulator.region)}, "
            f"ENDPOINT {text(self._emulator.endpoint.removeprefix('http://'))}, URL_STYLE 'path', USE_SSL false)"
        )

    def _watched(self, connection: Any, query: Query) -> list[list[str | None]]:
        over, done = threading.Event(), threading.Event()

        def watch() -> None:
            counter = connection.cursor()
            while not done.wait(WATCH_SECONDS):
                if counter.execute(_SCANNED).fetchone()[0] > (self._cutoff or 0):
                    over.set()
                    connection.interrupt()
                    return

        watching = threading.Thread(target=watch, daemon=True)
        if self._cutoff:
            watching.start()
        try:
            rows = fetch(connection, query)
        except AthenaError:
            if not over.is_set():
                raise
            rows = []
        finally:
            done.set()
            if self._cutoff:
                watching.join()  # else it might interrupt the connection's next query
            self.scanned = int(connection.cursor().execute(_SCANNED).fetchone()[0])
        if over.is_set() or (self._cutoff and self.scanned > self._cutoff):
            raise CutOff(f"Query cancelled! : Bytes scanned limit was exceeded ({self.scanned} of {self._cutoff} allowed)")
        return rows


def _explained(sql: str) -> str | None:
    """The statement of an EXPLAIN, at the place where it stands, so that errors name the right column."""
    found = re.match(r"\s*EXPLAIN\s+", sql, re.IGNORECASE)
    return re.sub(r"\S", " ", found[0]) + sql[found.end() :] if found else None


def _plan(connection: Any, query: Query) -> list[list[str | None]]:
    """The laptop's own plan: DuckDB's, not Trino's."""
    import duckdb

    try:
        lines = connection.execute(f"EXPLAIN {query.sql}").fetchall()[0][1].splitlines()
    except duckdb.Error as error:
        raise failure(error) from error
    return [[line] for line in lines]
