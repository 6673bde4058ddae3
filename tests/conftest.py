"""What every tier shares: no test reaches the network beyond this machine, and unit and infra tests open no socket at all."""

import socket
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says something about the machine, not about the code.
hypothesis.settings.register_profile("tributary", deadline=None)
hypothesis.settings.load_profile("tributary")

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SOCKETLESS = ("unit", "infra")


@pytest.fixture(autouse=True)
def _no_socket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit and infra tests open no socket; jsii talks to Node through pipes."""
    tier = Path(request.node.path).relative_to(Path(__file__).parent).parts[0]
    if tier not in SOCKETLESS:
        return

    def refuse(_self: socket.socket, address: object) -> None:
        raise RuntimeError(f"a {tier} test tried to connect to {address}; tests with sockets belong into tests/local")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files; tests that need it are skipped, saying so, where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real files (../shared/data) are absent")
    return SHARED_DATA
