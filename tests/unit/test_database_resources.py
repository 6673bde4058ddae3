"""Custom resources answer whatever happens; the replication task around a deployment."""

import json
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ingestion import custom_resource
from ingestion.custom_resource import Request, respond
from ingestion.database import migrate_handler
from ingestion.replication import handler as replication_handler
from ingestion.replication.task import Replication, ReplicationFailed, ReplicationSlow
from lake.contracts import compile_json
from lake.odcs import load_all

EVENT = {
    "RequestType": "Create",
    "ResponseURL": "https://cloudformation.example.org/answer?signed",
    "StackId": "stack",
    "RequestId": "request",
    "LogicalResourceId": "Thing",
    "ResourceProperties": {"ServiceToken": "arn", "Version": "1"},
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    @contextmanager
    def urlopen(request: urllib.request.Request, timeout: float) -> Any:
        assert (request.get_method(), request.full_url) == ("PUT", EVENT["ResponseURL"])
        assert request.get_header("Content-type") == ""
        found.append(json.loads(request.data or b""))  # type: ignore[arg-type]
        yield None

    monkeypatch.setattr(custom_resource.urllib.request, "urlopen", urlopen)
    return found


def test_success_is_told_with_its_attributes(answers: list[dict[str, Any]]) -> None:
    respond(EVENT, physical_id="made", work=lambda request: {"Found": request.kind})
    assert answers == [
        {
            "Status": "SUCCESS",
            "Data": {"Found": "Create"},
            "PhysicalResourceId": "made",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Thing",
        }
    ]


def test_a_failure_is_told_with_its_reason_and_the_resource_keeps_its_id(answers: list[dict[str, Any]]) -> None:
    def work(_: Request) -> None:
        raise ValueError("x" * 5000)

    respond({**EVENT, "RequestType": "Update", "PhysicalResourceId": "older"}, physical_id="made", work=work)
    (answer,) = answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", "older")
    assert answer["Reason"].startswith("ValueError: xxx")
    assert len(json.dumps(answer)) < 4096


def test_an_answer_is_sent_again_when_it_was_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def urlopen(request: object, timeout: float) -> Any:
        tries.append(timeout)
        raise OSError("down")

    monkeypatch.setattr(custom_resource.urllib.request, "urlopen", urlopen)
    with pytest.raises(OSError, match="down"):
        respond(EVENT, physical_id="made", work=lambda _: None)
    assert len(tries) == 3


def test_a_missing_property_is_named(answers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate_handler.aws, "client", lambda _: None)
    migrate_handler.handler({**EVENT, "ResourceProperties": {"Contracts": compile_json(load_all())}}, None)
    assert answers[0]["Reason"] == "ValueError: the custom resource lacks its property MasterSecret"


def test_deleting_the_database_resource_does_nothing(answers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate_handler.aws, "client", lambda _: pytest.fail("asked AWS"))
    migrate_handler.handler({**EVENT, "RequestType": "Delete", "PhysicalResourceId": "p"}, None)
    assert answers[0]["Status"] == "SUCCESS"


def test_the_contract_travels_compiled() -> None:
    known = load_all()
    assert migrate_handler.contract_of(compile_json({"bronze.tb_coins": known["bronze.tb_coins"]})) == known["bronze.tb_coins"]
    with pytest.raises(ValueError, match=r"bronze\.runs, not bronze\.tb_coins"):
        migrate_handler.contract_of(compile_json({"bronze.runs": known["bronze.runs"]}))


# The replication task -----------------------------------------------------------------------------------------------------


class Dms:
    """A task that goes through `states`, one a look, and stays in the last; connections likewise."""

    def __init__(self, states: list[str], connections: list[str] | None = None, **task: Any) -> None:
        self.states, self.connections, self.task = states, connections or ["testing", "successful"], task
        self.calls: list[str] = []
        self.after: dict[str, list[str]] = {}

    def describe_replication_tasks(self, **_: Any) -> Any:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state == "absent":
            raise ClientError({"Error": {"Code": "ResourceNotFoundFault", "Message": ""}}, "DescribeReplicationTasks")
        return {"ReplicationTasks": [{"Status": state, **self.task}]}

    def stop_replication_task(self, ReplicationTaskArn: str) -> None:
        self.calls.append(f"stop {ReplicationTaskArn}")
        self.states = ["stopping", "stopped"]

    def start_replication_task(self, ReplicationTaskArn: str, StartReplicationTaskType: str) -> None:
        self.calls.append(f"{StartReplicationTaskType} {ReplicationTaskArn}")
        self.states = self.after.get("start", ["starting", "running"])

    def test_connection(self, EndpointArn: str, **_: str) -> None:
        self.calls.append(f"test {EndpointArn}")
        self.tested = list(self.connections)

    def describe_connections(self, **_: Any) -> Any:
        state = self.tested.pop(0) if len(self.tested) > 1 else self.tested[0]
        return {"Connections": [{"Status": state, "EndpointIdentifier": "the-endpoint", "LastFailureMessage": "no route"}]}


PROPERTIES = {
    "TaskArn": "task",
    "InstanceArn": "instance",
    "SourceEndpointArn": "source",
    "TargetEndpointArn": "target",
    "Version": "1",
}


def turn(dms: Dms, kind: Any, phase: str, *, seconds: float = 100.0, before: dict[str, Any] | None = None) -> list[str]:
    left = [seconds]

    def sleep(slept: float) -> None:
        left[0] -= slept

    request = Request(kind=kind, physical_id="p", properties={**PROPERTIES, "Phase": phase}, before=before or {})
    replication_handler.turn(request, Replication(dms=dms, time_left=lambda: left[0], sleep=sleep))
    return dms.calls


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_a_new_task_starts_with_a_full_load_after_both_connections_were_tested(kind: str) -> None:
    assert turn(Dms(["creating", "ready"]), kind, "start") == ["test source", "test target", "start-replication task"]


@pytest.mark.parametrize(
    "dms",
    [
        Dms(["stopping", "stopped"]),
        Dms(["failed"]),
        Dms(["modifying", "ready"], RecoveryCheckpoint="checkpoint:V1#1"),
        Dms(["ready"], ReplicationTaskStats={"StartDate": "2026-11-21"}),
    ],
    ids=["stopped", "failed", "modified", "modified without a checkpoint"],
)
def test_a_task_that_has_run_goes_on_where_it_was(dms: Dms) -> None:
    assert turn(dms, "Update", "start")[-1] == "resume-processing task"


def test_a_running_task_is_left_running() -> None:
    assert turn(Dms(["running"]), "Update", "start") == ["test source", "test target"]
    assert turn(Dms(["running"]), "Create", "stop") == []


@pytest.mark.parametrize(("kind", "phase"), [("Update", "stop"), ("Delete", "stop"), ("Delete", "start")])
def test_a_running_task_is_stopped_before_changes_and_at_the_end(kind: str, phase: str) -> None:
    assert turn(Dms(["starting", "running"]), kind, phase) == ["stop task"]


@pytest.mark.parametrize("state", ["stopped", "ready", "failed", "absent"])
def test_a_task_that_does_not_run_is_not_stopped(state: str) -> None:
    assert turn(Dms([state]), "Delete", "stop") == []


def test_a_task_that_is_replaced_is_stopped_too() -> None:
    dms = Dms(["running"])
    assert turn(dms, "Update", "stop", before={"TaskArn": "former"}) == ["stop former"]


def test_nothing_is_started_when_a_connection_fails() -> None:
    dms = Dms(["ready"], connections=["testing", "failed"])
    with pytest.raises(ReplicationFailed, match="the-endpoint is failed: no route"):
        turn(dms, "Create", "start")
    assert dms.calls == ["test source"]


def test_a_task_that_fails_at_its_start_says_why() -> None:
    dms = Dms(["ready"], LastFailureMessage="the slot is gone")
    dms.after["start"] = ["starting", "failed"]
    with pytest.raises(ReplicationFailed, match="is failed: the slot is gone"):
        turn(dms, "Create", "start")


@pytest.mark.parametrize(("states", "phase", "match"), [(["starting"], "stop", "starting"), (["modifying"], "start", "modifying")])
def test_waiting_ends_with_the_functions_time(states: list[str], phase: str, match: str) -> None:
    with pytest.raises(ReplicationSlow, match=f"task is still {match}"):
        turn(Dms(states), "Update", phase)


def test_an_unknown_phase_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Phase is 'pause'"):
        turn(Dms(["ready"]), "Create", "pause")


def test_the_handler_answers_for_the_task(answers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 900_000

    clients: dict[str, Callable[[], Dms]] = {"dms": lambda: Dms(["ready"], connections=["failed"])}
    monkeypatch.setattr(replication_handler.aws, "client", lambda name: clients[name]())
    event = {**EVENT, "ResourceProperties": {**PROPERTIES, "Phase": "start"}}
    replication_handler.handler(event, Context())
    assert answers[0]["Reason"].startswith("ReplicationFailed: the connection of instance")
    assert answers[0]["PhysicalResourceId"] == "tributary-replication-start"
