"""ministack is pinned and extended through private names: each must still exist."""

from importlib import import_module

import pytest

from local.emulator import NAMES


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_private_name_exists(module: str, name: str) -> None:
    assert hasattr(import_module(f"ministack.{module}"), name)
