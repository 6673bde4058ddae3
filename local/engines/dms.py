"""DMS, which the emulator lacks: endpoints, instances and tasks by the ordinary API, and processes that really replicate.

Every call is checked against IAM here, because the emulator's evaluator does not know the service.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import Emulator
from local.engines.dms_connections import Connections
from local.engines.dms_endpoints import Endpoints
from local.engines.dms_instances import Instances
from local.engines.dms_model import DmsError, Record, Store, new_arn
from local.engines.dms_tasks import Tasks

Operation = Callable[[Record], Record]
# Fields of a request that name what the caller needs the permission on; without any it is "*", as in the service's reference.
_RESOURCES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ModifyEndpoint", "DeleteEndpoint"), ("EndpointArn",)),
    **dict.fromkeys(("ModifyReplicationInstance", "DeleteReplicationInstance"), ("ReplicationInstanceArn",)),
    "TestConnection": ("ReplicationInstanceArn", "EndpointArn"),
    "CreateReplicationTask": ("ReplicationInstanceArn", "SourceEndpointArn", "TargetEndpointArn"),
    **dict.fromkeys(("ModifyReplicationTask", "DeleteReplicationTask", "StartReplicationTask"), ("ReplicationTaskArn",)),
    **dict.fromkeys(("StopReplicationTask", "ReloadTables", "DescribeTableStatistics"), ("ReplicationTaskArn",)),
    **dict.fromkeys(("AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"), ("ResourceArn",)),
}

logger = logging.getLogger("lake.dms")


class Dms:
    """The service: an operation by its name in the API."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.store = Store(emulator)
        self.endpoints = Endpoints(emulator, self.store)
        self.instances = Instances(emulator, self.store)
        self.connections = Connections(emulator, self.store)
        self.tasks = Tasks(emulator, self.store, self.connections)
        self._operations: dict[str, Operation] = {
            "CreateReplicationSubnetGroup": self.instances.create_group,
            "ModifyReplicationSubnetGroup": self.instances.modify_group,
            "DescribeReplicationSubnetGroups": self.instances.describe_groups,
            "DeleteReplicationSubnetGroup": self.instances.delete_group,
            "CreateReplicationInstance": self.instances.create,
            "ModifyReplicationInstance": self.instances.modify,
            "DescribeReplicationInstances": self.instances.describe,
            "DeleteReplicationInstance": self.instances.delete,
            "CreateEndpoint": self.endpoints.create,
            "ModifyEndpoint": self.endpoints.modify,
            "DescribeEndpoints": self.endpoints.describe,
            "DeleteEndpoint": self.endpoints.delete,
            "TestConnection": self.connections.test,
            "DescribeConnections": self.connections.describe,
            "CreateReplicationTask": self.tasks.create,
            "ModifyReplicationTask": self.tasks.modify,
            "DescribeReplicationTasks": self.tasks.describe,
            "DeleteReplicationTask": self.tasks.delete,
            "StartReplicationTask": self.tasks.start,
            "StopReplicationTask": self.tasks.stop,
            "ReloadTables": self.tasks.reload,
            "DescribeTableStatistics": self.tasks.table_statistics,
            "AddTagsToResource": self._tag,
            "RemoveTagsFromResource": self._untag,
            "ListTagsForResource": self._tags,
        }

    def call(self, name: str, request: Record) -> Record:
        """As whoever calls. Raises DmsError."""
        operation = self._operations.get(name)
        if operation is None:
            raise DmsError("InvalidAction", f"The laptop's DMS does not know the operation {name}.")
        self._permit(name, request)
        answer = operation(request)
        if name.startswith("Create") and request.get("Tags"):
            self._tag({"ResourceArn": _arn(answer), "Tags": request["Tags"]})
        return _without_empty(answer)

    def _permit(self, name: str, request: Record) -> None:
        if name in ("DeleteReplicationSubnetGroup", "ModifyReplicationSubnetGroup"):
            subnet_group = str(request.get("ReplicationSubnetGroupIdentifier"))
            resources = [new_arn("subnet_group").rpartition(":")[0] + f":{subnet_group}"]
        else:
            resources = [str(request.get(field)) for field in _RESOURCES.get(name, ())] or ["*"]
        for resource in resources:
            denial = self._emulator.denial(self._emulator.caller(), f"dms:{name}", resource)
            if denial:
                raise DmsError("AccessDeniedException", denial)

    def _kept_tags(self, arn: str) -> list[Record]:
        return list((self.store.find("tag", arn) or {}).get("Tags", []))

    # Tags -------------------------------------------------------------------------------------------------------------------

    def _tag(self, request: Record) -> Record:
        arn = str(request.get("ResourceArn"))
        before = {tag["Key"]: tag for tag in self._kept_tags(arn)}
        after = {**before, **{tag["Key"]: tag for tag in request.get("Tags") or []}}
        self.store.put("tag", arn, {"Tags": list(after.values())})
        return {}

    def _untag(self, request: Record) -> Record:
        arn = str(request.get("ResourceArn"))
        kept = [t for t in self._kept_tags(arn) if t["Key"] not in request.get("TagKeys", [])]
        self.store.put("tag", arn, {"Tags": kept})
        return {}

    def _tags(self, request: Record) -> Record:
        asked = [str(request.get("ResourceArn"))] if request.get("ResourceArn") else list(request.get("ResourceArnList") or [])
        found = [{**t, "ResourceArn": arn} for arn in asked for t in self._kept_tags(arn)]
        return {"TagList": found}

    # HTTP -------------------------------------------------------------------------------------------------------------------

    async def handle(
        self, _method: str, _path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]
    ) -> tuple[int, dict[str, str], bytes]:
        """Answers off the event loop: an operation may ask the database, or this very server."""
        return await asyncio.to_thread(self._answer, headers.get("x-amz-target", "").rpartition(".")[2], body)

    def _answer(self, name: str, body: bytes) -> Any:
        try:
            return self._emulator.answer(self.call(name, json.loads(body or b"{}")))
        except DmsError as error:
            return self._emulator.refuse(error.code, str(error))
        except ClientError as error:
            logger.exception("dms:%s", name)
            return self._emulator.refuse("InternalFailure", str(error))


def _arn(answer: Record) -> str:
    (made,) = answer.values()
    name = next((key for key in made if key.endswith("Arn") and key[:-3] in answer), "")
    return str(made.get(name) or f"{new_arn('subnet_group').rpartition(':')[0]}:{made.get('ReplicationSubnetGroupIdentifier')}")


def _without_empty(answer: Record) -> Record:
    """What is not set is left out of an answer; what is only ours too."""
    clean: Record = {}
    for key, value in answer.items():
        if isinstance(value, dict):
            clean[key] = _without_empty(value)
        elif isinstance(value, list):
            clean[key] = [_without_empty(each) if isinstance(each, dict) else each for each in value]
        elif value is not None and key != "CreatedAt":
            clean[key] = value
    return clean


def install(emulator: Emulator) -> None:
    """Put the service and its CloudFormation types in place."""
    from local.engines import dms_resources, dms_roles

    dms_roles.seed(emulator)
    service = Dms(emulator)
    emulator.service("dms", service.handle)
    dms_resources.install(emulator, service)
    emulator.on_restored(service.connections.fail_interrupted)
    emulator.on_restored(service.tasks.go_on)
    emulator.on_stop(service.tasks.runs.close)
