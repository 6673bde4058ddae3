"""DMS's replication tasks: created, modified, started, stopped, reloaded, described, deleted. Running them is dms_runs' part."""

import logging

from local.emulator import Emulator
from local.engines import dms_plan
from local.engines.dms_connections import Connections
from local.engines.dms_model import DmsError, Record, Store, identifier, new_arn, now, required, select
from local.engines.dms_runs import Runs
from local.engines.dms_statistics import statistics, task_statistics
from local.replication import mappings, task_settings
from local.replication.errors import Fatal, Transient

BUSY = ("starting", "running", "stopping")
_FILTERS = {
    "replication-task-arn": lambda record: str(record["ReplicationTaskArn"]),
    "replication-task-id": lambda record: str(record["ReplicationTaskIdentifier"]),
    "migration-type": lambda record: str(record["MigrationType"]),
    "replication-instance-arn": lambda record: str(record["ReplicationInstanceArn"]),
    "source-endpoint-arn": lambda record: str(record["SourceEndpointArn"]),
    "target-endpoint-arn": lambda record: str(record["TargetEndpointArn"]),
}
_UNSUPPORTED = ("CdcStartTime", "CdcStartPosition", "CdcStopPosition")
_INVALID, _STATE = "InvalidParameterValueException", "InvalidResourceStateFault"

logger = logging.getLogger("lake.dms")


