"""A state machine's tasks need the permissions of its role; Lambdas have what they carry and boto3, nothing else."""

import io
import itertools
import json
import time
import zipfile
from typing import Any

import pytest
from engine_cloud import ACCOUNT, Cloud, Statement, allow, cloud

__all__ = ["cloud"]
REGION = "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:asked"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/leases"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:permitted"
HANDLER = """
from importlib.util import find_spec
import boto3

def handler(event, context):
    found = {name: find_spec(name) is not None for name in ("boto3", "pydantic", "lake")}
    return {**found, "arn": boto3.client("sts").get_caller_identity()["Arn"]}
"""
PERMISSIONS = {
    "Ask": allow("lambda:InvokeFunction", on=(FUNCTION,)),
    "Note": allow("dynamodb:PutItem", on=(TABLE,)),
    "Look": allow("glue:GetCrawler", on=(f"arn:aws:glue:{REGION}:{ACCOUNT}:crawler/none",)),
}
STATES = {
    "Ask": {"Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": FUNCTION, "Payload": {}}},
    "Note": {"Resource": "arn:aws:states:::dynamodb:putItem", "Parameters": {"TableName": "leases", "Item": {"k": {"S": "a"}}}},
    "Look": {"Resource": "arn:aws:states:::aws-sdk:glue:getCrawler", "Parameters": {"Name": "none"}},
}


@pytest.fixture(scope="module", autouse=True)
def machine(cloud: Cloud) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("asked.py", HANDLER)
    function_role = cloud.role("asked", allow("s3:ListAllMyBuckets"), service="lambda.amazonaws.com")
    cloud.client("lambda").create_function(
        FunctionName="asked",
        Runtime="python3.11",
        Role=function_role,
        Handler="asked.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    key = [{"AttributeName": "k", "KeyType": "HASH"}]
    types = [{"AttributeName": "k", "AttributeType": "S"}]
    cloud.client("dynamodb").create_table(
        TableName="leases", KeySchema=key, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST"
    )
    role = cloud.role("permitted", *PERMISSIONS.values(), service="states.amazonaws.com")
    names = list(STATES)
    states: dict[str, Any] = {name: {"Type": "Task", "ResultPath": f"$.{name}", **state} for name, state in STATES.items()}
    for name, following in itertools.pairwise(names):
        states[name]["Next"] = following
    states[names[-1]]["End"] = True
    definition = json.dumps({"StartAt": names[0], "States": states})
    cloud.client("stepfunctions").create_state_machine(name="permitted", definition=definition, roleArn=role)


def permit(cloud: Cloud, *statements: Statement) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    cloud.client("iam").put_role_policy(RoleName="permitted", PolicyName="test", PolicyDocument=document)


def executed(cloud: Cloud) -> dict[str, Any]:
    states = cloud.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=MACHINE, input="{}")["executionArn"]
    end = time.monotonic() + 60
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return dict(found)


def test_with_all_permissions_every_task_reaches_its_service(cloud: Cloud) -> None:
    permit(cloud, *PERMISSIONS.values())
    ended = executed(cloud)
    assert ended["error"] == "Glue.EntityNotFoundException"  # there is no such crawler: the call was made
    history = cloud.client("stepfunctions").get_execution_history(executionArn=ended["executionArn"])["events"]
    outputs = [event["taskSucceededEventDetails"]["output"] for event in history if "taskSucceededEventDetails" in event]
    said = json.loads(outputs[0])["Payload"]
    expected = {"boto3": True, "pydantic": False, "lake": False}
    assert {**expected, "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/asked/asked"} == said


@pytest.mark.parametrize(
    ("missing", "error", "action"),
    [
        ("Ask", "Lambda.AWSLambdaException", "lambda:InvokeFunction"),
        ("Note", "DynamoDB.AmazonDynamoDBException", "dynamodb:PutItem"),
        ("Look", "Glue.GlueException", "glue:GetCrawler"),
    ],
)
def test_a_missing_permission_fails_the_task_as_on_aws(cloud: Cloud, missing: str, error: str, action: str) -> None:
    permit(cloud, *(statement for name, statement in PERMISSIONS.items() if name != missing))
    ended = executed(cloud)
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert "assumed-role/permitted/" in ended["cause"]
    assert f"is not authorized to perform: {action} on resource: arn:aws:" in ended["cause"]
    assert "Error Code: AccessDeniedException" in ended["cause"]
