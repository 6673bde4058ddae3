"""What the parts of the laptop's DMS share: its errors, addresses, filters, and the store of its resources."""

import base64
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from local.emulator import ACCOUNT, REGION, Credentials, Emulator
from local.replication.errors import Fatal

SERVICE = "dms.amazonaws.com"
REGIONAL_SERVICE = f"dms.{REGION}.amazonaws.com"
VPC_ROLE = "dms-vpc-role"
LOGS_ROLE = "dms-cloudwatch-logs-role"
Record = dict[str, Any]
# Kind of resource -> how AWS calls it in an address.
KINDS = {"subnet_group": "subgrp", "instance": "rep", "endpoint": "endpoint", "task": "task"}


class DmsError(Exception):
    """An error of the API. code: as in the service's model, e.g. "ResourceNotFoundFault"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Store:
    """All resources, by kind and address; they survive SIGKILL. `connections` are keyed "instance|endpoint"."""

    def __init__(self, emulator: Emulator) -> None:
        self._documents = {kind: emulator.document(f"dms_{kind}s") for kind in (*KINDS, "connection", "tag")}

    def find(self, kind: str, arn: str) -> Record | None:
        found = self._documents[kind].get(arn)
        return dict(found) if found is not None else None

    def get(self, kind: str, arn: str) -> Record:
        """Raises DmsError."""
        found = self.find(kind, arn)
        if found is None:
            raise DmsError("ResourceNotFoundFault", f"{_words(kind)} {arn} not found.")
        return found

    def all(self, kind: str) -> list[Record]:
        return [dict(value) for _, value in self._documents[kind].items()]

    def keys(self, kind: str) -> list[str]:
        return [key for key, _ in self._documents[kind].items()]

    def put(self, kind: str, arn: str, record: Record) -> None:
        self._documents[kind].set(arn, record)

    def change(self, kind: str, arn: str, **values: Any) -> None:
        """Change some values of a resource, if it is still there."""
        found = self.find(kind, arn)
        if found is not None:
            self.put(kind, arn, {**found, **values})

    def remove(self, kind: str, arn: str) -> None:
        self._documents[kind].remove(arn)


def new_arn(kind: str, wanted: str | None = None) -> str:
    """An address; its last part is ResourceIdentifier, else 26 letters and digits. Raises DmsError."""
    if wanted and not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*", wanted):
        said = "must begin with a letter, hold letters, digits and hyphens, not end with a hyphen nor have two in a row"
        raise DmsError("InvalidParameterValueException", f"The ResourceIdentifier {wanted} {said}.")
    if wanted and len(wanted) > 31:
        raise DmsError("InvalidParameterValueException", f"The ResourceIdentifier {wanted} is longer than 31 characters.")
    last = wanted or base64.b32encode(secrets.token_bytes(17)).decode()[:26]
    return f"arn:aws:dms:{REGION}:{ACCOUNT}:{KINDS[kind]}:{last}"


def identifier(request: Record, name: str) -> str:
    """A resource's name, as DMS keeps it: in small letters. Raises DmsError."""
    given = str(request.get(name) or "")
    if not re.fullmatch(r"[A-Za-z](-?[A-Za-z0-9])*", given) or len(given) > 255:
        said = f"{name} {given!r} must begin with a letter, hold letters, digits and hyphens, and not end with a hyphen"
        raise DmsError("InvalidParameterValueException", f"{said}.")
    return given.lower()


def required(request: Record, *fields: str) -> None:
    """Raises DmsError."""
    missing = [name for name in fields if request.get(name) in (None, "")]
    if missing:
        raise DmsError("InvalidParameterValueException", f"Missing required parameters: {', '.join(missing)}.")


def truth(value: Any) -> bool:
    """Templates hold booleans as such or as text."""
    return str(value).lower() == "true"


def select(records: Iterable[Record], request: Record, filters: dict[str, Callable[[Record], str]], what: str) -> list[Record]:
    """What the request's filters leave. Raises DmsError for unknown filters, and, as AWS does, when they leave nothing."""
    found = list(records)
    given = request.get("Filters") or []
    for each in given:
        name = each.get("Name", "")
        if name not in filters:
            raise DmsError("InvalidParameterValueException", f"Filter name {name} is not valid for {what}.")
        found = [record for record in found if filters[name](record) in each.get("Values", [])]
    if given and not found:
        raise DmsError("ResourceNotFoundFault", f"No {what} found matching provided filters")
    return found


def now() -> float:
    return round(time.time(), 3)


def assumed(emulator: Emulator, role: str, *services: str) -> Credentials:
    """A session of a role that one of DMS's service principals may take. Raises Fatal."""
    if not any(emulator.trusts(role, service) for service in services):
        raise Fatal(f"Unable to assume the role {role}: it has to exist and to trust {' or '.join(services)}")
    return emulator.role_session(role, "dms-session")


def _words(kind: str) -> str:
    return {"subnet_group": "Replication Subnet Group", "instance": "Replication Instance", "task": "Replication Task"}.get(
        kind, kind.capitalize()
    )
