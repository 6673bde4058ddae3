"""The account of one table in one run, and the report that a job leaves of it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from lake.aws import split_uri
from lake.names import run_part_key
from lake.spark.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Account:
    """Rows of `table`: read = written + unchanged + superseded + quarantined; withdrawn rows are counted apart.

    version: the table's Delta version afterwards, None while there is no table.
    """

    table: str
    read: int = 0
    written: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0
    withdrawn: int = 0
    version: int | None = None

    def __post_init__(self) -> None:
        accounted = self.written + self.unchanged + self.superseded + self.quarantined
        if self.read != accounted:
            raise ArithmeticError(f"{self.table}: {self.read} rows read, {accounted} accounted for ({self})")

    def __add__(self, later: "Account") -> "Account":
        return Account(
            table=self.table,
            read=self.read + later.read,
            written=self.written + later.written,
            unchanged=self.unchanged + later.unchanged,
            superseded=self.superseded + later.superseded,
            quarantined=self.quarantined + later.quarantined,
            withdrawn=self.withdrawn + later.withdrawn,
            version=later.version,
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one step of a run did: accounts by table, what it refused ({"object", "rule"}) and what it decided of an object that the
    object does not say itself ({"object", "decision"})."""

    step: str
    refused: tuple[dict[str, str], ...] = ()
    decisions: tuple[dict[str, str], ...] = ()
    tables: tuple[Account, ...] = ()

    def __add__(self, later: "Report") -> "Report":
        sums = {account.table: account for account in self.tables}
        for account in later.tables:
            sums[account.table] = sums[account.table] + account if account.table in sums else account
        return Report(
            step=self.step,
            refused=self.refused + later.refused,
            decisions=self.decisions + later.decisions,
            tables=tuple(sums.values()),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Report":
        return cls(
            step=data["step"],
            refused=tuple(data["refused"]),
            decisions=tuple(data["decisions"]),
            tables=tuple(Account(**table) for table in data["tables"]),
        )


class RunParts:
    """The parts of run reports in the bronze bucket; the machine's last task gathers them into one report."""

    def __init__(self, s3: Any, *, bronze: str, step: str) -> None:
        self._s3, self._bucket, self._step = s3, split_uri(bronze)[0], step

    def tell(self, run_id: str, *ledgers: Ledger, zero: Report) -> Report:
        """Leaves the run's part, `zero` plus the reports that the ledgers give it to tell, and returns it. Of a step with several
        ledgers all are told at once: that the part is there says of each of them that its batches were told.
        """
        told = [part for ledger in ledgers for part in ledger.done_by(run_id, has_told=self._exists)]
        report = sum((Report.from_json(part) for part in told), start=zero)
        body = json.dumps(report.to_json()).encode()
        self._s3.put_object(Bucket=self._bucket, Key=run_part_key(run_id, self._step), Body=body)
        print(closing_line(report.tables), flush=True)
        return report

    def _exists(self, run_id: str) -> bool:
        key = run_part_key(run_id, self._step)
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return any(entry["Key"] == key for entry in listed.get("Contents", ()))


def closing_line(accounts: Iterable[Account]) -> str:
    """One line a table for the job's log."""
    return "\n".join(
        f"{a.table}: read {a.read:,} = written {a.written:,} + unchanged {a.unchanged:,} + superseded {a.superseded:,}"
        f" + quarantined {a.quarantined:,}; withdrawn {a.withdrawn:,}; version {a.version}"
        for a in accounts
    )
