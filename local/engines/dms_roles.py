"""The AWS managed policies that DMS's account-level roles carry, which the emulator does not know."""

import json

from local.emulator import Emulator

_TASKS = "arn:aws:logs:*:*:log-group:dms-tasks-*"
POLICIES = {
    "service-role/AmazonDMSVPCManagementRole": [
        ("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"),
        ("ec2:DescribeAvailabilityZones", "ec2:DescribeInternetGateways", "ec2:DescribeSecurityGroups"),
        ("ec2:DescribeSubnets", "ec2:DescribeVpcs"),
    ],
    "service-role/AmazonDMSCloudWatchLogsRole": [
        ("logs:DescribeLogGroups",),
        ("logs:DescribeLogStreams", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
    ],
}


def seed(emulator: Emulator) -> None:
    """Make the policies known. Of the logs' policy the last statement is bound to the groups of DMS's tasks, as AWS's is."""
    known = emulator.get("services.iam", "_aws_managed_policies")
    record = emulator.get("services.iam", "_make_aws_managed_record")
    for name, statements in POLICIES.items():
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": list(actions), "Resource": _TASKS if "logs:PutLogEvents" in actions else "*"}
                for actions in statements
            ],
        }
        known[f"arn:aws:iam::aws:policy/{name}"] = record(name, json.dumps(document))
