"""What the servers of all sources share: how they listen, and faults that strike a number of times."""

import logging
import sys
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any, Generic, Protocol, TypeVar

log = logging.getLogger(__name__)


class Fault(Protocol):
    @property
    def times(self) -> int: ...


F = TypeVar("F", bound=Fault)


class SourceServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        # A client that goes away between two requests is no news.
        if not isinstance(sys.exception(), ConnectionError):
            log.exception("a request broke down")


class Counted(Generic[F]):
    """Faults, of which each strikes `times` times."""

    def __init__(self, faults: tuple[F, ...]) -> None:
        self._faults = faults
        self._left = [fault.times for fault in faults]
        self._lock = threading.Lock()

    def first(self, meets: Callable[[F], bool]) -> F | None:
        """The first fault left that the request meets; it strikes once less from now on."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if self._left[index] and meets(fault):
                    self._left[index] -= 1
                    return fault
        return None
