"""The two topics that people and alarms use: what went well, what failed."""

from typing import Literal, get_args

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from lake.names import Names
from stacks.constructs.permissions import allow

_OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
Outcome = Literal["successes", "failures"]


class Notifications(Construct):
    """successes and failures: encrypted topics that refuse plain HTTP."""

    def __init__(self, scope: Construct, id: str, *, names: Names, key: kms.IKey) -> None:
        super().__init__(scope, id)
        topics = {
            outcome: sns.Topic(self, outcome.capitalize(), topic_name=names.topic(outcome), master_key=key, enforce_ssl=True)
            for outcome in get_args(Outcome)
        }
        self.successes, self.failures = topics["successes"], topics["failures"]
        self._key = key
        self.failures.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.failures.topic_arn],
                conditions=_OWN_ACCOUNT,
            )
        )

    def allow_publish(self, role: iam.Role) -> None:
        """Both topics, and their key: without it a message is refused."""
        allow(role, actions=["sns:Publish"], resources=[self.successes.topic_arn, self.failures.topic_arn])
        allow(role, actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[self._key.key_arn])


def service_key(scope: Construct, id: str, *, alias: str, removal_policy: RemovalPolicy) -> kms.Key:
    """The one customer key, for what cannot do with S3's own: topics that alarms publish to, and the disks of clusters."""
    key = kms.Key(scope, id, alias=alias, enable_key_rotation=True, removal_policy=removal_policy)
    key.add_to_resource_policy(
        iam.PolicyStatement(
            # An alarm cannot publish to a topic under the AWS managed key, whose policy nobody can change.
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],
            conditions=_OWN_ACCOUNT,
        )
    )
    return key
