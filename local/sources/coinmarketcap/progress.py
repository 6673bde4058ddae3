"""How far a server has come: which minute of the market, or which file, it served last. Kept over restarts and choices."""

from pathlib import Path
from typing import Any

from local.home import read_json, write_json


class Progress:
    """Raises ValueError when its file is damaged. Not thread-safe: who uses it holds a lock."""

    def __init__(self, file: Path) -> None:
        self._file = file
        known: Any = read_json(file, {})
        if not isinstance(known, dict):
            raise ValueError("no JSON object")
        self._known: dict[str, Any] = known

    @property
    def tick(self) -> int | None:
        """The last tick that a client has got, None before the first."""
        return self._known.get("tick")

    def reached(self, tick: int) -> None:
        self._keep(tick=tick)

    def answer(self, directory: Path) -> tuple[str, str] | None:
        """(timestamp, file) of the answer that a client has got last from that directory."""
        last = self._known.get("answer")
        return (last["timestamp"], last["file"]) if last and last["directory"] == str(directory) else None

    def answered(self, directory: Path, *, timestamp: str, file: str) -> None:
        self._keep(answer={"directory": str(directory), "timestamp": timestamp, "file": file})

    def _keep(self, **news: Any) -> None:
        if {**self._known, **news} != self._known:
            self._known |= news
            write_json(self._file, self._known)
