"""The decoder of pgoutput against an encoder written from the same documentation: every message, and every way to break one."""

import datetime as dt
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
)
from local.replication.pgoutput import EPOCH, DecodeError, decode

OIDS = st.integers(0, 2**32 - 1)
LSNS = st.integers(0, 2**64 - 1)
INSTANTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)).map(lambda t: t.replace(tzinfo=dt.UTC))  # noqa: DTZ001
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
VALUES = st.one_of(st.none(), st.just(UNCHANGED), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
ROWS = st.lists(VALUES, max_size=8).map(tuple)
COLUMNS = st.builds(RelationColumn, NAMES, OIDS, st.integers(-1, 2**31 - 1), st.booleans())
UPDATES = st.one_of(st.builds(Update, OIDS, ROWS), st.builds(Update, OIDS, ROWS, old=ROWS), st.builds(Update, OIDS, ROWS, key=ROWS))
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Begin, LSNS, INSTANTS, OIDS),
    st.builds(Commit, LSNS, LSNS, INSTANTS),
    st.builds(Origin, LSNS, NAMES),
    st.builds(Relation, OIDS, NAMES, NAMES, st.sampled_from("dnfi"), st.lists(COLUMNS, max_size=6).map(tuple)),
    st.builds(TypeName, OIDS, NAMES, NAMES),
    st.builds(Insert, OIDS, ROWS),
    UPDATES,
    st.builds(Delete, OIDS, old=ROWS),
    st.builds(Delete, OIDS, key=ROWS),
    st.builds(Truncate, st.lists(OIDS, max_size=4).map(tuple), st.booleans(), st.booleans()),
)


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def instant(value: dt.datetime) -> bytes:
    return struct.pack("!q", (value - EPOCH) // dt.timedelta(microseconds=1))


def row(values: Row) -> bytes:
    parts = [struct.pack("!h", len(values))]
    for value in values:
        if value is None:
            parts.append(b"n")
        elif isinstance(value, str):
            parts.append(b"t" + struct.pack("!i", len(value.encode())) + value.encode())
        else:
            parts.append(b"u")
    return b"".join(parts)


def encode(message: Message) -> bytes:
    match message:
        case Begin(lsn, at, xid):
            return b"B" + struct.pack("!Q", lsn) + instant(at) + struct.pack("!I", xid)
        case Commit(lsn, end, at):
            return b"C\0" + struct.pack("!QQ", lsn, end) + instant(at)
        case Origin(lsn, name):
            return b"O" + struct.pack("!Q", lsn) + text(name)
        case Relation(oid, schema, table, identity, columns):
            listed = b"".join(struct.pack("!b", c.key) + text(c.name) + struct.pack("!Ii", c.type_oid, c.modifier) for c in columns)
            return (
                b"R"
                + struct.pack("!I", oid)
                + text(schema)
                + text(table)
                + identity.encode()
                + struct.pack("!h", len(columns))
                + listed
            )
        case TypeName(oid, schema, name):
            return b"Y" + struct.pack("!I", oid) + text(schema) + text(name)
        case Insert(relation, new):
            return b"I" + struct.pack("!I", relation) + b"N" + row(new)
        case Update(relation, new, old, key):
            before = b"O" + row(old) if old is not None else b"K" + row(key) if key is not None else b""
            return b"U" + struct.pack("!I", relation) + before + b"N" + row(new)
        case Delete(relation, old, key):
            before = b"O" + row(old) if old is not None else b"K" + row(key or ())
            return b"D" + struct.pack("!I", relation) + before
        case Truncate(relations, cascade, restart):
            options = (1 if cascade else 0) | (2 if restart else 0)
            return b"T" + struct.pack("!ib", len(relations), options) + b"".join(struct.pack("!I", r) for r in relations)


@given(MESSAGES)
def test_what_the_server_sends_is_what_is_read(message: Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_a_message_cut_short_is_refused(message: Message, data: st.DataObject) -> None:
    encoded = encode(message)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        decode(encoded[:cut])


@given(MESSAGES, st.binary(min_size=1, max_size=3))
def test_a_message_with_a_tail_is_refused(message: Message, tail: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(encode(message) + tail)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_decoder_in_another_way(data: bytes) -> None:
    try:
        decode(data)
    except DecodeError:
        return


@pytest.mark.parametrize(
    "data", [b"", b"S\0\0", b"I\0\0\0\1X\0\0", b"I\0\0\0\1N\0\1x", b"D\0\0\0\1N\0\0", b"I\0\0\0\1N\0\1t\0\0\0\1\xff"]
)
def test_what_is_no_message_of_version_1(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_a_schema_without_a_name_is_the_catalogue() -> None:
    encoded = encode(Relation(7, "x", "t", "d", ())).replace(b"x\0", b"\0", 1)
    assert decode(encoded) == Relation(7, "pg_catalog", "t", "d", ())
