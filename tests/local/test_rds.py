"""RDS and Secrets Manager of the laptop cloud: a template's database is a real one, and its passwords are really rotated."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from botocore.exceptions import ClientError
from engine_cloud import Cloud, allow, cloud

from bench.laptop import free_ports

__all__ = ["cloud"]

NAME = "ledger"
# Sets the password's next letter; fails in setSecret as often as the secret's description says.
ROTATE = """
import json, boto3
def handler(event, context):
    secrets, secret, token = boto3.client("secretsmanager"), event["SecretId"], event["ClientRequestToken"]
    about = secrets.describe_secret(SecretId=secret)
    assert "AWSPENDING" in about["VersionIdsToStages"][token], about
    current = json.loads(secrets.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")["SecretString"])
    if event["Step"] == "createSecret":
        try:
            secrets.get_secret_value(SecretId=secret, VersionId=token, VersionStage="AWSPENDING")
        except secrets.exceptions.ResourceNotFoundException:
            made = json.dumps({**current, "password": current["password"] + "x"})
            secrets.put_secret_value(SecretId=secret, ClientRequestToken=token, SecretString=made, VersionStages=["AWSPENDING"])
        return
    pending = json.loads(secrets.get_secret_value(SecretId=secret, VersionId=token, VersionStage="AWSPENDING")["SecretString"])
    if event["Step"] == "setSecret" and "broken" in about["Description"]:
        raise ValueError("the database is away")
    if event["Step"] == "testSecret" and "broken" not in about["Description"]:
        secrets.tag_resource(SecretId=secret, Tags=[{"Key": "tested", "Value": pending["password"]}])
    if event["Step"] == "finishSecret":
        old = next(version for version, stages in about["VersionIdsToStages"].items() if "AWSCURRENT" in stages)
        secrets.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=old)
