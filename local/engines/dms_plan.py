"""From the records of a task and its endpoints to what a replication process is told."""

import datetime as dt

from local.emulator import Credentials, Emulator
from local.engines.dms_model import REGIONAL_SERVICE, SERVICE, Record, Store, assumed, truth
from local.replication import task_settings
from local.replication.clients import Login
from local.replication.names import timestamp_text
from local.replication.plan import Plan, Source, Target
from local.replication.source import Database

SESSION_HOURS = 11  # the emulator's sessions last twelve
RENEW_SECONDS = 6 * 3600.0
LOAD_ROWS = 500_000


def slot_name(task_arn: str) -> str:
    """The task's replication slot: small letters, digits and underscores."""
    return f"dms_{task_arn.rpartition(':')[2].lower().replace('-', '_')}"


def plan_of(emulator: Emulator, store: Store, task: Record) -> Plan:
    """Raises DmsError for endpoints that are gone."""
    source = store.get("endpoint", task["SourceEndpointArn"])
    target = store.get("endpoint", task["TargetEndpointArn"])
    postgres, s3 = source["PostgreSQLSettings"], target["S3Settings"]
    settings = task_settings.parse(task["ReplicationTaskSettings"])
    started = dt.datetime.fromtimestamp(task["Own"]["load_started_at"], dt.UTC)
    return Plan(
        name=task["ReplicationTaskIdentifier"],
        source=Source(
            secret=postgres["SecretsManagerSecretId"],
            database=source["DatabaseName"],
            sslmode=sslmode(source),
            slot=slot_name(task["ReplicationTaskArn"]),
        ),
        target=Target(
            bucket=s3["BucketName"],
            folder=str(s3.get("BucketFolder") or "").strip("/"),
            seconds=float(s3.get("CdcMaxBatchInterval") or 60),
            bytes=int(s3.get("CdcMinFileSize") or 32_000) * 1024,
            encryption=_encryption(s3),
        ),
        mappings=task["TableMappings"],
        milliseconds=truth(s3.get("ParquetTimestampInMillisecond", False)),
        boolean_as_boolean=truth(postgres.get("MapBooleanAsBoolean", False)),
        lob_kilobytes=settings.lob_kilobytes,
        operation_on_load=truth(s3.get("IncludeOpForFullLoad", False)),
        timestamp_column=s3.get("TimestampColumnName") or "",
        task_started_at=timestamp_text(started) if truth(s3.get("UseTaskStartTimeForFullLoadTimestamp", False)) else "",
        compression="gzip" if s3.get("CompressionType") == "gzip" else "none",
        dictionary=s3.get("EncodingType", "rle-dictionary") != "plain",
        statistics=truth(s3.get("EnableStatistics", True)),
        row_group=int(s3.get("RowGroupLength") or 10_000),
        load_rows=LOAD_ROWS,
        endpoint=emulator.endpoint,
        region=emulator.region,
    )


def sslmode(source: Record) -> str:
    """libpq's word for the endpoint's."""
    return "require" if source["SslMode"] == "require" else "disable"


def _encryption(s3: Record) -> dict[str, str]:
    owner = {"ExpectedBucketOwner": s3["ExpectedBucketOwner"]} if s3.get("ExpectedBucketOwner") else {}
    if s3.get("EncryptionMode") == "sse-kms":
        key = {"SSEKMSKeyId": s3["ServerSideEncryptionKmsKeyId"]} if s3.get("ServerSideEncryptionKmsKeyId") else {}
        return {"ServerSideEncryption": "aws:kms", **key, **owner}
    return {**({"ServerSideEncryption": "AES256"} if s3.get("EncryptionMode") else {}), **owner}


def secret_session(emulator: Emulator, source: Record) -> Credentials:
    """Raises Fatal."""
    return assumed(emulator, source["PostgreSQLSettings"]["SecretsManagerAccessRoleArn"], REGIONAL_SERVICE, SERVICE)


def target_session(emulator: Emulator, target: Record) -> Credentials:
    """Raises Fatal."""
    return assumed(emulator, target["S3Settings"]["ServiceAccessRoleArn"], SERVICE)


def database(emulator: Emulator, source: Record, credentials: Credentials) -> Database:
    """The source, as the cloud's own process reaches it."""
    login = Login(emulator.client("secretsmanager", credentials), source["PostgreSQLSettings"]["SecretsManagerSecretId"])
    return Database(login.read, source["DatabaseName"], sslmode(source))


def handed(credentials: Credentials) -> dict[str, str]:
    """As botocore's refreshable credentials read them."""
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(hours=SESSION_HOURS)
    return {
        "access_key": credentials.access_key,
        "secret_key": credentials.secret_key,
        "token": credentials.token,
        "expiry_time": ends.isoformat(),
    }
