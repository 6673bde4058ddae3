"""DMS's API and its CloudFormation types: states, refusals, permissions, what a stack makes of them."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError
from dms_cloud import MASTER, PASSWORD, S3_SETTINGS, SETTINGS, Replication, dms, mappings, until
from engine_cloud import allow

__all__ = ["dms"]
ROLE = "arn:aws:iam::000000000000:role/"


def refused(code: str, said: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*{said}")


def test_life_of_a_task_by_the_waiters(dms: Replication) -> None:
    dms.table("waited", "id integer PRIMARY KEY, n integer")
    which = {"Filters": [{"Name": "replication-task-id", "Values": ["task-waited"]}]}
    fast = {"WaiterConfig": {"Delay": 1, "MaxAttempts": 20}}
    task = dms.task("waited", start=False)
    assert task == f"arn:aws:dms:us-east-1:000000000000:task:{task.rpartition(':')[2]}"
    dms.api.get_waiter("replication_task_ready").wait(**which, **fast)
    with refused("InvalidParameterCombinationException", "first time"):
        dms.api.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="resume-processing")
    with refused("InvalidResourceStateFault", "cannot be stopped"):
        dms.api.stop_replication_task(ReplicationTaskArn=task)
    dms.api.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    dms.api.get_waiter("replication_task_running").wait(**which, **fast)
    for call, more in (
        (dms.api.start_replication_task, {"StartReplicationTaskType": "resume-processing"}),
        (dms.api.modify_replication_task, {"TableMappings": mappings("waited")}),
        (dms.api.delete_replication_task, {}),
    ):
        with refused("InvalidResourceStateFault", "running"):
            call(ReplicationTaskArn=task, **more)
    with refused("InvalidResourceStateFault", "uses it"):
        dms.api.modify_endpoint(EndpointArn=dms.target, S3Settings={"CdcMaxBatchInterval": 2})
    dms.api.stop_replication_task(ReplicationTaskArn=task)
    dms.api.get_waiter("replication_task_stopped").wait(**which, **fast)
    assert dms.describe(task)["StopReason"] == "Stop Reason NORMAL"
    with refused("InvalidParameterCombinationException", "START_REPLICATION, valid only|first time"):
        dms.api.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    dms.api.modify_replication_task(ReplicationTaskArn=task, TableMappings=mappings("wait%"))
    assert "wait%" in dms.describe(task)["TableMappings"]
    with refused("InvalidResourceStateFault", "uses it"):
        dms.api.delete_endpoint(EndpointArn=dms.source)
    with refused("InvalidResourceStateFault", "has task"):
        dms.api.delete_replication_instance(ReplicationInstanceArn=dms.instance)
    dms.api.delete_replication_task(ReplicationTaskArn=task)
    dms.api.get_waiter("replication_task_deleted").wait(**which, **fast)
    with refused("ResourceNotFoundFault", "not found"):
        dms.api.describe_table_statistics(ReplicationTaskArn=task)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"MigrationType": "cdc"}, "cdc"),
        ({"CdcStartPosition": "now"}, "CdcStartPosition"),
        ({"TableMappings": '{"rules": []}'}, "no selection"),
        ({"ReplicationTaskSettings": "{}"}, "TargetTablePrepMode"),
        ({"ReplicationTaskIdentifier": "a--b"}, "ReplicationTaskIdentifier"),
        ({"ResourceIdentifier": "x" * 32}, "31"),
    ],
)
def test_what_a_task_may_not_be(dms: Replication, change: dict[str, Any], said: str) -> None:
    request = {
        **{"ReplicationTaskIdentifier": "wrong", "SourceEndpointArn": dms.source, "TargetEndpointArn": dms.target},
        **{"ReplicationInstanceArn": dms.instance, "MigrationType": "full-load-and-cdc", "TableMappings": mappings("x")},
        "ReplicationTaskSettings": json.dumps(SETTINGS),
    }
    with refused("InvalidParameterValueException", said):
        dms.api.create_replication_task(**{**request, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"DataFormat": "csv"}, "csv"),
        ({"CdcInsertsAndUpdates": True}, "CdcInsertsAndUpdates"),
        ({"DatePartitionEnabled": True}, "DatePartitionEnabled"),
        ({"PreserveTransactions": True}, "PreserveTransactions"),
    ],
)
def test_what_a_target_may_not_be(dms: Replication, change: dict[str, Any], said: str) -> None:
    settings = {**S3_SETTINGS, "ServiceAccessRoleArn": f"{ROLE}dms-target", **change}
    with refused("InvalidParameterValueException", said):
        dms.api.create_endpoint(EndpointIdentifier="wrong", EndpointType="target", EngineName="s3", S3Settings=settings)


def test_roles_that_dms_may_not_take_are_refused(dms: Replication) -> None:
    dms.cloud.role("dms-not-trusting", allow("s3:*"), service="glue.amazonaws.com")
    settings = {**S3_SETTINGS, "ServiceAccessRoleArn": f"{ROLE}dms-not-trusting"}
    with refused("AccessDeniedFault", "not configured properly"):
        dms.api.create_endpoint(EndpointIdentifier="wrong", EndpointType="target", EngineName="s3", S3Settings=settings)


def test_callers_need_permission(dms: Replication) -> None:
    dms.table("permitted", "id integer PRIMARY KEY")
    task = dms.task("permitted", start=False)
    dms.cloud.role("dms-viewer", allow("dms:Describe*"), allow("dms:StartReplicationTask", on=(f"{task}x",)))
    viewer = dms.cloud.client("dms", "dms-viewer")
    assert viewer.describe_replication_tasks()["ReplicationTasks"]
    with refused("AccessDeniedException", f"not authorized to perform: dms:StartReplicationTask on resource: {task}"):
        viewer.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    with refused("AccessDeniedException", "dms:TestConnection"):
        viewer.test_connection(ReplicationInstanceArn=dms.instance, EndpointArn=dms.source)
    dms.cloud.role("dms-maker", allow("dms:*"))
    settings = {**S3_SETTINGS, "ServiceAccessRoleArn": f"{ROLE}dms-target"}
    with refused("AccessDeniedFault", "iam:PassRole"):
        dms.cloud.client("dms", "dms-maker").create_endpoint(
            EndpointIdentifier="wrong", EndpointType="target", EngineName="s3", S3Settings=settings
        )
    dms.remove(task)


def test_connections_are_really_tried(dms: Replication) -> None:
    secrets = dms.cloud.client("secretsmanager")
    secret = secrets.create_secret(Name="dms-other", SecretString="{}")["ARN"]
    settings = {"SecretsManagerSecretId": secret, "SecretsManagerAccessRoleArn": f"{ROLE}dms-secret", "CaptureDdls": False}
    source = dms.api.create_endpoint(
        EndpointIdentifier="other",
        EndpointType="source",
        EngineName="postgres",
        DatabaseName="tributary",
        SslMode="require",
        PostgreSQLSettings=settings,
    )["Endpoint"]["EndpointArn"]
    dms.sql(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")
    login = {"host": "127.0.0.1", "port": dms.server.port, "username": "plain", "password": PASSWORD}
    for change, said in (
        ({"password": "wrong-and-secret"}, "password authentication failed"),
        ({"port": 1}, "refused"),
        ({}, "plain may not replicate"),
        ({"username": MASTER}, ""),
    ):
        secrets.put_secret_value(SecretId=secret, SecretString=json.dumps({**login, **change}))
        found = dms.test(source)
        assert said in found.get("LastFailureMessage", "")
        assert (found["Status"] == "successful") == (not said)
        assert "wrong-and-secret" not in json.dumps(found, default=str)
    dms.api.modify_endpoint(EndpointArn=source, SslMode="none")
    assert not dms.api.describe_connections()["Connections"] or source not in {
        c["EndpointArn"] for c in dms.api.describe_connections()["Connections"]
    }
    assert dms.test(source)["Status"] == "failed"  # the server takes TLS only
    with pytest.raises(WaiterError):
        dms.api.get_waiter("test_connection_succeeds").wait(Filters=[{"Name": "endpoint-arn", "Values": [source]}])
    task = dms.api.create_replication_task(
        ReplicationTaskIdentifier="untested",
        SourceEndpointArn=source,
        TargetEndpointArn=dms.target,
        ReplicationInstanceArn=dms.instance,
        MigrationType="full-load-and-cdc",
        TableMappings=mappings("x"),
        ReplicationTaskSettings=json.dumps(SETTINGS),
    )["ReplicationTask"]["ReplicationTaskArn"]
    with refused("InvalidResourceStateFault", "should be successful"):
        dms.api.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    dms.api.delete_replication_task(ReplicationTaskArn=task)
    dms.api.delete_endpoint(EndpointArn=source)


def test_task_writes_its_log_and_tells_its_failure(dms: Replication) -> None:
    queues, events = dms.cloud.client("sqs"), dms.cloud.client("events")
    queue = queues.create_queue(QueueName="dms-failures")["QueueUrl"]
    pattern = {"source": ["aws.dms"], "detail": {"category": ["Failure"]}}
    events.put_rule(Name="dms-failures", EventPattern=json.dumps(pattern))
    arn = "arn:aws:sqs:us-east-1:000000000000:dms-failures"
    events.put_targets(Rule="dms-failures", Targets=[{"Id": "1", "Arn": arn}])
    task = dms.task("no_such_table", start=False)
    dms.api.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    assert "No tables were found" in dms.status(task, "failed")["LastFailureMessage"]
    message = until(lambda: queues.receive_message(QueueUrl=queue).get("Messages"), "an event")[0]
    event = json.loads(message["Body"])
    assert event["resources"] == [task]
    assert "No tables were found" in event["detail"]["detailMessage"]
    logs = dms.cloud.client("logs")
    stream = {"logGroupName": "dms-tasks-small", "logStreamName": f"dms-task-{task.rpartition(':')[2]}"}
    lines = [event["message"] for event in logs.get_log_events(**stream)["events"]]
    assert any("No tables were found" in line for line in lines)
    assert PASSWORD not in "\n".join(lines)
    dms.remove(task)


def test_subnet_group_asks_for_the_accounts_role(dms: Replication) -> None:
    iam, ec2 = dms.cloud.client("iam"), dms.cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]
        for n, zone in enumerate("aab")
    ]
    group = {"ReplicationSubnetGroupIdentifier": "Beside", "ReplicationSubnetGroupDescription": "x"}
    trust = iam.get_role(RoleName="dms-vpc-role")["Role"]["AssumeRolePolicyDocument"]
    iam.update_assume_role_policy(RoleName="dms-vpc-role", PolicyDocument=json.dumps({**trust, "Statement": []}))
    with refused("AccessDeniedFault", "dms-vpc-role is not configured properly"):
        dms.api.create_replication_subnet_group(**group, SubnetIds=subnets)
    iam.update_assume_role_policy(RoleName="dms-vpc-role", PolicyDocument=json.dumps(trust))
    with refused("ReplicationSubnetGroupDoesNotCoverEnoughAZs", "availability zone"):
        dms.api.create_replication_subnet_group(**group, SubnetIds=subnets[:2])
    made = dms.api.create_replication_subnet_group(**group, SubnetIds=subnets)["ReplicationSubnetGroup"]
    assert (made["ReplicationSubnetGroupIdentifier"], made["VpcId"], len(made["Subnets"])) == ("beside", vpc, 3)
    dms.api.delete_replication_subnet_group(ReplicationSubnetGroupIdentifier="beside")


def template(dms: Replication, table: str) -> str:
    source = dms.api.describe_endpoints(Filters=[{"Name": "endpoint-id", "Values": ["source"]}])["Endpoints"][0]
    names = {"ReplicationTaskIdentifier": "stacked", "ResourceIdentifier": "stacked"}
    resources = {
        "Instance": {"ReplicationInstanceIdentifier": "of-stack", "ReplicationInstanceClass": "dms.t3.small", "MultiAZ": "false"},
        "Source": {
            **{"EndpointType": "source", "EngineName": "postgres", "DatabaseName": "tributary", "SslMode": "require"},
            "PostgreSqlSettings": source["PostgreSQLSettings"],
        },
        "Target": {
            **{"EndpointIdentifier": "of-stack", "EndpointType": "target", "EngineName": "s3"},
            "S3Settings": {**S3_SETTINGS, "ServiceAccessRoleArn": f"{ROLE}dms-target", "IncludeOpForFullLoad": "true"},
        },
        "Task": {
            **{"MigrationType": "full-load-and-cdc", "TableMappings": mappings(table), **names},
            **{"ReplicationInstanceArn": {"Ref": "Instance"}, "SourceEndpointArn": {"Ref": "Source"}},
            **{"TargetEndpointArn": {"Ref": "Target"}, "ReplicationTaskSettings": json.dumps(SETTINGS)},
        },
    }
    kinds = {"Instance": "ReplicationInstance", "Source": "Endpoint", "Target": "Endpoint", "Task": "ReplicationTask"}
    made = {name: {"Type": f"AWS::DMS::{kinds[name]}", "Properties": given} for name, given in resources.items()}
    outputs = {name: {"Value": {"Ref": name}} for name in resources}
    outputs["ExternalId"] = {"Value": {"Fn::GetAtt": ["Target", "ExternalId"]}}
    return json.dumps({"Resources": made, "Outputs": outputs})


def test_stack_makes_changes_and_removes_a_task(dms: Replication) -> None:
    formation = dms.cloud.client("cloudformation")
    dms.table("stacked", "id integer PRIMARY KEY, n integer")
    formation.create_stack(StackName="replicated", TemplateBody=template(dms, "stacked"))
    formation.get_waiter("stack_create_complete").wait(StackName="replicated", WaiterConfig={"Delay": 1})
    found = formation.describe_stacks(StackName="replicated")["Stacks"][0]["Outputs"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found}
    task = outputs["Task"]
    assert task == "arn:aws:dms:us-east-1:000000000000:task:stacked"
    assert outputs["Target"].endswith(f":endpoint:{outputs['ExternalId']}")
    for end in ("Source", "Target"):
        dms.api.test_connection(ReplicationInstanceArn=outputs["Instance"], EndpointArn=outputs[end])
        which = [{"Name": "endpoint-arn", "Values": [outputs[end]]}]
        dms.api.get_waiter("test_connection_succeeds").wait(Filters=which, WaiterConfig={"Delay": 1})
    dms.start(task, "start-replication")
    dms.sql("INSERT INTO stacked VALUES (1, 1)")
    until(lambda: dms.changes("stacked"), "changes")
    formation.update_stack(StackName="replicated", TemplateBody=template(dms, "stack%"))
    with pytest.raises(WaiterError):
        formation.get_waiter("stack_update_complete").wait(StackName="replicated", WaiterConfig={"Delay": 1})
    reasons = [
        event.get("ResourceStatusReason", "") for event in formation.describe_stack_events(StackName="replicated")["StackEvents"]
    ]
    assert any("cannot be modified" in reason and "running" in reason for reason in reasons)
    dms.stop(task)
    formation.update_stack(StackName="replicated", TemplateBody=template(dms, "stack%"))
    formation.get_waiter("stack_update_complete").wait(StackName="replicated", WaiterConfig={"Delay": 1})
    assert "stack%" in dms.describe(task)["TableMappings"]
    formation.delete_stack(StackName="replicated")
    formation.get_waiter("stack_delete_complete").wait(StackName="replicated", WaiterConfig={"Delay": 1})
    with refused("ResourceNotFoundFault", "No Tasks found"):
        dms.describe(task)
    assert dms.sql("SELECT count(*) FROM pg_replication_slots") == [(0,)]
