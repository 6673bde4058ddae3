"""Secrets Manager: rotation that really runs, where ministack gives the old value a new version and calls nobody.

A rotation calls the secret's Lambda four times (createSecret, setSecret, testSecret, finishSecret) with a version that bears
AWSPENDING and has no value yet; it has succeeded when the function has moved AWSCURRENT to that version. Due rotations are looked
for every few seconds.
"""

import json
import logging
import threading
import time
import uuid
from typing import Any

from local.emulator import Emulator
from local.engines.scheduler import Scheduler

SECRETS = "services.secretsmanager"
SERVICE = "secretsmanager.amazonaws.com"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
TRIAL = "_Trial"  # marks a version that is there for one call of testSecret
ATTEMPTS = 3
RETRY_SECONDS = 2.0
TICK_SECONDS = 2.0
DAY = 86400.0

logger = logging.getLogger("lake.rotation")
Secret = dict[str, Any]


class RotationError(Exception):
    """A step of a rotation failed; the text says which and why."""


class Rotations:
    """Rotates secrets, one rotation of a secret at a time."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._all: Any = emulator.get(SECRETS, "_secrets")
        self._resolve = emulator.get(SECRETS, "_resolve")
        self._find = emulator.get(SECRETS, "_find_stage_version")
        self._replica = emulator.get(SECRETS, "_is_replica")
        self._functions: Any = emulator.get("services.lambda_svc", "_functions")
        self._next_after = Scheduler(emulator).next_after
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._rotate_plainly = emulator.patch(SECRETS, "_rotate_secret", self.rotate_secret)
        self._describe = emulator.patch(SECRETS, "_describe_secret", self.describe_secret)
        self._get_value = emulator.patch(SECRETS, "_get_secret_value", self.get_secret_value)

    # The API ------------------------------------------------------------------------------------------------------------

    def _found(self, request: dict[str, Any]) -> tuple[Secret | None, Any]:
        """The secret of a request, or None and the refusal."""
        _, secret = self._resolve(request.get("SecretId"))
        if not secret:
            return None, self._emulator.refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        if secret.get("DeletedDate"):
            message = "You can't perform this operation on the secret because it was marked for deletion."
            return None, self._emulator.refuse("InvalidRequestException", message)
        return secret, None

    def rotate_secret(self, request: dict[str, Any]) -> Any:
        """RotateSecret: remembers function and rules, and rotates in the background unless RotateImmediately is false."""
        secret, refused = self._found(request)
        if secret is None:
            return refused
        function = request.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
        if not function or self._replica(secret):
            if function:
                return self._rotate_plainly(request)  # refuses
            message = "You must specify a Lambda function ARN to rotate a secret that has none yet."
            return self._emulator.refuse("InvalidRequestException", message)
        if not self._may_invoke(function):
            message = (
                "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the "
                f"principal {SERVICE}."
            )
            return self._emulator.refuse("AccessDeniedException", message)
        secret.update(RotationLambdaARN=function, RotationEnabled=True, _RotationsFrom=time.time())
        if request.get("RotationRules"):
            secret["RotationRules"] = request["RotationRules"]
        token = self._pending(secret) or request.get("ClientRequestToken") or str(uuid.uuid4())
        if request.get("RotateImmediately", True):
            self._begin(secret, token)
        else:
            self._emulator.thread(self._try_out, secret)
        return self._emulator.answer({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})

    def cancel(self, request: dict[str, Any]) -> Any:
        """CancelRotateSecret."""
        secret, refused = self._found(request)
        if secret is None:
            return refused
        secret["RotationEnabled"] = False
        return self._emulator.answer({"ARN": secret["ARN"], "Name": secret["Name"]})

    def describe_secret(self, request: dict[str, Any]) -> Any:
        status, headers, body = self._describe(request)
        _, secret = self._resolve(request.get("SecretId"))
        if status == 200 and secret:
            dates = {"LastRotatedDate": secret.get("LastRotatedDate"), "NextRotationDate": self._due(secret)}
            return self._emulator.answer({**json.loads(body), **{name: date for name, date in dates.items() if date}})
        return status, headers, body

    def get_secret_value(self, request: dict[str, Any]) -> Any:
        """A version that has no value yet is not found, and neither is one that does not bear the label that is asked for."""
        secret, refused = self._found(request)
        if secret is None:
            return refused
        stage, version_id = request.get("VersionStage"), request.get("VersionId")
        found = secret["Versions"].get(version_id) if version_id else self._find(secret, stage or CURRENT)[1]
        if found and version_id and stage and stage not in found["Stages"]:
            message = "You provided a VersionStage that is not associated to the provided VersionId."
            return self._emulator.refuse("InvalidRequestException", message)
        if found and found.get("SecretString") is None and found.get("SecretBinary") is None:
            which = f"VersionId: {version_id}" if version_id else f"staging label: {stage or CURRENT}"
            message = f"Secrets Manager can't find the specified secret value for {which}"
            return self._emulator.refuse("ResourceNotFoundException", message)
        return self._get_value(request)

    # Rotating -----------------------------------------------------------------------------------------------------------

    def _may_invoke(self, function: str) -> bool:
        found = self._functions.get(function.partition(":function:")[2].partition(":")[0] or function)
        statements = ((found or {}).get("policy") or {}).get("Statement") or []
        return any(
            statement["Effect"] == "Allow"
            and statement["Principal"] in ("*", {"Service": SERVICE})
            and statement["Action"] in ("lambda:InvokeFunction", "lambda:*", "*")
            for statement in statements
        )

    def _pending(self, secret: Secret) -> str | None:
        """The version of a rotation that was not finished; it is taken up again."""
        version_id, version = self._find(secret, PENDING)
        return version_id if version and CURRENT not in version["Stages"] else None

    def _begin(self, secret: Secret, token: str) -> None:
        with self._lock:
            if secret["ARN"] in self._busy:
                return
            self._busy.add(secret["ARN"])
        self._emulator.thread(self._rotate, secret, token)

    def _rotate(self, secret: Secret, token: str) -> None:
        name = secret["Name"]
        secret["_RotationTriedDate"] = time.time()
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._run(secret, token)
                except RotationError as error:
                    logger.warning("secret %s: rotation failed (attempt %d of %d): %s", name, attempt, ATTEMPTS, error)
                    if attempt < ATTEMPTS and self._ending.wait(RETRY_SECONDS):
                        return
                else:
                    secret["LastRotatedDate"] = time.time()
                    logger.info("secret %s: rotated", name)
                    return
        finally:
            with self._lock:
                self._busy.discard(secret["ARN"])

    def _run(self, secret: Secret, token: str) -> None:
        for version in secret["Versions"].values():
            if PENDING in version["Stages"]:
                version["Stages"].remove(PENDING)
        empty: dict[str, Any] = {"SecretString": None, "SecretBinary": None, "CreatedDate": int(time.time()), "Stages": []}
        secret["Versions"].setdefault(token, empty)["Stages"].append(PENDING)
        for step in STEPS:
            self._call(secret, token, step)
        if CURRENT not in secret["Versions"][token]["Stages"]:
            raise RotationError(f"{STEPS[-1]} ended, but {CURRENT} is not the new version")

    def _try_out(self, secret: Secret) -> None:
        """What happens when a rotation is set up that is not to run at once: testSecret, with the value that is current."""
        if self._pending(secret):
            return
        token = str(uuid.uuid4())
        current = self._find(secret, CURRENT)[1] or {}
        secret["Versions"][token] = {**current, "CreatedDate": int(time.time()), "Stages": [PENDING], TRIAL: True}
        try:
            self._call(secret, token, "testSecret")
        except RotationError as error:
            logger.warning("secret %s: its rotation is set up, but its test failed: %s", secret["Name"], error)
        finally:
            secret["Versions"].pop(token, None)

    def forget_trials(self) -> None:
        """Drop what a trial has left that an end of the process cut short: it is no rotation to be taken up again."""
        for secret in self._all._data.values():
            secret["Versions"] = {name: version for name, version in secret["Versions"].items() if not version.get(TRIAL)}

    def _call(self, secret: Secret, token: str, step: str) -> None:
        event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token}
        try:
            answer = self._emulator.client("lambda").invoke(FunctionName=secret["RotationLambdaARN"], Payload=json.dumps(event))
        except Exception as error:  # whatever keeps the function from being called
            raise RotationError(f"{step}: {error}") from error
        said = answer["Payload"].read().decode(errors="replace")
        if answer.get("FunctionError"):
            raise RotationError(f"{step}: {said[:500]}")

    # Schedules ----------------------------------------------------------------------------------------------------------

    def _due(self, secret: Secret) -> float | None:
        """When the secret is next to be rotated, in seconds since 1970."""
        rules = secret.get("RotationRules") or {}
        if not secret.get("RotationEnabled") or not secret.get("RotationLambdaARN"):
            return None
        since = max(secret.get(name) or 0.0 for name in ("_RotationTriedDate", "LastRotatedDate", "_RotationsFrom"))
        if rules.get("AutomaticallyAfterDays"):
            return float(since + int(rules["AutomaticallyAfterDays"]) * DAY)
        return self._next_after(rules["ScheduleExpression"], "UTC", since) if rules.get("ScheduleExpression") else None

    def watch(self) -> None:
        """Rotate what is due, until the laptop cloud ends."""
        while not self._ending.wait(TICK_SECONDS):
            for secret in list(self._all._data.values()):
                due = None if secret.get("DeletedDate") else self._due(secret)
                if due is not None and due <= time.time():
                    self._begin(secret, self._pending(secret) or str(uuid.uuid4()))

    def end(self) -> None:
        self._ending.set()
