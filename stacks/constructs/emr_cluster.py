"""The one definition of a Spark cluster on EMR: kept running by the stack, or started and ended by each state machine.

Every step runs under a role of its own (application-scoped roles), so a cluster itself may do next to nothing.
"""

from typing import Any

from aws_cdk import Aws, CfnTag, Duration, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_emr as emr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from lake.names import Names
from lake.settings import Settings
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.network import EMR_TAG, Network
from stacks.constructs.permissions import acknowledge, allow

LOGS_PREFIX = "emr/"
CLASSIFICATIONS = {
    "delta-defaults": {"delta.enabled": "true"},
    # EMR 7 has 3.9 as python3; the house runs 3.11.
    "spark-defaults": {"spark.pyspark.python": "python3.11", "spark.pyspark.driver.python": "python3.11"},
}


class EmrCluster(Construct):
    """service_role, nodes_role: of EMR and of its instances; cluster: None unless the environment keeps one running."""

    def __init__(
        self, scope: Construct, id: str, *, names: Names, settings: Settings, network: Network, logs: LakeBucket, key: kms.IKey
    ) -> None:
        super().__init__(scope, id)
        self._settings, self._network = settings.emr, network
        self.name = names.cluster
        self.log_uri = f"s3://{names.bucket('logs')}/{LOGS_PREFIX}"
        self.nodes_role = self._nodes_role(names.role("emr-nodes"), logs=logs)
        self.service_role = self._service_role(names.role("emr-service"))
        for role in (self.nodes_role, self.service_role):
            self._allow_key(role, key)
        self._groups = {
            part: ec2.SecurityGroup(self, f"{part}Group", vpc=network.vpc, description=f"EMR {part}; EMR adds the rules")
            for part in ("Primary", "Core", "Service")
        }
        for group in self._groups.values():
            Tags.of(group).add(*EMR_TAG)
        # Without a name of ours: it can only be replaced, and its replacement exists beside it for a while.
        self.security = emr.CfnSecurityConfiguration(self, "Security", security_configuration=_security(key.key_arn))
        self.cluster = self._running_cluster() if settings.emr.mode == "always_on" else None

    def request(self) -> dict[str, Any]:
        """The cluster as EMR's RunJobFlow takes it: idles until it is ended, and ends itself if nobody does."""
        instances = self._settings
        return {
            "Name": self.name,
            "ReleaseLabel": instances.release,
            "Applications": [{"Name": "Spark"}],
            "LogUri": self.log_uri,
            "ServiceRole": self.service_role.role_name,
            "JobFlowRole": self.nodes_role.role_name,
            "SecurityConfiguration": self.security.ref,
            "VisibleToAllUsers": True,
            "Configurations": [{"Classification": name, "Properties": values} for name, values in CLASSIFICATIONS.items()],
            "Instances": {
                "KeepJobFlowAliveWhenNoSteps": True,
                "Ec2SubnetId": self._network.cluster_subnet.subnet_id,
                "EmrManagedMasterSecurityGroup": self._groups["Primary"].security_group_id,
                "EmrManagedSlaveSecurityGroup": self._groups["Core"].security_group_id,
                "ServiceAccessSecurityGroup": self._groups["Service"].security_group_id,
                "InstanceGroups": [
                    {"InstanceRole": "MASTER", "InstanceCount": 1, "InstanceType": instances.instance_type},
                    {"InstanceRole": "CORE", "InstanceCount": instances.core_instances, "InstanceType": instances.instance_type},
                ],
            },
            "ManagedScalingPolicy": {
                "ComputeLimits": {
                    "UnitType": "Instances",
                    "MinimumCapacityUnits": instances.core_instances,
                    "MaximumCapacityUnits": instances.max_instances,
                }
            },
            "AutoTerminationPolicy": {"IdleTimeout": Duration.minutes(instances.idle_minutes).to_seconds()},
            "Tags": [{"Key": EMR_TAG[0], "Value": EMR_TAG[1]}],
        }

    def _running_cluster(self) -> emr.CfnCluster:
        """The same request as a resource. It never ends itself: the stack would go on believing in it."""
        request = self.request()
        instances = request["Instances"]
        primary, core = instances["InstanceGroups"]
        limits = request["ManagedScalingPolicy"]["ComputeLimits"]
        group = emr.CfnCluster.InstanceGroupConfigProperty
        cluster = emr.CfnCluster(
            self,
            "Cluster",
            name=request["Name"],
            release_label=request["ReleaseLabel"],
            applications=[emr.CfnCluster.ApplicationProperty(name=a["Name"]) for a in request["Applications"]],
            log_uri=request["LogUri"],
            service_role=request["ServiceRole"],
            job_flow_role=request["JobFlowRole"],
            security_configuration=request["SecurityConfiguration"],
            visible_to_all_users=True,
            configurations=[
                emr.CfnCluster.ConfigurationProperty(classification=c["Classification"], configuration_properties=c["Properties"])
                for c in request["Configurations"]
            ],
            instances=emr.CfnCluster.JobFlowInstancesConfigProperty(
                keep_job_flow_alive_when_no_steps=True,
                ec2_subnet_id=instances["Ec2SubnetId"],
                emr_managed_master_security_group=instances["EmrManagedMasterSecurityGroup"],
                emr_managed_slave_security_group=instances["EmrManagedSlaveSecurityGroup"],
                service_access_security_group=instances["ServiceAccessSecurityGroup"],
                master_instance_group=group(instance_count=1, instance_type=primary["InstanceType"]),
                core_instance_group=group(instance_count=core["InstanceCount"], instance_type=core["InstanceType"]),
            ),
            managed_scaling_policy=emr.CfnCluster.ManagedScalingPolicyProperty(
                compute_limits=emr.CfnCluster.ComputeLimitsProperty(
                    unit_type=limits["UnitType"],
                    minimum_capacity_units=limits["MinimumCapacityUnits"],
                    maximum_capacity_units=limits["MaximumCapacityUnits"],
                )
            ),
            tags=[CfnTag(key=tag["Key"], value=tag["Value"]) for tag in request["Tags"]],
        )
        acknowledge(cluster, "AwsSolutions-EMR4", because="The disks are encrypted; the rule looks above EncryptionConfiguration.")
        acknowledge(
            cluster, "AwsSolutions-EMR5", because="One subnet without a way in; certificates would need making and renewing."
        )
        acknowledge(cluster, "AwsSolutions-EMR6", because="Nobody logs in: no key pair is the safest key pair.")
        return cluster

    def _nodes_role(self, name: str, *, logs: LakeBucket) -> iam.Role:
        role = iam.Role(self, "NodesRole", role_name=name, assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        logs.allow_write(role, prefixes=[LOGS_PREFIX])
        # EMR looks for an instance profile by the name that it is given as JobFlowRole.
        iam.CfnInstanceProfile(self, "NodesProfile", roles=[role.role_name], instance_profile_name=role.role_name)
        return role

    def _service_role(self, name: str) -> iam.Role:
        account = {
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": f"arn:{Aws.PARTITION}:elasticmapreduce:{Aws.REGION}:{Aws.ACCOUNT_ID}:*"},
        }
        role = iam.Role(
            self,
            "ServiceRole",
            role_name=name,
            assumed_by=iam.ServicePrincipal("elasticmapreduce.amazonaws.com", conditions=account),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonEMRServicePolicy_v2")],
        )
        allow(
            role,
            actions=["iam:PassRole"],
            resources=[self.nodes_role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        )
        acknowledge(
            role,
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2]",
            because="AWS alone knows what EMR does in EC2; this policy acts only on what carries EMR's tag.",
        )
        return role

    def _allow_key(self, role: iam.Role, key: kms.IKey) -> None:
        allow(
            role,
            actions=[
                "kms:Encrypt",
                "kms:Decrypt",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
                "kms:DescribeKey",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
            ],
            resources=[key.key_arn],
        )
        grants = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        allow(role, actions=["kms:CreateGrant", "kms:ListGrants"], resources=[key.key_arn], conditions=grants)


def _security(key_arn: str) -> dict[str, Any]:
    return {
        "AuthorizationConfiguration": {"IAMConfiguration": {"EnableApplicationScopedIAMRole": True}},
        # A step must not reach the role of the instance it runs on.
        "InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": 2, "HttpPutResponseHopLimit": 1},
        "EncryptionConfiguration": {
            "EnableInTransitEncryption": False,
            "EnableAtRestEncryption": True,
            "AtRestEncryptionConfiguration": {
                "S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"},
                "LocalDiskEncryptionConfiguration": {
                    "EncryptionKeyProviderType": "AwsKms",
                    "AwsKmsKey": key_arn,
                    "EnableEbsEncryption": True,
                },
            },
        },
    }
