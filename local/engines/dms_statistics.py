"""How far a task has come, in the shapes of DescribeTableStatistics and DescribeReplicationTasks."""

from typing import Any

from local.engines.dms_model import Record, select
from local.replication.load import COMPLETED, ERROR
from local.replication.state import State

_FILTERS = {
    "schema-name": lambda record: str(record["SchemaName"]),
    "table-name": lambda record: str(record["TableName"]),
    "table-state": lambda record: str(record["TableState"]),
}


def statistics(state: State, request: Record) -> list[Record]:
    """One entry per table. A table in error says why in ValidationStateDetails, the only text that the answer has room for."""
    found = []
    for table in state.tables.values():
        counts = {"Inserts": table.inserts, "Updates": table.updates, "Deletes": table.deletes, "Ddls": table.ddls}
        times = {"FullLoadStartTime": table.load_started, "FullLoadEndTime": table.load_ended, "LastUpdateTime": table.updated}
        found.append(
            {
                "SchemaName": table.schema,
                "TableName": table.table,
                **counts,
                **{f"Applied{name}": value for name, value in counts.items()},
                "FullLoadRows": table.loaded,
                "FullLoadCondtnlChkFailedRows": 0,
                "FullLoadErrorRows": 0,
                **{name: value for name, value in times.items() if value},
                "FullLoadReloaded": table.reloaded,
                "TableState": table.state,
                "ValidationState": "Not enabled",
                **({"ValidationStateDetails": table.error} if table.error else {}),
            }
        )
    return select(found, request, _FILTERS, "Tables")


def task_statistics(state: State, own: dict[str, Any]) -> Record:
    """ReplicationTaskStats. `own`: what the engine knows of the task's times."""
    tables = list(state.tables.values())
    completed = sum(table.state == COMPLETED for table in tables)
    broken = sum(table.state == ERROR for table in tables)
    waiting = sum(table.state == "Before load" for table in tables)
    ended = own["stopped_at"] if own["stopped_at"] > own["started_at"] else None
    times = {
        "FreshStartDate": own["load_started_at"],
        "StartDate": own["started_at"],
        "StopDate": ended,
        "FullLoadStartDate": state.load_started,
        "FullLoadFinishDate": state.load_ended,
    }
    return {
        "FullLoadProgressPercent": 100
        if state.phase == "changes"
        else (100 * (completed + broken) // len(tables) if tables else 0),
        "ElapsedTimeMillis": int(1000 * max(0.0, state.load_ended - state.load_started)),
        "TablesLoaded": completed,
        "TablesLoading": len(tables) - completed - broken - waiting,
        "TablesQueued": waiting,
        "TablesErrored": broken,
        **{name: value for name, value in times.items() if value},
    }
