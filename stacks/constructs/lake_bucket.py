"""A bucket of the lake: encrypted, reached by TLS only, never public, versioned, access-logged."""

from collections.abc import Sequence

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.constructs.permissions import acknowledge, allow

READ_OBJECTS = ("s3:GetObject", "s3:GetObjectVersion")
# Multipart: S3A and the ingestion upload large objects in parts and take the parts back when they fail.
WRITE_OBJECTS = ("s3:PutObject", "s3:AbortMultipartUpload")


class LakeBucket(s3.Bucket):
    """expire_after: life of a current object; noncurrent_after: life of a replaced version; None keeps for ever."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        removal_policy: RemovalPolicy,
        access_logs: s3.IBucket | None,
        expire_after: Duration | None = None,
        noncurrent_after: Duration | None = None,
    ) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=name,
            removal_policy=removal_policy,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=f"access/{id.lower()}/" if access_logs else None,
            lifecycle_rules=_lifecycle(expire_after=expire_after, noncurrent_after=noncurrent_after),
        )
        # From the physical name: a policy in another stack needs no export for it, and reads like an address.
        self.address = f"arn:{Aws.PARTITION}:s3:::{name}"
        if access_logs is None:
            acknowledge(self, "AwsSolutions-S1", because="A log bucket that logged its own access would never come to rest.")

    def allow_read(self, role: iam.Role, *, prefixes: Sequence[str], versions: bool = False) -> None:
        """Objects below `prefixes` ("" = all), their listing, and with `versions` all of their versions."""
        actions = READ_OBJECTS if versions else READ_OBJECTS[:1]
        self._allow_list(role, prefixes=prefixes, versions=versions)
        self._allow_objects(role, actions=actions, prefixes=prefixes)
        # S3A asks first whether a directory is a file of that name; without permission to ask it gives up.
        directories = [prefix.removesuffix("/") for prefix in prefixes if prefix.endswith("/")]
        if directories:
            allow(role, actions=actions, resources=[f"{self.address}/{name}" for name in directories])

    def allow_write(self, role: iam.Role, *, prefixes: Sequence[str], delete: bool = False) -> None:
        """Objects below `prefixes` may be written, with `delete` also removed; neither read nor listed."""
        actions = (*WRITE_OBJECTS, "s3:DeleteObject") if delete else WRITE_OBJECTS
        self._allow_objects(role, actions=actions, prefixes=prefixes)

    def allow_replication(self, role: iam.Role, *, prefix: str) -> None:
        """What DMS asks of the role that it writes below `prefix` with."""
        allow(role, actions=["s3:ListBucket", "s3:GetBucketLocation"], resources=[self.address])
        self._allow_objects(role, actions=("s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging"), prefixes=[prefix])

    def _allow_list(self, role: iam.Role, *, prefixes: Sequence[str], versions: bool) -> None:
        # S3A looks for a directory by listing it with and without the slash before it decides that it is absent. For an object
        # that does not exist, S3 takes its key as the prefix to decide between 404 and 403 (ceph/ceph#68577).
        patterns = [pattern for prefix in prefixes for pattern in (prefix.removesuffix("/"), f"{prefix}*") if pattern]
        actions = ["s3:ListBucket", "s3:ListBucketVersions"] if versions else ["s3:ListBucket"]
        condition = {"StringLike": {"s3:prefix": patterns}}
        allow(role, actions=actions, resources=[self.address], conditions=condition)
        allow(role, actions=["s3:GetBucketLocation"], resources=[self.address])

    def _allow_objects(self, role: iam.Role, *, actions: Sequence[str], prefixes: Sequence[str]) -> None:
        allow(
            role,
            actions=actions,
            resources=[f"{self.address}/{prefix}*" for prefix in prefixes],
            because="Names of objects are not known beforehand; the prefix is the unit of permission.",
        )


def _lifecycle(*, expire_after: Duration | None, noncurrent_after: Duration | None) -> list[s3.LifecycleRule]:
    rules = [s3.LifecycleRule(id="abort-stale-multiparts", abort_incomplete_multipart_upload_after=Duration.days(7))]
    if expire_after:
        rules.append(s3.LifecycleRule(id="expire", expiration=expire_after))
    if noncurrent_after:
        rules.append(
            s3.LifecycleRule(
                id="expire-replaced-versions",
                noncurrent_version_expiration=noncurrent_after,
                expired_object_delete_marker=None if expire_after else True,
            )
        )
    return rules
