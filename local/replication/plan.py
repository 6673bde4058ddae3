"""What the engine hands to a replication process, in its directory: the plan, credentials, orders; and what it reports there.

The plan holds no secret; credentials lie apart, readable by the owner only, and are renewed by the engine before they end.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.home import read_json, write_json
from local.replication.columns import Options
from local.replication.files import Format
from local.replication.mappings import Mappings, parse

PLAN, CREDENTIALS, STATE, RELOAD = "plan.json", "credentials.json", "state.json", "reload.json"


@dataclass(frozen=True)
class Source:
    """secret: of host, port, username, password, dbname; database: instead of the secret's; sslmode: as in libpq."""

    secret: str
    database: str
    sslmode: str
    slot: str


@dataclass(frozen=True)
class Target:
    """folder: without slashes at its ends; seconds, bytes: what closes a file of changes, whichever comes first."""

    bucket: str
    folder: str
    seconds: float
    bytes: int
    encryption: dict[str, str] = field(default_factory=dict)

    def key(self, schema: str, table: str, name: str) -> str:
        return "/".join(part for part in (self.folder, schema, table, name) if part)


@dataclass(frozen=True)
class Plan:
    """task_started_at: text for the timestamp column of the full load, empty to take the time of transfer.

    load_rows: how many rows an object of the full load holds at most; endpoint: of the cloud's services.
    """

    name: str
    source: Source
    target: Target
    mappings: str
    milliseconds: bool
    boolean_as_boolean: bool
    lob_kilobytes: int
    operation_on_load: bool
    timestamp_column: str
    task_started_at: str
    compression: str
    dictionary: bool
    statistics: bool
    row_group: int
    load_rows: int
    endpoint: str
    region: str

    def selection(self) -> Mappings:
        return parse(self.mappings)

    def format(self, schema: str, table: str, *, load: bool) -> Format:
        """How files of a table are written."""
        return Format(
            types=Options(self.milliseconds, self.boolean_as_boolean, self.lob_kilobytes),
            operation=self.operation_on_load if load else True,
            timestamp_column=self.timestamp_column,
            sequence_columns=self.selection().sequence_columns(schema, table),
            compression=self.compression,
            dictionary=self.dictionary,
            statistics=self.statistics,
            row_group=self.row_group,
        )

    def write(self, directory: Path) -> None:
        write_json(directory / PLAN, asdict(self))

    @classmethod
    def read(cls, directory: Path) -> "Plan":
        found: dict[str, Any] = read_json(directory / PLAN)
        source, target = Source(**found.pop("source")), Target(**found.pop("target"))
        return cls(source=source, target=target, **found)
