"""A real PostgreSQL 16 for the laptop cloud: made when its directory is empty, adopted when it lives, started otherwise.

Clients connect to 127.0.0.1 with TLS and a password (SCRAM). The master user is no superuser, as on RDS; the superuser is
`rdsadmin`, whose random password lies beside the data.
"""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg2

from local.children import identity
from local.engines import postgres_program as program
from local.engines.postgres_admin import ADMIN, Admin
from local.engines.postgres_front import Front
from local.engines.postgres_program import PostgresError
from local.home import write_json

START_SECONDS = 60.0
FAST_SECONDS = 6.0  # a client that does not read can hold up a fast shutdown
PASSWORD = "admin.json"  # of the superuser
SOCKET = ".s.PGSQL.5432"
LOG_LINES = 15
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "port": "5432",  # names the socket, nothing more
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "log_min_error_statement": "panic",  # a statement can hold a password
}
logger = logging.getLogger("lake.postgres")

__all__ = ["PostgresError", "Server", "start"]


class Server:
    """A running server. port: on 127.0.0.1, TLS only; certificate: to verify it with (verify-full); admin: its superuser."""

    def __init__(self, directory: Path, port: int, settings: Mapping[str, str]) -> None:
        self._directory = directory
        self._data = directory / "data"
        self._settings = {**SETTINGS, **settings}
        self._process: subprocess.Popen[Any] | None = None
        self._stopped = False
        self._front = Front(port, directory, self._data / SOCKET)
        self.port = self._front.port
        self.certificate = self._front.certificate
        self.admin = Admin(self.port, directory / PASSWORD)

    # Life -------------------------------------------------------------------------------------------------------------

    def pid(self) -> int | None:
        """The process of this directory's server, if one lives."""
        if self._process is not None:
            self._process.poll()  # else it would stay as a zombie
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            who = identity(pid)
            inside = Path(f"/proc/{pid}/cwd")
            if who and "postgres" in who and (not Path("/proc/self").exists() or inside.samefile(self._data)):
                return pid
        return None

    def alive(self) -> bool:
        """Whether the server's processes run; it may be recovering from a crash."""
        return self.pid() is not None and self._front.alive()

    def run(self) -> None:
        """Adopt the server of this directory or start it, and wait until it answers. Raises PostgresError."""
        self._stopped = False
        end = time.monotonic() + START_SECONDS
        if not self._front.alive():
            self._front = Front(self.port, self._directory, self._data / SOCKET)
        if self.pid() and self._answers_as_wanted(end):
            return
        self._end()
        while True:
            self._launch()
            try:
                self._await(end)
                return
            except PostgresError:
                # Killed just now: its last processes hold the shared memory for a moment longer.
                if "pre-existing shared memory block" not in self._last_lines() or time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _answers_as_wanted(self, end: float) -> bool:
        try:
            self._await(end)
        except PostgresError:
            return False  # it was just ending
        return self.admin.setting("wal_level") == self._settings["wal_level"]

    def stop(self) -> None:
        """End the server (fast shutdown: sessions are cut, everything committed is kept) and give the port back."""
        self._stopped = True
        self._front.close()
        self._end()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def _end(self) -> None:
        for how, seconds in ((signal.SIGINT, FAST_SECONDS), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0)):
            pid = self.pid()
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            end = time.monotonic() + seconds
            while identity(pid) and time.monotonic() < end:
                if self._process is not None:
                    self._process.poll()
                time.sleep(0.02)

    def _launch(self) -> None:
        if not self.pid():
            # A pid in them may be another process' by now, or a zombie's that nobody has waited for.
            for stale in ("postmaster.pid", f"{SOCKET}.lock"):
                (self._data / stale).unlink(missing_ok=True)
        settings = [f"{name}={value}" for name, value in self._settings.items()]
        arguments = ["-D", program.here(self._data), *(word for setting in settings for word in ("-c", setting))]
        with (self._directory / "postgres.log").open("ab") as log:
            self._process = program.popen(
                program.programs() / "postgres",
                *arguments,
                directory=self._data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _await(self, end: float) -> None:
        while True:
            try:
                self.admin.connect("postgres").close()
                return
            except psycopg2.OperationalError as error:
                ended = self._process.poll() if self._process is not None else (None if self.pid() else "unknown")
                if ended is not None or time.monotonic() > end:
                    why = f"ended (exit status {ended})" if ended is not None else f"does not answer: {error}"
                    raise PostgresError(
                        f"PostgreSQL {why}; last lines of {self._directory / 'postgres.log'}:\n{self._last_lines()}"
                    ) from None
            time.sleep(0.02)

    def _last_lines(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join((self._directory / "postgres.log").read_text(errors="replace").splitlines()[-LOG_LINES:])
        return ""


def _make(directory: Path) -> None:
    """An empty cluster in `directory`/data; one whose making was cut short is made anew."""
    data, making = directory / "data", directory / "data.new"
    if data.exists():
        return
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    program.own(making)
    password = secrets.token_urlsafe(24)
    write_json(directory / PASSWORD, {"password": password})
    with tempfile.NamedTemporaryFile() as secret:
        secret.write(password.encode())
        secret.flush()
        secret.seek(0)
        program.own(Path(secret.name))
        initdb = program.popen(
            program.programs() / "initdb",
            *("-D", program.here(making), "-U", ADMIN, "-A", "scram-sha-256", f"--pwfile=/dev/fd/{secret.fileno()}"),
            *("-E", "UTF8", "--no-locale", "--no-instructions"),
            directory=making,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(secret.fileno(),),
        )
        said = initdb.communicate()[0].decode(errors="replace")
    if initdb.returncode:
        raise PostgresError(f"initdb failed in {making}:\n{said[-2000:]}")
    (making / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    making.rename(data)


def start(directory: Path, port: int, *, master: str, password: str, logical: bool = True, **settings: str) -> Server:
    """A server on 127.0.0.1:`port` (TLS only) with its data under `directory`.

    master, password: a user that may make databases and users but is no superuser; made the first time, its password is then left
    alone. logical: whether changes can be decoded (wal_level). settings: more of PostgreSQL's settings. Raises PostgresError, which
    says who holds a port that is taken.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _make(directory)
    server = Server(directory, port, {**settings, "wal_level": "logical" if logical else "replica"})
    try:
        server.run()
        server.admin.create_master(master, password)
    except BaseException:
        server.stop()
        raise
    return server
