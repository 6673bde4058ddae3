"""What the server serves, as `PUT /_control` states it and `coinmarketcap.json` keeps it.

The body is one JSON object, the whole state: what it does not name is at its default, and an unknown name is refused. For instance
{"origin": "simulated", "coins": 500, "keys": {"k": {"state": "expired"}},
 "faults": [{"kind": "status", "status": 429, "retry_after": 2, "times": 1}, {"kind": "damaged", "coins": 40, "times": 1}]}
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from local.sources.coinmarketcap.faults import Fault
from local.sources.control import reasons

TEST_KEY = "00000000-0000-4000-8000-000000000001"  # good for every laptop and for nothing else
DEFAULT_SEED = 7
# More than one listing can show, so that coins fall out of it that are still active.
DEFAULT_COINS, DEFAULT_INACTIVE = 5_150, 300
# What GET /_control shows beside the choice. A wish may hold it, so that an answer can be put back as it came.
REPORTED = frozenset({"ignored", "answers", "served", "usage"})


class ChoiceError(ValueError):
    """The wish makes no sense; the text says what is wrong."""


class Key(BaseModel):
    """An API key. monthly: credits a calendar month; daily: credits a day, None = as many as the month has; minute: requests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: Literal["basic", "builder", "startup", "growth", "professional", "enterprise"] = "basic"
    monthly: Annotated[int, Field(ge=0)] = 15_000
    daily: Annotated[int, Field(ge=0)] | None = None
    minute: Annotated[int, Field(ge=1)] = 30
    state: Literal["ok", "not_activated", "expired", "disabled"] = "ok"


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["coins"] = "coins"


class Served(_Choice):
    """ip_minute: requests a minute of one address over all its keys; keyless_minute: without a key.

    retry_after: whether limits say when to come back.
    """

    keys: dict[str, Key] = {TEST_KEY: Key()}
    ip_minute: Annotated[int, Field(ge=1)] = 1_000
    keyless_minute: Annotated[int, Field(ge=1)] = 30
    retry_after: bool = True
    faults: tuple[Fault, ...] = ()


class Simulated(Served):
    """An invented market: `coins` active at any time, `inactive` beside them, `churn` delisted and as many listed each minute.

    tick: the minute at which the market stands still; None = it goes with the clock, and at least a minute from one listing (a
    request for its first page) to the next. moving_pages: each further page of a listing is a minute later than the page before.
    fields: those that the API had in that year.
    """

    origin: Literal["simulated"] = "simulated"
    seed: Annotated[int, Field(ge=0)] = DEFAULT_SEED
    coins: Annotated[int, Field(ge=1, le=20_000)] = DEFAULT_COINS
    inactive: Annotated[int, Field(ge=0, le=20_000)] = DEFAULT_INACTIVE
    churn: Annotated[int, Field(ge=0)] = 1
    tick: Annotated[int, Field(ge=0)] | None = None
    moving_pages: bool = False
    fields: Literal[2021, 2023, 2026] = 2026

    def check(self) -> None:
        """Every simulated market can be served."""


class Files(Served):
    """Every JSON answer below a directory."""

    origin: Literal["files"] = "files"
    directory: Path

    def check(self) -> None:
        if not self.directory.is_absolute():
            raise ChoiceError(f"directory must be an absolute path, not {str(self.directory)!r}")
        if not self.directory.is_dir():
            raise ChoiceError(f"there is no directory {self.directory}")
        try:
            next(self.directory.iterdir(), None)
        except OSError as error:
            raise ChoiceError(f"the directory {self.directory} cannot be read: {error.strerror}") from error


class Live(_Choice):
    """The real service; it counts and fails by itself."""

    origin: Literal["live"] = "live"

    def check(self) -> None:
        """Nothing to check: whether there is internet shows at the first request."""


Choice = Simulated | Files | Live
_choice: TypeAdapter[Choice] = TypeAdapter(Annotated[Choice, Field(discriminator="origin")])


def parse(wish: Any) -> Choice:
    """Looks at the shape alone; `check` of what comes looks at the disk. Raises ChoiceError that names every wrong field."""
    if isinstance(wish, dict):
        wish = {name: value for name, value in wish.items() if name not in REPORTED}
    try:
        return _choice.validate_python(wish)
    except ValidationError as error:
        raise ChoiceError(reasons(error)) from error
