"""Roles that DMS looks for: made where missing, completed where half made, otherwise left alone."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ingestion.replication.roles import TRUST, ensure_roles

POLICY = "service-role/AmazonDMSVPCManagementRole"
ARN = f"arn:aws:iam::aws:policy/{POLICY}"
ROLES = {"dms-vpc-role": POLICY}


@pytest.fixture
def iam() -> Iterator[Any]:
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        yield boto3.client("iam", region_name="us-east-1")


def attached(iam: Any) -> list[str]:
    return [p["PolicyArn"] for p in iam.list_attached_role_policies(RoleName="dms-vpc-role")["AttachedPolicies"]]


def test_a_missing_role_is_made_and_the_next_time_left_alone(iam: Any) -> None:
    assert ensure_roles(iam, ROLES, partition="aws") == ["dms-vpc-role"]
    assert attached(iam) == [ARN]
    assert iam.get_role(RoleName="dms-vpc-role")["Role"]["AssumeRolePolicyDocument"] == TRUST
    assert ensure_roles(iam, ROLES, partition="aws") == []


def test_a_role_that_a_kill_left_without_its_policy_is_completed_and_its_trust_kept(iam: Any) -> None:
    iam.create_role(RoleName="dms-vpc-role", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    assert ensure_roles(iam, ROLES, partition="aws") == ["dms-vpc-role"]
    assert attached(iam) == [ARN]
    assert iam.get_role(RoleName="dms-vpc-role")["Role"]["AssumeRolePolicyDocument"]["Statement"] == []
