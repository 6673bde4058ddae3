"""A task's process: full load if there is none yet, then changes until it is told to stop; waits for what is away."""

import logging
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from local.home import read_json
from local.replication.changes import Changes
from local.replication.clients import Login, Objects, client
from local.replication.errors import Fatal, Stopped, Transient
from local.replication.load import ERROR, Loader
from local.replication.pgoutput import DecodeError, decode
from local.replication.plan import RELOAD, Plan
from local.replication.source import Database, failure
from local.replication.state import State

FAILED = 3  # exit status of a task that cannot go on
ORPHANED = 4
IDLE_SECONDS = 0.25
DRAIN_SECONDS = 2.0
FEEDBACK_SECONDS = 5.0
BACKOFF = (0.1, 5.0)  # the first wait, the longest

logger = logging.getLogger("TASK_MANAGER")


class Process:
    """`run` returns the exit status."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._plan = Plan.read(directory)
        self._state = State.read(directory)
        self._stopping = threading.Event()
        self._parent = os.getppid()
        self._told = 0.0

    def run(self) -> int:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: self._stopping.set())
        self._state.connected, self._state.failure = False, ""
        wait = BACKOFF[0]
        while not self._stopped():
            try:
                source = self._plan.source
                login = Login(client(self._directory, self._plan, "secretsmanager", "secret"), source.secret)
                self._work(Database(login.read, source.database, source.sslmode), Objects(self._directory, self._plan))
            except Stopped:
                break
            except (Transient, psycopg2.Error, DecodeError) as error:
                if self._state.connected:
                    wait = BACKOFF[0]
                said = " ".join(str(error).split())
                logger.warning("%s; trying again in %.1f s", said, wait)
                self._again(said)
                self._stopping.wait(wait)
                wait = min(wait * 2, BACKOFF[1])
            except Fatal as error:
                logger.error("%s", error)
                self._fail(str(error))
                return FAILED
        return ORPHANED if self._orphaned() else 0

    def _stopped(self) -> bool:
        return self._stopping.is_set() or self._orphaned()

    def _orphaned(self) -> bool:
        """Without the engine nobody would end this process, nor renew its credentials."""
        return os.getppid() != self._parent

    def _again(self, why: str) -> None:
        """Back to what the target holds: everything after it will be sent again."""
        self._state = State.read(self._directory)
        self._state.connected, self._state.waiting = False, why
        self._state.write(self._directory)

    def _fail(self, why: str) -> None:
        broken = [table for table in self._state.tables.values() if table.state == ERROR]
        self._state = State.read(self._directory)
        for table in broken:
            kept = self._state.table(table.schema, table.table)
            kept.state, kept.error = ERROR, table.error
        self._state.connected, self._state.waiting, self._state.failure = False, "", why
        self._state.write(self._directory)

    def _work(self, database: Database, objects: Objects) -> None:
        loader = Loader(self._directory, self._plan, self._state, database, objects, self._stopped)
        if self._state.phase != "changes":
            loader.begin()
        while not self._stopped():
            wanted = read_json(self._directory / RELOAD)
            if wanted:
                loader.again([(schema, table) for schema, table in wanted["tables"]])
                (self._directory / RELOAD).unlink()
            changes = Changes(self._directory, self._plan, self._state, objects)
            try:
                self._stream(database, changes)
            finally:
                changes.drop()

    # The stream -----------------------------------------------------------------------------------------------------------

    def _stream(self, database: Database, changes: Changes) -> None:
        """Until it is to stop or tables are to be loaded anew. Raises Fatal, Transient, psycopg2.Error, DecodeError."""
        tables = database.tables(self._plan.selection())
        publications = sorted({name for table in tables for name in table.publications})
        if not publications:
            raise Fatal("no publication holds a table that the task selects: CREATE PUBLICATION ... FOR TABLE ...")
        connection = database.connect(replication=True)
        try:
            with connection.cursor() as cursor:
                self._start(cursor, publications)
                self._state.connected, self._state.waiting = True, ""
                self._state.write(self._directory)
                self._follow(cursor, changes)
                if self._stopping.is_set() and not self._orphaned():
                    self._drain(cursor, changes, database.position())
                changes.flush()
                self._tell(cursor)
        finally:
            connection.close()

    def _start(self, cursor: Any, publications: list[str]) -> None:
        slot = self._plan.source.slot
        try:
            cursor.start_replication(
                slot_name=slot,
                slot_type=psycopg2.extras.REPLICATION_LOGICAL,
                start_lsn=self._state.lsn,
                options={"proto_version": "1", "publication_names": ",".join(f'"{name}"' for name in publications)},
                decode=False,
            )
        except psycopg2.errors.UndefinedObject as error:
            raise Fatal(f"{' '.join(str(error).split())}: changes since the last one are lost; reload the target") from error
        except psycopg2.errors.ObjectNotInPrerequisiteState as error:
            raise Fatal(f"{' '.join(str(error).split())}; reload the target") from error
        except psycopg2.Error as error:
            raise failure(error, f"reading the slot {slot}") from error
        logger.info(
            "capturing changes from %X/%X, publications %s", self._state.lsn >> 32, self._state.lsn & 0xFFFFFFFF, publications
        )

    def _tell(self, cursor: Any, *, reply: bool = False) -> None:
        """What the server may forget."""
        lsn = self._state.lsn
        cursor.send_feedback(write_lsn=lsn, flush_lsn=lsn, apply_lsn=lsn, reply=reply, force=True)
        self._told = time.monotonic()

    def _follow(self, cursor: Any, changes: Changes) -> None:
        while not self._stopped():
            message = cursor.read_message()
            if message is not None:
                changes.take(decode(message.payload))
            if changes.due <= 0:
                changes.flush()
                self._tell(cursor)
            if time.monotonic() - self._told > FEEDBACK_SECONDS:
                self._tell(cursor)
            if message is None:
                if changes.idle:
                    before = self._state.lsn
                    changes.confirm(cursor.wal_end)
                    if self._state.lsn > before and time.monotonic() - self._told > IDLE_SECONDS:
                        self._tell(cursor)  # a server that is being shut down waits for it
                if changes.idle and (self._directory / RELOAD).exists():
                    return
                select.select([cursor], [], [], max(0.0, min(changes.due, IDLE_SECONDS)))

    def _drain(self, cursor: Any, changes: Changes, position: int) -> None:
        """What was committed before the stop is delivered before it, unless that takes long: then after the next start."""
        end = time.monotonic() + DRAIN_SECONDS
        self._tell(cursor, reply=True)
        while (cursor.wal_end < position or not changes.between) and time.monotonic() < end:
            message = cursor.read_message()
            if message is not None:
                changes.take(decode(message.payload))
            else:
                select.select([cursor], [], [], 0.05)


def main() -> None:
    """`python -m local.replication DIRECTORY`."""
    logging.Formatter.converter = time.gmtime
    form = "%(asctime)s [%(name)-15s]%(levelname).1s:  %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, datefmt="%Y-%m-%dT%H:%M:%S", stream=sys.stdout)
    for name in ("botocore", "urllib3", "boto3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.exit(Process(Path(sys.argv[1])).run())
