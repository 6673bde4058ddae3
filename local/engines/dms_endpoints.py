"""DMS's endpoints: PostgreSQL as a source, S3 in Parquet as a target. What the replication process does not do is refused."""

from typing import Any

from local.emulator import Emulator
from local.engines.dms_model import (
    REGIONAL_SERVICE,
    SERVICE,
    DmsError,
    Record,
    Store,
    identifier,
    new_arn,
    now,
    required,
    select,
    truth,
)

# Setting of an S3 target -> what is supported besides leaving it out; None: anything. Values compare as text.
_S3: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("BucketName", "BucketFolder", "ServiceAccessRoleArn", "TimestampColumnName", "RowGroupLength")),
    **dict.fromkeys(("CdcMaxBatchInterval", "CdcMinFileSize", "IncludeOpForFullLoad", "ParquetTimestampInMillisecond")),
    **dict.fromkeys(("UseTaskStartTimeForFullLoadTimestamp", "EnableStatistics", "ServerSideEncryptionKmsKeyId")),
    **dict.fromkeys(("ExpectedBucketOwner", "MaxFileSize", "DictPageSizeLimit", "DataPageSize")),
    **{"DataFormat": ("parquet",), "ParquetVersion": ("parquet-1-0",), "CompressionType": ("gzip", "none")},
    **{"EncodingType": ("rle-dictionary", "plain-dictionary", "plain"), "EncryptionMode": ("sse-s3", "sse-kms")},
    **dict.fromkeys(("CdcInsertsOnly", "CdcInsertsAndUpdates", "DatePartitionEnabled", "PreserveTransactions"), ("false",)),
    **dict.fromkeys(("GlueCatalogGeneration", "AddColumnName", "UseCsvNoSupValue", "Rfc4180"), ("false",)),
    **{"CannedAclForObjects": ("none",), "ExternalTableDefinition": ("",)},
}
_POSTGRES: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("SecretsManagerSecretId", "SecretsManagerAccessRoleArn", "MapBooleanAsBoolean", "DatabaseName")),
    # What follows tunes what the laptop's own decoder does not need: it confirms what an idle table leaves by itself.
    **dict.fromkeys(("PluginName", "HeartbeatEnable", "HeartbeatFrequency", "HeartbeatSchema", "ExecuteTimeout")),
    **{"CaptureDdls": ("false",), "TrimSpaceInChar": ("true",), "FailTasksOnLobTruncation": ("false",)},
}
_SSL = ("none", "require")
_FILTERS = {
    "endpoint-arn": lambda record: str(record["EndpointArn"]),
    "endpoint-type": lambda record: str(record["EndpointType"]),
    "endpoint-id": lambda record: str(record["EndpointIdentifier"]),
    "engine-name": lambda record: str(record["EngineName"]),
}


