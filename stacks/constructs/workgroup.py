"""A group of people in Athena: a workgroup with a scan limit, a role, and the questions they ask most."""

from collections.abc import Mapping, Sequence

from aws_cdk import Aws
from aws_cdk import aws_athena as athena
from aws_cdk import aws_iam as iam
from constructs import Construct

from lake.names import Names, Workgroup
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.permissions import allow

_ATHENA = (
    "StartQueryExecution",
    "StopQueryExecution",
    "GetQueryExecution",
    "BatchGetQueryExecution",
    "GetQueryResults",
    "ListQueryExecutions",
    "GetWorkGroup",
    "GetNamedQuery",
    "BatchGetNamedQuery",
    "ListNamedQueries",
)
_GLUE = ("GetDatabase", "GetDatabases", "GetTable", "GetTables", "GetPartition", "GetPartitions", "BatchGetPartition")


class AnalysisGroup(Construct):
    """workgroup, role. Anyone in the account whom IAM lets assume the role may take it; nobody else."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        group: Workgroup,
        description: str,
        scan_mb: int,
        results: LakeBucket,
        queries: Mapping[str, tuple[str, str]],
        names: Names,
    ) -> None:
        super().__init__(scope, id)
        name = names.workgroup(group)
        self.workgroup = athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=name,
            description=description,
            recursive_delete_option=True,  # with any query in its history it could not be deleted otherwise
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=False,
                bytes_scanned_cutoff_per_query=scan_mb * 1_000_000,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(selected_engine_version="Athena engine version 3"),
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{names.bucket('results')}/{name}/",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(encryption_option="SSE_S3"),
                ),
            ),
        )
        self.role = iam.Role(
            self, "Role", role_name=names.role(group), description=description, assumed_by=iam.AccountRootPrincipal()
        )
        allow(
            self.role,
            actions=[f"athena:{action}" for action in _ATHENA],
            resources=[f"arn:{Aws.PARTITION}:athena:{Aws.REGION}:{Aws.ACCOUNT_ID}:workgroup/{name}"],
        )
        # Athena resolves the database `default` before any query, also one that names another.
        catalogue = f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        allow(self.role, actions=["glue:GetDatabase"], resources=[f"{catalogue}:catalog", f"{catalogue}:database/default"])
        results.allow_read(self.role, prefixes=[f"{name}/"])
        results.allow_write(self.role, prefixes=[f"{name}/"])
        for title, (database, sql) in queries.items():
            query = athena.CfnNamedQuery(
                self, title, name=title, database=database, query_string=sql, work_group=self.workgroup.name
            )
            query.add_resource_dependency(self.workgroup)

    def allow_tables(self, *, database: str, bucket: LakeBucket, prefixes: Sequence[str]) -> None:
        """Reading below `prefixes` of `bucket`; the catalogue of the whole database, so that a slip in a name is told as one."""
        catalogue = f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        allow(
            self.role,
            actions=[f"glue:{action}" for action in _GLUE],
            resources=[
                f"{catalogue}:catalog",
                f"{catalogue}:database/{database}",
                f"{catalogue}:table/{database}/*",
            ],
            because="Listing a database and missing a table are asked of every name; the rows are guarded in S3.",
        )
        bucket.allow_read(self.role, prefixes=prefixes)
