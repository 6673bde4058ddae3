"""DMS's subnet groups and replication instances: remembered; the work of an instance is done by a process per task."""

from typing import Any

from botocore.exceptions import ClientError

from local.emulator import Emulator
from local.engines.dms_model import (
    SERVICE,
    VPC_ROLE,
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

_ENGINE_VERSION = "3.6.1"
_INSTANCE_FILTERS = {
    "replication-instance-arn": lambda record: str(record["ReplicationInstanceArn"]),
    "replication-instance-id": lambda record: str(record["ReplicationInstanceIdentifier"]),
    "replication-instance-class": lambda record: str(record["ReplicationInstanceClass"]),
    "engine-version": lambda record: str(record["EngineVersion"]),
}
_GROUP_FILTERS = {"replication-subnet-group-id": lambda record: str(record["ReplicationSubnetGroupIdentifier"])}


class Instances:
    """create, modify, describe, delete of both kinds. Subnet groups are kept by name."""

    def __init__(self, emulator: Emulator, store: Store) -> None:
        self._emulator = emulator
        self._store = store

    # Subnet groups ----------------------------------------------------------------------------------------------------------

    def create_group(self, request: Record) -> Record:
        name = identifier(request, "ReplicationSubnetGroupIdentifier")
        required(request, "ReplicationSubnetGroupDescription", "SubnetIds")
        if self._store.find("subnet_group", name):
            raise DmsError("ResourceAlreadyExistsFault", f"Replication Subnet Group {name} already exists.")
        return self._keep_group(name, request)

    def modify_group(self, request: Record) -> Record:
        name = identifier(request, "ReplicationSubnetGroupIdentifier")
        present = self._store.get("subnet_group", name)
        said = {"ReplicationSubnetGroupDescription": present["ReplicationSubnetGroupDescription"]}
        return self._keep_group(name, {**said, **request})

    def _keep_group(self, name: str, request: Record) -> Record:
        if not self._emulator.trusts(VPC_ROLE, SERVICE):
            raise DmsError("AccessDeniedFault", f"The IAM Role {self._emulator.role_arn(VPC_ROLE)} is not configured properly.")
        try:
            subnets = self._emulator.client("ec2").describe_subnets(SubnetIds=list(request["SubnetIds"]))["Subnets"]
        except ClientError as error:
            raise DmsError("InvalidSubnet", error.response["Error"]["Message"]) from error
        if len({subnet["AvailabilityZone"] for subnet in subnets}) < 2:
            said = "The DB Subnet Group doesn't meet availability zone coverage requirement. Please add subnets to cover at least 2"
            raise DmsError("ReplicationSubnetGroupDoesNotCoverEnoughAZs", f"{said} availability zones.")
        record = {
            "ReplicationSubnetGroupIdentifier": name,
            "ReplicationSubnetGroupDescription": request["ReplicationSubnetGroupDescription"],
            "VpcId": subnets[0]["VpcId"],
            "SubnetGroupStatus": "Complete",
            "Subnets": [
                {
                    "SubnetIdentifier": subnet["SubnetId"],
                    "SubnetAvailabilityZone": {"Name": subnet["AvailabilityZone"]},
                    "SubnetStatus": "Active",
                }
                for subnet in subnets
            ],
        }
        self._store.put("subnet_group", name, record)
        return {"ReplicationSubnetGroup": record}

    def describe_groups(self, request: Record) -> Record:
        found = select(self._store.all("subnet_group"), request, _GROUP_FILTERS, "Replication Subnet Groups")
        return {"ReplicationSubnetGroups": found}

    def delete_group(self, request: Record) -> Record:
        name = identifier(request, "ReplicationSubnetGroupIdentifier")
        self._store.get("subnet_group", name)
        for instance in self._store.all("instance"):
            if (instance.get("ReplicationSubnetGroup") or {}).get("ReplicationSubnetGroupIdentifier") == name:
                said = f"Replication Subnet Group {name} is in use by {instance['ReplicationInstanceArn']}."
                raise DmsError("InvalidResourceStateFault", said)
        self._store.remove("subnet_group", name)
        return {}

    # Instances --------------------------------------------------------------------------------------------------------------

    def create(self, request: Record) -> Record:
        required(request, "ReplicationInstanceClass")
        name = identifier(request, "ReplicationInstanceIdentifier")
        arn = new_arn("instance", request.get("ResourceIdentifier"))
        if self._store.find("instance", arn) or any(
            record["ReplicationInstanceIdentifier"] == name for record in self._store.all("instance")
        ):
            raise DmsError("ResourceAlreadyExistsFault", f"Replication Instance {name} already exists.")
        group = None
        if request.get("ReplicationSubnetGroupIdentifier"):
            group = self._store.get("subnet_group", identifier(request, "ReplicationSubnetGroupIdentifier"))
        groups = [{"VpcSecurityGroupId": each, "Status": "active"} for each in request.get("VpcSecurityGroupIds") or []]
        record = {
            "ReplicationInstanceArn": arn,
            "ReplicationInstanceIdentifier": name,
            "ReplicationInstanceClass": request["ReplicationInstanceClass"],
            "ReplicationInstanceStatus": "available",
            "AllocatedStorage": int(request.get("AllocatedStorage") or 50),
            "InstanceCreateTime": now(),
            "VpcSecurityGroups": groups,
            "AvailabilityZone": request.get("AvailabilityZone") or f"{self._emulator.region}a",
            **({"ReplicationSubnetGroup": group} if group else {}),
            "PreferredMaintenanceWindow": request.get("PreferredMaintenanceWindow") or "sun:06:00-sun:14:00",
            "PendingModifiedValues": {},
            "MultiAZ": truth(request.get("MultiAZ", False)),
            "EngineVersion": str(request.get("EngineVersion") or _ENGINE_VERSION),
            "AutoMinorVersionUpgrade": truth(request.get("AutoMinorVersionUpgrade", True)),
            "PubliclyAccessible": truth(request.get("PubliclyAccessible", True)),
            "ReplicationInstancePrivateIpAddress": "127.0.0.1",
            "ReplicationInstancePrivateIpAddresses": ["127.0.0.1"],
            **{key: request[key] for key in ("KmsKeyId", "NetworkType", "DnsNameServers") if request.get(key)},
        }
        self._store.put("instance", arn, record)
        return {"ReplicationInstance": {**record, "ReplicationInstanceStatus": "creating"}}

    def modify(self, request: Record) -> Record:
        arn = str(request.get("ReplicationInstanceArn"))
        record = self._store.get("instance", arn)
        changes: dict[str, Any] = {}
        for key in ("ReplicationInstanceClass", "PreferredMaintenanceWindow", "EngineVersion", "NetworkType"):
            if request.get(key):
                changes[key] = request[key]
        if request.get("AllocatedStorage"):
            changes["AllocatedStorage"] = int(request["AllocatedStorage"])
        for key in ("MultiAZ", "AutoMinorVersionUpgrade"):
            if key in request:
                changes[key] = truth(request[key])
        if "VpcSecurityGroupIds" in request:
            groups = [{"VpcSecurityGroupId": each, "Status": "active"} for each in request["VpcSecurityGroupIds"]]
            changes["VpcSecurityGroups"] = groups
        if request.get("ReplicationInstanceIdentifier"):
            changes["ReplicationInstanceIdentifier"] = identifier(request, "ReplicationInstanceIdentifier")
        self._store.put("instance", arn, {**record, **changes})
        return {"ReplicationInstance": self._store.get("instance", arn)}

    def describe(self, request: Record) -> Record:
        found = select(self._store.all("instance"), request, _INSTANCE_FILTERS, "Replication Instances")
        return {"ReplicationInstances": found}

    def delete(self, request: Record) -> Record:
        arn = str(request.get("ReplicationInstanceArn"))
        record = self._store.get("instance", arn)
        for task in self._store.all("task"):
            if task["ReplicationInstanceArn"] == arn:
                said = f"Replication Instance {arn} has task {task['ReplicationTaskArn']}; delete that first."
                raise DmsError("InvalidResourceStateFault", said)
        self._store.remove("instance", arn)
        for key in self._store.keys("connection"):
            if key.startswith(f"{arn}|"):
                self._store.remove("connection", key)
        return {"ReplicationInstance": {**record, "ReplicationInstanceStatus": "deleting"}}
