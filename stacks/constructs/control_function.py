"""The Lambda that opens and closes a run of a source: lease, report, message."""

import json

from aws_cdk import Aws, Duration
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from lake.jobs import JOBS, source_tables
from lake.names import RUN_PARTS_PREFIX, RUNS_PREFIX, Names
from lake.settings import Settings
from stacks.constructs.emr_cluster import EmrCluster
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.permissions import allow
from stacks.constructs.python_function import PythonFunction


class ControlFunction(PythonFunction):
    """The same code for every source; each source's own may touch that source's lease alone."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: str,
        bronze: LakeBucket,
        lease_table: dynamodb.ITable,
        cluster: EmrCluster,
        names: Names,
        settings: Settings,
    ) -> None:
        jobs = [names.job(job.name) for job in JOBS.values() if job.source == source and job.engine == "glue"]
        super().__init__(
            scope,
            id,
            package="control",
            name=names.function(source, "control"),
            role_name=names.role(f"{source}-control"),
            description=f"Takes and gives back the lease of {source}, writes the reports of its runs",
            environment={
                "BRONZE_BUCKET": names.bucket("bronze"),
                "CLUSTER": cluster.name,
                "GLUE_JOBS": json.dumps(jobs),
                "LEASE_TABLE": names.lease_table,
                "SOURCE": source,
                "TABLES": json.dumps(source_tables(source)),
            },
            timeout=Duration.minutes(1),
            memory_mb=256,
            settings=settings,
        )
        bronze.allow_read(self.execution_role, prefixes=[RUN_PARTS_PREFIX, RUNS_PREFIX])
        bronze.allow_write(self.execution_role, prefixes=[RUNS_PREFIX])
        allow(
            self.execution_role,
            actions=["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"],
            resources=[lease_table.table_arn],
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [source]}},
        )
        allow(
            self.execution_role,
            actions=["states:DescribeExecution"],
            resources=[f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:execution:{names.machine(source)}:*"],
            because="Whether the execution that holds the lease still runs: its name is known when it is held.",
        )
        if jobs:
            allow(
                self.execution_role,
                actions=["glue:GetJobRuns", "glue:BatchStopJobRun"],
                resources=[f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}:job/{job}" for job in jobs],
            )
        allow(
            self.execution_role,
            actions=["elasticmapreduce:ListClusters"],
            resources=["*"],
            because="A list of clusters is no resource.",
        )
        kept = ["elasticmapreduce:ListSteps", "elasticmapreduce:CancelSteps"]
        allow(
            self.execution_role,
            actions=kept if cluster.cluster else ["elasticmapreduce:TerminateJobFlows"],
            resources=[f"arn:{Aws.PARTITION}:elasticmapreduce:{Aws.REGION}:{Aws.ACCOUNT_ID}:cluster/*"],
            because="EMR chooses a cluster's id when it starts it.",
        )
