"""A crawler that owns the catalogue's view of a layer's Delta tables."""

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from constructs import Construct

from lake.contracts import Contract
from lake.names import Names
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.permissions import acknowledge, allow
from stacks.constructs.tables import table_names


class DeltaCrawler(Construct):
    """Registers each table of `contracts`, and its quarantine where there is one, as a native Delta table.

    The jobs create every table, empty ones too, before the machine starts the crawler: a target without a Delta log fails it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: str,
        contracts: Sequence[Contract],
        bucket: LakeBucket,
        names: Names,
    ) -> None:
        super().__init__(scope, id)
        layer = self.layer = contracts[0].layer
        self.name = names.crawler(source, layer)
        tables = [table for contract in contracts for table in table_names(contract)]
        self.execution_role = self._role(names.role(f"{source}-{layer}-crawler"), tables=tables, bucket=bucket, names=names)
        self.crawler = glue.CfnCrawler(
            self,
            "Resource",
            name=self.name,
            role=self.execution_role.role_arn,
            database_name=names.database(layer),
            targets=glue.CfnCrawler.TargetsProperty(
                delta_targets=[
                    glue.CfnCrawler.DeltaTargetProperty(
                        delta_tables=[f"{names.table_uri(layer, table)}/" for table in tables],
                        create_native_delta_table=True,
                        write_manifest=False,
                    )
                ]
            ),
            schema_change_policy=glue.CfnCrawler.SchemaChangePolicyProperty(
                update_behavior="UPDATE_IN_DATABASE", delete_behavior="LOG"
            ),
        )
        # A crawl before the policy is attached would fail.
        self.crawler.node.add_dependency(self.execution_role)
        acknowledge(self.crawler, "AwsSolutions-GL1", because="CloudWatch encrypts every log at rest; crawler logs hold no rows.")

    def _role(self, name: str, *, tables: Sequence[str], bucket: LakeBucket, names: Names) -> iam.Role:
        role = iam.Role(self, "Role", role_name=name, assumed_by=iam.ServicePrincipal("glue.amazonaws.com"))
        bucket.allow_read(role, prefixes=[f"{table}/" for table in tables])
        catalogue = f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        database = names.database(self.layer)
        allow(
            role,
            actions=["glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable"],
            resources=[f"{catalogue}:catalog", f"{catalogue}:database/{database}"]
            + [f"{catalogue}:table/{database}/{table}" for table in tables],
        )
        allow(
            role,
            actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws-glue/crawlers*"],
            because="Glue names the log streams of its crawlers itself.",
        )
        return role
