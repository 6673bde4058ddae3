"""Roles that DMS looks for by name in an account: made where they are missing, and never taken away, as others may use them."""

import json
import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

TRUST = {
    "Version": "2012-10-17",
    # Without a condition on the caller: with one DMS fails to make its logs.
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "dms.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def ensure_roles(iam: Any, roles: Mapping[str, str], *, partition: str) -> list[str]:
    """Names of the roles that were made or completed. roles: by name the AWS managed policy that each needs, e.g.
    "service-role/AmazonDMSVPCManagementRole". A role may be somebody's, or left behind half made: its trust stays as it is, and
    what it lacks of its policy is attached."""
    made = []
    for name, policy in roles.items():
        wanted = f"arn:{partition}:iam::aws:policy/{policy}"
        try:
            iam.get_role(RoleName=name)
            attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        except iam.exceptions.NoSuchEntityException:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
            attached = []
        if wanted not in [found["PolicyArn"] for found in attached]:
            iam.attach_role_policy(RoleName=name, PolicyArn=wanted)
            made.append(name)
            log.info("made %s, which DMS needs in this account", name)
    return made
