"""The state machine of one source: lease, ingest, silver, gold, catalogue, report, message.

    Defaults - Begin - Ingest - Silver - Gold - Catalogue - Finish - Tell - Succeeded
                  any error of any task: Finish as failed - Tell - Failed, with the error of the task that failed first
                  the lease is held:     Tell refusal - Refused, at once

A source without silver, gold or crawlers goes on to what it has.

Input: {"only": "all"|"ingest"|"silver"|"gold", "accept": "<run id>"|"-", "replay": "all"|"<ISO date>"|"-", "parameters": {...}},
each with a default. A replay makes the tables anew from what bronze holds, so it begins at silver.
The stages are handed in, so every source has the same machine.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import Aws, Duration
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lake.jobs import COMPLETE_RUN, NOTHING
from lake.names import Names
from lake.settings import Settings
from stacks.constructs.catalogue import catalogue
from stacks.constructs.delta_crawler import DeltaCrawler
from stacks.constructs.emr_step import EmrStep
from stacks.constructs.job_arguments import run_arguments
from stacks.constructs.log_group import ExpiringLogGroup
from stacks.constructs.notifications import Notifications
from stacks.constructs.permissions import acknowledge, address
from stacks.constructs.retries import GLUE, LAMBDA, SNS, retry
from stacks.constructs.run_alarm import RunAlarm

LEASE_HELD, LEFTOVERS = "LeaseHeld", "LeftoversEnding"  # classes that the control Lambda raises
_ALL = ["States.ALL"]
_STAGES = ("ingest", "silver", "gold")
_Stage = sfn.Parallel | sfn.Map | sfn.TaskStateBase


class SourceMachine(Construct):
    """machine: the state machine; role: its role.

    ingest: states that answer {"missing", "fetched"} (ingestion.control.model.Ingested); functions: the Lambdas that they call;
    job_settings: what the environment sets for the source's jobs (lake.jobs.Arguments.settings).
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: str,
        control: lambda_.IFunction,
        ingest: sfn.IChainable,
        functions: Sequence[lambda_.IFunction],
        silver: glue.IJob | None = None,
        gold: EmrStep | None = None,
        crawlers: Sequence[DeltaCrawler] = (),
        job_settings: Mapping[str, str] | None = None,
        notifications: Notifications,
        timeout: Duration,
        names: Names,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        self._source, self._control, self._notifications = source, control, notifications
        self._failed_way = self._finish_failed()
        begin = self._begin(crawlers, job_settings or {})
        ingestion = sfn.Parallel(self, "Ingest", result_path="$.ingest").branch(ingest)
        finish = self._finish_succeeded()
        crawl = self._stage(catalogue(self, crawlers=crawlers), then=finish) if crawlers else finish
        entries: dict[str, _Stage] = {}
        after_silver: sfn.IChainable = crawl
        if gold:
            entries["gold"] = self._stage(
                sfn.Parallel(self, "Gold", result_path=sfn.JsonPath.DISCARD).branch(gold.entry), then=crawl
            )
            after_silver = self._after("silver", only=crawl, otherwise=entries["gold"])
        if silver:
            entries["silver"] = self._stage(self._silver(silver), then=after_silver)
        after_ingest = self._after("ingest", only=finish, otherwise=entries["silver"]) if silver else finish
        entries["ingest"] = self._stage(ingestion, then=after_ingest)
        begin.next(self._route(entries))
        self.machine = self._machine(begin, timeout=timeout, names=names, settings=settings)
        if gold:
            gold.allow_control(self.role)
        notifications.allow_publish(self.role)
        for function in (control, *functions):
            finding = f"AwsSolutions-IAM5[Resource::{address(self, function.function_arn)}:*]"
            acknowledge(self.role, finding, because="The wildcard stands for the versions of one function.")
        RunAlarm(self, "Unreported", source=source, machine=self.machine, topic=notifications.failures)

    def _begin(self, crawlers: Sequence[DeltaCrawler], job_settings: Mapping[str, str]) -> sfn.Chain:
        # JSONPath has no defaults: a field that a caller leaves out would end the run in the middle.
        given = sfn.Pass(
            self,
            "Input",
            parameters={
                "defaults": COMPLETE_RUN,
                "input.$": "$",
                "fixed": {
                    "ingest": [{}],
                    "settings": dict(job_settings),
                    "crawlers": [{"layer": c.layer, "name": c.name} for c in crawlers],
                },
            },
        )
        merged = "States.JsonMerge(States.JsonMerge($.defaults, $.input, false), $.fixed, false)"
        complete = sfn.Pass(self, "Defaults", parameters={"state.$": merged}, output_path="$.state")
        begin = self._call_control("Begin", {"op": "begin"}, result_path=sfn.JsonPath.DISCARD)
        # What a dead holder left on AWS is being stopped; a cluster takes minutes to end.
        begin.add_retry(errors=[LEFTOVERS], interval=Duration.seconds(15), max_attempts=20, backoff_rate=1)
        begin.add_catch(self._refused(), errors=[LEASE_HELD], result_path="$.error")
        begin.add_catch(self._failed_way, errors=_ALL, result_path="$.error")
        return given.next(complete).next(begin)

    def _refused(self) -> sfn.Chain:
        """The one who asked may be a schedule, so people are told who holds the lease."""
        held = {"by.$": "States.StringToJson($.error.Cause)"}
        told = sfn.Pass(self, "Lease held", parameters=held, result_path="$.held")
        tell = tasks.SnsPublish(
            self,
            "Tell refusal",
            topic=self._notifications.failures,
            subject=f"{self._source} not started: another run is writing it",
            message=sfn.TaskInput.from_text(
                sfn.JsonPath.format(
                    "Run {} did nothing: {}.", sfn.JsonPath.execution_name, sfn.JsonPath.string_at("$.held.by.errorMessage")
                )
            ),
            result_path=sfn.JsonPath.DISCARD,
        )
        retry(tell, *SNS, attempts=3)
        refused = sfn.Fail(self, "Refused", error=LEASE_HELD, cause_path="$.error.Cause")
        tell.add_catch(refused, errors=_ALL, result_path="$.telling_error")
        return told.next(tell).next(refused)

    def _stage(self, stage: _Stage, *, then: sfn.IChainable) -> _Stage:
        stage.add_catch(self._failed_way, errors=_ALL, result_path="$.error")
        stage.next(then)
        return stage

    def _route(self, entries: Mapping[str, _Stage]) -> sfn.Choice:
        there = ", ".join(["all", *(name for name in _STAGES if name in entries)])
        cause = f"States.Format('only is {{}} and replay is {{}}; {self._source} can run {there}', $.only, $.replay)"
        unknown = sfn.Pass(self, "Unknown stage", parameters={"Error": "UnknownStage", "Cause.$": cause}, result_path="$.error")
        route = sfn.Choice(self, "Where to begin")
        no_replay = sfn.Condition.string_equals("$.replay", NOTHING)
        route.when(sfn.Condition.or_(sfn.Condition.and_(_only("all"), no_replay), _only("ingest")), entries["ingest"])
        if "silver" in entries:
            route.when(sfn.Condition.or_(_only("all"), _only("silver")), entries["silver"])
        if "gold" in entries:
            route.when(_only("gold"), entries["gold"])
        return route.otherwise(unknown.next(self._failed_way))

    def _after(self, stage: str, *, only: sfn.IChainable, otherwise: sfn.IChainable) -> sfn.Choice:
        return sfn.Choice(self, f"Only {stage}?").when(_only(stage), only).otherwise(otherwise)

    def _silver(self, job: glue.IJob) -> tasks.GlueStartJobRun:
        run = tasks.GlueStartJobRun(
            self,
            "Silver",
            glue_job_name=job.job_name,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            arguments=sfn.TaskInput.from_object({name: sfn.JsonPath.string_at(value) for name, value in run_arguments().items()}),
            result_path=sfn.JsonPath.DISCARD,
        )
        busy = ("Glue.ConcurrentRunsExceededException", "Glue.ResourceNumberLimitExceededException")
        retry(run, *busy, *GLUE, seconds=15)
        return run

    def _finish_succeeded(self) -> sfn.Chain:
        finish = self._call_control("Finish", self._closing("succeeded", error=None), result_path="$.finished")
        tell = self._tell("Tell success", self._notifications.successes)
        for task in (finish, tell):
            task.add_catch(self._failed_way, errors=_ALL, result_path="$.error")
        return finish.next(tell).next(sfn.Succeed(self, "Succeeded"))

    def _finish_failed(self) -> sfn.Chain:
        failed = sfn.Fail(self, "Failed", error_path="$.error.Error", cause_path="$.error.Cause")
        finish = self._call_control(
            "Finish as failed", self._closing("failed", error=sfn.JsonPath.object_at("$.error")), result_path="$.finished"
        )
        tell = self._tell("Tell failure", self._notifications.failures)
        bare = tasks.SnsPublish(
            self,
            "Tell failure without report",
            topic=self._notifications.failures,
            subject=f"{self._source} failed and left no report",
            message=sfn.TaskInput.from_object(
                {
                    "run_id": sfn.JsonPath.execution_name,
                    "error": sfn.JsonPath.object_at("$.error"),
                    "reporting_error": sfn.JsonPath.object_at("$.reporting_error"),
                }
            ),
            result_path=sfn.JsonPath.DISCARD,
        )
        finish.add_catch(bare, errors=_ALL, result_path="$.reporting_error")
        for task in (tell, bare):
            task.add_catch(failed, errors=_ALL, result_path="$.telling_error")
            task.next(failed)
        return finish.next(tell)

    def _closing(self, outcome: str, *, error: object) -> dict[str, object]:
        return {
            "op": "finish",
            "outcome": outcome,
            "started_at": sfn.JsonPath.string_at("$$.Execution.StartTime"),
            "ingest": sfn.JsonPath.object_at("$.ingest[0]"),
            "error": error if error is not None else "",
        }

    def _call_control(self, name: str, event: dict[str, object], *, result_path: str) -> tasks.LambdaInvoke:
        about = {
            "source": self._source,
            "run_id": sfn.JsonPath.execution_name,
            "execution_arn": sfn.JsonPath.execution_id,
        }
        call = tasks.LambdaInvoke(
            self,
            name,
            lambda_function=self._control,
            payload=sfn.TaskInput.from_object({**event, **about}),
            payload_response_only=True,
            result_path=result_path,
        )
        retry(call, *LAMBDA)
        return call

    def _tell(self, name: str, topic: sns.ITopic) -> tasks.SnsPublish:
        publish = tasks.SnsPublish(
            self,
            name,
            topic=topic,
            subject=sfn.JsonPath.string_at("$.finished.subject"),
            message=sfn.TaskInput.from_json_path_at("$.finished.message"),
            result_path=sfn.JsonPath.DISCARD,
        )
        retry(publish, *SNS, attempts=3)
        return publish

    def _machine(self, start: sfn.IChainable, *, timeout: Duration, names: Names, settings: Settings) -> sfn.StateMachine:
        self.role = iam.Role(
            self,
            "Role",
            role_name=names.role(f"{self._source}-machine"),
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        acknowledge(
            self.role,
            "AwsSolutions-IAM5[Resource::*]",
            because="X-Ray and the delivery of logs know no resources; the statements are Step Functions' own.",
        )
        name = names.machine(self._source)
        return sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            definition_body=sfn.DefinitionBody.from_chainable(start),
            role=self.role,
            timeout=timeout,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=ExpiringLogGroup(self, "Logs", name=f"/aws/vendedlogs/states/{name}", settings=settings),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
        )


def _only(stage: str) -> sfn.Condition:
    return sfn.Condition.string_equals("$.only", stage)
