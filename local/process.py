"""Starting, stopping and looking at the laptop cloud's process. Nothing here imports the emulator, so it is quick."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lake.names import LAPTOP_PORTS
from local import children
from local.home import ROOT, Home, read_json

START_SECONDS = 60.0
STOP_SECONDS = 15.0
LOG_LINES = 20

State = Literal["running", "starting", "dead", "stopped"]


class ProcessError(Exception):
    """The laptop cloud cannot be started or stopped; the text says why and what to do."""


@dataclass(frozen=True)
class Daemon:
    """A laptop cloud that answers. ports: by the names of lake.names.LAPTOP_PORTS; started_at: seconds since 1970."""

    pid: int
    ports: dict[str, int]
    started_at: float

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}"


@dataclass(frozen=True)
class Status:
    """running: it answers; starting: the process lives but does not answer (yet); dead: it was killed and left its record;
    stopped: there is none. orphans: pids of jobs and Lambdas that outlived it (`stop` ends them)."""

    state: State
    daemon: Daemon | None
    orphans: tuple[int, ...]
    log: Path


def _locked(home: Home) -> bool:
    """Whether a process holds the state directory: the daemon keeps the lock for as long as it lives, whatever way it ends."""
    if not home.lock.exists():
        return False
    with home.lock.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _recorded(home: Home) -> Daemon | None:
    found = read_json(home.daemon)
    return Daemon(**found) if found else None


def _answers(daemon: Daemon) -> bool:
    try:
        with urllib.request.urlopen(f"{daemon.endpoint}/_ministack/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def inspect(home: Path) -> Status:
    """What is the matter with the laptop cloud of this state directory."""
    place = Home(home)
    daemon = _recorded(place)
    if _locked(place):
        state: State = "running" if daemon and _answers(daemon) else "starting"
        return Status(state, daemon, (), place.log)
    orphans = tuple(children.running(place.children))
    return Status("dead" if daemon or orphans else "stopped", daemon, orphans, place.log)


def holder(port: int) -> str | None:
    """Who listens on a port of the loopback: "pid 123 (command)", "another process" if it cannot be told, None if it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            pass
        else:
            return None
    inode = _listening_inode(port)
    for link in Path("/proc").glob("[0-9]*/fd/*") if inode else ():
        try:
            if str(link.readlink()) != f"socket:[{inode}]":
                continue
            command = (link.parent.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        return f"pid {link.parent.parent.name} ({command[:120]})"
    return "another process"


def _listening_inode(port: int) -> str | None:
    listening = "0A"
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == listening and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return None


def variables(ports: Mapping[str, int]) -> dict[str, str]:
    """The environment variables that choose these ports."""
    return {LAPTOP_PORTS[name]: str(port) for name, port in ports.items()}


def _environment(home: Home, ports: Mapping[str, int]) -> dict[str, str]:
    dropped = ("AWS_", "MINISTACK_", "PYTHON", "VIRTUAL_ENV", "SPARK_", "PYSPARK_", "LAKE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "LAKE_HOME": str(home.path),
        "LAKE_WARM_UP": os.environ.get("LAKE_WARM_UP", "1"),  # the first job is not long in coming
        **variables(ports),
    }


def _last_lines(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join(lines[-LOG_LINES:])


def start(home: Path, ports: Mapping[str, int]) -> Daemon:
    """Start the laptop cloud and wait until it answers; the one that runs already is returned.

    ports: all of lake.names.LAPTOP_PORTS.

    Raises ProcessError when a port is taken (and says by whom), when it runs on other ports, or when it ends at once.
    """
    place = Home(home)
    place.path.mkdir(parents=True, exist_ok=True)
    if _locked(place):
        daemon = _wait(place, None)
        if daemon.ports != ports:
            raise ProcessError(f"already running on ports {_listed(daemon.ports)}; stop it first (lake down)")
        return daemon
    children.end_all(place.children)
    for wanted in ports.values():
        taken = holder(wanted)
        if taken:
            raise ProcessError(f"port {wanted} is in use by {taken}; end it, or set other ports in config/local.toml [laptop]")
    place.daemon.unlink(missing_ok=True)
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.serve"],
            cwd=place.path,
            env=_environment(place, ports),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _wait(place, process)


def _listed(ports: Mapping[str, int]) -> str:
    return ", ".join(str(port) for port in ports.values())


def _wait(home: Home, process: "subprocess.Popen[bytes] | None") -> Daemon:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        daemon = _recorded(home)
        if daemon and (process is None or daemon.pid == process.pid) and _answers(daemon):
            return daemon
        if process is not None and process.poll() is not None:
            raise ProcessError(f"the laptop cloud ended at once; last lines of {home.log}:\n{_last_lines(home.log)}")
        time.sleep(0.05)
    raise ProcessError(
        f"the laptop cloud did not answer in {START_SECONDS:.0f} s; last lines of {home.log}:\n{_last_lines(home.log)}"
    )


def stop(home: Path) -> bool:
    """End the laptop cloud with everything that it started; True if something was running. State stays on disk."""
    place = Home(home)
    running = _locked(place)
    if running:
        pid = _daemon_pid(place)
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _locked(place) and time.monotonic() < deadline:
            time.sleep(0.02)
        if _locked(place):
            os.kill(pid, signal.SIGKILL)
    orphans = children.end_all(place.children)
    place.daemon.unlink(missing_ok=True)
    return running or orphans > 0


def _daemon_pid(home: Home) -> int:
    """The pid of the process that holds the lock, also before it has recorded itself."""
    written = home.lock.read_text().strip()
    deadline = time.monotonic() + 1
    while not written and time.monotonic() < deadline:
        time.sleep(0.02)
        written = home.lock.read_text().strip()
    if not written:
        raise ProcessError(f"a process holds {home.lock} but does not say which; see {home.log}")
    return int(written)
