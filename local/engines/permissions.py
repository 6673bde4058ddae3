"""Corrections to what ministack's IAM evaluator asks for: the resource that AWS checks, where ministack names another or none."""

import json
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from local.emulator import ACCOUNT, REGION, Emulator
from local.home import read_json

# Condition keys of the request that is being checked, where ministack knows none; set with its resource, just before the check.
_conditions: ContextVar[dict[str, Any]] = ContextVar("conditions", default={})  # noqa: B039 (never changed in place)


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def glue_resource(action: str, request: dict[str, Any]) -> str | None:
    """The most specific resource of a Glue call, after the Service Authorization Reference; None to leave ministack's answer."""
    name = request.get("Name") or ""
    database = request.get("DatabaseName") or ""
    if "Crawler" in action:
        crawler = name or request.get("CrawlerName")
        return _arn("glue", f"crawler/{crawler}") if crawler else "*"
    if "Job" in action:
        job = request.get("JobName") or name
        return _arn("glue", f"job/{job}") if job else "*"
    if "Trigger" in action:
        return _arn("glue", f"trigger/{name}") if name else "*"
    if "Table" in action or "Partition" in action:
        table = request.get("TableName") or (request.get("TableInput") or {}).get("Name") or name or "*"
        return _arn("glue", f"table/{database}/{table}")
    if "Database" in action:
        return _arn("glue", f"database/{name or (request.get('DatabaseInput') or {}).get('Name') or '*'}")
    return None


def glue_parents(resource: str) -> Iterator[str]:
    """Everything that Glue asks permission for when this resource is used: a table also needs its database and the catalog."""
    kind = resource.rpartition(":")[2]
    if kind.startswith("table/"):
        yield _arn("glue", f"database/{kind.split('/')[1]}")
    if kind.startswith(("table/", "database/")):
        yield _arn("glue", "catalog")
    yield resource


def _iam_conditions(query: dict[str, Any]) -> dict[str, Any]:
    """iam:PolicyARN, of calls that attach or detach a policy."""
    policy = query.get("PolicyArn")
    return {"iam:PolicyARN": policy[0] if isinstance(policy, list) else policy} if policy else {}


def install(emulator: Emulator) -> None:
    """Wrap the evaluator's two entry points."""
    original_resource = emulator.get("core.iam_actions", "extract_resource_arn")
    original_enforce = emulator.get("core.iam_evaluator", "enforce")
    named_queries = emulator.get("services.athena", "_named_queries")

    def athena_resource(request: dict[str, Any]) -> str:
        """Calls about one query are checked on its workgroup."""
        if "QueryExecutionId" in request:
            kept = emulator.home.athena_execution(str(request["QueryExecutionId"]))
            found = read_json(kept) if kept else None
        else:
            found = named_queries.get(request.get("NamedQueryId"))
        group = request.get("WorkGroup") or (found or {}).get("WorkGroup") or "primary"
        return _arn("athena", f"workgroup/{group}")

    def resource(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], *more: Any
    ) -> str:
        _conditions.set(_iam_conditions(query) if service == "iam" else {})
        if service in ("glue", "athena", "elasticmapreduce"):
            request = json.loads(body or b"{}")
            action = headers.get("x-amz-target", "").rpartition(".")[2]
            corrected = None
            if service == "glue":
                corrected = glue_resource(action, request)
            elif service == "athena" and not action.startswith("List"):
                corrected = athena_resource(request)
            elif service == "elasticmapreduce":
                role = request.get("ExecutionRoleArn")
                _conditions.set({"elasticmapreduce:ExecutionRoleArn": role} if role else {})
                clusters = [*request.get("JobFlowIds", ()), request.get("JobFlowId") or request.get("ClusterId")]
                corrected = _arn("elasticmapreduce", f"cluster/{clusters[0]}") if clusters[0] else None
            if corrected:
                return corrected
        return str(original_resource(service, method, path, headers, body, query, *more))

    def enforce(access_key: str, action: str, service: str, region: str, **about: Any) -> Any:
        about["service_context"] = {**(about.get("service_context") or {}), **_conditions.get()}
        if service != "glue":
            return original_enforce(access_key, action, service, region, **about)
        for checked in glue_parents(about.pop("resource_arn", "*")):
            denied = original_enforce(access_key, action, service, region, resource_arn=checked, **about)
            if denied:
                return denied
        return None

    emulator.patch("core.iam_actions", "extract_resource_arn", resource)
    emulator.patch("core.iam_evaluator", "enforce", enforce)
