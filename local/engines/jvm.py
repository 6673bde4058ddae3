"""Java virtual machines that run Spark for one job at a time; the job itself is a Python process that talks to one of them.

A machine that has served a job which ended well is kept for the next one: Spark's and Delta's classes are loaded, which takes most
of a small job's time. It is emptied first (context, open file systems, settings), so that no job sees the credentials of another.
After any other end it is killed, because it could go on writing.
"""

import logging
import os
import shutil
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from local.children import Child
from local.engines.spark_conf import JVM_OPTIONS, LOG4J
from local.toolchain import Toolchain

START_SECONDS = 60.0
IDLE_SECONDS = 900.0  # a free JVM holds most of a gigabyte

logger = logging.getLogger("lake.spark")


class JvmError(Exception):
    """A JVM did not come up; the text holds what it said."""


@dataclass
class Jvm:
    """One JVM with Spark's Python gateway. port, secret: how a Python process reaches it; log: what it writes to stderr."""

    process: Child
    directory: Path
    log: Path
    port: int = 0
    secret: str = ""
    freed_at: float = 0.0
    _settings: list[str] = field(default_factory=list)

    def _gateway(self) -> Any:
        from py4j.java_gateway import GatewayParameters, JavaGateway  # type: ignore[import-untyped]

        return JavaGateway(gateway_parameters=GatewayParameters(port=self.port, auth_token=self.secret, auto_convert=True))

    def configure(self, settings: dict[str, str]) -> None:
        """Set the Spark settings of the coming job, as spark-submit would: as system properties."""
        gateway = self._gateway()
        try:
            for name, value in settings.items():
                gateway.jvm.java.lang.System.setProperty(name, value)
        finally:
            gateway.close()
        self._settings = list(settings)

    def empty(self) -> None:
        """Forget the job: context, sessions, open file systems (they hold credentials), Delta's snapshots, settings."""
        gateway = self._gateway()
        try:
            jvm = gateway.jvm
            active = jvm.org.apache.spark.sql.SparkSession.getDefaultSession()
            if active.isDefined():
                active.get().stop()
            jvm.org.apache.spark.sql.SparkSession.clearActiveSession()
            jvm.org.apache.spark.sql.SparkSession.clearDefaultSession()
            jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
            jvm.org.apache.hadoop.fs.FileSystem.closeAll()
            for name in self._settings:
                jvm.java.lang.System.clearProperty(name)
        finally:
            gateway.close()
        self._settings = []

    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.end()
        shutil.rmtree(self.directory, ignore_errors=True)


def start(tools: Toolchain, directory: Path) -> Jvm:
    """Start a JVM and wait for its gateway. Raises JvmError."""
    directory.mkdir(parents=True, mode=0o700)
    (directory / "log4j2.properties").write_text(LOG4J)
    information = directory / "gateway"
    classpath = os.pathsep.join(str(path) for path in (*sorted((tools.spark / "jars").glob("*.jar")), *tools.jars))
    options = [*JVM_OPTIONS, *tools.trust_options, f"-Dlog4j2.configurationFile={directory}/log4j2.properties"]
    options.append(f"-Djava.io.tmpdir={directory}")
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "SPARK_HOME": str(tools.spark),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(tools.python),
        "_PYSPARK_DRIVER_CONN_INFO_PATH": str(information),
    }
    log = directory / "stderr"
    with log.open("wb") as stream:
        # stdin stays open for as long as we live: the gateway ends when it is closed, even if we are killed.
        process = Child(
            [tools.java, *options, "-cp", classpath, "org.apache.spark.deploy.SparkSubmit", "pyspark-shell"],
            cwd=directory,
            env=environment,
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=stream,
        )
    machine = Jvm(process, directory, log)
    deadline = time.monotonic() + START_SECONDS
    while not information.exists():
        if not machine.alive() or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:]
            machine.end()
            raise JvmError(f"Spark's JVM did not start: {said}")
        time.sleep(0.01)
    content = information.read_bytes()
    machine.port, length = struct.unpack("!ii", content[:8])
    machine.secret = content[8 : 8 + length].decode()
    return machine


class Pool:
    """Hands out JVMs and keeps at most one that is free, for a while.

    `warm_up(machine)` is what the first one does before any job, in the background; a job that comes meanwhile waits for it,
    because a second JVM would have the same work before it.
    """

    def __init__(self, tools: Toolchain, directory: Path) -> None:
        self._tools = tools
        self._directory = directory
        self._lock = threading.Lock()
        self._warm = threading.Event()
        self._warm.set()
        self._free: Jvm | None = None
        self._count = 0
        self._closed = False

    def warm(self, warm_up: Callable[[Jvm], bool]) -> None:
        """Prepare the first JVM; blocks. `warm_up` says whether it went well."""
        self._warm.clear()
        try:
            machine = self._start()
            try:
                well = warm_up(machine)
            except BaseException:
                machine.end()
                raise
            self.give_back(machine, reusable=well)
        finally:
            self._warm.set()

    def take(self) -> Jvm:
        """A JVM for one job: the free one, else a new one."""
        self._warm.wait()
        with self._lock:
            machine, self._free = self._free, None
        if machine and machine.alive():
            return machine
        if machine:
            machine.end()
        return self._start()

    def _start(self) -> Jvm:
        with self._lock:
            self._count += 1
            number = self._count
        return start(self._tools, self._directory / str(number))

    def give_back(self, machine: Jvm, *, reusable: bool) -> None:
        """After a job; unless it ended well the JVM is killed at once."""
        if not (reusable and machine.alive() and self._keep(machine)):
            machine.end()

    def _keep(self, machine: Jvm) -> bool:
        try:
            machine.empty()
        except Exception as error:  # py4j raises many kinds; whatever it is, the JVM is not fit for another job
            logger.warning("a JVM is not used again: %s", error)
            return False
        machine.freed_at = time.monotonic()
        with self._lock:
            if self._free is not None or self._closed:
                return False
            self._free = machine
        timer = threading.Timer(IDLE_SECONDS, self._end_idle)
        timer.daemon = True
        timer.start()
        return True

    def _end_idle(self) -> None:
        with self._lock:
            machine = self._free
            if machine is None or time.monotonic() - machine.freed_at < IDLE_SECONDS:
                return
            self._free = None
        machine.end()

    def close(self) -> None:
        """End the free one, and keep none from now on."""
        with self._lock:
            self._closed = True
            machine, self._free = self._free, None
        if machine:
            machine.end()
