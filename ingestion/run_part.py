"""A step's part of the run's report, as it leaves it in bronze (lake.names.run_part_key)."""

from pydantic import BaseModel


class Refusal(BaseModel):
    object: str
    rule: str


class Decision(BaseModel):
    """What was decided about an object that was not refused, e.g. which clock its times were read by, and from what evidence."""

    object: str
    decision: str


class TableReport(BaseModel):
    """Account of one table in one run; `version` is null when the run did not touch the table."""

    table: str
    read: int = 0
    written: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0
    withdrawn: int = 0
    version: int | None = None


class Part(BaseModel):
    """What one step left under run_parts/."""

    step: str
    refused: list[Refusal] = []
    decisions: list[Decision] = []
    tables: list[TableReport] = []
