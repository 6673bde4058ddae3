"""Step Functions: ministack calls other services in-process, as nobody; here a task needs the permission of its machine's role."""

import json
import secrets
from typing import Any

from local.emulator import ACCOUNT, REGION, Credentials, Emulator

STATES = "states.amazonaws.com"
UNTRUSTED = f"Neither the global service principal {STATES}, nor the regional one is authorized to assume the provided role."
SESSION_NAME_BYTES = 16

# Integrations that call our engines over HTTP with the role's own credentials: IAM is asked there.
_BY_THEMSELVES = ("arn:aws:states:::glue:", "arn:aws:states:::elasticmapreduce:", "arn:aws:states:::athena:")

# SDK integrations: service in the resource -> prefix of its IAM actions.
_PREFIXES = {"sfn": "states", "cloudwatchlogs": "logs", "eventbridge": "events", "emr": "elasticmapreduce"}
# S3's permissions are not called as its operations.
_S3_ACTIONS = {"HeadObject": "GetObject", "ListObjectsV2": "ListBucket", "ListObjects": "ListBucket", "HeadBucket": "ListBucket"}
# What the exception is called that an optimised integration reports for a refusal (those use the SDK for Java 1).
_REFUSALS = {
    "lambda": ("Lambda.AWSLambdaException", "AWSLambda"),
    "dynamodb": ("DynamoDB.AmazonDynamoDBException", "AmazonDynamoDBv2"),
    "sns": ("SNS.AmazonSNSException", "AmazonSNS"),
    "sqs": ("SQS.AmazonSQSException", "AmazonSQS"),
    "events": ("EventBridge.AmazonEventBridgeException", "AmazonEventBridge"),
    "states": ("StepFunctions.AWSStepFunctionsException", "AWSStepFunctions"),
}


def _pascal(action: str) -> str:
    return action[:1].upper() + action[1:]


def function_arn(reference: str) -> str:
    """A function's ARN from its ARN or its name."""
    if reference.startswith("arn:"):
        return reference
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{reference.rpartition(':function:')[2]}"


def optimised(resource: str, parameters: Any) -> tuple[str, str] | None:
    """IAM action and resource that an optimised integration (or a plain function ARN) needs; None for others."""
    given = parameters if isinstance(parameters, dict) else {}
    if resource.startswith("arn:aws:lambda:"):
        return "lambda:InvokeFunction", resource
    service, _, action = resource.removeprefix("arn:aws:states:::").partition(":")
    action = action.partition(".")[0]
    if service == "lambda":
        return "lambda:InvokeFunction", function_arn(given.get("FunctionName", ""))
    if service == "dynamodb":
        return f"dynamodb:{_pascal(action)}", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{given.get('TableName', '')}"
    if service == "sns":
        return "sns:Publish", given.get("TopicArn", "*")
    if service == "sqs":
        return "sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{given.get('QueueUrl', '').rpartition('/')[2]}"
    if service == "events":
        return "events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    if service == "states":
        return "states:StartExecution", given.get("StateMachineArn", "*")
    return None


class Tasks:
    """Wraps the execution of a task: it acts as the machine's role, and is refused what that role may not do."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._machines = emulator.get("services.stepfunctions", "_state_machines")
        self._sessions: dict[tuple[str, str], Credentials] = {}
        self._execute = emulator.patch("services.stepfunctions", "_execute_task", self.execute)
        self._invoke = emulator.patch("services.stepfunctions", "_invoke_resource", self.invoke)

    def execute(self, definition: dict[str, Any], given: Any, execution: dict[str, Any], context: dict[str, Any]) -> Any:
        role = self._machines[context["StateMachine"]["Id"]]["roleArn"]
        key = (role, context["Execution"]["Id"])
        if key not in self._sessions:
            if not self._emulator.trusts(role, STATES):
                raise self._emulator.task_error("States.Runtime", UNTRUSTED)
            self._sessions[key] = self._emulator.role_session(role, secrets.token_hex(SESSION_NAME_BYTES))
        with self._emulator.acting(self._sessions[key]):
            return self._execute(definition, given, execution, context)

    def invoke(self, resource: str, parameters: Any) -> Any:
        if not resource.startswith(_BY_THEMSELVES):
            self._permit(resource, parameters)
        return self._invoke(resource, parameters)

    def _permit(self, resource: str, parameters: Any) -> None:
        needed = self._sdk(resource, parameters) if ":aws-sdk:" in resource else optimised(resource, parameters)
        if needed is None:
            return
        denial = self._emulator.denial(self._emulator.caller(), *needed)
        if denial is None:
            return
        service = needed[0].partition(":")[0]
        error, label = _REFUSALS.get(service, ("", ""))
        if ":aws-sdk:" in resource:
            sdk = resource.split(":")[6]
            known = self._emulator.get("services.stepfunctions", "_AWS_SDK_ERROR_PREFIX")
            label = known.get(sdk.lower(), _pascal(sdk))
            error = f"{label}.{label}Exception"
        request = f"Request ID: {secrets.token_hex(8)}"
        cause = f"{denial} (Service: {label}; Status Code: 400; Error Code: AccessDeniedException; {request})"
        raise self._emulator.task_error(error, cause)

    def _sdk(self, resource: str, parameters: Any) -> tuple[str, str]:
        _, _, _, _, _, _, service, action = resource.partition(".")[0].split(":", 7)
        given = parameters if isinstance(parameters, dict) else {}
        operation = _pascal(action)
        prefix = _PREFIXES.get(service.lower(), service.lower())
        if prefix == "s3":
            path = f"/{given.get('Bucket', '')}/{given.get('Key', '')}".rstrip("/")
            listing = operation.startswith("List")
            arn = f"arn:aws:s3:::{given.get('Bucket', '*') if listing else path.strip('/') or '*'}"
            return f"s3:{_S3_ACTIONS.get(operation, operation)}", arn
        if prefix == "lambda":
            return f"lambda:{'InvokeFunction' if operation == 'Invoke' else operation}", function_arn(given.get("FunctionName", ""))
        if prefix in ("sns", "sqs"):
            found = optimised(f"arn:aws:states:::{prefix}:{action}", given)
            return f"{prefix}:{operation}", found[1] if found else "*"
        arn = self._emulator.get("core.iam_actions", "extract_resource_arn")(
            prefix, "POST", "/", {"x-amz-target": f"x.{operation}"}, json.dumps(given).encode(), {}, REGION, ACCOUNT
        )
        return f"{prefix}:{operation}", str(arn)


def install(emulator: Emulator) -> None:
    """Put the checks in place."""
    Tasks(emulator)
