"""Faults that the portal shows on demand, as `PUT /_control` states them.

`on` is "api" for the CKAN actions, or a resource: its year or "new" when simulated, its path when from files. Each fault hits the
first `times` requests of its kind, counted anew whenever the control is put, and then no more. Faults on one resource take turns in
the order given: the next begins when the one before is used up.
"""

from types import UnionType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from local.sources.serving import Counted

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
    """The firewall's HTML page, by default with a status that denies it."""

    kind: Literal["block_page"]
    status: Literal[200, 403] = 200


class Denied(_Fault):
    """success=false with status 200, as CKAN has answered through some proxies. For "api" alone."""

    kind: Literal["denied"]
    on: Literal["api"] = "api"


class Truncated(_Fault):
    """The body ends properly, but after `after` bytes of those that Content-Length promises. For resources."""

    kind: Literal["truncated"]
    after: Annotated[int, Field(ge=0)] = 1000


class Reset(_Fault):
    """The connection is reset after `after` bytes of the body, of which some may be lost. For resources."""

    kind: Literal["reset"]
    after: Annotated[int, Field(ge=0)] = 1000


class Slow(_Fault):
    """The body comes at so many bytes a second. For resources."""

    kind: Literal["slow"]
    bytes_per_second: Annotated[int, Field(ge=1)]


class Empty(_Fault):
    """A body without a byte, as its Content-Length says. For resources."""

    kind: Literal["empty"]


AnswerFault = Status | BlockPage | Denied  # instead of the answer of the API or of a download's address
BodyFault = Truncated | Reset | Slow | Empty  # of the storage to which a download is redirected
Fault = Annotated[AnswerFault | BodyFault, Field(discriminator="kind")]


class Armed(Counted[Fault]):
    """Faults, and how often each still strikes."""

    def strike(self, on: str, kinds: UnionType) -> Fault | None:
        """The fault that this request meets: `kinds` is AnswerFault for the API or a resource's address, else BodyFault."""
        return self.first(lambda fault: fault.on == on and isinstance(fault, kinds))
