"""The lease: never two writers of a source, never a source that nobody can take."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from ingestion.control.lease import Leases
from ingestion.control.model import LeaseHeld, LeftoversEnding

TABLE, SOURCE = "leases", "boston311"
MANY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Killed(BaseException):
    """The function's process ends here."""


class Executions:
    """Step Functions as far as a lease sees it: which executions there are and how they stand."""

    def __init__(self, **status: str) -> None:
        self.status = status

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:
        if executionArn not in self.status:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, "DescribeExecution")
        return {"status": self.status[executionArn]}


class Watched:
    """A client that calls `before` and `after` around each operation."""

    def __init__(self, client: Any, *, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._client, self._before, self._after = client, before, after

    def __getattr__(self, name: str) -> Any:
        def operation(**parameters: Any) -> Any:
            self._before()
            try:
                return getattr(self._client, name)(**parameters)
            finally:
                self._after()

        return operation


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t")
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def clear(dynamodb: Any) -> None:
    """Examples of one test share the table."""
    dynamodb.delete_item(TableName=TABLE, Key={"source": {"S": SOURCE}})


def nothing_left(_run_id: str) -> None:
    """The usual case: whatever a run started ended with it."""


def leases(dynamodb: Any, executions: Any, end_leftovers: Callable[[str], None] = nothing_left) -> Leases:
    return Leases(dynamodb=dynamodb, stepfunctions=executions, table=TABLE, end_leftovers=end_leftovers)


def take(held: Leases, run: str) -> str:
    return held.take(source=SOURCE, run_id=run, execution_arn=run).run_id


def test_a_running_holder_keeps_it_and_is_named(dynamodb: Any) -> None:
    held = leases(dynamodb, Executions(a="RUNNING", b="RUNNING"))
    take(held, "a")
    with pytest.raises(LeaseHeld, match="boston311 is being written by run a since 20"):
        take(held, "b")
    assert take(held, "a") == "a"  # a retried task of the holder itself


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", None])
def test_a_holder_that_no_longer_runs_is_replaced_at_once(dynamodb: Any, status: str | None) -> None:
    held = leases(dynamodb, Executions(b="RUNNING", **({"a": status} if status else {})))
    take(held, "a")
    assert take(held, "b") == "b"
    assert not held.release(source=SOURCE, execution_arn="a")
    holder = held.holder(SOURCE)
    assert holder is not None
    assert holder.run_id == "b"


def test_a_dead_holder_keeps_the_lease_until_nothing_of_it_works_any_more(dynamodb: Any) -> None:
    at_work = ["job run", "cluster"]

    def end(run_id: str) -> None:
        assert run_id == "a"
        if at_work:
            raise LeftoversEnding(at_work.pop())

    take(leases(dynamodb, Executions()), "a")
    held = leases(dynamodb, Executions(), end)
    for _ in range(2):
        with pytest.raises(LeftoversEnding):
            take(held, "b")
        holder = held.holder(SOURCE)
        assert holder is not None
        assert holder.run_id == "a"
    assert take(held, "b") == "b"


def test_releasing_twice_is_harmless_and_frees_the_source(dynamodb: Any) -> None:
    held = leases(dynamodb, Executions(a="RUNNING", b="RUNNING"))
    take(held, "a")
    assert held.release(source=SOURCE, execution_arn="a")
    assert not held.release(source=SOURCE, execution_arn="a")
    assert take(held, "b") == "b"


def test_a_refusal_of_the_service_is_not_taken_for_a_lost_race(dynamodb: Any) -> None:
    held = Leases(dynamodb=dynamodb, stepfunctions=Executions(), table="another", end_leftovers=nothing_left)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        take(held, "a")


@MANY
@given(call=st.integers(0, 4), after=st.booleans(), dead_holder=st.booleans())
def test_killed_at_any_call_the_source_can_be_taken_again(dynamodb: Any, call: int, after: bool, dead_holder: bool) -> None:
    clear(dynamodb)
    executions = Executions(a="RUNNING", b="RUNNING")
    calls = {"before": 0, "after": 0}

    def kill(when: str) -> None:
        calls[when] += 1
        if calls[when] - 1 == call and (when == "after") == after:
            raise Killed

    if dead_holder:
        take(leases(dynamodb, executions), "gone")
    mortal = Watched(dynamodb, before=lambda: kill("before"), after=lambda: kill("after"))
    try:
        take(leases(mortal, executions), "a")
        leases(mortal, executions).release(source=SOURCE, execution_arn="a")
    except Killed:
        executions.status["a"] = "FAILED"
    assert take(leases(dynamodb, executions), "b") == "b"


@MANY
@given(schedule=st.lists(st.booleans(), max_size=16), dead_holder=st.booleans())
def test_of_two_contenders_in_any_interleaving_one_takes_it(dynamodb: Any, schedule: list[bool], dead_holder: bool) -> None:
    clear(dynamodb)
    executions = Executions(a="RUNNING", b="RUNNING")
    took: dict[str, str | None] = {}
    if dead_holder:
        take(leases(dynamodb, executions), "gone")
    turns = Turns(("a", "b"), schedule)

    def contend(name: str) -> None:
        turn = Watched(dynamodb, before=lambda: turns.begin(name), after=turns.end)
        try:
            took[name] = take(leases(turn, executions), name)
        except LeaseHeld:
            took[name] = None
        finally:
            turns.leave(name)

    threads = [threading.Thread(target=contend, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    winners = [name for name, run in took.items() if run]
    holder = leases(dynamodb, executions).holder(SOURCE)
    assert len(took) == 2
    assert len(winners) == 1
    assert holder is not None
    assert [holder.run_id] == winners


class Turns:
    """Lets one of two threads make its next call, in the order of a schedule; then whoever is left.

    A call runs alone: DynamoDB's are atomic, those of the mock between threads are not.
    """

    def __init__(self, names: tuple[str, str], schedule: list[bool]) -> None:
        self._names, self._schedule = names, list(schedule)
        self._present = set(names)
        self._busy = False
        self._changed = threading.Condition()

    def begin(self, name: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy and self._next() in (None, name), timeout=60):
                raise TimeoutError(f"{name} never had its turn")
            if self._schedule:
                self._schedule.pop(0)
            self._busy = True

    def end(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()

    def leave(self, name: str) -> None:
        with self._changed:
            self._present.discard(name)
            self._changed.notify_all()

    def _next(self) -> str | None:
        while self._schedule and self._names[self._schedule[0]] not in self._present:
            self._schedule.pop(0)
        return self._names[self._schedule[0]] if self._schedule else None
