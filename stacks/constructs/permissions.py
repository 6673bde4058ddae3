"""Permissions with their reasons: the only way in which our roles get statements.

A wildcard without a reason cannot be written; with one, it is acknowledged to cdk-nag at this role and for this resource alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import IConstruct


def allow(
    role: iam.Role,
    *,
    actions: Sequence[str],
    resources: Sequence[str],
    because: str | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> None:
    """Adds one statement. Raises ValueError for a wildcard action, or a wildcard resource without `because`."""
    if any("*" in action for action in actions):
        raise ValueError(f"{role.node.path}: name each action instead of {', '.join(actions)}")
    role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions))
    for resource in resources:
        flat = address(role, resource)
        if "*" in flat:
            if because is None:
                raise ValueError(f"{role.node.path}: {flat} has a wildcard and no reason")
            acknowledge(role, f"AwsSolutions-IAM5[Resource::{flat}]", because=because)


def acknowledge(scope: IConstruct, *rules: str, because: str) -> None:
    """Accepts what a check finds at `scope` and below it."""
    Validations.of(scope).acknowledge(*(Acknowledgment(id=rule, reason=because) for rule in rules))


def address(scope: IConstruct, resource: str) -> str:
    """`resource` as cdk-nag writes it in a finding at `scope`. Raises ValueError when it is no plain address."""
    return _flat(Stack.of(scope).resolve(resource))


def _flat(value: Any) -> str:
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::Sub": str(text)}:
            return text.replace("${", "<").replace("}", ">")
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(_flat(part) for part in parts)
    raise ValueError(f"no plain address: {value!r}; build it from names")
