"""How far a replication process has come: on disk, whole at every change, so that the next process goes on from there."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from local.home import read_json, write_json
from local.replication.plan import STATE

Phase = Literal["new", "load", "changes"]


@dataclass
class TableState:
    """One table's statistics, as DescribeTableStatistics has them; times in seconds since 1970."""

    schema: str
    table: str
    state: str = "Before load"
    error: str = ""
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    ddls: int = 0
    loaded: int = 0
    reloaded: bool = False
    load_started: float = 0.0
    load_ended: float = 0.0
    updated: float = 0.0


@dataclass
class State:
    """phase: what the next process has to do; lsn: confirmed position, everything before it is in the target;
    clock: first digits of the last change sequence before lsn; last_file: milliseconds in the last name of changes;
    connected: this process has reached the source; waiting: why it does not get on just now; failure: why it gave up."""

    phase: Phase = "new"
    lsn: int = 0
    clock: str = ""
    last_file: int = 0
    connected: bool = False
    waiting: str = ""
    failure: str = ""
    load_started: float = 0.0
    load_ended: float = 0.0
    latency_source: float = 0.0
    latency_target: float = 0.0
    tables: dict[str, TableState] = field(default_factory=dict)

    def table(self, schema: str, table: str) -> TableState:
        return self.tables.setdefault(f"{schema}.{table}", TableState(schema, table))

    @classmethod
    def read(cls, directory: Path) -> "State":
        """What was written last; a new one if nothing was."""
        found = read_json(directory / STATE)
        if not found:
            return cls()
        tables = {name: TableState(**values) for name, values in found.pop("tables").items()}
        return cls(tables=tables, **found)

    def write(self, directory: Path) -> None:
        write_json(directory / STATE, asdict(self))

    def write_name(self, directory: Path) -> None:
        """Only that a name has been given, before the object is written: what it holds is not in the target yet."""
        write_json(directory / STATE, {**(read_json(directory / STATE) or asdict(self)), "last_file": self.last_file})
