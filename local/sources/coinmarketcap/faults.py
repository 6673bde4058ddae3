"""Faults that the server shows on demand, as `PUT /_control` states them.

`on` is the endpoint; `start` narrows it to one page of listings. Each fault hits the first `times` requests of its kind, counted
anew whenever the control is put. Faults on one endpoint take turns in the order given.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from local.sources.serving import Counted

FOREVER = 1_000_000_000
Endpoint = Literal["listings", "quotes", "map", "key_info"]


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    on: Endpoint = "listings"
    start: Annotated[int, Field(ge=1)] | None = None
    times: Annotated[int, Field(ge=1)] = FOREVER


class Status(_Fault):
    """An error instead of an answer. code: of the body, None = the most usual one of that status. retry_after: seconds."""

    kind: Literal["status"]
    status: Literal[400, 401, 402, 403, 408, 409, 429, 500, 502, 503, 504]
    code: int | None = None
    retry_after: Annotated[int, Field(ge=0)] | None = None


class BodyCode(_Fault):
    """HTTP 200 whose body holds an error."""

    kind: Literal["body_code"]
    code: int = 500


class Hang(_Fault):
    """Nothing for so many seconds, then the answer."""

    kind: Literal["hang"]
    seconds: Annotated[float, Field(gt=0, le=3600)]


class Truncated(_Fault):
    """The body ends after `after` bytes of those that Content-Length promises."""

    kind: Literal["truncated"]
    after: Annotated[int, Field(ge=0)] = 1000


class WrongJson(_Fault):
    """A body that is complete and no JSON: a proxy's page, or JSON that lacks its end."""

    kind: Literal["wrong_json"]
    form: Literal["html", "cut"] = "html"


class Damaged(_Fault):
    """`coins` coins of a listing cannot be read, each in another way."""

    kind: Literal["damaged"]
    on: Literal["listings"] = "listings"
    coins: Annotated[int, Field(ge=1)]


class Older(_Fault):
    """A listing of so many minutes ago, as a stale cache gives."""

    kind: Literal["older"]
    on: Literal["listings"] = "listings"
    minutes: Annotated[int, Field(ge=1)] = 60


Fault = Annotated[Status | BodyCode | Hang | Truncated | WrongJson | Damaged | Older, Field(discriminator="kind")]
# After these the client has its answer; after the others it asks again, and must then meet the same listing.
ANSWERED = (Damaged, Older)


class Armed(Counted[Fault]):
    """Faults, and how often each still strikes."""

    def strike(self, on: Endpoint, *, start: str = "1") -> Fault | None:
        """The fault that this request meets; start: the parameter as it was sent."""
        return self.first(lambda fault: fault.on == on and (fault.start is None or str(fault.start) == start))
