"""The one schedule of a source: a time of day in the source's own time zone, or a minute of every hour."""

from aws_cdk import Aws, TimeZone
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from lake.jobs import COMPLETE_RUN
from lake.names import Names


class SourceSchedule(scheduler.Schedule):
    """Starts a complete run. at: "HH:MM" in `time_zone`, through daylight saving, or "*:MM"."""

    def __init__(
        self, scope: Construct, id: str, *, source: str, at: str, time_zone: TimeZone, machine: sfn.IStateMachine, names: Names
    ) -> None:
        hour, _, minute = at.partition(":")
        service = iam.ServicePrincipal(
            "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        )
        role = iam.Role(scope, f"{id}Role", role_name=names.role(f"{source}-schedule"), assumed_by=service)
        super().__init__(
            scope,
            id,
            schedule_name=names.machine(source),
            description=f"Every day at {at}, {time_zone.timezone_name}" if hour != "*" else f"Every hour at {at}",
            schedule=scheduler.ScheduleExpression.cron(time_zone=time_zone, hour=hour.lstrip("0") or "0", minute=str(int(minute))),
            target=targets.StepFunctionsStartExecution(
                machine,
                role=role,
                input=scheduler.ScheduleTargetInput.from_object(COMPLETE_RUN),
            ),
        )
