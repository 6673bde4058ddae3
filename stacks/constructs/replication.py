"""Replication of the database's tables into bronze: a DMS instance, its endpoints, one task, and who starts and watches it.

CloudFormation neither starts a task nor may change one that runs. So a change goes stop - change - start: the two custom resources
around the task carry the fingerprint of everything that a running task forbids to touch, or does not see (a column that is added),
and run when it is another. An update that is rolled back has stopped it too; an event of the stack starts it again.
"""

import hashlib
import json
from typing import Any

from aws_cdk import Aws, CustomResource, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dms as dms
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from lake.contracts import Contract
from lake.names import CHANGE_SEQUENCE, COMMITTED_AT, HEARTBEAT_SCHEMA, Names, replicated_prefix
from lake.settings import Settings
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.log_group import ExpiringLogGroup
from stacks.constructs.network import Network
from stacks.constructs.notifications import Notifications
from stacks.constructs.permissions import allow
from stacks.constructs.postgres import CUSTOM_RESOURCE_LIMIT, DATABASE, REPLICATOR, Postgres
from stacks.constructs.python_function import PythonFunction

# Names that DMS itself looks for in an account; another environment may have made them.
_ACCOUNT_ROLES = {
    "dms-vpc-role": "service-role/AmazonDMSVPCManagementRole",
    "dms-cloudwatch-logs-role": "service-role/AmazonDMSCloudWatchLogsRole",
}
_FROM: dict[str, Any] = {
    "plugin_name": "test-decoding",
    "heartbeat_enable": True,  # an idle table otherwise holds the log back
    "heartbeat_frequency": 5,
    "heartbeat_schema": HEARTBEAT_SCHEMA,
    "capture_ddls": False,
    "map_boolean_as_boolean": True,
}
_TO: dict[str, Any] = {
    "data_format": "parquet",
    "parquet_version": "parquet-1-0",
    "compression_type": "gzip",
    "include_op_for_full_load": True,
    "timestamp_column_name": COMMITTED_AT,
    "use_task_start_time_for_full_load_timestamp": True,
    "parquet_timestamp_in_millisecond": True,
    "cdc_min_file_size": 32_000,
    "encryption_mode": "sse-s3",
}
_SETTINGS = {
    "TargetMetadata": {"SupportLobs": True, "LimitedSizeLobMode": True, "LobMaxSize": 32},
    "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"},
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableTruncated": False,  # it would delete files of bronze
        "HandleSourceTableDropped": False,
        "HandleSourceTableAltered": True,
    },
    # By default a row that fails is left out, and a table with it, while the task goes on.
    "ErrorBehavior": {
        "DataErrorPolicy": "STOP_TASK",
        "DataTruncationErrorPolicy": "STOP_TASK",
        "TableErrorPolicy": "STOP_TASK",
    },
    "Logging": {"EnableLogging": True},
}


