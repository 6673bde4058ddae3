"""What every source stands on: buckets, catalogue, network, lease, topics, and the definition of the Spark cluster.

Nothing here belongs to a source; it is created once and, by default, outlives everything.
"""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_glue as glue
from constructs import Construct

from lake.contracts import Contract
from lake.names import BUCKETS, LAYERS, Bucket, Names
from lake.settings import Settings
from stacks.constructs.emr_cluster import EmrCluster
from stacks.constructs.json_table import JsonTable
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.network import Network
from stacks.constructs.notifications import Notifications, service_key
from stacks.removal import removal_policy

# Life of a current object, life of a replaced version, in days; None keeps for ever.
_LIFE: dict[Bucket, tuple[int | None, int | None]] = {
    "bronze": (None, None),  # what was received is the only truth that cannot be made again
    "silver": (None, 14),  # what VACUUM removed, or a slip of the hand
    "gold": (None, 14),
    "landing": (None, 30),
    "artifacts": (None, 30),
    "results": (30, 1),
}


class Foundation(Stack):
    """buckets and databases by name, lease_table, notifications, network, cluster."""

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, names: Names, contracts: Mapping[str, Contract], **stack: Any
    ) -> None:
        super().__init__(scope, id, description="Buckets, catalogue, network, lease and topics", **stack)
        removal = removal_policy(self, settings=settings)
        logs = LakeBucket(
            self,
            "Logs",
            name=names.bucket("logs"),
            removal_policy=removal,
            access_logs=None,
            expire_after=Duration.days(settings.log_retention_days),
            noncurrent_after=Duration.days(1),
        )
        self.buckets: dict[Bucket, LakeBucket] = {"logs": logs}
        for bucket in BUCKETS:
            if bucket != "logs":
                life, replaced = _LIFE[bucket]
                self.buckets[bucket] = LakeBucket(
                    self,
                    bucket.capitalize(),
                    name=names.bucket(bucket),
                    removal_policy=removal,
                    access_logs=logs,
                    expire_after=Duration.days(life) if life else None,
                    noncurrent_after=Duration.days(replaced) if replaced else None,
                )
        self.databases = {
            layer: glue.Database(
                self,
                f"{layer.capitalize()}Database",
                database_name=names.database(layer),
                # Without a location Spark cannot create a table in the database.
                location_uri=f"s3://{names.bucket(layer)}/",
                removal_policy=removal,
            )
            for layer in LAYERS
        }
        runs = JsonTable(self, "Runs", contract=contracts["bronze.runs"], names=names)
        runs.node.add_dependency(self.databases["bronze"])
        self.lease_table = dynamodb.Table(
            self,
            "Leases",
            table_name=names.lease_table,
            partition_key=dynamodb.Attribute(name="source", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True),
            removal_policy=removal,
        )
        key = service_key(self, "Key", alias=names.stack("key"), removal_policy=removal)
        self.notifications = Notifications(self, "Notifications", names=names, key=key)
        self.network = Network(
            self, "Network", cidr=settings.network.vpc_cidr, nat_gateway=settings.network.nat_gateway, flow_logs=logs
        )
        self.cluster = EmrCluster(self, "Cluster", names=names, settings=settings, network=self.network, logs=logs, key=key)
