"""Running tasks: a process each, started, watched, started again when it dies, and ended.

What is wanted of a task stands in its record, so that after a restart of the laptop cloud a task that was running runs on.
"""

import logging
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from subprocess import DEVNULL, STDOUT, TimeoutExpired

from local.children import Child
from local.emulator import Credentials, Emulator
from local.engines import dms_plan
from local.engines.dms_model import DmsError, Record, Store, now
from local.engines.dms_watch import Watch
from local.home import ROOT, read_json, write_json
from local.replication import task_settings
from local.replication.errors import Fatal
from local.replication.plan import CREDENTIALS, RELOAD
from local.replication.process import FAILED
from local.replication.state import State

POLL_SECONDS = 0.1
STOP_SECONDS = 15.0  # for what is open to be written and confirmed
CLOSE_SECONDS = 4.0
STEADY_SECONDS = 60.0  # a process that lived this long has not died of its start
DEATHS = 8  # in a row; the task has then failed
BACKOFF_SECONDS = (0.2, 20.0)
SAID_LINES = 5

logger = logging.getLogger("lake.dms")


class Runs:
    """All running tasks, by address."""

    def __init__(self, emulator: Emulator, store: Store) -> None:
        self._emulator = emulator
        self._store = store
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def directory(self, arn: str) -> Path:
        return self._emulator.home.engines / "dms" / arn.rpartition(":")[2].lower()

    def state(self, arn: str) -> State:
        return State.read(self.directory(arn))

    def start(self, arn: str, *, fresh: bool) -> None:
        """fresh: forget how far the task has come; a slot and a full load are made anew."""
        directory = self.directory(arn)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if fresh:
            before = State.read(directory)
            # Names of objects and change sequences go on: no object of changes is written over by a later one.
            State(last_file=before.last_file, clock=before.clock).write(directory)
            (directory / RELOAD).unlink(missing_ok=True)
        with self._lock:
            run = self._runs[arn] = Run(self._emulator, self._store, arn, directory)
        self._emulator.thread(run.work)

    def stop(self, arn: str) -> None:
        """End the task's process once what is open is in the target; blocks."""
        run = self._runs.get(arn)
        if run:
            run.stop(STOP_SECONDS)

    def reload(self, arn: str, tables: list[tuple[str, str]]) -> None:
        path = self.directory(arn) / RELOAD
        before = (read_json(path) or {"tables": []})["tables"]
        write_json(path, {"tables": [*before, *([schema, table] for schema, table in tables)]})

    def forget(self, arn: str) -> None:
        self._runs.pop(arn, None)
        shutil.rmtree(self.directory(arn), ignore_errors=True)

    def close(self) -> None:
        """End all processes; what is wanted of the tasks stays as it is."""
        runs = list(self._runs.values())
        threads = [threading.Thread(target=run.stop, args=(CLOSE_SECONDS,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class Run:
    """One task from its start to its stop, over as many processes as that takes."""

    def __init__(self, emulator: Emulator, store: Store, arn: str, directory: Path) -> None:
        self._emulator = emulator
        self._store = store
        self._arn = arn
        self._directory = directory
        self._log = directory / "log"
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._child: Child | None = None
        self._sessions: list[Credentials] = []
        self._renewed = 0.0

    def stop(self, seconds: float) -> None:
        """Ask the process to end; kill it if it has not after so long."""
        self._stopping.set()
        child = self._child
        if child:
            child.terminate()
        if not self._ended.wait(seconds) and child:
            child.kill_group()
            self._ended.wait(2.0)

    def work(self) -> None:
        """Until the task is stopped or fails."""
        why, watch = "", None
        try:
            self._log.touch(mode=0o600)
            task = self._store.get("task", self._arn)
            logs = task_settings.parse(task["ReplicationTaskSettings"]).logging
            self._log.write_bytes(b"")
            watch = Watch(self._emulator, self._store, task, self._log, logs=logs)
            why = self._processes(watch, task)
            watch.end()
        except (Fatal, DmsError) as error:
            why = str(error)
        except Exception as error:  # a task must not stay "running" whatever went wrong here
            logger.exception("task %s", self._arn)
            why = f"{type(error).__name__}: {error}"
        finally:
            for session in self._sessions:
                self._emulator.end_session(session)
            (self._directory / CREDENTIALS).unlink(missing_ok=True)
            if why:
                logger.error("task %s has failed: %s", self._arn, why)
                own = {**self._store.get("task", self._arn)["Own"], "wanted": False, "stopped_at": now()}
                self._store.change("task", self._arn, Status="failed", LastFailureMessage=why, Own=own)
                if watch:
                    watch.failed(why)
            self._ended.set()

    def _processes(self, watch: Watch, task: Record) -> str:
        """Why the task has failed; nothing when it was stopped."""
        deaths = 0
        while not self._stopping.is_set():
            dms_plan.plan_of(self._emulator, self._store, task).write(self._directory)
            self._renew(task, force=True)
            started = time.monotonic()
            code = self._process(watch, task)
            if self._stopping.is_set():
                break
            if code == FAILED:
                return State.read(self._directory).failure or "the replication process gave up without a reason"
            deaths = 1 if time.monotonic() - started > STEADY_SECONDS else deaths + 1
            said = " ".join(self._log.read_text(errors="replace").splitlines()[-SAID_LINES:])
            logger.warning("the process of task %s ended with %s: %s", self._arn, code, said)
            if deaths >= DEATHS:
                return f"the replication process ended {deaths} times in a row (exit status {code}): {said}"
            self._stopping.wait(min(BACKOFF_SECONDS[0] * 2**deaths, BACKOFF_SECONDS[1]))
        return ""

    def _process(self, watch: Watch, task: Record) -> int:
        """One process to its end; its exit status."""
        before = State.read(self._directory)
        before.connected = False
        before.write(self._directory)
        with self._log.open("ab") as log:
            self._child = child = Child(
                [sys.executable, "-m", "local.replication", str(self._directory)],
                cwd=self._directory,
                env=_environment(self._directory),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
            )
        if self._stopping.is_set():
            child.terminate()
        running = False
        while True:
            try:
                return child.wait(POLL_SECONDS)
            except TimeoutExpired:
                state = State.read(self._directory)
                if state.connected and not running and not self._stopping.is_set():
                    running = True
                    self._store.change("task", self._arn, Status="running")
                watch.tick(state)
                self._renew(task)

    def _renew(self, task: Record, *, force: bool = False) -> None:
        """Sessions of the endpoints' roles, anew well before they end; those before the last ones are over. Raises Fatal."""
        if not force and time.monotonic() - self._renewed < dms_plan.RENEW_SECONDS:
            return
        source = self._store.get("endpoint", task["SourceEndpointArn"])
        target = self._store.get("endpoint", task["TargetEndpointArn"])
        fresh = [dms_plan.secret_session(self._emulator, source), dms_plan.target_session(self._emulator, target)]
        write_json(self._directory / CREDENTIALS, {"secret": dms_plan.handed(fresh[0]), "target": dms_plan.handed(fresh[1])})
        for session in self._sessions[:-2]:
            self._emulator.end_session(session)
        self._sessions = [*self._sessions[-2:], *fresh]
        self._renewed = time.monotonic()


def _environment(directory: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
