"""Processes of the laptop cloud, recorded on disk, so that none outlives it: not after a clean stop, not after SIGKILL.

Every child leads its own session. Its pid is written down together with what the operating system says about that process (start
time and command line), so that a pid that has been given to somebody else since is never killed.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from local.home import read_json, write_json

GRACE_SECONDS = 3.0


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same pid: start time and command line; None if it is not running."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                return None
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return f"{fields[19]} {command}"
    answer = subprocess.run(["ps", "-o", "lstart=,command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def _started(who: str) -> str:
    # The command line changes when a child executes another program; the start time does not.
    return who.split(" ", 1)[0] if Path("/proc/self/stat").exists() else " ".join(who.split()[:5])


class Child(subprocess.Popen[Any]):
    """A `Popen` in its own session, recorded in the directory `LAKE_CHILDREN` until it has been waited for."""

    record: Path | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["start_new_session"] = True
        super().__init__(*args, **kwargs)
        who = identity(self.pid)
        if who:
            self.record = Path(os.environ["LAKE_CHILDREN"]) / f"{self.pid}.json"
            write_json(self.record, {"pid": self.pid, "identity": who})

    def _forget(self) -> None:
        if self.record and self.returncode is not None:
            self.record.unlink(missing_ok=True)
            self.record = None

    def poll(self) -> int | None:
        code = super().poll()
        self._forget()
        return code

    def wait(self, timeout: float | None = None) -> int:
        code = super().wait(timeout)
        self._forget()
        return code

    def kill_group(self) -> None:
        """Kill the process with all that it started; whoever waits for it sees it end."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill the whole process group and wait for its leader."""
        self.kill_group()
        self.wait()


def running(directory: Path) -> list[int]:
    """Pids of the recorded children that still run; records of those that do not are removed."""
    alive = []
    for path in directory.glob("*.json"):
        record = read_json(path)
        if record is None:
            continue
        who = identity(record["pid"])
        if who and _started(who) == _started(record["identity"]):
            alive.append(int(record["pid"]))
        else:
            path.unlink(missing_ok=True)
    return alive


def end_all(directory: Path) -> int:
    """End every recorded child with all that it started; returns how many were still running."""
    ended = running(directory)
    for pid in ended:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + GRACE_SECONDS
    while running(directory) and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(ended)