class Replication(Construct):
    """Delivers `table` to lake.names.replicated_prefix in bronze, with operation, commit time and change sequence.

    started: when it is made, both connections have tested well and the task runs.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        table: Contract,
        postgres: Postgres,
        network: Network,
        bronze: LakeBucket,
        notifications: Notifications,
        names: Names,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        self._names, self._settings = names, settings
        self._control = self._function()
        settle = str(settings.replication.settle_seconds)
        roles = self._custom("AccountRoles", {"Phase": "roles", "Roles": _ACCOUNT_ROLES, "SettleSeconds": settle})
        instance = self._instance(network, postgres, after=roles)
        source = self._source(postgres)
        target = self._target(bronze, prefix=replicated_prefix(table.source))
        task_arn = self._arn("task", names.replication("task"))
        definition = {
            "columns": [(column.name, column.type) for column in table.columns],
            "mappings": _mappings(table),
            "task": _SETTINGS,
            "from": _FROM,
            "to": _TO,
            "settings": settings.replication.model_dump(),
        }
        fingerprint = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]
        about = {
            "TaskArn": task_arn,
            "InstanceArn": instance.ref,
            "SourceEndpointArn": source.ref,
            "TargetEndpointArn": target.ref,
            "Version": fingerprint,
        }
        # Before the task in every update: it knows the task by its address alone, which needs no task yet.
        stop = self._custom("Stop", {"Phase": "stop", "TaskArn": task_arn, "Version": fingerprint})
        task = dms.CfnReplicationTask(
            self,
            "Task",
            replication_task_identifier=names.replication("task"),
            resource_identifier=names.replication("task"),
            migration_type="full-load-and-cdc",
            replication_instance_arn=instance.ref,
            source_endpoint_arn=source.ref,
            target_endpoint_arn=target.ref,
            table_mappings=json.dumps(_mappings(table)),
            replication_task_settings=json.dumps(_SETTINGS),
        )
        for changed in (task, target, source, instance, postgres.schema):
            changed.node.add_dependency(stop)
        # The group last of all when everything is removed: cut off, DMS would leave its slot behind.
        task.node.add_dependency(postgres.schema, postgres.group)
        self.started = self._custom("Start", {"Phase": "start", **about})
        self.started.node.add_dependency(task)
        self._start_again({"Phase": "start", **about})
        self._watch(notifications)

    def _arn(self, kind: str, identifier: str) -> str:
        return f"arn:{Aws.PARTITION}:dms:{Aws.REGION}:{Aws.ACCOUNT_ID}:{kind}:{identifier}"

    def _function(self) -> PythonFunction:
        function = PythonFunction(
            self,
            "Control",
            package="replication",
            name=self._names.function("replication", "control"),
            role_name=self._names.role("replication-control"),
            description="Tests the connections of replication, starts it, and stops it around changes",
            environment={},
            timeout=Duration.minutes(15),
            memory_mb=256,
            settings=self._settings,
        )
        task = self._arn("task", self._names.replication("task"))
        parts = [self._arn("rep", self._names.replication("host"))]
        parts += [self._arn("endpoint", self._names.replication(end)) for end in ("from", "to")]
        allow(
            function.execution_role,
            actions=["dms:StartReplicationTask", "dms:StopReplicationTask"],
            resources=[task],
        )
        allow(function.execution_role, actions=["dms:TestConnection"], resources=parts)
        allow(
            function.execution_role,
            actions=["dms:DescribeConnections", "dms:DescribeReplicationTasks"],
            resources=["*"],
            because="DMS lists without resources.",
        )
        roles = [f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{role}" for role in _ACCOUNT_ROLES]
        policies = [f"arn:{Aws.PARTITION}:iam::aws:policy/{policy}" for policy in _ACCOUNT_ROLES.values()]
        allow(function.execution_role, actions=["iam:GetRole", "iam:CreateRole"], resources=roles)
        allow(function.execution_role, actions=["iam:ListAttachedRolePolicies"], resources=roles)
        allow(
            function.execution_role,
            actions=["iam:AttachRolePolicy"],
            resources=roles,
            conditions={"ArnEquals": {"iam:PolicyARN": policies}},
        )
        return function

    def _custom(self, id: str, properties: dict[str, object]) -> CustomResource:
        made = CustomResource(
            self,
            id,
            resource_type=f"Custom::Replication{id}",
            service_token=self._control.function_arn,
            service_timeout=CUSTOM_RESOURCE_LIMIT,
            properties=properties,
        )
        made.node.add_dependency(self._control)
        return made

    def _instance(self, network: Network, postgres: Postgres, *, after: CustomResource) -> dms.CfnReplicationInstance:
        group = ec2.SecurityGroup(self, "Group", vpc=network.vpc, description="Replication instance")
        postgres.allow_from(group)
        subnets = dms.CfnReplicationSubnetGroup(
            self,
            "Subnets",
            replication_subnet_group_identifier=self._names.replication("nets"),
            replication_subnet_group_description="Where replication runs: beside the database",
            subnet_ids=[subnet.subnet_id for subnet in network.subnets],
        )
        subnets.node.add_dependency(after)
        chosen = self._settings.replication
        # Declared, so that its lines expire; DMS would make it without an end.
        logs = ExpiringLogGroup(self, "Logs", name=f"dms-tasks-{self._names.replication('host')}", settings=self._settings)
        instance = dms.CfnReplicationInstance(
            self,
            "Instance",
            replication_instance_identifier=self._names.replication("host"),
            resource_identifier=self._names.replication("host"),
            replication_instance_class=chosen.instance_class,
            allocated_storage=chosen.storage_gb,
            multi_az=chosen.multi_az,
            publicly_accessible=False,
            auto_minor_version_upgrade=True,
            replication_subnet_group_identifier=subnets.ref,
            vpc_security_group_ids=[group.security_group_id],
        )
        instance.node.add_dependency(logs)
        return instance

    def _source(self, postgres: Postgres) -> dms.CfnEndpoint:
        service = iam.ServicePrincipal(f"dms.{Aws.REGION}.amazonaws.com")  # the regional one: it reads the secret
        role = iam.Role(self, "SecretRole", role_name=self._names.role("replication-secret"), assumed_by=service)
        secret = postgres.secrets[REPLICATOR]
        allow(role, actions=["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"], resources=[secret.secret_arn])
        endpoint = dms.CfnEndpoint(
            self,
            "Source",
            endpoint_identifier=self._names.replication("from"),
            resource_identifier=self._names.replication("from"),
            endpoint_type="source",
            engine_name="postgres",
            database_name=DATABASE,
            ssl_mode="require",
            postgre_sql_settings=dms.CfnEndpoint.PostgreSqlSettingsProperty(
                secrets_manager_access_role_arn=role.role_arn,
                secrets_manager_secret_id=secret.secret_arn,
                **_FROM,
            ),
        )
        endpoint.node.add_dependency(role)
        return endpoint

    def _target(self, bronze: LakeBucket, *, prefix: str) -> dms.CfnEndpoint:
        role = iam.Role(
            self,
            "TargetRole",
            role_name=self._names.role("replication-target"),
            assumed_by=iam.ServicePrincipal("dms.amazonaws.com"),
        )
        bronze.allow_replication(role, prefix=prefix)
        endpoint = dms.CfnEndpoint(
            self,
            "Target",
            endpoint_identifier=self._names.replication("to"),
            resource_identifier=self._names.replication("to"),
            endpoint_type="target",
            engine_name="s3",
            s3_settings=dms.CfnEndpoint.S3SettingsProperty(
                bucket_name=bronze.bucket_name,
                bucket_folder=prefix.removesuffix("/"),
                service_access_role_arn=role.role_arn,
                cdc_max_batch_interval=self._settings.replication.batch_seconds,
                **_TO,
            ),
        )
        endpoint.node.add_dependency(role)
        return endpoint

    def _start_again(self, request: dict[str, object]) -> None:
        undone = events.Rule(
            self,
            "Undone",
            description="An update was rolled back after it had stopped replication",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={"stack-id": [Aws.STACK_ID], "status-details": {"status": ["UPDATE_ROLLBACK_COMPLETE"]}},
            ),
        )
        undone.add_target(targets.LambdaFunction(self._control, event=events.RuleTargetInput.from_object(request)))

    def _watch(self, notifications: Notifications) -> None:
        dimensions = {
            "ReplicationInstanceIdentifier": self._names.replication("host"),
            "ReplicationTaskIdentifier": self._names.replication("task"),
        }
        for end in ("Source", "Target"):
            alarm = cloudwatch.Alarm(
                self,
                f"{end}Late",
                metric=cloudwatch.Metric(
                    namespace="AWS/DMS",
                    metric_name=f"CDCLatency{end}",
                    dimensions_map=dimensions,
                    statistic="Maximum",
                    period=Duration.minutes(1),
                ),
                alarm_description=f"Replication is behind: {end.lower()} latency. docs/runbooks/replication.md",
                threshold=self._settings.replication.late_minutes * 60,
                evaluation_periods=3,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            alarm.add_alarm_action(actions.SnsAction(notifications.failures))
        silent = cloudwatch.Alarm(
            self,
            "Silent",
            metric=cloudwatch.Metric(
                namespace="AWS/DMS",
                metric_name="CDCLatencySource",
                dimensions_map=dimensions,
                statistic="SampleCount",
                period=Duration.minutes(5),
            ),
            alarm_description="Replication says nothing: it does not run. docs/runbooks/replication.md",
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            evaluation_periods=4,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        )
        silent.add_alarm_action(actions.SnsAction(notifications.failures))
        failed = events.Rule(
            self,
            "Failed",
            description="Replication failed",
            event_pattern=events.EventPattern(
                source=["aws.dms"],
                resources=[self._arn("task", self._names.replication("task"))],
                detail={"category": ["Failure"]},
            ),
        )
        failed.add_target(targets.SnsTopic(notifications.failures))


def _mappings(table: Contract) -> dict[str, object]:
    where = {"schema-name": "public", "table-name": table.table}
    return {
        "rules": [
            {"rule-type": "selection", "rule-id": "1", "rule-name": "1", "object-locator": where, "rule-action": "include"},
            {
                "rule-type": "transformation",
                "rule-id": "2",
                "rule-name": "2",
                "rule-target": "column",
                "rule-action": "add-column",
                "object-locator": where,
                "value": CHANGE_SEQUENCE,
                "expression": "$AR_H_CHANGE_SEQ",
                "data-type": {"type": "string", "length": 50},
            },
        ]
    }
