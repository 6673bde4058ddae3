"""Boston 311: portal -> bronze (Lambda) -> silver (Glue) -> gold (EMR) -> catalogue (crawlers), in one state machine."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration, Stack, TimeZone
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lake.contracts import Contract
from lake.jobs import JOBS, source_tables
from lake.names import Names
from lake.settings import Settings
from stacks.constructs.control_function import ControlFunction
from stacks.constructs.delta_crawler import DeltaCrawler
from stacks.constructs.emr_step import EmrStep
from stacks.constructs.glue_job import GlueJob
from stacks.constructs.job_code import JobCode
from stacks.constructs.job_data import allow_gold, allow_silver
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.retries import LAMBDA, retry
from stacks.constructs.source_machine import SourceMachine
from stacks.constructs.source_schedule import SourceSchedule
from stacks.foundation import Foundation

SOURCE = "boston311"
FETCHES_AT_ONCE = 4  # the portal's firewall throttles; more gains nothing
# The portal gave no answer, said no, or took longer than the function may run.
_OF_ONE_RESOURCE = ("PortalUnavailable", "PortalRejected", "UploadLost", "Sandbox.Timedout")


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
        written = [contracts[table] for table in source_tables(SOURCE)]
        silver_tables = [contract for contract in written if contract.layer == "silver"]
        gold_tables = [contract for contract in written if contract.layer == "gold"]
        buckets = foundation.buckets
        code = JobCode(self, "JobCode")

        ingest = self._ingest(bronze=buckets["bronze"], names=names, settings=settings)
        control = ControlFunction(
            self,
            "Control",
            source=SOURCE,
            bronze=buckets["bronze"],
            lease_table=foundation.lease_table,
            cluster=foundation.cluster,
            names=names,
            settings=settings,
        )
        silver = GlueJob(self, "Silver", job=JOBS["boston311_silver"], code=code, names=names, settings=settings)
        allow_silver(silver.execution_role, source=SOURCE, writes=silver_tables, buckets=buckets)
        gold = EmrStep(self, "Gold", job=JOBS["boston311_gold"], code=code, cluster=foundation.cluster, names=names)
        read = [contracts[table] for table in sorted({table for contract in gold_tables for table in contract.inputs})]
        allow_gold(gold.execution_role, reads=read, writes=gold_tables, buckets=buckets)
        self.machine = SourceMachine(
            self,
            "Run",
            source=SOURCE,
            control=control,
            ingest=self._discover_and_fetch(ingest),
            functions=[ingest],
            silver=silver,
            gold=gold,
            crawlers=[
                DeltaCrawler(self, "SilverCrawler", source=SOURCE, contracts=silver_tables, bucket=buckets["silver"], names=names),
                DeltaCrawler(self, "GoldCrawler", source=SOURCE, contracts=gold_tables, bucket=buckets["gold"], names=names),
            ],
            job_settings={
                "legacy_clock": settings.boston311.legacy_clock,
                "new_system_clock": settings.boston311.new_system_clock,
            },
            notifications=foundation.notifications,
            timeout=Duration.hours(settings.boston311.run_timeout_hours),
            names=names,
            settings=settings,
        ).machine
        if settings.boston311.schedule is not None:
            SourceSchedule(
                self,
                "Schedule",
                source=SOURCE,
                at=settings.boston311.schedule,
                time_zone=TimeZone.AMERICA_NEW_YORK,
                machine=self.machine,
                names=names,
            )

    def _ingest(self, *, bronze: LakeBucket, names: Names, settings: Settings) -> PythonFunction:
        function = PythonFunction(
            self,
            "Ingest",
            package=SOURCE,
            name=names.function(SOURCE, "ingest"),
            role_name=names.role(f"{SOURCE}-ingest"),
            description="Reads the portal's package and brings changed resources into bronze",
            environment={
                "BRONZE_BUCKET": names.bucket("bronze"),
                "PORTAL_URL": settings.boston311.portal_url,
                "PACKAGE_ID": settings.boston311.package_id,
                "SOURCE": SOURCE,
            },
            timeout=Duration.minutes(15),
            memory_mb=1024,
            settings=settings,
        )
        bronze.allow_read(function.execution_role, prefixes=[f"{SOURCE}/"])
        bronze.allow_write(function.execution_role, prefixes=[f"{SOURCE}/"])
        return function

    def _discover_and_fetch(self, function: PythonFunction) -> sfn.IChainable:
        discover = tasks.LambdaInvoke(
            self,
            "Discover",
            lambda_function=function,
            payload=sfn.TaskInput.from_object({"op": "discover", "run_id": sfn.JsonPath.execution_name}),
            payload_response_only=True,
        )
        event = {"op": "fetch", "run_id.$": "$$.Execution.Name", "origin.$": "$.origin", "resource.$": "$$.Map.Item.Value"}
        each = sfn.Map(
            self,
            "Fetch each",
            items_path="$.resources",
            item_selector=event,
            max_concurrency=FETCHES_AT_ONCE,
            result_path="$.fetched",  # beside $.missing, which the report tells
        )
        fetch = tasks.LambdaInvoke(self, "Fetch", lambda_function=function, payload_response_only=True)
        for task in (discover, fetch):
            # The Lambda has its own quick retries; these are for a portal that is away for a minute.
            retry(task, "PortalUnavailable", *LAMBDA, seconds=30, attempts=2)
        # One resource that cannot be had holds up itself alone. Any other error says something about the lake, and ends the run.
        missed = sfn.Pass(
            self,
            "Unavailable",
            parameters={
                "resource_id.$": "$.resource.resource_id",
                "outcome": "refused",
                "object.$": "$.resource.resource_id",
                "rule": "unavailable",
                "error.$": "$.error",
            },
        )
        fetch.add_catch(missed, errors=list(_OF_ONE_RESOURCE), result_path="$.error")
        # What does not fit into the life of one invocation goes on in the next, which its answer is the event of.
        more = sfn.Choice(self, "More?").when(sfn.Condition.string_equals("$.outcome", "more"), fetch)
        fetch.next(more.otherwise(sfn.Pass(self, "Fetched")))
        return discover.next(each.item_processor(fetch))