class Endpoints:
    """create, modify, describe, delete. Records are what the API answers."""

    def __init__(self, emulator: Emulator, store: Store) -> None:
        self._emulator = emulator
        self._store = store

    def create(self, request: Record) -> Record:
        required(request, "EndpointType", "EngineName")
        name = identifier(request, "EndpointIdentifier")
        if any(record["EndpointIdentifier"] == name for record in self._store.all("endpoint")):
            raise DmsError("ResourceAlreadyExistsFault", f"Endpoint {name} already exists.")
        arn = new_arn("endpoint", request.get("ResourceIdentifier"))
        if self._store.find("endpoint", arn):
            raise DmsError("ResourceAlreadyExistsFault", f"Endpoint {arn} already exists.")
        return self._keep(arn, {**request, "EndpointIdentifier": name})

    def modify(self, request: Record) -> Record:
        arn = str(request.get("EndpointArn"))
        present = self._store.get("endpoint", arn)
        self._free(arn, "modified", running=True)
        merged = dict(present)
        for key, value in request.items():
            exact = truth(request.get("ExactSettings"))
            known = present.get(key)
            merged[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) and not exact else value
        if "EndpointIdentifier" in request:
            merged["EndpointIdentifier"] = identifier(request, "EndpointIdentifier")
        for key in self._store.keys("connection"):
            if key.endswith(f"|{arn}"):  # what has been tested is another endpoint now
                self._store.remove("connection", key)
        return self._keep(arn, merged)

    def describe(self, request: Record) -> Record:
        return {"Endpoints": select(self._store.all("endpoint"), request, _FILTERS, "Endpoints")}

    def delete(self, request: Record) -> Record:
        arn = str(request.get("EndpointArn"))
        found = self._store.get("endpoint", arn)
        self._free(arn, "deleted", running=False)
        self._store.remove("endpoint", arn)
        for key in self._store.keys("connection"):
            if key.endswith(f"|{arn}"):
                self._store.remove("connection", key)
        return {"Endpoint": {**found, "Status": "deleting"}}

    def _free(self, arn: str, what: str, *, running: bool) -> None:
        """Raises DmsError if a task (with `running`: one that runs) uses the endpoint."""
        for task in self._store.all("task"):
            if arn not in (task["SourceEndpointArn"], task["TargetEndpointArn"]):
                continue
            if not running or task["Status"] in ("starting", "running", "stopping"):
                said = f"Endpoint {arn} cannot be {what}: task {task['ReplicationTaskArn']} uses it"
                raise DmsError("InvalidResourceStateFault", f"{said} and is {task['Status']}.")

    def _keep(self, arn: str, request: Record) -> Record:
        kind = (request["EndpointType"], request["EngineName"])
        if kind == ("source", "postgres"):
            settings = self._postgres(request)
            name = "PostgreSQL"
        elif kind == ("target", "s3"):
            settings = self._s3(request)
            name = "Amazon S3"
        else:
            said = "only a source of engine postgres and a target of engine s3"
            raise DmsError("InvalidParameterValueException", f"The laptop's DMS has {said}, not {kind[0]} {kind[1]}.")
        record = {
            "EndpointArn": arn,
            "EndpointIdentifier": request["EndpointIdentifier"],
            "EndpointType": kind[0],
            "EngineName": kind[1],
            "EngineDisplayName": name,
            "SslMode": request.get("SslMode") or "none",
            "DatabaseName": request.get("DatabaseName") or "",
            "Status": "active",
            "ExternalId": arn.rpartition(":")[2],
            "CreatedAt": request.get("CreatedAt") or now(),
            **settings,
        }
        self._store.put("endpoint", arn, record)
        return {"Endpoint": record}

    # Settings ---------------------------------------------------------------------------------------------------------------

    def _postgres(self, request: Record) -> Record:
        settings = dict(request.get("PostgreSQLSettings") or {})
        _supported("PostgreSQLSettings", settings, _POSTGRES)
        if not settings.get("SecretsManagerSecretId") or not settings.get("SecretsManagerAccessRoleArn"):
            said = "PostgreSQLSettings needs SecretsManagerSecretId and SecretsManagerAccessRoleArn"
            raise DmsError("InvalidParameterCombinationException", f"{said}: the laptop's DMS keeps no passwords.")
        if any(request.get(name) for name in ("ServerName", "Port", "Username", "Password")):
            said = "ServerName, Port, Username and Password cannot be given with SecretsManagerSecretId."
            raise DmsError("InvalidParameterCombinationException", said)
        if (request.get("SslMode") or "none") not in _SSL:
            raise DmsError("InvalidParameterValueException", f"SslMode {request['SslMode']} is not supported by the laptop's DMS.")
        if "CaptureDdls" not in settings:
            said = "PostgreSQLSettings.CaptureDdls must be given as false: DMS would make a trigger and a table in the source."
            raise DmsError("InvalidParameterValueException", said)
        self._role(settings["SecretsManagerAccessRoleArn"], REGIONAL_SERVICE, SERVICE)
        return {"PostgreSQLSettings": settings}

    def _s3(self, request: Record) -> Record:
        settings = dict(request.get("S3Settings") or {})
        _supported("S3Settings", settings, _S3)
        if not settings.get("BucketName") or not settings.get("ServiceAccessRoleArn"):
            raise DmsError("InvalidParameterValueException", "S3Settings needs BucketName and ServiceAccessRoleArn.")
        if settings.get("DataFormat") != "parquet":
            raise DmsError(
                "InvalidParameterValueException", "S3Settings.DataFormat must be parquet: the laptop's DMS writes no CSV."
            )
        self._role(settings["ServiceAccessRoleArn"], SERVICE)
        return {"S3Settings": settings, "ServiceAccessRoleArn": settings["ServiceAccessRoleArn"]}

    def _role(self, role: str, *services: str) -> None:
        """The caller has to be allowed to hand the role over, and DMS to take it. Raises DmsError."""
        passed = {"iam:PassedToService": services[0]}
        denial = self._emulator.denial(self._emulator.caller(), "iam:PassRole", self._emulator.role_arn(role), passed)
        if denial:
            raise DmsError("AccessDeniedFault", denial)
        if not any(self._emulator.trusts(role, service) for service in services):
            raise DmsError("AccessDeniedFault", f"The IAM Role {role} is not configured properly.")


def _supported(section: str, settings: dict[str, Any], known: dict[str, tuple[str, ...] | None]) -> None:
    for name, value in settings.items():
        if name not in known:
            raise DmsError("InvalidParameterValueException", f"{section}.{name} is not supported by the laptop's DMS.")
        wanted = known[name]
        if wanted is not None and str(value).lower() not in wanted:
            said = f"{section}.{name} {value} is not supported by the laptop's DMS, only {' or '.join(wanted)}."
            raise DmsError("InvalidParameterValueException", said)
