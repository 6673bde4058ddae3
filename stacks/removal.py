"""The one decision whether a resource may take its data with it."""

from aws_cdk import RemovalPolicy
from constructs import Construct

from lake.settings import Settings

DESTROY_CONTEXT = "destroy"


def removal_policy(scope: Construct, *, settings: Settings) -> RemovalPolicy:
    """Kept, unless the environment allows destruction and this synthesis was asked for it (`-c destroy=true`): two keys.

    Only the rollback of the deployment that created a resource takes it away again: it holds nothing yet, and its name would block
    the next attempt.
    """
    asked = scope.node.try_get_context(DESTROY_CONTEXT) in ("true", True)
    return RemovalPolicy.DESTROY if asked and settings.allow_destroy else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
