"""What Spark jobs carry: the code, the locked dependencies, and one script each."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from lake.jobs import Job
from stacks.constructs.permissions import allow
from stacks.packages import ROOT, jobs_code, jobs_dependencies


class JobCode(Construct):
    """code, dependencies: one asset each for all jobs of the stack."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        code, dependencies = jobs_code(), jobs_dependencies()
        # A file asset is stored under its hash; zips keep the modules' names inside.
        self.code = assets.Asset(self, "Code", path=str(code.path), asset_hash=code.hash)
        self.dependencies = assets.Asset(self, "Dependencies", path=str(dependencies.path), asset_hash=dependencies.hash)

    def script(self, job: Job) -> assets.Asset:
        return assets.Asset(self, job.name, path=str(ROOT / job.script))

    def allow_read(self, role: iam.Role, script: assets.Asset) -> None:
        """The two archives and `script`, nothing else in the bucket of assets."""
        bucket = self.code.bucket.bucket_arn
        keys = [asset.s3_object_key for asset in (self.code, self.dependencies, script)]
        allow(role, actions=["s3:GetObject"], resources=[f"{bucket}/{key}" for key in keys])
        allow(role, actions=["s3:GetBucketLocation"], resources=[bucket])
