"""The ledger of batches: what is to be worked is written down before it is worked.

Batch N of a reader (a source's silver job, a gold table's job) is `NNNNNNNN.plan.json`: the inputs, each by key *and* version.
`NNNNNNNN.done.json` follows when everything of it is committed. A plan without its "done" is worked again, with the same inputs
and the same number; writes are marked with that number, so working twice writes once. The source's lease makes the job that
holds the ledger its only writer.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from lake.contracts import RELEASABLE

SNAPSHOT_EVERY = 50  # batches between two snapshots of what was taken: bounds what planning has to read


@dataclass(frozen=True, kw_only=True)
class Input:
    """One version of one object (or of one table). facts: what the reader needs to know of it, as JSON."""

    key: str
    version: str
    facts: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """`object` breaks `rule`; `item` is the input that a release plans again."""

    object: str
    rule: str
    item: Input


@dataclass(frozen=True, kw_only=True)
class Batch:
    """accepts: the run whose refused inputs this batch releases, or ""; replays: these inputs are all that the tables shall hold;
    tables: versions of the tables before the batch, by name, so that a batch that is worked again starts from the same rows."""

    number: int
    run_id: str
    accepts: str
    inputs: tuple[Input, ...]
    replays: bool = False
    tables: dict[str, int] = field(default_factory=dict)


class NothingRefused(Exception):
    """The run named for release holds nothing back."""


class Ledger:
    """Batches under s3://bucket/prefix. `s3` is a boto3 client."""

    def __init__(self, s3: Any, *, bucket: str, prefix: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, prefix

    def unfinished(self) -> Batch | None:
        """The planned batch that is not done, if there is one; there is never more than one."""
        kinds = self._numbers()
        open_numbers = sorted(kinds["plan"] - kinds["done"])
        return self._batch(open_numbers[0]) if open_numbers else None

    def last(self) -> Batch | None:
        """The newest batch."""
        plans = self._numbers()["plan"]
        return self._batch(max(plans)) if plans else None

    def taken(self) -> set[tuple[str, str]]:
        """(key, version) of every input that was ever planned."""
        kinds = self._numbers()
        snapshot = max(kinds["taken"], default=0)
        found = {(key, version) for key, version in self._get(snapshot, "taken")} if snapshot else set()
        with ThreadPoolExecutor(16) as pool:
            for batch in pool.map(self._batch, [n for n in kinds["plan"] if n > snapshot]):
                found.update((item.key, item.version) for item in batch.inputs)
        return found

    def plan(
        self,
        inputs: Iterable[Input],
        *,
        run_id: str,
        accepts: str = "",
        replays: bool = False,
        tables: dict[str, int] | None = None,
    ) -> Batch:
        """Writes down the next batch. Raises RuntimeError when the one before it is not done."""
        if self.unfinished() is not None:
            raise RuntimeError(f"s3://{self._bucket}/{self._prefix} has an unfinished batch; it must be done first")
        number = max(self._numbers()["plan"], default=0) + 1
        batch = Batch(
            number=number, run_id=run_id, accepts=accepts, inputs=tuple(inputs), replays=replays, tables=dict(tables or {})
        )
        self._put(number, "plan", asdict(batch))
        return batch

    def finish(self, batch: Batch, *, run_id: str, refused: Iterable[Refusal] = (), report: dict[str, Any]) -> None:
        """Marks `batch` as done, with what it refused and its report, which `run_id` is to tell."""
        if batch.number % SNAPSHOT_EVERY == 0:
            self._put(batch.number, "taken", sorted(self.taken()))
        self._put(batch.number, "done", {"run_id": run_id, "refused": [asdict(r) for r in refused], "report": report})

    def done_by(self, run_id: str, *, has_told: Callable[[str], bool]) -> list[dict[str, Any]]:
        """Reports that `run_id` is to tell, oldest first: of batches that it finished, and of those whose run was killed before it
        could tell them. These become its own, also for a release, before they are told: a report is told once, whoever is killed.
        """
        reports = []
        for number in sorted(self._numbers()["done"], reverse=True):
            done = self._get(number, "done")
            if done["run_id"] != run_id:
                if has_told(done["run_id"]):
                    break
                self._put(number, "done", {**done, "run_id": run_id})
            reports.append(done["report"])
        return reports[::-1]

    def refused_by(self, run_id: str) -> tuple[Input, ...]:
        """Inputs that `run_id` refused, and that neither were released since nor have a newer version that was taken since.

        Raises NothingRefused if that run refused nothing.
        """
        kinds = self._numbers()
        refused: dict[str, Input] = {}
        first = None
        for number in sorted(kinds["done"]):
            done = self._get(number, "done")
            if done["run_id"] == run_id and done["refused"]:
                first = first or number
                refused |= {refusal["item"]["key"]: Input(**refusal["item"]) for refusal in done["refused"]}
        if first is None:
            raise NothingRefused(f"run {run_id} holds nothing back: it refused no object")
        # A replay plans versions again that are older than what was refused.
        older = {(item.key, item.version) for n in kinds["plan"] if n <= first for item in self._batch(n).inputs}
        for number in sorted(n for n in kinds["plan"] if n > first):
            batch = self._batch(number)
            for item in batch.inputs:
                held = refused.get(item.key)
                if held is None or (item.key, item.version) in older - {(held.key, held.version)}:
                    continue
                if batch.accepts == run_id or held.version != item.version:
                    del refused[item.key]
        return tuple(refused.values())

    def accepted(self) -> tuple[Input, ...]:
        """Of each key the input that was published last, in the order of their keys: what the tables are made of. facts["released"]
        tells of an input that a person released over the threshold."""
        numbers = sorted(self._numbers()["done"])
        found: dict[str, Input] = {}
        over: set[tuple[str, str]] = set()
        with ThreadPoolExecutor(16) as pool:
            worked = zip(pool.map(self._batch, numbers), pool.map(lambda n: self._get(n, "done"), numbers), strict=True)
            for batch, done in worked:
                refused = {(refusal["item"]["key"], refusal["item"]["version"]): refusal["rule"] for refusal in done["refused"]}
                over |= {version for version, rule in refused.items() if RELEASABLE in rule}
                for item in batch.inputs:
                    if (item.key, item.version) not in refused:
                        released = item.facts.get("released", False) or (item.key, item.version) in over
                        found[item.key] = Input(key=item.key, version=item.version, facts={**item.facts, "released": released})
        return tuple(found[key] for key in sorted(found))

    def _numbers(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {"plan": set(), "done": set(), "taken": set()}
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix):
            for entry in page.get("Contents", ()):
                number, _, kind = entry["Key"].removeprefix(self._prefix).removesuffix(".json").partition(".")
                if kind in found:
                    found[kind].add(int(number))
        return found

    def _batch(self, number: int) -> Batch:
        data = self._get(number, "plan")
        return Batch(**{**data, "inputs": tuple(Input(**item) for item in data["inputs"])})

    def _key(self, number: int, kind: str) -> str:
        return f"{self._prefix}{number:08d}.{kind}.json"

    def _get(self, number: int, kind: str) -> Any:
        return json.load(self._s3.get_object(Bucket=self._bucket, Key=self._key(number, kind))["Body"])

    def _put(self, number: int, kind: str, data: Any) -> None:
        # The lease makes this the only writer; should that ever fail, two plans of one number must not both be worked.
        once = {"IfNoneMatch": "*"} if kind == "plan" else {}
        self._s3.put_object(Bucket=self._bucket, Key=self._key(number, kind), Body=json.dumps(data).encode(), **once)
