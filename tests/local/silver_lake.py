"""Bronze, silver and gold of Boston 311 in buckets of a test's own, and runs of the jobs on them."""

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F
from requests_csv import HEADER, Request, put_text, source, text

from glue_scripts.boston311.clocks import Settings
from lake.contracts import Contract
from lake.jobs import Arguments
from lake.names import ledger_prefix, run_part_key
from lake.spark.account import Report
from lake.spark.gold import update
from lake.spark.ledger import Ledger
from lake.spark.silver import SilverRun
from spark_jobs.boston311_gold import tables

TABLE, SUPERSEDED = "silver.service_requests", "silver.service_requests_superseded"


@dataclass
class Lake:
    """reports: those of the silver job, oldest first."""

    spark: Any
    s3: Any
    buckets: Any
    contracts: dict[str, Contract]
    reports: list[Report] = field(default_factory=list)

    @property
    def bronze(self) -> str:
        return str(self.buckets.bronze.removeprefix("s3://"))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.s3, bucket=self.buckets.silver.removeprefix("s3://"), prefix=ledger_prefix("boston311"))

    def put(self, resource: str, *requests: Request, day: int = 1, header: list[str] = HEADER) -> tuple[str, str]:
        return self.put_text(resource, text(requests, header=header), day=day, header=header)

    def put_text(self, resource: str, csv_text: str, *, day: int = 1, header: list[str] = HEADER) -> tuple[str, str]:
        """(key, version) of the data."""
        fetched_at = f"2026-01-{day:02d}T06:00:00+00:00"
        return put_text(self.s3, self.bronze, resource, csv_text, fetched_at=fetched_at, header=header)

    def put_file(self, resource: str, path: Path) -> None:
        csv_text = path.read_bytes().decode()
        self.put_text(resource, csv_text, header=next(csv.reader(io.StringIO(csv_text))))

    def run(self, *, settings: Settings | None = None, s3: Any = None, run_id: str = "", **more: str) -> Report:
        """The silver job; more: accept, replay."""
        arguments = self._arguments(run_id or f"run-{len(self.reports) + 1}", **more)
        boston311 = source(self.contracts, settings)
        self.reports.append(SilverRun(spark=self.spark, s3=s3 or self.s3, source=boston311, arguments=arguments).run())
        return self.reports[-1]

    def run_gold(self) -> Report:
        return update(self.spark, self.s3, tables(self.contracts), self._arguments(f"run-{len(self.reports)}"))

    def _arguments(self, run_id: str, *, accept: str | None = None, replay: str | None = None) -> Arguments:
        return Arguments(
            run_id=run_id,
            source="boston311",
            region="us-east-1",
            bronze=self.buckets.bronze,
            silver=self.buckets.silver,
            gold=self.buckets.gold,
            accept=accept,
            replay=replay,
            parameters={},
        )

    def account(self, report: Report, table: str = TABLE) -> dict[str, int]:
        """The counts of a table that are not zero."""
        (account,) = (account for account in report.tables if account.table == table)
        names = ("read", "written", "unchanged", "superseded", "quarantined", "withdrawn")
        return {name: getattr(account, name) for name in names if getattr(account, name)}

    def table(self, name: str = TABLE) -> Any:
        return self.spark.read.format("delta").load(f"{self.buckets.silver}/{name.removeprefix('silver.')}")

    def gold(self, name: str) -> Any:
        return self.spark.read.format("delta").load(f"{self.buckets.gold}/{name}")

    def rows(self) -> dict[str, str]:
        """case_id -> neighborhood."""
        return {row["case_id"]: row["neighborhood"] for row in self.table().collect()}

    def superseded(self) -> dict[tuple[str, str], str]:
        """(resource, case_id) -> neighborhood."""
        return {(row["resource_id"], row["case_id"]): row["neighborhood"] for row in self.table(SUPERSEDED).collect()}

    def checksum(self, name: str) -> int:
        """Over every column of every row, whatever their order."""
        frame = self.table(name)
        return int(frame.select(F.sum(F.hash(*frame.columns).cast("decimal(38,0)")).alias("sum")).first()["sum"] or 0)

    def quarantine(self) -> list[tuple[int, str, str]]:
        """(batch, rule, case number as received)."""
        frame = self.spark.read.format("delta").load(f"{self.buckets.silver}/service_requests_quarantine")
        return sorted((r["batch"], r["rule"], json.loads(r["raw"])["caseenquiryid"]) for r in frame.collect())

    def part(self, run_id: str) -> Report:
        body = self.s3.get_object(Bucket=self.bronze, Key=run_part_key(run_id, "silver"))["Body"]
        return Report.from_json(json.load(body))
