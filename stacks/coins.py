"""Coins: CoinMarketCap -> bronze (Lambda) -> PostgreSQL (Lambda inside the network) -> bronze (DMS), in one state machine."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration, SecretValue, Stack, TimeZone
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lake.contracts import Contract
from lake.jobs import INGESTED
from lake.names import RUN_PARTS_PREFIX, Names, replicated_prefix
from lake.settings import Settings
from stacks.constructs.control_function import ControlFunction
from stacks.constructs.permissions import acknowledge, allow
from stacks.constructs.postgres import LOADER, Postgres
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.replication import Replication
from stacks.constructs.retries import LAMBDA, retry
from stacks.constructs.source_machine import SourceMachine
from stacks.constructs.source_schedule import SourceSchedule
from stacks.foundation import Foundation
from stacks.removal import removal_policy

SOURCE = "coins"
(TABLE,) = INGESTED[SOURCE]
# Classes that the Lambdas raise for what passes by itself.
_API_AWAY, _DATABASE_AWAY = "CoinMarketCapUnavailable", "DatabaseUnavailable"


class Coins(Stack):
    """machine: the source's state machine; postgres: its database."""

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
        super().__init__(scope, id, description="Listings of CoinMarketCap, by way of a replicated database", **stack)
        self._settings, self._names = settings, names
        bronze = foundation.buckets["bronze"]
        removal = removal_policy(self, settings=settings)
        table = contracts[TABLE]
        self.postgres = Postgres(
            self,
            "Postgres",
            tables=[table],
            network=foundation.network,
            removal_policy=removal,
            names=names,
            settings=settings,
        )
        replication = Replication(
            self,
            "Replication",
            table=table,
            postgres=self.postgres,
            network=foundation.network,
            bronze=bronze,
            notifications=foundation.notifications,
            names=names,
            settings=settings,
        )
        fetch, load, delivery = (
            self._fetch(foundation),
            self._load(foundation, table=table, after=replication.started),
            self._delivery(foundation),
        )
        control = ControlFunction(
            self,
            "Control",
            source=SOURCE,
            bronze=bronze,
            lease_table=foundation.lease_table,
            cluster=foundation.cluster,
            names=names,
            settings=settings,
        )
        self.machine = SourceMachine(
            self,
            "Run",
            source=SOURCE,
            control=control,
            ingest=self._ingest(fetch, load, delivery),
            functions=[fetch, load, delivery],
            notifications=foundation.notifications,
            timeout=Duration.minutes(60 + settings.coins.delivery_minutes),
            names=names,
            settings=settings,
        ).machine
        if settings.coins.schedule != "off":
            SourceSchedule(
                self,
                "Schedule",
                source=SOURCE,
                at=settings.coins.schedule,
                time_zone=TimeZone.ETC_UTC,
                machine=self.machine,
                names=names,
            )

    def _function(self, name: str, *, description: str, environment: dict[str, str], **more: Any) -> PythonFunction:
        return PythonFunction(
            self,
            f"{name.capitalize()}Function",
            package=SOURCE,
            module=f"{name}_handler",
            name=self._names.function(SOURCE, name),
            role_name=self._names.role(f"{SOURCE}-{name}"),
            description=description,
            environment={"BRONZE_BUCKET": self._names.bucket("bronze"), "SOURCE": SOURCE, **environment},
            memory_mb=1024,
            settings=self._settings,
            **more,
        )

    def _fetch(self, foundation: Foundation) -> PythonFunction:
        key = secretsmanager.Secret(
            self,
            "Key",
            secret_name=self._names.secret("coinmarketcap_key"),
            description="Key of CoinMarketCap's API; '-' while there is none, and the public address without key is used",
            secret_string_value=SecretValue.unsafe_plain_text("-"),  # no secret: it says that there is none
        )
        acknowledge(key, "AwsSolutions-SMG4", because="Its owner makes a key on CoinMarketCap's page; nothing can rotate it.")
        key.apply_removal_policy(removal_policy(self, settings=self._settings))
        function = self._function(
            "fetch",
            description="Fetches a listing from CoinMarketCap into bronze",
            environment={
                "API_URL": self._settings.coins.api_url,
                "COINS": str(self._settings.coins.coins),
                "KEY_SECRET": self._names.secret("coinmarketcap_key"),
            },
            timeout=Duration.minutes(5),
        )
        allow(function.execution_role, actions=["secretsmanager:GetSecretValue"], resources=[key.secret_arn])
        own = [f"{SOURCE}/listings/", f"{SOURCE}/manifests/", f"{SOURCE}/origin.json"]
        foundation.buckets["bronze"].allow_read(function.execution_role, prefixes=own)
        foundation.buckets["bronze"].allow_write(function.execution_role, prefixes=own)
        return function

    def _load(self, foundation: Foundation, *, table: Contract, after: Construct) -> PythonFunction:
        function = self._function(
            "load",
            description="Validates a listing and brings it into the database",
            environment={
                "DATABASE_SECRET": self._names.secret("postgres_loader"),
                "THRESHOLD": str(table.threshold),
            },
            timeout=Duration.minutes(5),
            inside=self.postgres.inside,
        )
        function.node.add_dependency(after)  # a column that it writes is there, and replicated
        self.postgres.allow_secret(function, LOADER)
        bronze, parts = foundation.buckets["bronze"], RUN_PARTS_PREFIX
        bronze.allow_read(function.execution_role, prefixes=[f"{SOURCE}/listings/"], versions=True)
        bronze.allow_read(function.execution_role, prefixes=[f"{SOURCE}/manifests/", parts])
        bronze.allow_write(function.execution_role, prefixes=[f"{SOURCE}/rejected/", parts])
        return function

    def _delivery(self, foundation: Foundation) -> PythonFunction:
        function = self._function(
            "delivery",
            description="Looks whether replication has delivered a listing to bronze",
            environment={"LIMIT_MINUTES": str(self._settings.coins.delivery_minutes)},
            timeout=Duration.minutes(2),
        )
        foundation.buckets["bronze"].allow_read(function.execution_role, prefixes=[replicated_prefix(SOURCE)])
        return function

    def _ingest(self, fetch: PythonFunction, load: PythonFunction, delivery: PythonFunction) -> sfn.IChainable:
        """Answers {"missing", "fetched"} (ingestion.control.model.Ingested)."""

        def call(id: str, function: PythonFunction, event: dict[str, Any], *, result_path: str) -> tasks.LambdaInvoke:
            task = tasks.LambdaInvoke(
                self,
                id,
                lambda_function=function,
                payload=sfn.TaskInput.from_object({**event, "run_id": sfn.JsonPath.execution_name}),
                payload_response_only=True,
                result_path=result_path,
            )
            # The Lambdas have quick retries of their own; these are for a service that is away for a minute.
            retry(task, _API_AWAY, _DATABASE_AWAY, *LAMBDA, seconds=30, attempts=3)
            return task

        path = sfn.JsonPath
        fetched = call("Fetch", fetch, {"op": "fetch"}, result_path="$.listing")
        loaded = call(
            "Load",
            load,
            {"op": "load", "manifest": path.string_at("$.listing.manifest"), "accept": path.string_at("$.accept")},
            result_path="$.loaded",
        )
        asked = call("Ask", fetch, {"op": "ask", "missing": path.list_at("$.loaded.missing")}, result_path="$.asked")
        event = {
            "op": "mark",
            "listing_id": path.string_at("$.loaded.listing_id"),
            "inactive": path.list_at("$.asked.inactive"),
        }
        marked = call("Mark", load, event, result_path="$.marked")
        unmarked = sfn.Pass(self, "None missing", parameters={"marked": 0}, result_path="$.marked")
        count = {"rows.$": "States.MathAdd($.loaded.rows, $.marked.marked)"}
        counted = sfn.Pass(self, "Rows to come", parameters=count, result_path="$.expected")
        # What was refused, and the account, stand in the part that the load leaves of the run's report.
        answer = sfn.Pass(self, "Answer", parameters={"missing": [], "fetched": []})
        look = call(
            "Look",
            delivery,
            {
                "op": "delivered",
                "listing_id": path.string_at("$.loaded.listing_id"),
                "rows": path.number_at("$.expected.rows"),
                "since": path.string_at("$$.Execution.StartTime"),
            },
            result_path="$.delivery",
        )
        wait = sfn.Wait(self, "Replicating", time=sfn.WaitTime.duration(_pause(self._settings)))
        look.next(
            sfn.Choice(self, "Delivered?").when(sfn.Condition.boolean_equals("$.delivery.delivered", True), answer).otherwise(wait)
        )
        wait.next(look)
        wrote = sfn.Choice(self, "Anything written?").when(sfn.Condition.number_greater_than("$.expected.rows", 0), look)
        wrote.otherwise(answer)
        gone = sfn.Choice(self, "Coins missing?").when(sfn.Condition.is_present("$.loaded.missing[0]"), asked)
        asked.next(marked).next(counted).next(wrote)
        return fetched.next(loaded).next(gone.otherwise(unmarked.next(counted)))


def _pause(settings: Settings) -> Duration:
    """Between two looks for delivery: a sixth of what replication takes its time for."""
    return Duration.seconds(max(2, settings.replication.batch_seconds // 6))