"""


def template(
    *, logical: str = "1", password: str = "{{resolve:secretsmanager:rds-master:SecretString:password}}"
) -> dict[str, Any]:
    """A database with its password in an attached secret."""
    made = {"SecretStringTemplate": json.dumps({"username": "keeper"}), "GenerateStringKey": "password", "PasswordLength": 20}
    return {
        "Resources": {
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"Name": "rds-master", "GenerateSecretString": {**made, "ExcludePunctuation": True}},
            },
            "Parameters": {
                "Type": "AWS::RDS::DBParameterGroup",
                "Properties": {
                    "Family": "postgres16",
                    "Description": "of the tests",
                    "Parameters": {"rds.logical_replication": logical, "max_slot_wal_keep_size": "512"},
                },
            },
            "Database": {
                "Type": "AWS::RDS::DBInstance",
                "DependsOn": "Secret",
                "DeletionPolicy": "Delete",
                "Properties": {
                    "DBInstanceIdentifier": NAME,
                    "DBInstanceClass": "db.t4g.micro",
                    "Engine": "postgres",
                    "EngineVersion": "16.13",
                    "AllocatedStorage": "20",
                    "DBName": "books",
                    "MasterUsername": "keeper",
                    "MasterUserPassword": password,
                    "StorageEncrypted": True,
                    "MultiAZ": True,
                    "DBParameterGroupName": {"Ref": "Parameters"},
                },
            },
            "Attachment": {
                "Type": "AWS::SecretsManager::SecretTargetAttachment",
                "Properties": {
                    "SecretId": {"Ref": "Secret"},
                    "TargetId": {"Ref": "Database"},
                    "TargetType": "AWS::RDS::DBInstance",
                },
            },
        },
        "Outputs": {
            "Address": {"Value": {"Fn::GetAtt": ["Database", "Endpoint.Address"]}},
            "Port": {"Value": {"Fn::GetAtt": ["Database", "Endpoint.Port"]}},
        },
    }


def deploy(cloud: Cloud, stack: str, body: dict[str, Any]) -> dict[str, str]:
    """Create or update; outputs of the stack."""
    client = cloud.client("cloudformation")
    try:
        client.create_stack(StackName=stack, TemplateBody=json.dumps(body))
        wanted = "stack_create_complete"
    except client.exceptions.AlreadyExistsException:
        client.update_stack(StackName=stack, TemplateBody=json.dumps(body))
        wanted = "stack_update_complete"
    client.get_waiter(wanted).wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    outputs = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def remove(cloud: Cloud, stack: str) -> None:
    client = cloud.client("cloudformation")
    client.delete_stack(StackName=stack)
    client.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer; what goes wrong on the way counts as false."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except (psycopg2.Error, ClientError, FileNotFoundError, IndexError):  # the last two: postmaster.pid between two servers
            found = None
        if found or time.monotonic() > end:
            assert found
            return found
        time.sleep(0.1)


def secret_of(cloud: Cloud, name: str = "rds-master") -> dict[str, Any]:
    value = cloud.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    found: dict[str, Any] = json.loads(value)
    return found


def ask(cloud: Cloud, statement: str) -> list[tuple[Any, ...]]:
    """As a function of the project connects: with what stands in the secret, and nothing else."""
    told = secret_of(cloud)
    where = {"host": told["host"], "port": told["port"], "dbname": told["dbname"]}
    connection = psycopg2.connect(**where, user=told["username"], password=told["password"], sslmode="require")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def server_pid(cloud: Cloud) -> int:
    return int((cloud.home / "postgres" / NAME / "data" / "postmaster.pid").read_text().splitlines()[0])


@pytest.fixture
def database(cloud: Cloud) -> dict[str, str]:
    return deploy(cloud, "database", template())


def test_the_instance_is_a_server_and_every_description_says_where(cloud: Cloud, database: dict[str, str]) -> None:
    wanted = ("127.0.0.1", cloud.ports["postgres_port"])
    endpoint = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]["Endpoint"]
    told = secret_of(cloud)
    assert (endpoint["Address"], endpoint["Port"]) == wanted
    assert (database["Address"], int(database["Port"])) == wanted
    assert (told["host"], told["port"], told["dbname"], told["engine"]) == (*wanted, "books", "postgres")
    assert ask(
        cloud, "SELECT current_database(), current_setting('is_superuser'), current_setting('server_version_num')::int / 10000"
    ) == [("books", "off", 16)]


def test_the_parameter_group_counts_from_the_next_start(cloud: Cloud, database: dict[str, str]) -> None:
    settings = "SELECT current_setting('wal_level'), current_setting('max_slot_wal_keep_size')"
    assert ask(cloud, settings) == [("logical", "512MB")]
    deploy(cloud, "database", template(logical="0"))
    assert ask(cloud, settings) == [("logical", "512MB")]
    cloud.client("rds").reboot_db_instance(DBInstanceIdentifier=NAME)
    eventually(lambda: ask(cloud, settings) == [("replica", "512MB")])
    deploy(cloud, "database", template())
    eventually(
        lambda: (
            cloud.client("rds").describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]["DBInstanceStatus"]
            == "available"
        )
    )
    cloud.client("rds").reboot_db_instance(DBInstanceIdentifier=NAME)
    eventually(lambda: ask(cloud, settings) == [("logical", "512MB")])


def test_postgres_killed_is_restarted_with_its_rows(cloud: Cloud, database: dict[str, str]) -> None:
    ask(cloud, "CREATE TABLE IF NOT EXISTS killed AS SELECT generate_series(1, 500) AS n")
    before = server_pid(cloud)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: server_pid(cloud) != before and ask(cloud, "SELECT count(*) FROM killed") == [(500,)], 15)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_restarted_cloud_finds_its_rows(cloud: Cloud, database: dict[str, str], how: signal.Signals) -> None:
    ask(cloud, "CREATE TABLE IF NOT EXISTS restarts (n int); INSERT INTO restarts VALUES (1)")
    rows = ask(cloud, "SELECT count(*) FROM restarts")
    before = server_pid(cloud)
    time.sleep(4)  # the control plane is remembered every 3 seconds
    cloud.stop(how)
    if how == signal.SIGTERM:
        assert not Path(f"/proc/{before}").exists()
    cloud.start()
    assert ask(cloud, "SELECT count(*) FROM restarts") == rows  # with the first request that is answered


def test_the_secret_follows_when_the_laptop_is_given_another_port(cloud: Cloud, database: dict[str, str]) -> None:
    ask(cloud, "CREATE TABLE IF NOT EXISTS moved AS SELECT 1 AS n")
    before = cloud.ports["postgres_port"]
    for port in (free_ports(1)[0], before):
        cloud.stop()
        cloud.ports["postgres_port"] = port
        cloud.start()
        assert secret_of(cloud)["port"] == port
        assert ask(cloud, "SELECT n FROM moved") == [(1,)]


def test_the_api_stops_starts_and_sets_the_password(cloud: Cloud, database: dict[str, str]) -> None:
    rds = cloud.client("rds")
    rds.stop_db_instance(DBInstanceIdentifier=NAME)
    with pytest.raises(psycopg2.OperationalError):
        ask(cloud, "SELECT 1")
    rds.start_db_instance(DBInstanceIdentifier=NAME)
    assert ask(cloud, "SELECT 1") == [(1,)]
    rds.modify_db_instance(DBInstanceIdentifier=NAME, MasterUserPassword="of my own making", ApplyImmediately=True)
    told = {**secret_of(cloud), "password": "of my own making"}
    cloud.client("secretsmanager").put_secret_value(SecretId="rds-master", SecretString=json.dumps(told))
    assert ask(cloud, "SELECT 1") == [(1,)]


def test_a_deleted_stack_leaves_neither_server_nor_data(cloud: Cloud, database: dict[str, str]) -> None:
    pid = server_pid(cloud)
    ask(cloud, "CREATE TABLE IF NOT EXISTS gone (n int)")
    remove(cloud, "database")
    assert not Path(f"/proc/{pid}").exists()
    assert not (cloud.home / "postgres" / NAME).exists()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", cloud.ports["postgres_port"]))
    deploy(cloud, "database", template())
    assert ask(cloud, "SELECT to_regclass('gone')") == [(None,)]


def test_a_protected_instance_is_not_deleted(cloud: Cloud, database: dict[str, str]) -> None:
    rds = cloud.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier=NAME, DeletionProtection=True)
    client = cloud.client("cloudformation")
    client.delete_stack(StackName="database")
    eventually(lambda: client.describe_stacks(StackName="database")["Stacks"][0]["StackStatus"] == "DELETE_FAILED")
    assert rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    rds.modify_db_instance(DBInstanceIdentifier=NAME, DeletionProtection=False)
    remove(cloud, "database")


def test_another_major_version_is_refused(cloud: Cloud) -> None:
    body = template(password="of no importance")
    body["Resources"] = {name: body["Resources"][name] for name in ("Parameters", "Database")}
    del body["Outputs"], body["Resources"]["Database"]["DependsOn"]
    body["Resources"]["Database"]["Properties"].update(EngineVersion="17.4", DBInstanceIdentifier="newer")
    client = cloud.client("cloudformation")
    client.create_stack(StackName="newer", TemplateBody=json.dumps(body))
    eventually(lambda: client.describe_stacks(StackName="newer")["Stacks"][0]["StackStatus"].startswith("ROLLBACK_COMPLETE"))
    reasons = [event.get("ResourceStatusReason", "") for event in client.describe_stack_events(StackName="newer")["StackEvents"]]
    assert any("runs PostgreSQL 16" in reason for reason in reasons)


# Rotation -----------------------------------------------------------------------------------------------------------------


def rotation(*, description: str = "", trusted: bool = True, immediately: bool = True) -> dict[str, Any]:
    """A secret with a schedule and a function that rotates it."""
    function = {"Fn::GetAtt": ["Rotate", "Arn"]}
    found: dict[str, Any] = {
        "Secret": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {"Name": "rotated", "Description": description, "SecretString": '{"password": "a"}'},
        },
        "Rotate": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "rotate",
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "Timeout": 30,
                "Role": "arn:aws:iam::000000000000:role/rotator",
                "Code": {"ZipFile": ROTATE},
            },
        },
        "Schedule": {
            "Type": "AWS::SecretsManager::RotationSchedule",
            "DependsOn": ["Permission"] if trusted else [],
            "Properties": {
                "SecretId": {"Ref": "Secret"},
                "RotationLambdaARN": function,
                "RotationRules": {"AutomaticallyAfterDays": 30},
                "RotateImmediatelyOnUpdate": immediately,
            },
        },
    }
    if trusted:
        granted = {"Action": "lambda:InvokeFunction", "Principal": "secretsmanager.amazonaws.com", "FunctionName": function}
        found["Permission"] = {"Type": "AWS::Lambda::Permission", "Properties": granted}
    return {"Resources": found}


@pytest.fixture(scope="module")
def rotator(cloud: Cloud) -> str:
    return cloud.role("rotator", allow("secretsmanager:*"), service="lambda.amazonaws.com")


@pytest.fixture
def clean(cloud: Cloud, rotator: str) -> Any:
    yield
    remove(cloud, "rotation")


def stages(cloud: Cloud) -> dict[str, str]:
    """Passwords by the label that their version bears."""
    client = cloud.client("secretsmanager")
    versions = client.describe_secret(SecretId="rotated")["VersionIdsToStages"]
    return {
        label: json.loads(client.get_secret_value(SecretId="rotated", VersionId=version)["SecretString"])["password"]
        for version, labels in versions.items()
        for label in labels
    }


def tried_out(cloud: Cloud) -> str | None:
    tags = cloud.client("secretsmanager").describe_secret(SecretId="rotated").get("Tags", [])
    return next((tag["Value"] for tag in tags if tag["Key"] == "tested"), None)


def test_a_schedule_rotates_at_once_and_again_when_asked(cloud: Cloud, clean: None) -> None:
    deploy(cloud, "rotation", rotation())
    eventually(lambda: stages(cloud)["AWSCURRENT"] == "ax" and stages(cloud)["AWSPREVIOUS"] == "a")
    client = cloud.client("secretsmanager")
    eventually(lambda: "LastRotatedDate" in client.describe_secret(SecretId="rotated"))
    client.rotate_secret(SecretId="rotated")
    eventually(lambda: stages(cloud)["AWSCURRENT"] == "axx" and stages(cloud)["AWSPREVIOUS"] == "ax")
    about = client.describe_secret(SecretId="rotated")
    assert about["RotationEnabled"]
    assert 29.9 < (about["NextRotationDate"] - about["LastRotatedDate"]).total_seconds() / 86400 < 30.1


def test_a_schedule_that_is_not_to_rotate_at_once_is_tried_out(cloud: Cloud, clean: None) -> None:
    deploy(cloud, "rotation", rotation(immediately=False))
    assert eventually(lambda: tried_out(cloud)) == "a"
    eventually(lambda: stages(cloud) == {"AWSCURRENT": "a"})


def test_what_fell_due_is_rotated_unless_rotation_was_cancelled(cloud: Cloud, clean: None) -> None:
    deploy(cloud, "rotation", rotation(immediately=False))
    eventually(lambda: tried_out(cloud) and stages(cloud) == {"AWSCURRENT": "a"})
    client = cloud.client("secretsmanager")

    def a_month_later() -> None:
        cloud.stop()
        state = cloud.home / "state" / "secretsmanager.json"
        written = json.loads(state.read_text())
        for name, secret in written["payload"]["secrets"]["data"].items():
            if "rotated" in name:
                secret.update(
                    {date: time.time() - 31 * 86400 for date in ("_RotationsFrom", "_RotationTriedDate", "LastRotatedDate")}
                )
        state.write_text(json.dumps(written))
        cloud.start()

    client.cancel_rotate_secret(SecretId="rotated")
    a_month_later()
    time.sleep(3)
    assert stages(cloud) == {"AWSCURRENT": "a"}
    client.rotate_secret(SecretId="rotated", RotateImmediately=False)
    a_month_later()
    eventually(lambda: stages(cloud)["AWSCURRENT"] == "ax")


def test_a_rotation_that_fails_leaves_the_password_and_is_taken_up_again(cloud: Cloud, clean: None) -> None:
    deploy(cloud, "rotation", rotation(description="broken"))
    eventually(lambda: "the database is away" in (cloud.home / "test.log").read_text())
    assert stages(cloud) == {"AWSCURRENT": "a", "AWSPENDING": "ax"}
    time.sleep(6)  # two more attempts
    client = cloud.client("secretsmanager")
    client.update_secret(SecretId="rotated", Description="mended")
    pending = next(
        k for k, labels in client.describe_secret(SecretId="rotated")["VersionIdsToStages"].items() if "AWSPENDING" in labels
    )
    assert client.rotate_secret(SecretId="rotated")["VersionId"] == pending
    eventually(lambda: stages(cloud)["AWSCURRENT"] == "ax")


def test_a_function_that_does_not_let_secrets_manager_in_is_refused(cloud: Cloud, rotator: str) -> None:
    client = cloud.client("cloudformation")
    client.create_stack(StackName="untrusted", TemplateBody=json.dumps(rotation(trusted=False)))
    eventually(lambda: client.describe_stacks(StackName="untrusted")["Stacks"][0]["StackStatus"].startswith("ROLLBACK_COMPLETE"))
    reasons = [
        event.get("ResourceStatusReason", "") for event in client.describe_stack_events(StackName="untrusted")["StackEvents"]
    ]
    assert any("Secrets Manager cannot invoke" in reason for reason in reasons)
