"""CloudFormation's DMS types. A template names some things otherwise than the API does."""

import secrets
from typing import Any

from local.emulator import ROOT_CREDENTIALS, Emulator
from local.engines.dms import Dms
from local.engines.dms_model import DmsError, Record

# Changes of these make a new resource.
_REPLACING = {
    "ReplicationSubnetGroup": ("ReplicationSubnetGroupIdentifier",),
    "ReplicationInstance": (
        *("AvailabilityZone", "KmsKeyId", "PubliclyAccessible", "ReplicationSubnetGroupIdentifier", "ResourceIdentifier"),
    ),
    "Endpoint": ("KmsKeyId", "ResourceIdentifier"),
    "ReplicationTask": ("ReplicationInstanceArn", "ResourceIdentifier", "SourceEndpointArn", "TargetEndpointArn"),
}
_NAMES = {
    "ReplicationSubnetGroup": "ReplicationSubnetGroupIdentifier",
    "ReplicationInstance": "ReplicationInstanceIdentifier",
    "Endpoint": "EndpointIdentifier",
    "ReplicationTask": "ReplicationTaskIdentifier",
}
_RENAMED = {"PostgreSqlSettings": "PostgreSQLSettings"}


class DmsResource:
    """create, update and delete of one type, by the service's own operations."""

    def __init__(self, emulator: Emulator, service: Dms, kind: str) -> None:
        self._emulator = emulator
        self._service = service
        self._kind = kind
        self._name = _NAMES[kind]

    def create(self, logical: str, properties: Record, stack: str) -> tuple[str, Record]:
        request = self._request(properties)
        request.setdefault(self._name, f"{stack}-{logical}-{secrets.token_hex(6)}")
        return self._made(self._call("Create", request)[self._kind])

    def update(self, physical: str, old: Record, new: Record, stack: str) -> tuple[str, Record]:
        if any(old.get(key) != new.get(key) for key in _REPLACING[self._kind]):
            made = self.create(self._kind, new, stack)
            self.delete(physical, old)
            return made
        request = {key: value for key, value in self._request(new).items() if key not in ("Tags", "ResourceIdentifier")}
        if self._kind == "ReplicationSubnetGroup":
            request[self._name] = physical
        else:
            request[f"{self._kind}Arn"] = physical
            if new.get(self._name) == old.get(self._name):
                request.pop(self._name, None)
        return self._made(self._call("Modify", request)[self._kind])

    def delete(self, physical: str, _properties: Record) -> None:
        field = self._name if self._kind == "ReplicationSubnetGroup" else f"{self._kind}Arn"
        try:
            self._call("Delete", {field: physical})
        except ValueError as error:
            if "ResourceNotFoundFault" not in str(error):
                raise

    def _call(self, verb: str, request: Record) -> Record:
        try:
            with self._emulator.acting(ROOT_CREDENTIALS):
                return self._service.call(f"{verb}{self._kind}", request)
        except DmsError as error:
            raise ValueError(f"{error} (Service: AWSDatabaseMigrationService; Error Code: {error.code})") from error

    def _request(self, properties: Record) -> Record:
        return {_RENAMED.get(key, key): value for key, value in properties.items()}

    def _made(self, record: Record) -> tuple[str, Record]:
        if self._kind == "ReplicationSubnetGroup":
            return str(record[self._name]), {}
        attributes: Record = {}
        if self._kind == "Endpoint":
            attributes["ExternalId"] = record["ExternalId"]
        if self._kind == "ReplicationInstance":
            private: Any = record["ReplicationInstancePrivateIpAddresses"]
            attributes = {"ReplicationInstancePrivateIpAddresses": private, "ReplicationInstancePublicIpAddresses": []}
        return str(record[f"{self._kind}Arn"]), attributes


def install(emulator: Emulator, service: Dms) -> None:
    """Register the types."""
    for kind in _NAMES:
        made = DmsResource(emulator, service, kind)
        emulator.resource_type(f"AWS::DMS::{kind}", made.create, made.delete, update=made.update)
