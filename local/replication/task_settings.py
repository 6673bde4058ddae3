"""Task settings: the JSON of ReplicationTaskSettings, checked against what the laptop's DMS does.

A setting that would change what arrives, and that nothing here honours, is refused; one that only tunes speed is let through.
"""

import json
from dataclasses import dataclass
from typing import Any

ANY: tuple[Any, ...] = ()
# What DMS does where a setting is missing and what is supported differs from it: such a setting has to be given.
_MUST = {
    ("FullLoadSettings", "TargetTablePrepMode"): "DROP_AND_CREATE",
    ("ChangeProcessingDdlHandlingPolicy", "HandleSourceTableTruncated"): True,
    ("ChangeProcessingDdlHandlingPolicy", "HandleSourceTableDropped"): True,
}
# Section -> setting -> the values that are supported (ANY: it does not matter here).
_KNOWN: dict[str, dict[str, tuple[Any, ...]]] = {
    "TargetMetadata": {
        **{"TargetSchema": ("", None), "SupportLobs": (True,), "FullLobMode": (False,), "LimitedSizeLobMode": (True,)},
        **{"LobChunkSize": ANY, "LobMaxSize": ANY, "InlineLobMaxSize": (0,), "LoadMaxFileSize": ANY},
        **{"BatchApplyEnabled": (False,), "TaskRecoveryTableEnabled": (False,), "ParallelApplyThreads": (0,)},
        **{"ParallelLoadThreads": (0,), "ParallelLoadBufferSize": ANY, "ParallelApplyBufferSize": ANY},
        **{"ParallelLoadQueuesPerThread": ANY, "ParallelApplyQueuesPerThread": ANY},
    },
    "FullLoadSettings": {
        **{"TargetTablePrepMode": ("DO_NOTHING",), "CreatePkAfterFullLoad": (False,)},
        **{"StopTaskCachedChangesApplied": (False,), "StopTaskCachedChangesNotApplied": (False,)},
        **{"MaxFullLoadSubTasks": ANY, "TransactionConsistencyTimeout": ANY, "CommitRate": ANY},
    },
    "Logging": {
        **{"EnableLogging": (True, False), "EnableLogContext": ANY, "LogComponents": ANY, "DeleteTaskLogs": ANY},
        "LogConfiguration": ANY,
    },
    "ControlTablesSettings": {
        **{"ControlSchema": ("", None), "HistoryTimeslotInMinutes": ANY, "historyTimeslotInMinutes": ANY},
        **{"HistoryTableEnabled": (False,), "SuspendedTablesTableEnabled": (False,), "StatusTableEnabled": (False,)},
        **{"FullLoadExceptionTableEnabled": (False,), "CommitPositionTableEnabled": (False,)},
    },
    "StreamBufferSettings": dict.fromkeys(("StreamBufferCount", "StreamBufferSizeInMB", "CtrlStreamBufferSizeInMB"), ANY),
    "ChangeProcessingTuning": dict.fromkeys(
        (
            *("BatchApplyPreserveTransaction", "BatchApplyTimeoutMin", "BatchApplyTimeoutMax", "BatchApplyMemoryLimit"),
            *("BatchSplitSize", "MinTransactionSize", "CommitTimeout", "MemoryLimitTotal", "MemoryKeepTime"),
            *("StatementCacheSize", "RecoveryTimeout"),
        ),
        ANY,
    ),
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableDropped": (False,),
        "HandleSourceTableTruncated": (False,),
        "HandleSourceTableAltered": (True,),
    },
    "ErrorBehavior": dict.fromkeys(
        (
            *("DataErrorPolicy", "DataTruncationErrorPolicy", "DataErrorEscalationPolicy", "DataErrorEscalationCount"),
            *("EventErrorPolicy", "TableErrorPolicy", "TableErrorEscalationPolicy", "TableErrorEscalationCount"),
            *("RecoverableErrorCount", "RecoverableErrorInterval", "RecoverableErrorThrottling", "RecoverableErrorThrottlingMax"),
            *("RecoverableErrorStopRetryAfterThrottlingMax", "ApplyErrorDeletePolicy", "ApplyErrorInsertPolicy"),
            *("ApplyErrorUpdatePolicy", "ApplyErrorEscalationPolicy", "ApplyErrorEscalationCount"),
            *("ApplyErrorFailOnTruncationDdl", "FullLoadIgnoreConflicts", "FailOnTransactionConsistencyBreached"),
            *("FailOnNoTablesCaptured",),
        ),
        ANY,
    ),
    "ValidationSettings": {"EnableValidation": (False,)},
    "TTSettings": {"EnableTT": (False,)},
}
# Top-level settings that hold no section.
_WHOLE: dict[str, tuple[Any, ...]] = {
    **{"BeforeImageSettings": (None,), "PostProcessingRules": (None,), "CharacterSetSettings": (None,)},
    **{"LoopbackPreventionSettings": (None,), "FailTaskWhenCleanTaskResourceFailed": ANY},
}


class SettingsError(Exception):
    """Task settings that are wrong or not supported; the text names the setting."""


@dataclass(frozen=True)
class TaskSettings:
    """lob_kilobytes: LobMaxSize; logging: whether the task writes to CloudWatch Logs."""

    lob_kilobytes: int
    logging: bool


def parse(text: str | None) -> TaskSettings:
    """Raises SettingsError."""
    try:
        document = json.loads(text or "{}")
    except ValueError as error:
        raise SettingsError(f"Task settings are no JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError("Task settings must be a JSON object")
    for section, content in document.items():
        if section in _WHOLE:
            _check(section, content, _WHOLE[section])
        elif section not in _KNOWN:
            raise SettingsError(f"Task settings: {section} is not supported by the laptop's DMS")
        elif not isinstance(content, dict):
            raise SettingsError(f"Task settings: {section} must be a JSON object")
        else:
            _section(section, content)
    for (section, name), otherwise in _MUST.items():
        if name not in (document.get(section) or {}):
            raise SettingsError(f"Task settings: {section}.{name} must be given, as DMS would take {_text(otherwise)}")
    size = (document.get("TargetMetadata") or {}).get("LobMaxSize", 32)
    if not isinstance(size, int) or size < 1:
        raise SettingsError(f"Task settings: TargetMetadata.LobMaxSize {_text(size)} is no number of kilobytes")
    return TaskSettings(size, bool((document.get("Logging") or {}).get("EnableLogging")))


def _section(section: str, content: dict[str, Any]) -> None:
    if section == "Logging" and (content.get("CloudWatchLogGroup") or content.get("CloudWatchLogStream")):
        raise SettingsError("Task settings: CloudWatchLogGroup and CloudWatchLogStream cannot be given")
    for name, value in content.items():
        if section == "Logging" and name in ("CloudWatchLogGroup", "CloudWatchLogStream"):
            continue
        if section == "ValidationSettings" and name != "EnableValidation":
            continue  # tunes what is off
        if name not in _KNOWN[section]:
            raise SettingsError(f"Task settings: {section}.{name} is not supported by the laptop's DMS")
        _check(f"{section}.{name}", value, _KNOWN[section][name])


def _check(name: str, value: Any, supported: tuple[Any, ...]) -> None:
    if supported and value not in supported:
        wanted = " or ".join(_text(each) for each in supported)
        raise SettingsError(f"Task settings: {name} {_text(value)} is not supported by the laptop's DMS, only {wanted}")


def _text(value: Any) -> str:
    return json.dumps(value)
