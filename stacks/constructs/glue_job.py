"""A Spark job on Glue 5.1: two small workers by default, no paid metrics, no retries (the state machine decides on those)."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from lake.jobs import Job
from lake.names import Names
from lake.settings import Settings
from stacks.constructs.job_arguments import fixed_arguments
from stacks.constructs.job_code import JobCode
from stacks.constructs.permissions import acknowledge, allow


class GlueJob(glue.PySparkEtlJob):
    """execution_role: its role, to which the stack adds what the job reads and writes. Run arguments: the state machine's."""

    def __init__(self, scope: Construct, id: str, *, job: Job, code: JobCode, names: Names, settings: Settings) -> None:
        script = code.script(job)
        self.execution_role = iam.Role(
            scope, f"{id}Role", role_name=names.role(job.name), assumed_by=iam.ServicePrincipal("glue.amazonaws.com")
        )
        code.allow_read(self.execution_role, script)
        allow(
            self.execution_role,
            actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws-glue/*"],
            because="Glue names the log groups and streams of its jobs itself.",
        )
        # The L2 would grant the whole bucket of assets to the role that it is given; code.allow_read grants three objects.
        role = self.execution_role.without_policy_updates()
        super().__init__(
            scope,
            id,
            job_name=names.job(job.name),
            role=role,
            script=_object(script),
            extra_python_files=[_object(code.code), _object(code.dependencies)],
            glue_version=glue.GlueVersion.V5_1,
            worker_configuration=glue.WorkerConfiguration(
                worker_type=glue.WorkerType.G_1X, number_of_workers=settings.glue.workers
            ),
            default_arguments={"--datalake-formats": "delta", **fixed_arguments(job.source, names=names)},
            timeout=Duration.minutes(settings.glue.timeout_minutes),
            max_retries=0,
            max_concurrent_runs=1,
            enable_metrics=False,
            enable_observability_metrics=False,
            continuous_logging=glue.ContinuousLoggingProps(enabled=False),
        )
        acknowledge(
            self, "AwsSolutions-GL1", because="CloudWatch encrypts every log at rest; a key of our own adds a price, no reader."
        )
        acknowledge(self, "AwsSolutions-GL3", because="No bookmark is used: the ledger of batches takes its place.")


def _object(asset: assets.Asset) -> glue.Code:
    return glue.Code.from_bucket(asset.bucket, asset.s3_object_key)
