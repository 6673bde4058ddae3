"""Engines: where ministack only pretends, these do the work, in the same handler tables."""

import os
from importlib import import_module
from importlib.util import find_spec

from local.emulator import Emulator

# Each has `install(emulator)`.
ENGINES = ("permissions", "cloudformation", "states", "scheduler", "athena", "crawlers", "secrets", "rds", "dms")


def install_all(emulator: Emulator) -> None:
    """Put every engine in place; before the first request."""
    from local.engines import emr, glue
    from local.engines.spark import Runner

    runner = Runner(emulator)
    emulator.on_stop(runner.close)
    if os.environ.get("LAKE_WARM_UP") == "1":
        emulator.on_restored(lambda: emulator.thread(runner.warm))
    glue.install(emulator, runner)
    emr.install(emulator, runner)
    for name in ENGINES:
        if find_spec(f"local.engines.{name}"):
            import_module(f"local.engines.{name}").install(emulator)
