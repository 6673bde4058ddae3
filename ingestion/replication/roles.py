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
    """Names of the roles that were made. roles: by name the AWS managed policy that each needs, e.g.
    "service-role/AmazonDMSVPCManagementRole". A role that is there is somebody's, and left as it is."""
    made = []
    for name, policy in roles.items():
        try:
            iam.get_role(RoleName=name)
        except iam.exceptions.NoSuchEntityException:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
            iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:{partition}:iam::aws:policy/{policy}")
            made.append(name)
            log.info("made %s, which DMS needs in this account", name)
    return made
