"""Decodes PostgreSQL's logical replication messages of the plugin pgoutput, protocol version 1.

Layout: PostgreSQL documentation, "Logical Replication Message Formats".
"""

import datetime as dt
import struct
from collections.abc import Callable

from local.replication.messages import (
    UNCHANGED,
    Begin,
    Commit,
    Delete,
    Insert,
    Message,
    Origin,
    Relation,
    RelationColumn,
    Row,
    Truncate,
    TypeName,
    Update,
    Value,
)

EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class DecodeError(Exception):
    """The bytes are no message of protocol version 1; the text says at which byte."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 1

    def number(self, layout: struct.Struct) -> int:
        try:
            found: int = layout.unpack_from(self._data, self._at)[0]
        except struct.error as error:
            raise DecodeError(f"message {self._data[:1]!r} ends at byte {len(self._data)}") from error
        self._at += layout.size
        return found

    def text(self) -> str:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise DecodeError(f"text at byte {self._at} has no end")
        try:
            found = self._data[self._at : end].decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"text at byte {self._at} is not UTF-8") from error
        self._at = end + 1
        return found

    def mark(self) -> str:
        found = self._data[self._at : self._at + 1]
        if not found:
            raise DecodeError(f"message {self._data[:1]!r} ends at byte {self._at}")
        self._at += 1
        return found.decode("latin-1")

    def instant(self) -> dt.datetime:
        since = self.number(_INT64)
        try:
            return EPOCH + dt.timedelta(microseconds=since)
        except OverflowError as error:
            raise DecodeError(f"{since} microseconds since 2000 are no date") from error

    def row(self) -> Row:
        # All the time of decoding goes by here: one loop without calls of our own.
        count = self.number(_INT16)
        data, at, end = self._data, self._at, len(self._data)
        values: list[Value] = []
        try:
            for _ in range(count):
                kind = data[at]
                at += 1
                if kind == _TEXT:
                    start = at + 4
                    length = _INT32.unpack_from(data, at)[0]
                    at = start + length
                    if length < 0 or at > end:
                        raise DecodeError(f"value at byte {start} is longer than its message")
                    values.append(data[start:at].decode())
                elif kind == _NULL:
                    values.append(None)
                elif kind == _KEPT:
                    values.append(UNCHANGED)
                else:
                    raise DecodeError(f"unknown kind of value {chr(kind)!r} at byte {at - 1}")
        except (IndexError, struct.error) as error:
            raise DecodeError(f"message {data[:1]!r} ends at byte {end}") from error
        except UnicodeDecodeError as error:
            raise DecodeError(f"a value before byte {at} is not UTF-8") from error
        self._at = at
        return tuple(values)

    def end(self) -> None:
        if self._at != len(self._data):
            raise DecodeError(f"message {self._data[:1]!r} goes on after byte {self._at}")


_INT8, _INT16, _INT32, _UINT32, _INT64, _UINT64 = (struct.Struct(f"!{code}") for code in "bhiIqQ")

_TEXT, _NULL, _KEPT = b"tnu"


def decode(data: bytes) -> Message:
    """One message. Raises DecodeError."""
    reader = _Reader(data)
    decoder = _DECODERS.get(data[:1])
    if decoder is None:
        raise DecodeError(f"unknown message {data[:1]!r}")
    message = decoder(reader)
    reader.end()
    return message


def _begin(r: _Reader) -> Begin:
    return Begin(r.number(_UINT64), r.instant(), r.number(_UINT32))


def _commit(r: _Reader) -> Commit:
    r.number(_INT8)  # flags, none in use
    return Commit(r.number(_UINT64), r.number(_UINT64), r.instant())


def _relation(r: _Reader) -> Relation:
    oid, schema, table, identity = r.number(_UINT32), r.text() or "pg_catalog", r.text(), r.mark()
    columns = []
    for _ in range(r.number(_INT16)):
        key = r.number(_INT8) & 1
        columns.append(RelationColumn(r.text(), r.number(_UINT32), r.number(_INT32), bool(key)))
    return Relation(oid, schema, table, identity, tuple(columns))


def _insert(r: _Reader) -> Insert:
    relation = r.number(_UINT32)
    _expect(r.mark(), "N")
    return Insert(relation, r.row())


def _update(r: _Reader) -> Update:
    relation, kind = r.number(_UINT32), r.mark()
    before = None
    if kind in "OK":
        before = r.row()
        _expect(r.mark(), "N")
    else:
        _expect(kind, "N")
    new = r.row()
    return Update(relation, new, old=before if kind == "O" else None, key=before if kind == "K" else None)


def _delete(r: _Reader) -> Delete:
    relation, kind = r.number(_UINT32), r.mark()
    _expect(kind, "OK")
    before = r.row()
    return Delete(relation, old=before if kind == "O" else None, key=before if kind == "K" else None)


def _truncate(r: _Reader) -> Truncate:
    count, options = r.number(_INT32), r.number(_INT8)
    return Truncate(tuple(r.number(_UINT32) for _ in range(count)), bool(options & 1), bool(options & 2))


def _expect(found: str, wanted: str) -> None:
    if found not in wanted:
        raise DecodeError(f"a row begins with {found!r} instead of {' or '.join(wanted)}")


_DECODERS: dict[bytes, Callable[[_Reader], Message]] = {
    b"B": _begin,
    b"C": _commit,
    b"O": lambda r: Origin(r.number(_UINT64), r.text()),
    b"R": _relation,
    b"Y": lambda r: TypeName(r.number(_UINT32), r.text() or "pg_catalog", r.text()),
    b"I": _insert,
    b"U": _update,
    b"D": _delete,
    b"T": _truncate,
}
