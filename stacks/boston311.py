"""Boston 311: portal -> bronze (Lambda) -> silver (Glue) -> gold (EMR) -> catalogue (crawlers), in one state machine."""

import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws, Duration, Stack, TimeZone
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lake.contracts import Contract
from lake.jobs import JOBS, NOTHING, source_tables
from lake.names import RUNS_PREFIX, Layer, Names, ledger_prefix
from lake.settings import Settings
from stacks.constructs.delta_crawler import DeltaCrawler
from stacks.constructs.emr_step import EmrStep
from stacks.constructs.glue_job import GlueJob
from stacks.constructs.job_code import JobCode
from stacks.constructs.permissions import allow
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.source_machine import SourceMachine
from stacks.constructs.tables import table_names
from stacks.foundation import Foundation

SOURCE = "boston311"
RUN_PARTS_PREFIX = "run_parts/"
TIME_ZONE = TimeZone.AMERICA_NEW_YORK
FETCHES_AT_ONCE = 4  # the portal's firewall throttles; more gains nothing


class Boston311(Stack):
    """machine: the source's state machine."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        names: Names,
        contracts: Mapping[str, Contract],
        foundation: Foundation,
        **stack: Any,
    ) -> None:
        super().__init__(scope, id, description="Boston 311 service requests", **stack)
        self._settings, self._names, self._foundation = settings, names, foundation
        written = [contracts[table] for table in source_tables(SOURCE)]
        self._silver_contracts = [contract for contract in written if contract.layer == "silver"]
        self._gold_contracts = [contract for contract in written if contract.layer == "gold"]
        code = JobCode(self, "JobCode")
        silver, gold = self._silver(code), self._gold(code)
        ingest = self._ingest()
        self.machine = SourceMachine(
            self,
            "Run",
            source=SOURCE,
            control=self._control(),
            ingest=self._ingest_states(ingest),
            functions=[ingest],
            silver=silver,
            gold=gold,
            crawlers=[self._crawler("silver"), self._crawler("gold")],
            notifications=foundation.notifications,
            timeout=Duration.hours(settings.boston311.run_timeout_hours),
            names=names,
            settings=settings,
        ).machine
        if settings.boston311.schedule is not None:
            self._schedule(settings.boston311.schedule)

    def _function(self, package: str, **properties: Any) -> PythonFunction:
        name = "ingest" if package == SOURCE else package
        return PythonFunction(
            self,
            name.capitalize(),
            package=package,
            name=self._names.function(SOURCE, name),
            role_name=self._names.role(f"{SOURCE}-{name}"),
            settings=self._settings,
            **properties,
        )

    def _ingest(self) -> PythonFunction:
        function = self._function(
            SOURCE,
            description="Reads the portal's package and brings changed resources into bronze",
            environment={
                "BRONZE_BUCKET": self._names.bucket("bronze"),
                "PORTAL_URL": self._settings.boston311.portal_url,
                "PACKAGE_ID": self._settings.boston311.package_id,
                "SOURCE": SOURCE,
            },
            timeout=Duration.minutes(15),
            memory_mb=1024,
        )
        bronze = self._foundation.buckets["bronze"]
        bronze.allow_read(function.execution_role, prefixes=[f"{SOURCE}/"])
        bronze.allow_write(function.execution_role, prefixes=[f"{SOURCE}/"])
        return function

    def _control(self) -> PythonFunction:
        names = self._names
        function = self._function(
            "control",
            description="Takes and gives back the lease of the source, writes the report of the run",
            environment={
                "BRONZE_BUCKET": names.bucket("bronze"),
                "LEASE_TABLE": names.lease_table,
                "SOURCE": SOURCE,
                "TABLES": json.dumps(source_tables(SOURCE)),
            },
            timeout=Duration.minutes(1),
            memory_mb=256,
        )
        role, bronze = function.execution_role, self._foundation.buckets["bronze"]
        bronze.allow_read(role, prefixes=[RUN_PARTS_PREFIX, RUNS_PREFIX])
        bronze.allow_write(role, prefixes=[RUNS_PREFIX])
        allow(
            role,
            actions=["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"],
            resources=[self._foundation.lease_table.table_arn],
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [SOURCE]}},
        )
        allow(
            role,
            actions=["states:DescribeExecution"],
            resources=[f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:execution:{names.machine(SOURCE)}:*"],
            because="Whether the execution that holds the lease still runs: its name is known when it is held.",
        )
        return function

    def _ingest_states(self, function: PythonFunction) -> sfn.IChainable:
        discover = tasks.LambdaInvoke(
            self,
            "Discover",
            lambda_function=function,
            payload=sfn.TaskInput.from_object({"op": "discover", "run_id": sfn.JsonPath.execution_name}),
            payload_response_only=True,
        )
        event = {"op": "fetch", "run_id.$": "$$.Execution.Name", "origin.$": "$.origin", "resource.$": "$$.Map.Item.Value"}
        each = sfn.Map(self, "Fetch each", items_path="$.resources", item_selector=event, max_concurrency=FETCHES_AT_ONCE)
        fetch = tasks.LambdaInvoke(self, "Fetch", lambda_function=function, payload_response_only=True)
        for task in (discover, fetch):
            # The Lambda has its own quick retries; these are for a portal that is away for a minute, or a Lambda that died.
            task.add_retry(
                errors=["PortalUnavailable", "Truncated", "Lambda.TooManyRequestsException", "Lambda.Unknown"],
                interval=Duration.seconds(30),
                max_attempts=2,
                backoff_rate=2,
                jitter_strategy=sfn.JitterType.FULL,
            )
        return discover.next(each.item_processor(fetch))

    def _silver(self, code: JobCode) -> GlueJob:
        job = GlueJob(self, "Silver", job=JOBS["boston311_silver"], code=code, names=self._names, settings=self._settings)
        role, buckets = job.execution_role, self._foundation.buckets
        tables = [f"{name}/" for contract in self._silver_contracts for name in table_names(contract)]
        buckets["bronze"].allow_read(role, prefixes=[f"{SOURCE}/"], versions=True)
        buckets["silver"].allow_read(role, prefixes=[*tables, ledger_prefix(SOURCE)])
        buckets["silver"].allow_write(role, prefixes=[*tables, ledger_prefix(SOURCE)], delete=True)
        self._allow_parts(role)
        return job

    def _gold(self, code: JobCode) -> EmrStep:
        step = EmrStep(self, "Gold", job=JOBS["boston311_gold"], code=code, cluster=self._foundation.cluster, names=self._names)
        role, buckets = step.execution_role, self._foundation.buckets
        tables = [place for contract in self._gold_contracts for place in (f"{contract.table}/", ledger_prefix(contract.table))]
        buckets["silver"].allow_read(role, prefixes=[f"{contract.table}/" for contract in self._silver_contracts])
        buckets["gold"].allow_read(role, prefixes=tables)
        buckets["gold"].allow_write(role, prefixes=tables, delete=True)
        self._allow_parts(role)
        return step

    def _allow_parts(self, role: iam.Role) -> None:
        """A job leaves its part of the run's report, and looks whether a first attempt left it already."""
        bronze = self._foundation.buckets["bronze"]
        bronze.allow_read(role, prefixes=[RUN_PARTS_PREFIX])
        bronze.allow_write(role, prefixes=[RUN_PARTS_PREFIX])

    def _crawler(self, layer: Layer) -> DeltaCrawler:
        return DeltaCrawler(
            self,
            f"{layer.capitalize()}Crawler",
            source=SOURCE,
            layer=layer,
            contracts=self._silver_contracts if layer == "silver" else self._gold_contracts,
            bucket=self._foundation.buckets[layer],
            names=self._names,
        )

    def _schedule(self, at: str) -> None:
        hour, _, minute = at.partition(":")
        service = iam.ServicePrincipal(
            "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        )
        role = iam.Role(self, "ScheduleRole", role_name=self._names.role(f"{SOURCE}-schedule"), assumed_by=service)
        scheduler.Schedule(
            self,
            "Schedule",
            schedule_name=self._names.machine(SOURCE),
            description=f"Every day at {at} in Boston",
            schedule=scheduler.ScheduleExpression.cron(time_zone=TIME_ZONE, hour=str(int(hour)), minute=str(int(minute))),
            target=targets.StepFunctionsStartExecution(
                self.machine,
                role=role,
                input=scheduler.ScheduleTargetInput.from_object({"only": "all", "accept": NOTHING, "parameters": {}}),
            ),
        )
