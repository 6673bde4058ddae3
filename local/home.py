"""Where the laptop cloud keeps its state: one directory, by default `.lake/` at the root of the repository."""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"


def default_home() -> Path:
    """The state directory: `LAKE_HOME`, else `.lake/` at the root of the repository."""
    return Path(os.environ.get("LAKE_HOME") or ROOT / ".lake").resolve()


@dataclass(frozen=True)
class Home:
    """The places inside the state directory."""

    path: Path

    @property
    def daemon(self) -> Path:
        return self.path / "daemon.json"

    @property
    def lock(self) -> Path:
        return self.path / "daemon.lock"

    @property
    def log(self) -> Path:
        return self.path / "daemon.log"

    @property
    def children(self) -> Path:
        return self.path / "children"

    @property
    def scratch(self) -> Path:
        """Of one process of the laptop cloud; the next one begins with an empty one."""
        return self.path / "tmp"

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def objects(self) -> Path:
        return self.path / "s3"

    @property
    def engines(self) -> Path:
        return self.path / "engines"

    def athena_execution(self, execution_id: str) -> Path | None:
        """Where the engine keeps one query, None for what cannot be an id."""
        return self.engines / "athena" / f"{execution_id}.json" if re.fullmatch(r"[0-9a-f-]{36}", execution_id) else None

    @property
    def jobs(self) -> Path:
        return self.path / "jobs"


def write_json(path: Path, value: Any) -> None:
    """Write `value` so that a reader, also after a kill, sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as stream:
        json.dump(value, stream)
    Path(name).replace(path)


def read_json(path: Path, default: Any = None) -> Any:
    """What `write_json` wrote, or `default` if there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default
