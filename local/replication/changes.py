"""Changes in the order of their commits, row by row into one open file per table; what is in the bucket is then confirmed."""

import datetime as dt
import logging
import time
from pathlib import Path

from local.replication import names
from local.replication.clients import Objects
from local.replication.columns import SourceColumn, UnsupportedColumn
from local.replication.errors import Fatal
from local.replication.files import Change, Layout, ParquetFile
from local.replication.load import COMPLETED, ERROR
from local.replication.messages import UNCHANGED, Begin, Commit, Delete, Insert, Message, Relation, Row, Truncate, Update
from local.replication.plan import Plan
from local.replication.state import State, TableState

logger = logging.getLogger("TARGET_APPLY")
Name = tuple[str, str]


class Changes:
    """Takes decoded messages, writes objects. The state moves on only when everything before a commit is in the bucket.

    Objects are closed after `plan.target.seconds`, between transactions, or at `plan.target.bytes`, anywhere: a large transaction
    then spans several objects, and is confirmed with the last of them.
    """

    def __init__(self, directory: Path, plan: Plan, state: State, objects: Objects) -> None:
        self._directory = directory
        self._plan = plan
        self._mappings = plan.selection()
        self._state = state
        self._objects = objects
        self._tables: dict[int, tuple[Name, bool]] = {}  # by oid: which table, and whether it is replicated
        self._layouts: dict[Name, Layout] = {}
        self._files: dict[Name, ParquetFile] = {}
        self._begin: Begin | None = None
        self._position = 0
        self._moment = self._stamp = ""  # the open transaction's commit, as text and as the beginning of a change sequence
        self._clock = state.clock
        self._committed = (state.lsn, state.clock)
        self._opened: float | None = None  # monotonic, when the oldest open file got its first row
        self._oldest: dt.datetime | None = None  # commit of that row

    @property
    def idle(self) -> bool:
        """Nothing is open: every change that was taken is in the bucket."""
        return self._begin is None and not self._files

    @property
    def between(self) -> bool:
        """No transaction is open."""
        return self._begin is None

    @property
    def due(self) -> float:
        """Seconds until open files have to be closed; none or less: now. Within a transaction that can wait."""
        if self._opened is None or self._begin is not None:
            return self._plan.target.seconds
        return self._opened + self._plan.target.seconds - time.monotonic()

    def take(self, message: Message) -> None:
        """Raises Fatal, Transient (from the bucket)."""
        match message:
            case Begin():
                self._begin, self._position = message, 0
                self._moment = names.timestamp_text(message.committed_at)
                self._stamp = names.change_clock(message.committed_at)
                self._state.latency_source = max(0.0, time.time() - message.committed_at.timestamp())
            case Commit():
                self._begin, self._committed = None, (message.end_lsn, self._clock)
            case Relation():
                self._relation(message)
            case Insert(relation, new):
                self._row(relation, "I", new)
            case Update(relation, new, old, _):
                self._row(relation, "U", _filled(new, old))
            case Delete(relation, old, key):
                self._row(relation, "D", old if old is not None else key or ())
            case Truncate(relations):
                for oid in relations:
                    logger.warning("TRUNCATE of %s.%s is not applied to the target", *self._tables[oid][0])

    def confirm(self, lsn: int) -> None:
        """The server has sent everything up to `lsn`; while nothing is open, it may forget that."""
        if self.idle and lsn > self._state.lsn:
            self._state.lsn = lsn
            self._state.latency_source = self._state.latency_target = 0.0

    def flush(self) -> None:
        """Close every file, write it to the bucket, move the state on. Raises Fatal, Transient."""
        for name in list(self._files):
            self._close(name)
        if self._oldest is not None:
            self._state.latency_target = max(0.0, time.time() - self._oldest.timestamp())
        self._opened = self._oldest = None
        self._state.lsn, self._state.clock = max(self._state.lsn, self._committed[0]), self._committed[1]
        self._state.write(self._directory)

    def drop(self) -> None:
        """Forget what is open; it will be sent again."""
        for file in self._files.values():
            file.close()
        self._files = {}

    # Rows -----------------------------------------------------------------------------------------------------------------

    def _relation(self, relation: Relation) -> None:
        name = (relation.schema, relation.table)
        selected = self._mappings.selects(*name)
        self._tables[relation.oid] = (name, selected)
        if not selected:
            return
        state = self._state.table(*name)
        columns = tuple(SourceColumn(c.name, c.type_oid, c.modifier) for c in relation.columns)
        known = self._layouts.get(name)
        if known and known.source == columns:
            return
        if known:
            self._close(name)
            state.ddls += 1
            logger.info("the columns of %s.%s have changed; a new file begins", *name)
        try:
            self._layouts[name] = Layout.of(columns, self._plan.format(*name, load=False))
        except UnsupportedColumn as error:
            self._suspend(name, error)
        else:
            if state.state == "Before load":  # a table that was made after the load
                state.state = COMPLETED

    def _row(self, oid: int, operation: str, values: Row) -> None:
        (name, selected), begin = self._tables[oid], self._begin
        position, self._position = self._position, self._position + 1
        state = self._state.table(*name) if selected else None
        if begin is None or state is None or state.state == ERROR:
            return
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = ParquetFile(self._layouts[name], self._directory)
            self._opened = self._opened or time.monotonic()
            self._oldest = self._oldest or begin.committed_at
        # Never before the last one, also when the source's clock was set back. Only rows that are kept move it on.
        self._clock = max(self._stamp, self._clock)
        sequence = names.change_sequence(self._clock, begin.final_lsn, position)
        try:
            file.add(Change(operation, values, self._moment, sequence))
        except UnsupportedColumn as error:
            self._suspend(name, error)
            return
        _count(state, operation)
        if file.size >= self._plan.target.bytes:
            self._close(name)

    def _close(self, name: Name) -> None:
        file = self._files.pop(name, None)
        if file is None:
            return
        try:
            body = file.finish()
            moment = names.next_moment(time.time_ns() // 1_000_000, self._state.last_file)
            self._state.last_file = moment
            self._state.write_name(self._directory)
            key = self._objects.put(*name, names.change_name(moment), body)
            self._state.table(*name).updated = time.time()
            logger.info("wrote %s: %d changes", key, file.rows)
        except UnsupportedColumn as error:
            self._suspend(name, error)
        finally:
            file.close()

    def _suspend(self, name: Name, error: UnsupportedColumn) -> None:
        """As DMS: the table is left alone until it is reloaded, the others go on; with none left the task fails."""
        file = self._files.pop(name, None)
        if file:
            file.close()
        state = self._state.table(*name)
        state.state, state.error, state.updated = ERROR, str(error), time.time()
        logger.error("table %s.%s is suspended: %s", *name, error)
        if all(table.state == ERROR for table in self._state.tables.values()):
            raise Fatal(f"{name[0]}.{name[1]}: {error}")


def _filled(new: Row, old: Row | None) -> Row:
    """An update's row; large values that it did not touch are taken from the row before, and are NULL, as in DMS, without it."""
    if UNCHANGED not in new:
        return new
    before = old if old is not None else (None,) * len(new)
    return tuple(was if value is UNCHANGED else value for value, was in zip(new, before, strict=True))


def _count(state: TableState, operation: str) -> None:
    if operation == "I":
        state.inserts += 1
    elif operation == "U":
        state.updates += 1
    else:
        state.deletes += 1
