"""What a running task tells outside: its log, its latencies, and the event of its failure."""

import contextlib
import json
import logging
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.emulator import Credentials, Emulator
from local.engines.dms_model import LOGS_ROLE, SERVICE, Record, Store
from local.replication.state import State

LOG_SECONDS = 2.0
METRIC_SECONDS = 15.0

logger = logging.getLogger("lake.dms")


class Watch:
    """Reads on in the process' log from where it was; `tick` is called often and does something now and then."""

    def __init__(self, emulator: Emulator, store: Store, task: Record, log: Path, *, logs: bool) -> None:
        self._emulator = emulator
        self._log = log
        self._logs = logs
        self._offset = 0
        self._arn = task["ReplicationTaskArn"]
        self._task = self._arn.rpartition(":")[2]
        self._instance = store.get("instance", task["ReplicationInstanceArn"])["ReplicationInstanceIdentifier"]
        self._credentials: Credentials | None = None
        self._logged = self._measured = 0.0

    def tick(self, state: State) -> None:
        now = time.monotonic()
        if now - self._logged > LOG_SECONDS:
            self._logged = now
            self.ship()
        if now - self._measured > METRIC_SECONDS and state.connected:
            self._measured = now
            self._measure(state)

    def ship(self) -> None:
        """Whole lines to CloudWatch Logs, as the account's role for DMS's logs; without that role they are lost, as on AWS."""
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            said = stream.read()
        end = said.rfind(b"\n") + 1
        lines = said[:end].decode(errors="replace").splitlines()
        self._offset += end
        if not (lines and self._logs):
            return
        try:
            self._put(lines)
        except (ClientError, BotoCoreError) as error:
            self._logs = False
            logger.warning("the log of task %s is lost from here on: %s", self._task, error)

    def _put(self, lines: list[str]) -> None:
        if self._credentials is None:
            if not self._emulator.trusts(LOGS_ROLE, SERVICE):
                self._logs = False
                logger.warning("the log of task %s is lost: there is no role %s that trusts %s", self._task, LOGS_ROLE, SERVICE)
                return
            self._credentials = self._emulator.role_session(LOGS_ROLE, "dms-session")
        logs: Any = self._emulator.client("logs", self._credentials)
        group, stream = f"dms-tasks-{self._instance}", f"dms-task-{self._task}"
        for make, names in (
            (logs.create_log_group, {"logGroupName": group}),
            (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                make(**names)
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines if line.strip()]
        for first in range(0, len(events), 5000):  # PutLogEvents takes 10,000 events and 1 MB
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events[first : first + 5000])

    def _measure(self, state: State) -> None:
        names = {"ReplicationInstanceIdentifier": self._instance, "ReplicationTaskIdentifier": self._task}
        dimensions = [{"Name": name, "Value": value} for name, value in names.items()]
        found = {"CDCLatencySource": state.latency_source, "CDCLatencyTarget": state.latency_target}
        data = [{"MetricName": n, "Dimensions": dimensions, "Value": v, "Unit": "Seconds"} for n, v in found.items()]
        with contextlib.suppress(ClientError, BotoCoreError):
            self._emulator.client("cloudwatch").put_metric_data(Namespace="AWS/DMS", MetricData=data)

    def failed(self, why: str) -> None:
        """The event that DMS sends to EventBridge."""
        detail = {
            "eventId": "DMS-EVENT-0078",
            "eventType": "REPLICATION_TASK_FAILED",
            "category": "Failure",
            "type": "REPLICATION_TASK",
            "detailMessage": f"Replication task has failed. Reason: {why}",
            "resourceLink": "",
        }
        entry = {"Source": "aws.dms", "DetailType": "DMS Replication Task State Change", "Detail": json.dumps(detail)}
        put = self._emulator.get("services.eventbridge", "_put_events")  # its API refuses the services' own sources
        put({"Entries": [{**entry, "Resources": [self._arn]}]}, allow_aws_source=True)

    def end(self) -> None:
        self.ship()
        if self._credentials:
            self._emulator.end_session(self._credentials)
