"""The only file that knows ministack's private names.

ministack 1.5.33 is pinned; `NAMES` lists every private name that is read or replaced here or by an engine, and a test asks whether
each exists. Environment variables must be set before this module is imported (local/serve.py does): ministack reads them at import.
"""

import contextlib
import contextvars
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import boto3
from botocore.config import Config

from local import children
from local.home import Home, read_json, write_json

ACCOUNT = "000000000000"
REGION = "us-east-1"
SESSION_SECONDS = 12 * 3600.0

# Module below `ministack` -> the names we read or replace there.
NAMES: dict[str, tuple[str, ...]] = {
    "app": ("app", "SERVICE_HANDLERS", "_build_persistence_save_dict", "save_all"),
    "core.iam_actions": ("identity_denial_message", "extract_resource_arn", "extract_iam_action"),
    "core.iam_evaluator": (
        *("EvalContext", "evaluate", "resolve_principal", "evaluate_trust_policy", "combine_resource_policy"),
        *("_resource_policy", "_POLICY_REQUIRED", "_service_principal_matches", "AuthError"),
        "enforce",
    ),
    "core.lambda_runtime": ("subprocess", "_detect_runtime_binary", "_PYTHON_WORKER_SCRIPT"),
    "core.responses": ("error_response_json", "json_response"),
    "services.athena": (
        *("_run_duckdb", "_save_query_results", "_workgroups", "_executions", "_named_queries"),
        *("_start_query_execution", "_stop_query_execution", "_get_query_results", "_create_named_query"),
    ),
    "services.cloudformation.provisioners": (
        *("_RESOURCE_HANDLERS", "_GLUE_JOB_DEFAULTS", "s3_bucket_name_conflict"),
        *("_rds_db_instance_create", "_rds_db_instance_delete"),
    ),
    "services.cloudformation.stacks": ("_runs_on_worker_thread",),
    "services.cloudwatch_logs": ("_put_log_events", "_create_log_stream", "_create_log_group"),
    "services.emr": (
        *("_HANDLERS", "_clusters", "_steps", "_make_step", "_run_job_flow", "_cluster_id", "_now_iso", "_group_id"),
        *("_describe_cluster", "_terminate_job_flows"),
    ),
    "services.eventbridge": ("_cron_next_fire", "_parse_cron_fields", "_parse_rate_seconds", "_invoke_target", "_put_events"),
    "services.glue": (
        *("_jobs", "_job_runs", "_crawlers", "_tables", "_databases", "_partitions", "_create_job", "_update_job"),
        *("_start_job_run", "_batch_stop_job_run", "_start_crawler", "_stop_crawler", "_create_table", "_update_table"),
        *("_start_trigger", "_triggers", "_get_crawler"),
    ),
    "services.iam": ("_roles", "_access_keys", "_instance_profiles", "_aws_managed_policies", "_make_aws_managed_record"),
    "services.lambda_svc": ("_execute_function_warm", "_functions"),
    "services.rds": (
        *("_ACTION_MAP", "_instances", "_param_groups", "_resolve_instance", "_record_reboot_event"),
        *("_finish_instance_reboot", "_rotate_instance_password"),
    ),
    "services.scheduler": ("_tick_schedules", "_schedules", "_schedule_last_fired", "_to_epoch"),
    "services.secretsmanager": (
        *("_secrets", "_resolve", "_rotate_secret", "_get_secret_value", "_describe_secret", "_find_stage_version"),
        "_is_replica",
    ),
    "services.stepfunctions": (
        *("_SERVICE_DISPATCH", "_ExecutionError", "_execute_task", "_invoke_resource", "_state_machines"),
        *("_executions", "_AWS_SDK_SERVICE_MAP", "_call_lambda", "_start_execution", "_AWS_SDK_ERROR_PREFIX"),
    ),
    "services.sts": ("_sessions", "register_session"),
}

ServiceHandler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[tuple[int, dict[str, str], bytes]]]
Create = Callable[[str, dict[str, Any], str], tuple[str, dict[str, Any]]]
Integration = Callable[[str, dict[str, Any]], Any]


@dataclass(frozen=True)
class Credentials:
    """An access key; `token` is empty for the root and for users."""

    access_key: str
    secret_key: str
    token: str = ""

    def environment(self) -> dict[str, str]:
        """As the AWS SDKs read them from the environment."""
        found = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return {**found, "AWS_SESSION_TOKEN": self.token} if self.token else found


