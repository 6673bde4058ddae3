"""One query's run: translate, read with the caller's credentials, count the bytes that came over the wire, keep to the limit."""

from __future__ import annotations

import queue
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
# Loading the Delta extension takes 0.4 s: the next connection is made while nobody waits.
_ready: queue.Queue[Any] = queue.Queue(maxsize=1)
_making = threading.Lock()

_SCANNED = """SELECT coalesce(sum(CAST(response.headers['Content-Length'] AS BIGINT)), 0)
FROM duckdb_logs_parsed('HTTP') WHERE request.type = 'GET'"""


class CutOff(Exception):
    """The query read more than its workgroup allows."""


def prepare() -> None:
    """Make a connection for the next query unless one is ready."""
    with _making:
        if _ready.empty():
            _ready.put(_connection())


def _connection() -> Any:
    connection = athena_run.connect()
    for name in ("httpfs", "delta"):
        package = import_module(f"duckdb_extension_{name}")
        found = next(Path(str(package.__file__)).parent.glob(f"extensions/*/{name}.duckdb_extension"))
        connection.execute(f"LOAD {text(str(found))}")
    connection.execute("SET httpfs_connection_caching = true")
    connection.execute("CALL enable_logging('HTTP')")
    return connection


def _take() -> Any:
    with _making:
        connection = _ready.get() if not _ready.empty() else _connection()
    threading.Thread(target=prepare, daemon=True).start()
    return connection


class Worker:
    """Runs a statement as somebody. scanned: bytes read from tables so far; cutoff: how many are allowed, None for any."""

    def __init__(self, emulator: Emulator, caller: Credentials, database: str, cutoff: int | None) -> None:
        self._emulator = emulator
        self._caller = caller
        self._cutoff = cutoff
        self.scanned = 0
        storage = {
            "AWS_ENDPOINT_URL": emulator.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": emulator.region,
            **caller.environment(),
        }
        glue, s3 = emulator.client("glue", caller), emulator.client("s3", caller)
        self._catalogue = Catalogue(glue=glue, s3=s3, storage=storage, database=database)

    def run(self, sql: str, started: Callable[[Any], None]) -> tuple[list[tuple[str, Type]], list[list[str | None]]]:
        """Columns and printed rows. started: is given the connection, to interrupt it.

        Raises AthenaError for what is wrong with the statement, CutOff.
        """
        shown = answer(sql, self._catalogue)
        if shown:
            return [(n, VARCHAR) for n in shown[0]], [list(row) for row in shown[1]]
        explained = _explained(sql)
        connection = _take()
        started(connection)
        try:
            self._let_in(connection)
            query = self._translate(explained or sql)
            if explained:
                return [("Query Plan", VARCHAR)], _plan(connection, query)
            names = [(n if n else f"_col{i}", t) for i, (n, t) in enumerate(query.columns)]
            return names, self._watched(connection, query)
        finally:
            connection.close()

    def _translate(self, sql: str) -> Query:
        tree = parse(sql.strip().rstrip(";"))
        if isinstance(tree, exp.Command):
            raise AthenaError("SYNTAX_ERROR", f"mismatched input '{sql.split()[0]}'", (1, 1))
        return Queries(sql, self._catalogue).query(tree, Scope())

    def _let_in(self, connection: Any) -> None:
        """The caller's credentials, and then no way to others, to files or to settings."""
        token = f"SESSION_TOKEN {text(self._caller.token)}, " if self._caller.token else ""
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID {text(self._caller.access_key)}, SECRET {text(self._caller.secret_key)}, {token}"
            f"REGION {text(self._emulator.region)}, ENDPOINT {text(self._emulator.endpoint.removeprefix('http://'))}, "
            "URL_STYLE 'path', USE_SSL false)"
        )
        athena_run.lock(connection)

    def _watched(self, connection: Any, query: Query) -> list[list[str | None]]:
        over, done = threading.Event(), threading.Event()

        def watch() -> None:
            counter = connection.cursor()
            while not done.wait(WATCH_SECONDS):
                if counter.execute(_SCANNED).fetchone()[0] > (self._cutoff or 0):
                    over.set()
                    connection.interrupt()
                    return

        if self._cutoff:
            threading.Thread(target=watch, daemon=True).start()
        try:
            rows = fetch(connection, query)
        except AthenaError:
            if not over.is_set():
                raise
            rows = []
        finally:
            done.set()
            self.scanned = int(connection.cursor().execute(_SCANNED).fetchone()[0])
        if over.is_set() or self._cutoff and self.scanned > self._cutoff:
            raise CutOff(f"Query cancelled! : Bytes scanned limit was exceeded ({self.scanned} of {self._cutoff} allowed)")
        return rows


def _explained(sql: str) -> str | None:
    words = sql.split(None, 1)
    if len(words) < 2 or words[0].upper() != "EXPLAIN":
        return None
    return words[1]


def _plan(connection: Any, query: Query) -> list[list[str | None]]:
    """The laptop's own plan: DuckDB's, not Trino's."""
    import duckdb

    try:
        lines = connection.execute(f"EXPLAIN {query.sql}").fetchall()[0][1].splitlines()
    except duckdb.Error as error:
        raise failure(error) from error
    return [[line] for line in lines]
