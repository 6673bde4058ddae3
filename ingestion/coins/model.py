"""What the coins Lambdas are configured by, are asked for and answer; and the manifest that names a listing in bronze."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ingestion.bronze import Origin, StoredObject
from lake.jobs import INGESTED

(TABLE,) = INGESTED["coins"]
STEP = "ingest"

Outcome = Literal["loaded", "unchanged", "older", "refused"]


class _Environment(BaseModel):
    """The environment variables of a function; the aliases are the names that its stack must set."""

    model_config = ConfigDict(frozen=True)

    bronze_bucket: str = Field(alias="BRONZE_BUCKET", min_length=3)
    source: str = Field(alias="SOURCE", pattern=r"^[a-z][a-z0-9_]*$")

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Raises pydantic.ValidationError that names each missing or malformed variable."""
        return cls.model_validate(dict(variables))


class FetchEnvironment(_Environment):
    """KEY_SECRET: name of the secret that holds the API key. COINS: how many coins a listing has."""

    api_url: str = Field(alias="API_URL", pattern=r"^https?://")
    key_secret: str = Field(alias="KEY_SECRET", min_length=1)
    coins: int = Field(alias="COINS", default=5000, ge=1)


class LoadEnvironment(_Environment):
    """THRESHOLD: the share of a listing's coins that may be bad before nothing of it touches the database."""

    database_secret: str = Field(alias="DATABASE_SECRET", min_length=1)
    threshold: float = Field(alias="THRESHOLD", ge=0, le=1)


class DeliveryEnvironment(_Environment):
    """LIMIT_MINUTES: how long replication may take."""

    limit_minutes: float = Field(alias="LIMIT_MINUTES", gt=0)


class Manifest(BaseModel):
    """What bronze holds of a listing. Written after the pages, so a manifest never names an object that is not there.

    listed_at: `status.timestamp` of the first page; fetched_at: when it came; both ISO 8601 UTC. coins: on all pages; total_count:
    how many the API says there are. complete: all came that were asked for, or that there are.
    """

    source: str
    origin: Origin
    run_id: str
    listing_id: str
    listed_at: str
    fetched_at: str
    pages: list[StoredObject]
    coins: int
    total_count: int | None
    credits: int
    complete: bool


class Fetch(BaseModel):
    """{"op": "fetch", "run_id": ...}"""

    op: Literal["fetch"]
    run_id: str


class Ask(BaseModel):
    """{"op": "ask", "run_id": ..., "missing": [ids that load missed in the listing]}"""

    op: Literal["ask"]
    run_id: str
    missing: list[int]


class Load(BaseModel):
    """{"op": "load", "run_id": ..., "manifest": <key of fetch's answer>}

    accept: a run whose refused listing is loaded before, whatever is bad in it; "-" for none.
    """

    op: Literal["load"]
    run_id: str
    manifest: str
    accept: str = "-"


class Mark(BaseModel):
    """{"op": "mark", "run_id": ..., "listing_id": ..., "inactive": [ids that the API calls inactive]}"""

    op: Literal["mark"]
    run_id: str
    listing_id: str
    inactive: list[int]


class Delivered(BaseModel):
    """{"op": "delivered", "run_id": ..., "listing_id": ..., "rows": how many are expected, "since": ISO instant}

    Only files of `since` and later are looked at: an instant before the listing was loaded.
    """

    op: Literal["delivered"]
    run_id: str
    listing_id: str
    rows: int
    since: str


class Fetched(BaseModel):
    origin: Origin
    listing_id: str
    listed_at: str
    coins: int
    manifest: str


class Asked(BaseModel):
    """inactive: those of the ids asked for that the API calls inactive or untracked."""

    inactive: list[int]


class Loaded(BaseModel):
    """Answer of load.

    loaded: `rows` rows of tb_coins are this listing's now. older: a newer listing was there; `rows` is what was older still, or
    new. unchanged: another run loaded it. refused: the database was not touched; `rule` and `error` say why.
    missing: ids that are active in tb_coins and that this listing, complete and the newest, does not have.
    """

    listing_id: str
    outcome: Outcome
    object: str
    rows: int = 0
    missing: list[int] = []
    rule: str = ""
    error: str = ""


class Marked(BaseModel):
    """marked: rows that are inactive by this listing."""

    marked: int


class Delivery(BaseModel):
    delivered: bool
    rows: int


_fetch_event: TypeAdapter[Fetch | Ask] = TypeAdapter(Annotated[Fetch | Ask, Field(discriminator="op")])
_load_event: TypeAdapter[Load | Mark] = TypeAdapter(Annotated[Load | Mark, Field(discriminator="op")])


def parse_fetch_event(event: Mapping[str, Any]) -> Fetch | Ask:
    """Raises pydantic.ValidationError when the operation is unknown or a field is missing."""
    return _fetch_event.validate_python(event)


def parse_load_event(event: Mapping[str, Any]) -> Load | Mark:
    """Raises pydantic.ValidationError when the operation is unknown or a field is missing."""
    return _load_event.validate_python(event)
