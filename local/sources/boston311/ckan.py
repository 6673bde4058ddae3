"""The JSON that CKAN answers with. Shapes: data.boston.gov and CKAN's own rules."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from local.sources.boston311.catalogue import Resource

PACKAGE_ID = "8048697b-ad64-4bfc-b090-ee00169f2323"
PACKAGE_NAME = "311-service-requests"
JSON = "application/json;charset=utf-8"
# The known actions, each with the parameter that it cannot do without.
ACTIONS = {"package_show": "id", "resource_show": "id", "datastore_search": "resource_id", "datastore_search_sql": "sql"}


@dataclass
class CkanError(Exception):
    """An answer with success=false. `kind` is CKAN's __type; `details` stand beside the message."""

    status: int
    kind: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


def no_datastore(action: str, wanted: str) -> CkanError:
    """The answer to a query: our resources are downloads alone, as those of the real portal's first years are."""
    if action == "datastore_search":
        return CkanError(404, "Not Found Error", f'Not found: Resource "{wanted}" was not found.')
    message = "(psycopg2.errors.UndefinedTable) relation does not exist"
    details = {"query": [message], "info": {"orig": [message], "statement": [wanted], "params": [{}]}}
    return CkanError(409, "Validation Error", message, details)


def answer(*, base: str, action: str, result: dict[str, Any]) -> dict[str, Any]:
    return {"help": _help(base, action), "success": True, "result": result}


def error(*, base: str, action: str, fault: CkanError) -> dict[str, Any]:
    return {
        "help": _help(base, action),
        "success": False,
        "error": {"__type": fault.kind, "message": fault.message, **fault.details},
    }


def package(*, base: str, origin: str, resources: list[Resource]) -> dict[str, Any]:
    """package_show's result. The extra `origin` is ours: the real portal has none."""
    return {
        "id": PACKAGE_ID,
        "name": PACKAGE_NAME,
        "title": "311 Service Requests",
        "type": "dataset",
        "state": "active",
        "private": False,
        "license_id": "odc-pddl",
        "license_title": "Open Data Commons Public Domain Dedication and License (PDDL)",
        "num_resources": len(resources),
        "extras": [{"key": "origin", "value": origin}],
        "resources": [entry(base=base, resource=r, position=i) for i, r in enumerate(resources)],
    }


def entry(*, base: str, resource: Resource, position: int) -> dict[str, Any]:
    """One resource, in package_show and as resource_show's result."""
    modified = resource.modified.replace(tzinfo=None).isoformat(timespec="microseconds")
    return {
        "id": resource.id,
        "package_id": PACKAGE_ID,
        "name": resource.name,
        "description": "",
        "format": resource.format,
        "mimetype": resource.mimetype,
        "hash": "",
        "position": position,
        "state": "active",
        "url_type": "upload",
        "url": f"{base}{download_path(resource)}",
        "created": modified,
        "last_modified": modified,
        "metadata_modified": modified,
        "datastore_active": False,
    }


def download_path(resource: Resource) -> str:
    """The address changes with every upload. An id is one segment, whatever stands in it."""
    return f"/dataset/{PACKAGE_ID}/resource/{quote(resource.id, safe='')}/download/{file_name(resource)}"


def file_name(resource: Resource) -> str:
    return f"tmp{resource.upload}.{resource.format.lower()}"


def _help(base: str, action: str) -> str:
    return f"{base}/api/3/action/help_show?name={action}"
