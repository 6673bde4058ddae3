"""Runs the Spark jobs of Glue and EMR: an interpreter that holds only pyspark and delta-spark, plus what the job uploaded.

Everything is fetched and done with the session of the job's own role, so that permissions are proved by running.
"""

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, TimeoutExpired
from typing import Any
from urllib.parse import urlsplit

from local import toolchain
from local.children import Child
from local.emulator import Credentials, Emulator
from local.engines import jvm
from local.engines.spark_conf import defaults
from local.engines.spark_error import failure_message

CLOSE_SECONDS = 3.0

logger = logging.getLogger("lake.spark")


@dataclass(frozen=True)
class SparkJob:
    """script, py_files: s3:// URIs; conf: Spark settings of the submission; timeout: seconds, None for none."""

    name: str
    script: str
    arguments: Sequence[str] = ()
    py_files: Sequence[str] = ()
    conf: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended. message: why it failed, empty after success; stdout, stderr: all that it wrote."""

    exit_code: int
    message: str
    stdout: str
    stderr: str
    timed_out: bool = False
    stopped: bool = False

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and not self.timed_out and not self.stopped


class SparkRun:
    """One run of a job. `run` blocks until it ends; `stop` may be called from another thread."""

    def __init__(self, runner: "Runner", job: SparkJob, credentials: Credentials, directory: Path) -> None:
        self._runner = runner
        self._job = job
        self._credentials = credentials
        self._directory = directory
        self._stopping = threading.Event()
        self._process: Child | None = None

    def stop(self) -> None:
        """Kill the job; `run` then returns an outcome that says so."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.kill_group()

    def run(self) -> Outcome:
        """Fetch, start, wait. Never raises for what the job does; a script that may not be read is a failed job too."""
        self._directory.mkdir(parents=True, mode=0o700)
        try:
            return self._run()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self) -> Outcome:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            script = self._fetch(self._job.script)
            packages = [self._fetch(uri) for uri in self._job.py_files]
            machine = self._runner.pool.take()
        except (ClientError, BotoCoreError, jvm.JvmError, ValueError) as error:
            return Outcome(1, f"{type(error).__name__}: {error}", "", f"{error}\n")
        written = machine.log.stat().st_size
        outcome = None
        try:
            machine.configure(self._settings(packages))
            outcome = self._drive(machine, script, packages)
        finally:
            said = _since(machine.log, written)
            self._runner.pool.give_back(machine, reusable=outcome is not None and outcome.succeeded)
        return Outcome(**{**vars(outcome), "stderr": said + outcome.stderr})

    def _fetch(self, uri: str) -> Path:
        parts = urlsplit(uri)
        if parts.scheme not in ("s3", "s3a"):
            raise ValueError(f"{uri} is not in S3")
        path = self._directory / "uploaded" / Path(parts.path).name
        path.parent.mkdir(exist_ok=True)
        self._runner.emulator.client("s3", self._credentials).download_file(parts.netloc, parts.path.lstrip("/"), str(path))
        return path

    def _settings(self, packages: list[Path]) -> dict[str, str]:
        secret = self._credentials
        return {
            **defaults(self._runner.emulator.endpoint, self._directory),
            "spark.app.name": self._job.name,
            "spark.submit.pyFiles": ",".join(str(path) for path in packages),
            "spark.hadoop.fs.s3a.access.key": secret.access_key,
            "spark.hadoop.fs.s3a.secret.key": secret.secret_key,
            "spark.hadoop.fs.s3a.session.token": secret.token,
            **self._job.conf,
        }

    def _environment(self, machine: jvm.Jvm, packages: list[Path]) -> dict[str, str]:
        return {
            **driver_environment(self._runner.tools, machine, self._directory),
            "PYTHONPATH": os.pathsep.join(str(path) for path in packages),
            "AWS_ENDPOINT_URL": self._runner.emulator.endpoint,
            "AWS_REGION": self._runner.emulator.region,
            "AWS_DEFAULT_REGION": self._runner.emulator.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self._credentials.environment(),
        }

    def _drive(self, machine: jvm.Jvm, script: Path, packages: list[Path]) -> Outcome:
        out, err = self._directory / "stdout", self._directory / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = Child(
                [self._runner.tools.python, script, *self._job.arguments],
                cwd=self._directory,
                env=self._environment(machine, packages),
                stdin=DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        self._process = process
        if self._stopping.is_set():
            process.kill_group()
        timed_out = False
        try:
            code = process.wait(self._job.timeout)
        except TimeoutExpired:
            timed_out = True
            process.end()
            code = process.returncode
        text = err.read_text(errors="replace")
        message = "" if code == 0 else failure_message(text, code)
        return Outcome(code, message, out.read_text(errors="replace"), text, timed_out, self._stopping.is_set())


def driver_environment(tools: toolchain.Toolchain, machine: jvm.Jvm, directory: Path) -> dict[str, str]:
    """What every job's Python process finds in its environment: its JVM, and nothing of ours."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "LANG": "C.UTF-8",
        "TZ": "UTC",  # as the hosts of Glue and EMR
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "SPARK_HOME": str(tools.spark),
        "PYSPARK_PYTHON": str(tools.python),
        "PYSPARK_GATEWAY_PORT": str(machine.port),
        "PYSPARK_GATEWAY_SECRET": machine.secret,
    }


def _since(log: Path, offset: int) -> str:
    with log.open("rb") as stream:
        stream.seek(offset)
        return stream.read().decode(errors="replace")


class Runner:
    """All that runs of jobs have in common; one per laptop cloud."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.tools = toolchain.prepare()
        # What a killed process left behind: scripts, scratch files, settings with credentials of sessions that ended with it.
        shutil.rmtree(emulator.home.jobs, ignore_errors=True)
        self.pool = jvm.Pool(self.tools, emulator.home.jobs / "jvm")
        self._runs: dict[str, SparkRun] = {}

    def run(self, run_id: str, job: SparkJob, credentials: Credentials) -> Outcome:
        """Run a job to its end; `stop(run_id)` ends it early."""
        made = SparkRun(self, job, credentials, self.emulator.home.jobs / f"{time.time_ns()}-{run_id[:40]}")
        self._runs[run_id] = made
        try:
            return made.run()
        finally:
            self._runs.pop(run_id, None)
            self.emulator.end_session(credentials)

    def warm(self) -> None:
        """Have a JVM with Spark and Delta loaded and compiled before the first job needs it; takes some ten seconds of a core."""
        try:
            self.pool.warm(self._warm_up)
        except (jvm.JvmError, OSError) as error:
            logger.warning("Spark was not warmed up: %s", error)

    def _warm_up(self, machine: jvm.Jvm) -> bool:
        directory = self.emulator.home.jobs / "warm-up"
        directory.mkdir(parents=True, mode=0o700)
        machine.configure(defaults(self.emulator.endpoint, directory))
        process = Child(
            [self.tools.python, Path(__file__).with_name("warm_up.py"), str(directory / "table")],
            cwd=directory,
            env=driver_environment(self.tools, machine, directory),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        code = process.wait()
        shutil.rmtree(directory, ignore_errors=True)
        return code == 0

    def stop(self, run_id: str) -> bool:
        """Kill a run; False if there is none of that id."""
        made = self._runs.get(run_id)
        if made:
            made.stop()
        return made is not None

    def close(self) -> None:
        """Kill all runs and the free JVM."""
        for made in list(self._runs.values()):
            made.stop()
        deadline = time.monotonic() + CLOSE_SECONDS
        while self._runs and time.monotonic() < deadline:
            time.sleep(0.02)
        self.pool.close()


def put_log(emulator: Emulator, group: str, stream: str, text: str) -> None:
    """Write lines to a CloudWatch log stream, which is made if missing."""
    logs: Any = emulator.client("logs")
    for make, names in (
        (logs.create_log_group, {"logGroupName": group}),
        (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
    ):
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            make(**names)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in text.splitlines() if line.strip()]
    limit = 5000  # PutLogEvents takes 10,000 events and 1 MB
    for first in range(0, len(events), limit):
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events[first : first + limit])
