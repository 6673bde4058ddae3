"""Faults that the portal shows on demand, as `PUT /_control` states them.

`on` is "api" for the CKAN actions, or a resource: its year or "new" when simulated, its path when from files. Each fault hits the
first `times` requests of its kind, counted anew whenever the control is put, and then no more. Faults on one resource take turns in
the order given: the next begins when the one before is used up.
"""

import threading
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

API = "api"
FOREVER = 1_000_000_000


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    on: Annotated[str, Field(min_length=1)]
    times: Annotated[int, Field(ge=1)] = FOREVER


class Status(_Fault):
    """An HTTP status instead of an answer. retry_after: seconds, put into the header; None = no header."""

    kind: Literal["status"]
    status: Literal[403, 408, 429, 500, 502, 503, 504]
    retry_after: Annotated[int, Field(ge=0)] | None = None


class BlockPage(_Fault):
    """The firewall's HTML page with status 200."""

    kind: Literal["block_page"]


class Denied(_Fault):
    """success=false with status 200, as CKAN has answered through some proxies. For "api" alone."""

    kind: Literal["denied"]
    on: Literal["api"] = "api"


class Truncated(_Fault):
    """The body ends properly, but after `after` bytes of those that Content-Length promises. For resources."""

    kind: Literal["truncated"]
    after: Annotated[int, Field(ge=0)] = 1000


class Reset(_Fault):
    """The connection is reset after `after` bytes of the body. For resources."""

    kind: Literal["reset"]
    after: Annotated[int, Field(ge=0)] = 1000


class Slow(_Fault):
    """The body comes at so many bytes a second. For resources."""

    kind: Literal["slow"]
    bytes_per_second: Annotated[int, Field(ge=1)]


Fault = Annotated[Status | BlockPage | Denied | Truncated | Reset | Slow, Field(discriminator="kind")]
OF_ANSWERS = (Status, BlockPage, Denied)  # shown instead of the API's or the download address's answer
OF_BODIES = (Truncated, Reset, Slow)  # shown by the storage to which a download is redirected


class Armed:
    """Faults, and how often each still strikes."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._left = [fault.times for fault in faults]
        self._lock = threading.Lock()

    def answer(self, on: str) -> Status | BlockPage | Denied | None:
        """The fault that this request of the API, or of a resource's address, meets."""
        fault = self._take(on, OF_ANSWERS)
        return fault if isinstance(fault, OF_ANSWERS) else None

    def body(self, on: str) -> Truncated | Reset | Slow | None:
        """The fault that this download of a resource meets."""
        fault = self._take(on, OF_BODIES)
        return fault if isinstance(fault, OF_BODIES) else None

    def _take(self, on: str, kinds: tuple[type[_Fault], ...]) -> Fault | None:
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.on == on and self._left[index] and isinstance(fault, kinds):
                    self._left[index] -= 1
                    return fault
        return None
