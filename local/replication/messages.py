"""What PostgreSQL's logical replication tells: tables, transactions, rows. Column values stay text, as the server prints them."""

import datetime as dt
from dataclasses import dataclass
from enum import Enum


class Unchanged(Enum):
    """A large value that an UPDATE did not touch and that the server therefore does not send."""

    TOAST = "unchanged"


UNCHANGED = Unchanged.TOAST
Value = str | None | Unchanged
Row = tuple[Value, ...]


@dataclass(frozen=True)
class Begin:
    """A transaction's changes follow. final_lsn: where its commit record stands; committed_at: UTC."""

    final_lsn: int
    committed_at: dt.datetime
    xid: int


@dataclass(frozen=True)
class Commit:
    """The transaction is complete. end_lsn: the position to confirm once its changes are kept."""

    commit_lsn: int
    end_lsn: int
    committed_at: dt.datetime


@dataclass(frozen=True)
class Origin:
    """The transaction was replicated from elsewhere."""

    lsn: int
    name: str


@dataclass(frozen=True)
class RelationColumn:
    """type_oid and modifier as in pg_attribute (atttypid, atttypmod); key: part of the replica identity."""

    name: str
    type_oid: int
    modifier: int
    key: bool


@dataclass(frozen=True)
class Relation:
    """A table as the following changes have it; identity: pg_class.relreplident."""

    oid: int
    schema: str
    table: str
    identity: str
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True)
class TypeName:
    """A data type that is not built in."""

    oid: int
    schema: str
    name: str


@dataclass(frozen=True)
class Insert:
    relation: int
    new: Row


@dataclass(frozen=True)
class Update:
    """old: the whole row before (REPLICA IDENTITY FULL); key: only its identity, if that changed; both None otherwise."""

    relation: int
    new: Row
    old: Row | None = None
    key: Row | None = None


@dataclass(frozen=True)
class Delete:
    """Exactly one of old (REPLICA IDENTITY FULL) and key is there."""

    relation: int
    old: Row | None = None
    key: Row | None = None


@dataclass(frozen=True)
class Truncate:
    relations: tuple[int, ...]
    cascade: bool
    restart_identity: bool


Message = Begin | Commit | Origin | Relation | TypeName | Insert | Update | Delete | Truncate
