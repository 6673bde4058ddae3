"""A replication task around a deployment: stopped before what it depends on changes, tested and resumed after."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError

log = logging.getLogger(__name__)

S = TypeVar("S", bound=dict[str, Any] | None)

POLL_SECONDS = 5.0
RUNNING = "running"
_MOVING = frozenset({"creating", "modifying", "moving", "starting", "stopping", "testing"})
_GONE = "ResourceNotFoundFault"
_BUSY = "InvalidResourceStateFault"


class ReplicationFailed(Exception):
    """The task or a connection failed; the text holds the service's own words and where to look."""


class ReplicationSlow(Exception):
    """What was waited for did not happen in the function's time; the text says in which state it is."""


class Replication:
    """dms: a boto3 client; time_left: seconds until the caller must be done."""

    def __init__(
        self, *, dms: Any, time_left: Callable[[], float], sleep: Callable[[float], None] = time.sleep, poll: float = POLL_SECONDS
    ) -> None:
        self._dms, self._time_left, self._sleep, self._poll = dms, time_left, sleep, poll

    def stop(self, task: str) -> None:
        """Stops a running task and waits until it has; one that does not run, or is not there, is left alone."""
        found = self._settled(task)
        if found is None or found["Status"] != RUNNING:
            return
        self._dms.stop_replication_task(ReplicationTaskArn=task)
        log.info("%s is stopping", task)
        after = self._wait(lambda: self._task(task), until=lambda t: t is None or t["Status"] not in (RUNNING, *_MOVING), what=task)
        if after is not None and after["Status"] == "failed":
            log.warning("%s failed while it was stopping: %s", task, _words(after))

    def start(self, task: str, *, instance: str, endpoints: tuple[str, ...]) -> None:
        """Tests the endpoints from the instance, then starts the task: from its last position, or at first with a full load."""
        for endpoint in endpoints:
            self._test(endpoint, instance)
        found = self._settled(task)
        if found is None:
            raise ReplicationFailed(f"there is no task {task}")
        if found["Status"] == RUNNING:
            return
        how = "resume-processing" if _has_run(found) else "start-replication"
        self._dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType=how)
        log.info("%s: %s", task, how)
        began = self._wait(lambda: self._task(task), until=lambda t: t is None or t["Status"] not in _MOVING, what=task)
        if began is None or began["Status"] != RUNNING:
            state = "is gone" if began is None else f"is {began['Status']}: {_words(began)}"
            raise ReplicationFailed(f"{task} was asked to run ({how}) and {state}. Its log group has the details")

    def _test(self, endpoint: str, instance: str) -> None:
        try:
            self._dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)
        except ClientError as error:
            if error.response["Error"]["Code"] != _BUSY:  # it is being tested at this moment
                raise
        tested = self._wait(lambda: self._connection(endpoint, instance), until=lambda c: c["Status"] != "testing", what=endpoint)
        if tested["Status"] != "successful":
            said = tested.get("LastFailureMessage") or "the service gives no reason"
            raise ReplicationFailed(
                f"the connection of {instance} to {tested.get('EndpointIdentifier', endpoint)} is {tested['Status']}: {said}. "
                "Look at the endpoint's secret and role, and at what the security groups let through"
            )

    def _connection(self, endpoint: str, instance: str) -> dict[str, Any]:
        filters = [
            {"Name": "endpoint-arn", "Values": [endpoint]},
            {"Name": "replication-instance-arn", "Values": [instance]},
        ]
        try:
            found: list[dict[str, Any]] = self._dms.describe_connections(Filters=filters)["Connections"]
        except ClientError as error:
            if error.response["Error"]["Code"] != _GONE:
                raise
            found = []
        return found[0] if found else {"Status": "testing"}

    def _task(self, task: str) -> dict[str, Any] | None:
        filters = [{"Name": "replication-task-arn", "Values": [task]}]
        try:
            answer = self._dms.describe_replication_tasks(Filters=filters, WithoutSettings=True)
        except ClientError as error:
            if error.response["Error"]["Code"] != _GONE:
                raise
            return None
        found: list[dict[str, Any]] = answer["ReplicationTasks"]
        return found[0] if found else None

    def _settled(self, task: str) -> dict[str, Any] | None:
        return self._wait(lambda: self._task(task), until=lambda t: t is None or t["Status"] not in _MOVING, what=task)

    def _wait(self, look: Callable[[], S], *, until: Callable[[S], bool], what: str) -> S:
        pause = self._poll / 10  # what is quick is seen soon
        while True:
            found = look()
            if until(found):
                return found
            if self._time_left() < self._poll:
                state = "gone" if found is None else found["Status"]
                raise ReplicationSlow(f"{what} is still {state}, and the time is up: deploy again once it has settled")
            self._sleep(pause)
            pause = min(self._poll, pause * 1.5)


def _has_run(task: dict[str, Any]) -> bool:
    """A task that was modified may be ready again; what it has done it still tells."""
    stats = task.get("ReplicationTaskStats") or {}
    evidence = (task.get("RecoveryCheckpoint"), task.get("ReplicationTaskStartDate"), stats.get("StartDate"))
    return task["Status"] in ("stopped", "failed") or any(evidence)


def _words(task: dict[str, Any]) -> str:
    return task.get("LastFailureMessage") or task.get("StopReason") or "the service gives no reason"
