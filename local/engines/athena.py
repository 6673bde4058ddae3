"""Athena: the query operations, answered by DuckDB with the rights of whoever asks.

ministack keeps workgroups, named queries and catalogues. Executions are kept here, one JSON file each, so that they survive
SIGKILL; results lie in S3 where the workgroup says, are written and read with the caller's credentials, and count as on AWS.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import Credentials, Emulator
from local.engines.athena_results import Results, column_info
from local.engines.athena_types import AthenaError
from local.home import read_json, write_json

ENGINE = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}
UNFINISHED = ("QUEUED", "RUNNING")
POLL_SECONDS = 0.05
HISTORY_SECONDS = 45 * 86400
Execution = dict[str, Any]


class Refused(Exception):
    """A request that Athena refuses with InvalidRequestException."""


def install(emulator: Emulator) -> None:
    """Answer Athena's query operations and its Step Functions integration."""
    engine = Athena(emulator)
    emulator.service("athena", engine.handle)
    for operation in ("startQueryExecution", "stopQueryExecution", "getQueryExecution", "getQueryResults"):
        emulator.integration(f"athena:{operation}", engine.task)
    emulator.on_restored(engine.restored)


class Athena:
    """Athena's query operations over a directory of executions."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._directory = emulator.home.engines / "athena"
        self._forward = emulator.get("app", "SERVICE_HANDLERS")["athena"]
        self._running: dict[str, Any] = {}
        self._stopped: set[str] = set()
        # A connection is interrupted only while it works for the query that is stopped; the next one may be somebody else's.
        self._guard = threading.Lock()
        self._executions: dict[str, Execution] = {}
        self._results = Results()
        self._clients: dict[tuple[str, str], Any] = {}
        self._operations: dict[str, Callable[[dict[str, Any], Credentials], dict[str, Any]]] = {
            "StartQueryExecution": self._start,
            "StopQueryExecution": self._stop,
            "GetQueryExecution": self._get,
            "BatchGetQueryExecution": self._batch_get,
            "ListQueryExecutions": self._list,
            "GetQueryResults": self._get_results,
        }

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> tuple[int, dict[str, str], bytes]:
        """ministack's handler of the service; what is not about executions goes on to ministack."""
        operation = self._operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None:
            forwarded: tuple[int, dict[str, str], bytes] = await self._forward(method, path, headers, body, query)
            return forwarded
        # Seeds the primary workgroup, which ministack does at every request.
        await self._forward(method, path, {**headers, "x-amz-target": "AmazonAthena.ListWorkGroups"}, b"{}", {})
        caller = self._emulator.caller()
        try:
            answer = await asyncio.to_thread(operation, json.loads(body or b"{}"), caller)
        except Refused as refusal:
            refused: tuple[int, dict[str, str], bytes] = self._emulator.refuse("InvalidRequestException", str(refusal))
            return refused
        found: tuple[int, dict[str, str], bytes] = self._emulator.answer(answer)
        return found

    def _warm_up(self) -> None:
        """The first query must not wait for DuckDB's extensions and the SQL parser."""

        def load() -> None:
            from local.engines import athena_worker

            athena_worker.prepare()

        threading.Thread(target=load, daemon=True).start()

    # Operations ---------------------------------------------------------------------------------------------------------------

    def _start(self, request: dict[str, Any], caller: Credentials) -> dict[str, Any]:
        sql = request.get("QueryString") or ""
        name = request.get("WorkGroup") or "primary"
        workgroup = self._emulator.get("services.athena", "_workgroups").get(name)
        if workgroup is None:
            raise Refused(f"WorkGroup {name} is not found.")
        if workgroup.get("State") == "DISABLED":
            raise Refused(f"WorkGroup {name} is disabled.")
        settings = workgroup.get("Configuration") or {}
        output = self._output(request, settings)
        kind = _statement_type(sql)
        execution_id = str(uuid.uuid4())
        context = request.get("QueryExecutionContext") or {}
        suffix = "csv" if kind == "DML" else "txt"
        execution: Execution = {
            "QueryExecutionId": execution_id,
            "Query": sql,
            "StatementType": kind,
            "ResultConfiguration": {"OutputLocation": f"{output.rstrip('/')}/{execution_id}.{suffix}"},
            "QueryExecutionContext": {"Database": "default", "Catalog": "AwsDataCatalog", **context},
            "Status": {"State": "QUEUED", "SubmissionDateTime": time.time()},
            "Statistics": {"EngineExecutionTimeInMillis": 0, "DataScannedInBytes": 0, "TotalExecutionTimeInMillis": 0},
            "WorkGroup": name,
            "EngineVersion": ENGINE,
            "_cutoff": settings.get("BytesScannedCutoffPerQuery"),
        }
        self._keep(execution)
        self._emulator.thread(self._work, execution, caller)
        return {"QueryExecutionId": execution_id}

    def _output(self, request: dict[str, Any], settings: dict[str, Any]) -> str:
        """The workgroup's location overrides the client's when the workgroup enforces its settings (Athena's default)."""
        own = (settings.get("ResultConfiguration") or {}).get("OutputLocation")
        asked = (request.get("ResultConfiguration") or {}).get("OutputLocation")
        location: str | None = own if own and settings.get("EnforceWorkGroupConfiguration", True) else asked or own
        if not location:
            raise Refused(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        return location

    def _stop(self, request: dict[str, Any], _caller: Credentials) -> dict[str, Any]:
        execution = self._find(request["QueryExecutionId"])
        if execution["Status"]["State"] in UNFINISHED:
            with self._guard:
                self._stopped.add(execution["QueryExecutionId"])
                connection = self._running.get(execution["QueryExecutionId"])
                if connection is not None:
                    connection.interrupt()
            self._end(execution, "CANCELLED", "Query was cancelled by user")
        return {}

    def _get(self, request: dict[str, Any], _caller: Credentials) -> dict[str, Any]:
        return {"QueryExecution": _public(self._find(request["QueryExecutionId"]))}

    def _batch_get(self, request: dict[str, Any], _caller: Credentials) -> dict[str, Any]:
        found, missing = [], []
        for execution_id in request.get("QueryExecutionIds") or []:
            try:
                found.append(_public(self._find(execution_id)))
            except Refused as refusal:
                missing.append({"QueryExecutionId": execution_id, "ErrorCode": "INVALID_INPUT", "ErrorMessage": str(refusal)})
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    def _list(self, request: dict[str, Any], _caller: Credentials) -> dict[str, Any]:
        name = request.get("WorkGroup") or "primary"
        known = [read_json(p, {}) for p in self._directory.glob("*.json")]
        mine = sorted((e for e in known if e.get("WorkGroup") == name), key=lambda e: -e["Status"]["SubmissionDateTime"])
        start, size = int(request.get("NextToken") or 0), int(request.get("MaxResults") or 50)
        page = {"QueryExecutionIds": [e["QueryExecutionId"] for e in mine[start : start + size]]}
        return {**page, "NextToken": str(start + size)} if start + size < len(mine) else page

    def _get_results(self, request: dict[str, Any], caller: Credentials) -> dict[str, Any]:
        execution = self._find(request["QueryExecutionId"])
        state, reason = execution["Status"]["State"], execution["Status"].get("StateChangeReason", "")
        if state != "SUCCEEDED":
            text = f". Current state: {state}" if state in UNFINISHED else f". Final query state: {state}. {reason}"
            raise Refused(f"Query did not finish successfully{text}")
        try:
            rows = self._results.read(self._client("s3", caller), execution)
        except ClientError as error:
            raise Refused(f"Unable to read the query's results: {error.response['Error'].get('Message')}") from error
        start, size = int(request.get("NextToken") or 0), int(request.get("MaxResults") or 1000)
        page = [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in rows[start : start + size]]
        metadata = {"ColumnInfo": [column_info(c) for c in execution["_columns"]]}
        answer: dict[str, Any] = {"UpdateCount": 0, "ResultSet": {"Rows": page, "ResultSetMetadata": metadata}}
        return {**answer, "NextToken": str(start + size)} if start + size < len(rows) else answer

    def _works(self, execution_id: str, connection: Any) -> None:
        """Notes the connection that works for a query, None for none any more. Raises AthenaError for a stopped query."""
        with self._guard:
            self._running.pop(execution_id, None)
            if connection is None:
                return
            if execution_id in self._stopped:
                raise AthenaError("USER_CANCELED", "Query was cancelled by user")
            self._running[execution_id] = connection

    def _client(self, service: str, caller: Credentials) -> Any:
        """A client of the caller; making one takes longer than most queries."""
        key = (service, caller.access_key)
        if key not in self._clients:
            if len(self._clients) >= 32:
                self._clients.clear()
            self._clients[key] = self._emulator.client(service, caller)
        return self._clients[key]

    # Executions ---------------------------------------------------------------------------------------------------------------

    def _keep(self, execution: Execution) -> None:
        self._executions[execution["QueryExecutionId"]] = execution
        write_json(self._directory / f"{execution['QueryExecutionId']}.json", execution)

    def _find(self, execution_id: str) -> Execution:
        if execution_id in self._executions:
            return self._executions[execution_id]
        path = self._emulator.home.athena_execution(execution_id)
        execution: Execution | None = read_json(path) if path else None
        if execution is None:
            raise Refused(f"QueryExecution {execution_id} was not found")
        return execution

    def _end(self, execution: Execution, state: str, reason: str = "", code: str = "") -> None:
        now = time.time()
        status: dict[str, Any] = {**execution["Status"], "State": state, "CompletionDateTime": now}
        if reason:
            status["StateChangeReason"] = reason
        if state == "FAILED":
            category = 1 if code == "GENERIC_INTERNAL_ERROR" else 2
            status["AthenaError"] = {"ErrorCategory": category, "ErrorType": 1000, "Retryable": False, "ErrorMessage": reason}
        millis = int((now - status["SubmissionDateTime"]) * 1000)
        execution["Statistics"].update(TotalExecutionTimeInMillis=millis, EngineExecutionTimeInMillis=millis)
        execution["Status"] = status
        self._keep(execution)

    def restored(self) -> None:
        """A query that a killed process left behind no longer runs; queries of more than 45 days ago are forgotten, as on AWS."""
        oldest = time.time() - HISTORY_SECONDS
        for path in self._directory.glob("*.json"):
            if path.stat().st_mtime < oldest:
                path.unlink()
                continue
            execution = read_json(path, {})
            if execution.get("Status", {}).get("State") in UNFINISHED:
                self._end(execution, "FAILED", "GENERIC_INTERNAL_ERROR: The laptop cloud was stopped during the query")
        self._warm_up()

    def _work(self, execution: Execution, caller: Credentials) -> None:
        from local.engines.athena_worker import CutOff, Worker

        execution_id = execution["QueryExecutionId"]
        execution["Status"] = {**execution["Status"], "State": "RUNNING"}
        database = execution["QueryExecutionContext"]["Database"].lower()
        catalogue = self._catalogue(caller, database)
        worker = Worker(self._emulator, caller, catalogue, execution["_cutoff"])
        try:
            columns, rows = worker.run(execution["Query"], lambda connection: self._works(execution_id, connection))
            execution["Statistics"]["DataScannedInBytes"] = worker.scanned
            execution["_columns"] = [(name, kind.name, list(kind.args) if kind.name == "decimal" else []) for name, kind in columns]
            self._results.write(self._client("s3", caller), execution, rows)
            if execution_id not in self._stopped:
                self._end(execution, "SUCCEEDED")
        except CutOff as stop:
            execution["Statistics"]["DataScannedInBytes"] = worker.scanned
            self._end(execution, "CANCELLED", str(stop))
        except ClientError as error:
            self._end(execution, "FAILED", f"Unable to write the results: {error.response['Error'].get('Message')} (AccessDenied)")
        except AthenaError as error:
            execution["Statistics"]["DataScannedInBytes"] = worker.scanned
            if execution_id not in self._stopped:
                self._end(execution, "FAILED", str(error), error.code)
        except Exception as error:
            # Whatever it is, a query must not stay RUNNING for ever; the log has the trace.
            self._end(execution, "FAILED", f"GENERIC_INTERNAL_ERROR: {type(error).__name__}: {error}", "GENERIC_INTERNAL_ERROR")
            raise
        finally:
            self._works(execution_id, None)
            self._stopped.discard(execution_id)

    def _catalogue(self, caller: Credentials, database: str) -> Any:
        from local.engines.athena_tables import Catalogue

        place = {"AWS_ENDPOINT_URL": self._emulator.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": self._emulator.region}
        glue, s3 = self._client("glue", caller), self._client("s3", caller)
        return Catalogue(glue=glue, s3=s3, storage={**place, **caller.environment()}, database=database)

    # Step Functions -----------------------------------------------------------------------------------------------------------

    def task(self, resource: str, parameters: dict[str, Any]) -> Any:
        """athena:startQueryExecution(.sync) and its siblings, over HTTP with the state machine's role, so that IAM is asked."""
        action = resource.partition("athena:")[2].partition(".")[0]
        client = self._emulator.client("athena", self._emulator.caller())
        method = getattr(client, re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), action))
        try:
            answer = _plain(method(**parameters))
            if not resource.endswith(".sync"):
                return answer
            while True:
                found = client.get_query_execution(QueryExecutionId=answer["QueryExecutionId"])["QueryExecution"]
                if found["Status"]["State"] not in UNFINISHED:
                    break
                time.sleep(POLL_SECONDS)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise self._emulator.task_error(f"Athena.{code}", error.response["Error"].get("Message", "")) from error
        result = {"QueryExecution": _plain(found)}
        if found["Status"]["State"] != "SUCCEEDED":
            raise self._emulator.task_error("States.TaskFailed", json.dumps(result["QueryExecution"]))
        return result


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of boto3 as JSON: times as ISO texts, without the HTTP metadata."""
    kept = {k: v for k, v in answer.items() if k != "ResponseMetadata"}
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=lambda v: v.isoformat()))
    return plain


def _public(execution: Execution) -> Execution:
    return {k: v for k, v in execution.items() if not k.startswith("_")}


def _statement_type(sql: str) -> str:
    matched = re.match(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w+)", sql, re.DOTALL)
    first = matched[1].lower() if matched else ""
    if first in ("create", "drop", "alter", "msck"):
        return "DDL"
    return "UTILITY" if first in ("show", "describe", "desc", "explain") else "DML"
