"""The running portal: what it serves, and the server around it."""

import hmac
import secrets
import threading
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from local.home import read_json, write_json
from local.sources.boston311.catalogue import Catalogue, FilesCatalogue, SimulatedCatalogue
from local.sources.boston311.choice import Choice, ChoiceError, Files, Live, Simulated, parse
from local.sources.boston311.faults import Armed
from local.sources.boston311.handler import Handler
from local.sources.serving import SourceServer

HOST = "127.0.0.1"


class Served(NamedTuple):
    """Read once per request: all change together. catalogue is None while the origin is live, which has no faults but its own."""

    choice: Choice
    catalogue: Catalogue | None
    faults: Armed


class PortalServer(SourceServer):
    def __init__(self, address: tuple[str, int], portal: "Portal") -> None:
        super().__init__(address, Handler)
        self.portal = portal


class Portal:
    """`home`: directory that keeps the choice and the simulated files over restarts.

    Raises OSError when the port is taken, ChoiceError when portal.json is damaged.
    """

    def __init__(self, *, port: int, home: Path) -> None:
        self._home = home
        self._file = home / "portal.json"
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(16)
        # Not checked: a directory that is gone meanwhile is told to who asks for it, not replaced by another origin.
        self.served = self._served(self._remembered())
        self._server = PortalServer((HOST, port), self)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="boston311-portal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def choose(self, wish: Any) -> dict[str, Any]:
        """Serves `wish` from the next request on and remembers it; faults are counted anew. Raises ChoiceError: nothing changes."""
        choice = parse(wish)
        choice.check()
        with self._lock:
            write_json(self._file, choice.model_dump(mode="json"))
            self.served = self._served(choice)
            if isinstance(self.served.catalogue, SimulatedCatalogue):
                self.served.catalogue.prune()
        return self.state()

    def state(self) -> dict[str, Any]:
        return self.served.choice.model_dump(mode="json")

    def signed(self, path: str) -> str:
        """A download address of the storage behind the portal; its signature covers the host, as that of S3 does."""
        return f"{self.url}{path}?X-Amz-Expires=60&X-Amz-Signature={self._signature(f'{HOST}:{self.port}', path)}"

    def is_signed(self, target: str, *, host: str) -> bool:
        parts = urlsplit(target)
        given = parse_qs(parts.query).get("X-Amz-Signature", [""])[0]
        return hmac.compare_digest(given.encode(), self._signature(host, parts.path).encode())

    def _signature(self, host: str, path: str) -> str:
        return hmac.new(self._secret, f"{host}\n{path}".encode(), "sha256").hexdigest()

    def _remembered(self) -> Choice:
        try:
            wish = read_json(self._file)
            return Simulated() if wish is None else parse(wish)
        except ValueError as error:
            raise ChoiceError(f"{self._file} is damaged, delete it to serve the default: {error}") from error

    def _served(self, choice: Choice) -> Served:
        if isinstance(choice, Files):
            return Served(choice, FilesCatalogue(choice), Armed(choice.faults))
        if isinstance(choice, Live):
            return Served(choice, None, Armed(()))
        return Served(choice, SimulatedCatalogue(choice, home=self._home), Armed(choice.faults))


def start(port: int, home: Path) -> Portal:
    """The portal on 127.0.0.1:`port` (0 = any free one), serving what it served last. End it with stop()."""
    return Portal(port=port, home=home)
