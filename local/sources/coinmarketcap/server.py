"""The running service: what it serves, and the server around it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from local.home import read_json, write_json
from local.sources.coinmarketcap.answers import KeptAnswers
from local.sources.coinmarketcap.choice import Choice, ChoiceError, Files, Live, Served, Simulated, parse
from local.sources.coinmarketcap.faults import Armed
from local.sources.coinmarketcap.handler import Handler
from local.sources.coinmarketcap.ledger import Ledger
from local.sources.coinmarketcap.progress import Progress
from local.sources.coinmarketcap.simulated import SimulatedMarket
from local.sources.serving import SourceServer

HOST = "127.0.0.1"
T = TypeVar("T")
Market = SimulatedMarket | KeptAnswers


class Serving(NamedTuple):
    """Read once per request: all change together. market is None while the origin is live, which has no faults but its own."""

    choice: Choice
    market: Market | None
    faults: Armed


class HttpServer(SourceServer):
    def __init__(self, address: tuple[str, int], service: "Server") -> None:
        super().__init__(address, Handler)
        self.service = service


class Server:
    """`home`: directory that keeps the choice, and how far the answers have come, over restarts.

    Raises OSError when the port is taken, ChoiceError when what was kept is damaged.
    """

    def __init__(self, *, port: int, home: Path) -> None:
        self._file = home / "coinmarketcap.json"
        progress = home / "coinmarketcap-progress.json"
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.ledger = Ledger()
        self._progress = _read(progress, lambda: Progress(progress))
        # Not checked: a directory that is gone meanwhile is told to who asks for it, not replaced by another origin.
        self.served = self._serving(_read(self._file, self._remembered), check=False)
        self._server = HttpServer((HOST, port), self)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="coinmarketcap", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def choose(self, wish: Any) -> dict[str, Any]:
        """Serves `wish` from the next request on and remembers it; faults, requests and credits are counted anew.

        Raises ChoiceError: nothing changes.
        """
        choice = parse(wish)
        choice.check()
        with self._lock:
            serving = self._serving(choice, check=True)
            write_json(self._file, choice.model_dump(mode="json"))
            self.served, self.ledger = serving, Ledger()
        return self.state()

    def state(self) -> dict[str, Any]:
        """The choice, and what came of it: files that are ignored, what was served last, what each key has used."""
        choice, market, _ = self.served
        state = choice.model_dump(mode="json")
        if market is None or not isinstance(choice, Served):
            return state
        usage = {name: self.ledger.info(name, key)["usage"] for name, key in choice.keys.items()}
        return {**state, **market.report(), "usage": usage}

    def _remembered(self) -> Choice:
        wish = read_json(self._file)
        return Simulated() if wish is None else parse(wish)

    def _serving(self, choice: Choice, *, check: bool) -> Serving:
        if isinstance(choice, Live):
            return Serving(choice, None, Armed(()))
        if isinstance(choice, Files):
            return Serving(choice, KeptAnswers(choice, self._progress, check=check), Armed(choice.faults))
        return Serving(choice, SimulatedMarket(choice, self._progress), Armed(choice.faults))


def _read(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise ChoiceError(f"{path} is damaged, delete it to serve the default: {error}") from error


def start(port: int, home: Path) -> Server:
    """The service on 127.0.0.1:`port` (0 = any free one), serving what it served last. End it with stop()."""
    return Server(port=port, home=home)
