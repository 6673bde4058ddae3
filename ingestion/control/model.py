"""What the control Lambda is configured by, is asked for and answers."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from ingestion.run_part import Decision, Refusal, TableReport
from lake.failures import in_words

MAX_ERROR = 2000


class Environment(BaseModel):
    """The environment variables of the function; the aliases are the names that its stack must set.

    TABLES: JSON list of the source's tables in reporting order, e.g. ["silver.service_requests", "gold.case_delays"].
    GLUE_JOBS: JSON list of the names of the source's Glue jobs. CLUSTER: name of the EMR cluster that is kept running, and the
    beginning of the names of those that runs start.
    """

    model_config = ConfigDict(frozen=True)

    lease_table: str = Field(alias="LEASE_TABLE", min_length=3)
    bronze_bucket: str = Field(alias="BRONZE_BUCKET", min_length=3)
    source: str = Field(alias="SOURCE", pattern=r"^[a-z][a-z0-9_]*$")
    tables: tuple[str, ...] = Field(alias="TABLES", min_length=1)
    glue_jobs: tuple[str, ...] = Field(alias="GLUE_JOBS")
    cluster: str = Field(alias="CLUSTER", min_length=1)

    @field_validator("tables", "glue_jobs", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Raises pydantic.ValidationError that names each missing or malformed variable."""
        return cls.model_validate(dict(variables))


class Begin(BaseModel):
    """{"op": "begin", "source": ..., "run_id": <execution name>, "execution_arn": ...}"""

    op: Literal["begin"]
    source: str
    run_id: str
    execution_arn: str


class Ingested(BaseModel):
    """What ingestion left in the machine's state: the resources that the package lists no more, and the Map's answers."""

    missing: list[str] = []
    fetched: list[dict[str, Any]] = []


class Finish(BaseModel):
    """The last task of the machine, on both ways out.

    error: the state's error as Step Functions catches it ({"Error", "Cause"}), a text, or null.
    ingest: in `fetched` a refusal has the "error" in words, or as the state caught it; null when the run did not get that far.
    started_at: instant, ISO 8601, as `$$.Execution.StartTime` gives it.
    """

    op: Literal["finish"]
    source: str
    run_id: str
    execution_arn: str
    outcome: Literal["succeeded", "failed"]
    started_at: str
    error: str = ""
    ingest: Ingested = Ingested()

    @field_validator("error", mode="before")
    @classmethod
    def _readable(cls, value: object) -> str:
        return error_text(value)

    @field_validator("ingest", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return {} if value is None else value


class Lease(BaseModel):
    """The one writer of a source; `taken_at` is an instant, ISO 8601 UTC."""

    source: str
    execution_arn: str
    run_id: str
    taken_at: str


class RunReport(BaseModel):
    """One row of bronze.runs. Times: UTC, `YYYY-MM-DD HH:MM:SS.mmm`, as Athena's JSON readers take it."""

    run_id: str
    source: str
    outcome: Literal["succeeded", "failed"]
    started_at: str
    ended_at: str
    seconds: float
    error: str
    refused: list[Refusal]
    decisions: list[Decision] = []
    tables: list[TableReport]


class LeaseHeld(Exception):
    """Another execution is writing this source; the text names it."""


class LeftoversEnding(Exception):
    """Transient: what a dead holder of the lease left on AWS is being stopped; the text names it."""


_event: TypeAdapter[Begin | Finish] = TypeAdapter(Annotated[Begin | Finish, Field(discriminator="op")])


def parse_event(event: Mapping[str, Any]) -> Begin | Finish:
    """Raises pydantic.ValidationError when the operation is unknown or a field is missing."""
    return _event.validate_python(event)


def error_text(error: object) -> str:
    """One readable text of what Step Functions caught: {"Error", "Cause"}, a text, or null."""
    if error is None:
        return ""
    if not isinstance(error, dict):
        return str(error)[:MAX_ERROR]
    return in_words(str(error.get("Error", "")), str(error.get("Cause", "")))[:MAX_ERROR]
