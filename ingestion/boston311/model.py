"""What the Lambda is configured by, is asked for and answers; and what it writes beside the data in bronze."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ingestion.boston311.records import Records
from ingestion.bronze import Origin, StoredObject


class Environment(BaseModel):
    """The environment variables of the function; the aliases are the names that its stack must set."""

    model_config = ConfigDict(frozen=True)

    bronze_bucket: str = Field(alias="BRONZE_BUCKET", min_length=3)
    portal_url: str = Field(alias="PORTAL_URL", pattern=r"^https?://")
    package_id: str = Field(alias="PACKAGE_ID", min_length=1)
    source: str = Field(alias="SOURCE", pattern=r"^[a-z][a-z0-9_]*$")

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Raises pydantic.ValidationError that names each missing or malformed variable."""
        return cls.model_validate(dict(variables))


class Resource(BaseModel):
    """A CSV of the package as `package_show` tells it; `last_modified` is CKAN's text, without zone."""

    model_config = ConfigDict(frozen=True)

    resource_id: str = Field(min_length=1)
    name: str
    url: str
    last_modified: str | None = None


class Package(BaseModel):
    """The package: where its content comes from, and its CSV resources."""

    origin: Origin
    resources: list[Resource]


class Manifest(BaseModel):
    """What bronze holds of a resource. Written after the data, so a manifest never names an object that is not there.

    content_hash (ingestion.boston311.packing), bytes: of the portal's bytes before compression. header: the first CSV record.
    fetched_at: ISO 8601 UTC.
    """

    source: str
    origin: Origin
    run_id: str
    resource_id: str
    resource_name: str
    url: str
    last_modified: str | None
    etag: str | None
    content_hash: str
    bytes: int
    header: list[str]
    fetched_at: str
    object: StoredObject


class Discover(BaseModel):
    """{"op": "discover", "run_id": ...}"""

    op: Literal["discover"]
    run_id: str


class Progress(BaseModel):
    """Where another invocation takes up the download of one version of a resource: at a border of links and of uploaded parts.

    bytes, chain: see ingestion.boston311.packing; size: of the whole, if it was announced. upload_id, parts: the multipart upload
    under `key`, and the ETags of its parts.
    """

    etag: str
    bytes: int
    size: int | None
    chain: str
    records: Records
    key: str
    upload_id: str
    parts: list[str]
    fetched_at: str


class Fetch(BaseModel):
    """An item of the machine's Map: {"op": "fetch", "run_id": ..., "origin": ..., "resource": <one of discover's>}

    progress: of an earlier invocation that ran out of time; rounds: how many invocations there were before this one.
    """

    op: Literal["fetch"]
    run_id: str
    origin: Origin
    resource: Resource
    progress: Progress | None = None
    rounds: int = 0


class More(Fetch):
    """Answer of fetch when its time ran short: the event of the next invocation."""

    outcome: Literal["more"] = "more"


Event = Annotated[Discover | Fetch, Field(discriminator="op")]
_event: TypeAdapter[Discover | Fetch] = TypeAdapter(Event)


def parse_event(event: Mapping[str, Any]) -> Discover | Fetch:
    """Raises pydantic.ValidationError when the operation is unknown or a field is missing."""
    return _event.validate_python(event)


class Discovered(BaseModel):
    """Answer of discover: resources that may have changed, and ids that bronze knows but the package lists no more."""

    origin: Origin
    resources: list[Resource]
    missing: list[str]


class Fetched(BaseModel):
    """Answer of fetch.

    changed: `object` is the data's key, rows and bytes tell its size. unchanged: nothing was written.
    refused: nothing was written; `rule` is the rule's name, `error` says what was wrong, `object` is the resource id.
    """

    resource_id: str
    outcome: Literal["changed", "unchanged", "refused"]
    object: str
    rule: str | None = None
    error: str | None = None
    rows: int | None = None
    bytes: int | None = None


class Refused(Exception):
    """What arrived is not the resource's CSV. `rule` is the rule's name, the text says what was wrong."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule = rule
