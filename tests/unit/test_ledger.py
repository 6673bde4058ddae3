"""The ledger under kills: whatever is interrupted wherever, each input is worked exactly once."""

from collections import Counter
from contextlib import suppress
from itertools import count
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from lake.spark import ledger as ledger_module
from lake.spark.ledger import Batch, Input, Ledger, NothingRefused, Refusal

BUCKET, PREFIX = "silver", "_batches/test/"


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


class Mortal:
    """An S3 client that dies at its n-th write, before or after the write took effect."""

    def __init__(self, s3: Any, *, dies_at: int, after: bool) -> None:
        self._s3, self._left, self._after = s3, dies_at, after

    def put_object(self, **arguments: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        answer = self._s3.put_object(**arguments)
        if self._left == 0:
            raise Killed
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


def make_client() -> Any:
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    s3.create_bucket(Bucket=BUCKET)
    return s3


def job(s3: Any, prefix: str, available: list[Input], worked: Counter[tuple[int, str]], *, run_id: str) -> None:
    """What the silver job does: redo, plan what is new, work, mark as done. Work is marked with the batch's number."""
    ledger = Ledger(s3, bucket=BUCKET, prefix=prefix)
    unfinished = ledger.unfinished()
    if unfinished is not None:
        _work(ledger, unfinished, worked, run_id)
    taken = ledger.taken()
    new = [item for item in available if (item.key, item.version) not in taken]
    if new:
        _work(ledger, ledger.plan(new, run_id=run_id), worked, run_id)


def _work(ledger: Ledger, batch: Batch, worked: Counter[tuple[int, str]], run_id: str) -> None:
    for item in batch.inputs:
        worked[batch.number, f"{item.key}@{item.version}"] = 1  # idempotent by batch number, as Delta's transaction id makes it
    ledger.finish(batch, run_id=run_id, report={})


@mock_aws
def test_every_input_is_worked_in_exactly_one_batch() -> None:
    s3, prefixes = make_client(), (f"_batches/{number}/" for number in count())

    @given(
        arrivals=st.lists(st.integers(0, 3), min_size=1, max_size=6),
        kills=st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=5),
        snapshot_every=st.integers(1, 3),
    )
    @settings(max_examples=60, deadline=None)
    def holds(arrivals: list[int], kills: list[tuple[int, bool]], snapshot_every: int) -> None:
        prefix = next(prefixes)
        available: list[Input] = []
        worked: Counter[tuple[int, str]] = Counter()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger_module, "SNAPSHOT_EVERY", snapshot_every)
            for number, size in enumerate(arrivals):
                available += [Input(key=f"object-{i}", version=f"{number}") for i in range(size)]
                if kills:
                    dies_at, after = kills.pop()
                    with suppress(Killed):
                        job(Mortal(s3, dies_at=dies_at, after=after), prefix, available, worked, run_id=f"run-{number}")
            job(s3, prefix, available, worked, run_id="last")
        by_input = Counter(name for _, name in worked)
        assert by_input == Counter({f"{item.key}@{item.version}": 1 for item in available})
        assert Ledger(s3, bucket=BUCKET, prefix=prefix).unfinished() is None

    holds()


@mock_aws
def test_an_object_rewritten_under_its_key_is_new_work() -> None:
    ledger = Ledger(make_client(), bucket=BUCKET, prefix=PREFIX)
    first = Input(key="a.csv", version="1")
    batch = ledger.plan([first], run_id="r1")
    ledger.finish(batch, run_id="r1", report={})
    assert ledger.taken() == {("a.csv", "1")}
    assert ("a.csv", "2") not in ledger.taken()


@mock_aws
def test_a_batch_is_not_planned_before_the_last_is_done() -> None:
    ledger = Ledger(make_client(), bucket=BUCKET, prefix=PREFIX)
    ledger.plan([Input(key="a.csv", version="1")], run_id="r1")
    with pytest.raises(RuntimeError, match="unfinished batch"):
        ledger.plan([Input(key="b.csv", version="1")], run_id="r2")


@mock_aws
def test_what_a_run_refused_can_be_released_once() -> None:
    ledger = Ledger(make_client(), bucket=BUCKET, prefix=PREFIX)
    bad, good = Input(key="bad.csv", version="1", facts={"header": ["x"]}), Input(key="good.csv", version="1")
    batch = ledger.plan([bad, good], run_id="r1")
    ledger.finish(batch, run_id="r1", refused=[Refusal(object="bad.csv", rule="opened_at_unreadable", item=bad)], report={})
    (held,) = ledger.refused_by("r1")
    assert (held, held.facts) == (bad, {"header": ["x"]})
    released = ledger.plan([held], run_id="r2", accepts="r1")
    ledger.finish(released, run_id="r2", report={})
    assert ledger.refused_by("r1") == (), "to release it again is no error: the first time may have been killed"
    with pytest.raises(NothingRefused, match="r7"):
        ledger.refused_by("r7")


@mock_aws
def test_what_has_a_newer_version_is_not_released_over_it() -> None:
    ledger = Ledger(make_client(), bucket=BUCKET, prefix=PREFIX)
    old, new = Input(key="a.csv", version="1"), Input(key="a.csv", version="2")
    batch = ledger.plan([old], run_id="r1")
    ledger.finish(batch, run_id="r1", refused=[Refusal(object="a.csv", rule="r", item=old)], report={})
    ledger.finish(ledger.plan([new], run_id="r2"), run_id="r2", report={})
    assert ledger.refused_by("r1") == ()


@mock_aws
def test_a_report_is_told_by_one_run_whoever_is_killed() -> None:
    ledger = Ledger(make_client(), bucket=BUCKET, prefix=PREFIX)
    told: set[str] = set()
    for number, run_id in enumerate(("r1", "r1", "r2"), start=1):
        batch = ledger.plan([Input(key="a.csv", version=str(number))], run_id=run_id)
        ledger.finish(batch, run_id=run_id, report={"batch": number})
    # r1 and r2 were killed before they told; so was r3, after it had taken their reports over.
    assert [r["batch"] for r in ledger.done_by("r3", has_told=told.__contains__)] == [1, 2, 3]
    assert [r["batch"] for r in ledger.done_by("r4", has_told=told.__contains__)] == [1, 2, 3]
    told.add("r4")
    assert ledger.done_by("r5", has_told=told.__contains__) == []
    # Asked again, as a retried task does, a run tells the same.
    assert [r["batch"] for r in ledger.done_by("r4", has_told=told.__contains__)] == [1, 2, 3]
