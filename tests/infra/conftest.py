"""Assemblies: one synthesis of an environment for the whole session, however many workers share it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from synthesis import Assembly, synthesise

Synthesise = Callable[..., Assembly]
ENVIRONMENTS = ("local", "dev", "prod", "everything")


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """assembly("dev"), assembly("prod", destroy=True)"""
    base = tmp_path_factory.getbasetemp()
    worker = base.name.startswith("popen-")  # a worker of pytest-xdist has its folder inside the session's
    shared = (base.parent if worker else base) / "assemblies"
    shared.mkdir(exist_ok=True)
    return lambda env, **keys: synthesise(Path(shared), env=env, **keys)


@pytest.fixture(params=ENVIRONMENTS)
def every(request: pytest.FixtureRequest, assembly: Synthesise) -> Assembly:
    """Each environment in turn."""
    return assembly(request.param)
