"""TestConnection: a real attempt. The source is asked for what replication needs; in the target an object is put and removed."""

from botocore.exceptions import BotoCoreError, ClientError

from local.emulator import Credentials, Emulator
from local.engines import dms_plan
from local.engines.dms_model import DmsError, Record, Store, select
from local.replication.clients import failure
from local.replication.errors import Fatal, Transient

_FILTERS = {
    "endpoint-arn": lambda record: str(record["EndpointArn"]),
    "replication-instance-arn": lambda record: str(record["ReplicationInstanceArn"]),
}
PROBE = "awsdms_test_connection"


class Connections:
    """One per instance and endpoint: what its last test said."""

    def __init__(self, emulator: Emulator, store: Store) -> None:
        self._emulator = emulator
        self._store = store

    def test(self, request: Record) -> Record:
        instance = self._store.get("instance", str(request.get("ReplicationInstanceArn")))
        endpoint = self._store.get("endpoint", str(request.get("EndpointArn")))
        key = _key(instance["ReplicationInstanceArn"], endpoint["EndpointArn"])
        if (self._store.find("connection", key) or {}).get("Status") == "testing":
            raise DmsError("InvalidResourceStateFault", f"Connection of endpoint {endpoint['EndpointArn']} is being tested.")
        record = {
            "ReplicationInstanceArn": instance["ReplicationInstanceArn"],
            "ReplicationInstanceIdentifier": instance["ReplicationInstanceIdentifier"],
            "EndpointArn": endpoint["EndpointArn"],
            "EndpointIdentifier": endpoint["EndpointIdentifier"],
            "Status": "testing",
        }
        self._store.put("connection", key, record)
        self._emulator.thread(self._test, key, endpoint)
        return {"Connection": record}

    def describe(self, request: Record) -> Record:
        return {"Connections": select(self._store.all("connection"), request, _FILTERS, "Connections")}

    def fail_interrupted(self) -> None:
        """Tests that a killed process left behind no longer run."""
        for key in self._store.keys("connection"):
            if self._store.get("connection", key)["Status"] == "testing":
                why = "The laptop cloud was stopped during the test"
                self._store.change("connection", key, Status="failed", LastFailureMessage=why)

    def successful(self, instance: str, endpoint: str) -> bool:
        return (self._store.find("connection", _key(instance, endpoint)) or {}).get("Status") == "successful"

    def _test(self, key: str, endpoint: Record) -> None:
        status, why = "successful", ""
        try:
            if endpoint["EndpointType"] == "source":
                credentials = dms_plan.secret_session(self._emulator, endpoint)
                dms_plan.database(self._emulator, endpoint, credentials).check()
            else:
                credentials = dms_plan.target_session(self._emulator, endpoint)
                self._probe(endpoint, credentials)
            self._emulator.end_session(credentials)
        except (Fatal, Transient) as error:
            status, why = "failed", f"Test Endpoint failed: Application-Status: 1020912, Application-Message: {error}"
        except Exception as error:
            # A test that stays "testing" for ever would hold up its deployment: it is told, and the log has the trace.
            status, why = "failed", f"Internal failure: {type(error).__name__}"
            raise
        finally:
            self._store.change("connection", key, Status=status, LastFailureMessage=why)

    def _probe(self, endpoint: Record, credentials: Credentials) -> None:
        settings = endpoint["S3Settings"]
        s3 = self._emulator.client("s3", credentials)
        folder = str(settings.get("BucketFolder") or "").strip("/")
        where = {"Bucket": settings["BucketName"], "Key": f"{folder}/{PROBE}" if folder else PROBE}
        try:
            s3.list_objects_v2(Bucket=settings["BucketName"], Prefix=folder, MaxKeys=1)
            s3.put_object(**where, Body=b"")
            s3.delete_object(**where)
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"writing to s3://{where['Bucket']}/{where['Key']}") from error


def _key(instance: str, endpoint: str) -> str:
    return f"{instance}|{endpoint}"
