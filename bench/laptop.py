"""A laptop cloud of the measurement's own, and the `lake` command in it."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake.names import LAPTOP_PORTS
from local import process

ROOT = Path(__file__).resolve().parent.parent
LAKE = Path(sys.executable).parent / "lake"
STEP = re.compile(r"^(\w+) +([\d.]+) s$", re.MULTILINE)


@dataclass(frozen=True)
class Laptop:
    """environment: for `lake`; portal: address of the simulated portal."""

    environment: dict[str, str]
    portal: str

    def lake(self, *arguments: str) -> str:
        return self._run(*arguments).stdout

    def steps(self, *arguments: str) -> dict[str, float]:
        """Runs `lake run ...`; seconds by step of the machine."""
        return {step: float(seconds) for step, seconds in STEP.findall(self._run("run", *arguments).stderr)}

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([LAKE, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"lake {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


@contextmanager
def laptop() -> Iterator[Laptop]:
    """Running, with every stack; everything of it is removed at the end."""
    with tempfile.TemporaryDirectory() as scratch:
        ports = free_laptop_ports()
        own = {"LAKE_HOME": f"{scratch}/home", **process.variables(ports)}
        made = Laptop({**os.environ, **own}, f"http://127.0.0.1:{ports['portal_port']}")
        try:
            made.lake("up")
            yield made
        finally:
            made.lake("down", "--wipe", "--yes")


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def free_laptop_ports() -> dict[str, int]:
    """For every port of a laptop cloud (lake.names.LAPTOP_PORTS) a free one."""
    return dict(zip(LAPTOP_PORTS, free_ports(len(LAPTOP_PORTS)), strict=True))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    answer = work()
    return time.perf_counter() - started, answer


def line(what: str, seconds: float, other: str, others: float) -> str:
    return f"{what:<46}{seconds:8.2f} s   {other:<38}{others:8.2f} s   ratio {seconds / others:6.1f}"