class Tasks:
    """Records are what the API answers, and `Own`: what only we need to know of a task."""

    def __init__(self, emulator: Emulator, store: Store, connections: Connections) -> None:
        self._emulator = emulator
        self._store = store
        self._connections = connections
        self.runs = Runs(emulator, store)

    def create(self, request: Record) -> Record:
        required(request, "SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn", "MigrationType", "TableMappings")
        name = identifier(request, "ReplicationTaskIdentifier")
        arn = new_arn("task", request.get("ResourceIdentifier"))
        if self._store.find("task", arn) or any(t["ReplicationTaskIdentifier"] == name for t in self._store.all("task")):
            raise DmsError("ResourceAlreadyExistsFault", f"Replication Task {name} already exists.")
        self._store.get("instance", request["ReplicationInstanceArn"])
        for end in ("source", "target"):
            endpoint = self._store.get("endpoint", request[f"{end.capitalize()}EndpointArn"])
            if endpoint["EndpointType"] != end:
                raise DmsError("InvalidParameterCombinationException", f"Endpoint {endpoint['EndpointArn']} is not a {end}.")
        _check(request)
        record = {
            **{key: request[key] for key in ("SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn")},
            **{key: request[key] for key in ("MigrationType", "TableMappings")},
            "ReplicationTaskArn": arn,
            "ReplicationTaskIdentifier": name,
            "ReplicationTaskSettings": request.get("ReplicationTaskSettings") or "{}",
            "Status": "ready",
            "ReplicationTaskCreationDate": now(),
            "Own": {"wanted": False, "started": False, "load_started_at": 0.0, "started_at": 0.0, "stopped_at": 0.0},
        }
        self._store.put("task", arn, record)
        return {"ReplicationTask": {**self._shown(record), "Status": "creating"}}

    def modify(self, request: Record) -> Record:
        task = self._task(request)
        self._idle(task, "modified")
        changes = {key: request[key] for key in ("MigrationType", "TableMappings", "ReplicationTaskSettings") if request.get(key)}
        _check({**task, **request})
        if request.get("ReplicationTaskIdentifier"):
            changes["ReplicationTaskIdentifier"] = identifier(request, "ReplicationTaskIdentifier")
        self._store.change("task", task["ReplicationTaskArn"], **changes)
        return {"ReplicationTask": {**self._shown(self._task(request)), "Status": "modifying"}}

    def describe(self, request: Record) -> Record:
        found = select(self._store.all("task"), request, _FILTERS, "Tasks")
        return {"ReplicationTasks": [self._shown(task) for task in found]}

    def delete(self, request: Record) -> Record:
        task = self._task(request)
        self._idle(task, "deleted")
        arn = task["ReplicationTaskArn"]
        if task["Own"]["started"]:
            self._drop_slot(task)
        self._store.remove("task", arn)
        self.runs.forget(arn)
        return {"ReplicationTask": {**self._shown(task), "Status": "deleting"}}

    def _drop_slot(self, task: Record) -> None:
        """As DMS with FailTaskWhenCleanTaskResourceFailed off: what cannot be cleaned up is told, and the task goes."""
        try:
            source = self._store.get("endpoint", task["SourceEndpointArn"])
            credentials = dms_plan.secret_session(self._emulator, source)
            slot = dms_plan.slot_name(task["ReplicationTaskArn"])
            dms_plan.database(self._emulator, source, credentials).drop_slot(slot)
            self._emulator.end_session(credentials)
        except (Fatal, Transient, DmsError) as error:
            logger.warning("task %s is deleted, but its slot may hold the source's log back: %s", task["ReplicationTaskArn"], error)

    # Running ----------------------------------------------------------------------------------------------------------------

    def start(self, request: Record) -> Record:
        task = self._task(request)
        arn, how = task["ReplicationTaskArn"], request.get("StartReplicationTaskType")
        if task["Status"] in BUSY:
            raise DmsError(_STATE, f"Replication Task {arn} cannot be started: it is {task['Status']}.")
        _unsupported(request)
        if how not in ("start-replication", "resume-processing", "reload-target"):
            raise DmsError(_INVALID, f"Invalid StartReplicationTaskType {how}.")
        if (how == "start-replication") == task["Own"]["started"]:
            said = "START_REPLICATION is valid only for tasks running for the first time"
            other = "RESUME_PROCESSING and RELOAD_TARGET are not valid for tasks running for the first time"
            raise DmsError("InvalidParameterCombinationException", f"Start Type : {said if task['Own']['started'] else other}")
        for end in ("SourceEndpointArn", "TargetEndpointArn"):
            if not self._connections.successful(task["ReplicationInstanceArn"], task[end]):
                said = f"Test connection for replication instance {task['ReplicationInstanceArn']} and endpoint {task[end]}"
                raise DmsError(_STATE, f"{said} should be successful for starting the replication task")
        fresh = how != "resume-processing"
        own = {**task["Own"], "wanted": True, "started": True, "started_at": now()}
        if fresh:
            own["load_started_at"] = own["started_at"]
        self._store.change("task", arn, Status="starting", LastFailureMessage="", StopReason="", Own=own)
        self.runs.start(arn, fresh=fresh)
        return {"ReplicationTask": self._shown(self._task(request))}

    def stop(self, request: Record) -> Record:
        task = self._task(request)
        arn = task["ReplicationTaskArn"]
        if task["Status"] not in ("starting", "running"):
            raise DmsError(_STATE, f"Replication Task {arn} cannot be stopped: it is {task['Status']}.")
        self._store.change("task", arn, Status="stopping", Own={**task["Own"], "wanted": False})
        self._emulator.thread(self._stop, arn)
        return {"ReplicationTask": self._shown(self._task(request))}

    def _stop(self, arn: str) -> None:
        self.runs.stop(arn)
        task = self._store.get("task", arn)
        if task["Status"] == "stopping":  # it may have failed meanwhile
            self._stopped(task)

    def _stopped(self, task: Record) -> None:
        own = {**task["Own"], "wanted": False, "stopped_at": now()}
        self._store.change("task", task["ReplicationTaskArn"], Status="stopped", StopReason="Stop Reason NORMAL", Own=own)

    def reload(self, request: Record) -> Record:
        task = self._task(request)
        arn = task["ReplicationTaskArn"]
        if task["Status"] != "running":
            raise DmsError(_STATE, f"Tables of Replication Task {arn} cannot be reloaded: it is {task['Status']}.")
        if request.get("ReloadOption", "data-reload") != "data-reload":
            raise DmsError(_INVALID, "The laptop's DMS validates nothing: only data-reload.")
        known = {(table.schema, table.table) for table in self.runs.state(arn).tables.values()}
        wanted = [(str(t.get("SchemaName")), str(t.get("TableName"))) for t in request.get("TablesToReload") or []]
        unknown = [f"{schema}.{table}" for schema, table in wanted if (schema, table) not in known]
        if unknown or not wanted:
            raise DmsError(_INVALID, f"Tables that the task does not replicate: {', '.join(unknown) or 'none was named'}.")
        self.runs.reload(arn, wanted)
        return {"ReplicationTaskArn": arn}

    def table_statistics(self, request: Record) -> Record:
        task = self._task(request)
        arn = task["ReplicationTaskArn"]
        return {"ReplicationTaskArn": arn, "TableStatistics": statistics(self.runs.state(arn), request)}

    def go_on(self) -> None:
        """After a restart of the laptop cloud: what was running runs on, what was being stopped is."""
        for task in self._store.all("task"):
            arn = task["ReplicationTaskArn"]
            if task["Own"]["wanted"]:
                self._store.change("task", arn, Status="starting")
                self.runs.start(arn, fresh=False)
            elif task["Status"] in BUSY:
                self._stopped(task)

    # Helpers ----------------------------------------------------------------------------------------------------------------

    def _task(self, request: Record) -> Record:
        return self._store.get("task", str(request.get("ReplicationTaskArn")))

    def _idle(self, task: Record, what: str) -> None:
        if task["Status"] in BUSY:
            arn = task["ReplicationTaskArn"]
            raise DmsError(_STATE, f"Replication Task {arn} cannot be {what}: it is {task['Status']}. Stop it first.")

    def _shown(self, task: Record) -> Record:
        own = task["Own"]
        shown = {key: value for key, value in task.items() if key != "Own" and value != ""}
        if own["started"]:
            state = self.runs.state(task["ReplicationTaskArn"])
            shown["ReplicationTaskStartDate"] = own["started_at"]
            shown["ReplicationTaskStats"] = task_statistics(state, own)
            shown["RecoveryCheckpoint"] = f"checkpoint:V1#pgoutput#{state.lsn >> 32:X}/{state.lsn & 0xFFFFFFFF:X}"
        return shown


def _check(request: Record) -> None:
    """Raises DmsError for what the laptop's DMS does not do."""
    if request["MigrationType"] != "full-load-and-cdc":
        said = f"MigrationType {request['MigrationType']} is not supported by the laptop's DMS, only full-load-and-cdc."
        raise DmsError(_INVALID, said)
    _unsupported(request)
    try:
        mappings.parse(request["TableMappings"])
        task_settings.parse(request.get("ReplicationTaskSettings"))
    except (mappings.MappingError, task_settings.SettingsError) as error:
        raise DmsError(_INVALID, str(error)) from error


def _unsupported(request: Record) -> None:
    given = [name for name in _UNSUPPORTED if request.get(name)]
    if given:
        raise DmsError(_INVALID, f"{', '.join(given)} not supported by the laptop's DMS.")