ROOT_CREDENTIALS = Credentials("test", "test")
_acting: contextvars.ContextVar[Credentials | None] = contextvars.ContextVar("acting", default=None)
# Access key that signed the request which is being answered.
_signer: contextvars.ContextVar[str] = contextvars.ContextVar("signer", default="")


class Emulator:
    """ministack in this process, and what the engines need of it.

    endpoint: its address; home: where state is kept. Names outside `NAMES` are refused, so that the test sees every one.
    """

    def __init__(self, *, home: Home, port: int) -> None:
        self.home = home
        self.port = port
        self.endpoint = f"http://127.0.0.1:{port}"
        self.account = ACCOUNT
        self.region = REGION
        self._restored: list[Callable[[], None]] = []
        self._stopping: list[Callable[[], None]] = []

    # Names ------------------------------------------------------------------------------------------------------------

    def get(self, module: str, name: str) -> Any:
        """A private name of ministack; `module` is below `ministack`, e.g. "services.glue"."""
        if name not in NAMES.get(module, ()):
            raise LookupError(f"add ministack.{module}.{name} to NAMES in local/emulator.py")
        return getattr(import_module(f"ministack.{module}"), name)

    def patch(self, module: str, name: str, replacement: Any) -> Any:
        """Replace a name inside ministack; returns what was there."""
        original = self.get(module, name)
        setattr(import_module(f"ministack.{module}"), name, replacement)
        return original

    # Extension points -------------------------------------------------------------------------------------------------

    def service(self, name: str, handler: ServiceHandler) -> None:
        """Answer a whole service API, by its SigV4 signing name."""
        self.get("app", "SERVICE_HANDLERS")[name] = handler

    def resource_type(self, name: str, create: Create, delete: Callable[[str, dict[str, Any]], None], **more: Any) -> None:
        """A CloudFormation type. `create(logical_id, properties, stack)` returns the physical id and the attributes;
        `update(physical_id, old, new, stack)` is optional. They run in worker threads and may block."""
        handlers = self.get("services.cloudformation.provisioners", "_RESOURCE_HANDLERS")
        handlers[name] = {"create": create, "delete": delete, **more}
        blocks = self.get("services.cloudformation.stacks", "_runs_on_worker_thread")
        self.patch("services.cloudformation.stacks", "_runs_on_worker_thread", lambda kind: kind == name or blocks(kind))

    def resource_handlers(self) -> dict[str, dict[str, Any]]:
        """CloudFormation types -> their functions, to wrap a built-in one."""
        handlers: dict[str, dict[str, Any]] = self.get("services.cloudformation.provisioners", "_RESOURCE_HANDLERS")
        return handlers

    def integration(self, name: str, handler: Integration) -> None:
        """A Step Functions integration, e.g. "glue:startJobRun"; `handler(resource, parameters)` may block."""
        dispatch = self.get("services.stepfunctions", "_SERVICE_DISPATCH")
        # Keys match by prefix in the table's order: a longer one has to stand first ("x:startA" before "x:start").
        dispatch[f"arn:aws:states:::{name}"] = handler
        ordered = sorted(dispatch.items(), key=lambda item: -len(item[0]))
        dispatch.clear()
        dispatch.update(ordered)

    def task_error(self, error: str, cause: str) -> Exception:
        """The exception that fails a Step Functions task with this Error and Cause."""
        made: Exception = self.get("services.stepfunctions", "_ExecutionError")(error, cause)
        return made

    def answer(self, body: dict[str, Any]) -> Any:
        """A successful answer of a JSON-protocol operation."""
        return self.get("core.responses", "json_response")(body)

    def refuse(self, code: str, message: str) -> Any:
        """A client error of a JSON-protocol operation."""
        return self.get("core.responses", "error_response_json")(code, message, 400)

    def on_restored(self, callback: Callable[[], None]) -> None:
        """Call back once the state of an earlier process has been loaded, before the first request."""
        self._restored.append(callback)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call back when the laptop cloud is stopped."""
        self._stopping.append(callback)

    def restored(self) -> None:
        for callback in self._restored:
            callback()

    def stop(self) -> None:
        for callback in self._stopping:
            callback()

    def thread(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run in the background, in the caller's account and region (ministack keeps those in context variables)."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(work, *arguments), daemon=True).start()

    def document(self, name: str) -> "Document":
        """A small JSON object of an engine that survives SIGKILL."""
        return Document(self.home, name)

    # Clients and identities -------------------------------------------------------------------------------------------

    def client(self, service: str, credentials: Credentials = ROOT_CREDENTIALS) -> Any:
        """A boto3 client of this cloud, by default as root. Never call it on the event loop."""
        session = boto3.session.Session(
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token or None,
            region_name=REGION,
        )
        config = Config(retries={"max_attempts": 2}, max_pool_connections=20)
        return session.client(service, endpoint_url=self.endpoint, config=config)

    def role_name(self, role: str) -> str:
        """The name in a role's ARN (or the name itself)."""
        return role.rsplit("/", 1)[-1]

    def role_arn(self, role: str) -> str:
        """A role's ARN from its ARN or its name."""
        return role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{role}"

    def role_session(self, role: str, session_name: str, seed: str = "") -> Credentials:
        """Credentials of a fresh session of a role, as a service takes them when it works for somebody."""
        name = self.role_name(role)
        digest = hashlib.sha256((seed or secrets.token_hex(16)).encode() + name.encode()).hexdigest().upper()
        made = Credentials(f"ASIA{digest[:16]}", secrets.token_hex(20), secrets.token_hex(32))
        self.get("services.sts", "register_session")(
            made.access_key,
            {
                "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session_name}",
                "UserId": f"{name}:{session_name}",
                "SecretAccessKey": made.secret_key,
                "SessionToken": made.token,
                "Expiration": time.time() + SESSION_SECONDS,
            },
        )
        return made

    def end_session(self, credentials: Credentials) -> None:
        """Make the credentials worthless."""
        self.get("services.sts", "_sessions").pop(credentials.access_key, None)

    def credentials_of(self, access_key: str) -> Credentials:
        """The credentials behind an access key: a session, a user's key or the root; LookupError if unknown."""
        session = self.get("services.sts", "_sessions").get(access_key)
        if session:
            return Credentials(access_key, session["SecretAccessKey"], session.get("SessionToken") or "")
        user_key = self.get("services.iam", "_access_keys").get(access_key)
        if user_key:
            return Credentials(access_key, user_key["SecretAccessKey"])
        if access_key == ROOT_CREDENTIALS.access_key:
            return ROOT_CREDENTIALS
        raise LookupError(f"unknown access key {access_key}")

    def caller(self) -> Credentials:
        """For whom this code runs: a state machine's role, else who signed the request, else the root.

        LookupError for a key that nobody knows; requests with one are refused before they come here.
        """
        return _acting.get() or (self.credentials_of(_signer.get()) if _signer.get() else ROOT_CREDENTIALS)

    def remember_caller(self, scope: dict[str, Any]) -> None:
        """Note who signed an ASGI request, in its header or in its query."""
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        signed = authorization.partition("Credential=")[2]
        if not signed:
            signed = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("X-Amz-Credential", [""])[0]
        _signer.set(signed.partition("/")[0])

    @contextlib.contextmanager
    def acting(self, credentials: Credentials) -> Iterator[None]:
        """Within it, in-process calls count as made with these credentials."""
        token = _acting.set(credentials)
        try:
            yield
        finally:
            _acting.reset(token)

    def denial(self, credentials: Credentials, action: str, resource: str, context: dict[str, Any] | None = None) -> str | None:
        """Why IAM refuses this action (AWS's sentence), or None if it allows it."""
        evaluator = import_module("ministack.core.iam_evaluator")
        principal = self.get("core.iam_evaluator", "resolve_principal")(credentials.access_key, ACCOUNT)
        if isinstance(principal, self.get("core.iam_evaluator", "AuthError")):
            return str(principal.message)
        if principal.policies is None:
            return None
        asked = self.get("core.iam_evaluator", "EvalContext")(
            principal_arn=principal.arn,
            principal_type=principal.type,
            principal_account=principal.account,
            action=action,
            resource_arn=resource,
            region=REGION,
            source_ip="127.0.0.1",
            secure_transport=True,
            service_context={key.lower(): value for key, value in {"aws:tagkeys": None, **(context or {})}.items()},
            principal_keys=principal.keys,
        )
        result = evaluator.evaluate(asked, principal.policies, *principal.limits)
        service = action.partition(":")[0]
        own = self.get("core.iam_evaluator", "_resource_policy")(service, resource)
        if own is not None:
            required = service in self.get("core.iam_evaluator", "_POLICY_REQUIRED")
            result = evaluator.combine_resource_policy(result, asked, *own, required=required, limits=principal.limits)
        if result.decision == "Allow":
            return None
        message = self.get("core.iam_actions", "identity_denial_message")
        return str(message(action, principal.arn, resource, result.decision == "Deny"))

    def trusts(self, role: str, service: str) -> bool:
        """Whether the role may be taken by an AWS service, e.g. "glue.amazonaws.com"."""
        found = self.get("services.iam", "_roles").get(self.role_name(role))
        if not found:
            return False
        document = found["AssumeRolePolicyDocument"]
        document = json.loads(document) if isinstance(document, str) else document
        statements = document["Statement"]
        matches = self.get("core.iam_evaluator", "_service_principal_matches")
        return any(
            statement["Effect"] == "Allow" and matches(statement.get("Principal", {}), service)
            for statement in (statements if isinstance(statements, list) else [statements])
        )

    def instance_role(self, profile: str) -> str | None:
        """The role in an instance profile (name or ARN)."""
        found = self.get("services.iam", "_instance_profiles").get(self.role_name(profile))
        roles = (found or {}).get("Roles") or []
        first = roles[0] if roles else None
        return first["RoleName"] if isinstance(first, dict) else first

    # The process --------------------------------------------------------------------------------------------------------

    def application(self) -> Any:
        """ministack's ASGI application."""
        return self.get("app", "app")

    def snapshot(self) -> None:
        """Write all state to disk; ministack itself does so at a clean stop only."""
        self.get("app", "save_all")(self.get("app", "_build_persistence_save_dict")())

    def isolate_lambdas(self, python: str) -> None:
        """Run Python Lambdas in an interpreter that holds what AWS's runtime holds, in processes that a stop can end."""
        script = self._named_errors(self.get("core.lambda_runtime", "_PYTHON_WORKER_SCRIPT"))
        original = self.get("core.lambda_runtime", "_detect_runtime_binary")

        def detect(runtime: str) -> tuple[str, str]:
            return (python, script) if runtime.startswith("python") else original(runtime)

        self.patch("core.lambda_runtime", "_detect_runtime_binary", detect)
        processes = self.get("core.lambda_runtime", "subprocess")
        recorded = SimpleNamespace(**{**vars(processes), "Popen": children.Child})
        self.patch("core.lambda_runtime", "subprocess", recorded)

    def _named_errors(self, script: str) -> str:
        """The worker's script and its caller, so changed that a handler's exception keeps its class as the error's type, by which
        a state machine retries and catches; ministack calls every one Runtime.HandlerError."""
        plain = '{"status": "error", "error": str(e), "trace"'
        if plain not in script:
            raise LookupError("ministack's Lambda worker reports errors in another way than local/emulator.py expects")
        execute = self.get("services.lambda_svc", "_execute_function_warm")

        def execute_named(*arguments: Any) -> Any:
            answer = execute(*arguments)
            body = answer.get("body")
            if answer.get("error") and isinstance(body, dict) and str(body.get("errorMessage", "")).startswith("\0"):
                _, kind, message = body["errorMessage"].split("\0", 2)
                answer["body"] = {**body, "errorType": kind, "errorMessage": message}
            return answer

        self.patch("services.lambda_svc", "_execute_function_warm", execute_named)
        named = '{"status": "error", "error": "\\0" + type(e).__name__ + "\\0" + str(e), "trace"'
        return script.replace(plain, named)


class Document:
    """A JSON object on disk, written whole at every change."""

    def __init__(self, home: Home, name: str) -> None:
        self._path = home.engines / f"{name}.json"
        self._lock = threading.Lock()
        self._value: dict[str, Any] = read_json(self._path, {})

    def get(self, key: str, default: Any = None) -> Any:
        return self._value.get(key, default)

    def items(self) -> list[tuple[str, Any]]:
        return list(self._value.items())

    def set(self, key: str, value: Any) -> None:
        with self._lock:
            self._value = {**self._value, key: value}
            write_json(self._path, self._value)

    def remove(self, key: str) -> None:
        with self._lock:
            self._value = {name: value for name, value in self._value.items() if name != key}
            write_json(self._path, self._value)
