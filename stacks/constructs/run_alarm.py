"""An alarm for runs that cannot report themselves: a timed out or aborted execution enters no further state."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

PERIOD = Duration.minutes(5)


class RunAlarm(cloudwatch.Alarm):
    """Tells `topic` when a run of `machine` was aborted or timed out."""

    def __init__(self, scope: Construct, id: str, *, source: str, machine: sfn.StateMachine, topic: sns.ITopic) -> None:
        unreported = cloudwatch.MathExpression(
            expression="timed_out + aborted",
            using_metrics={
                "timed_out": machine.metric_timed_out(period=PERIOD, statistic="Sum"),
                "aborted": machine.metric_aborted(period=PERIOD, statistic="Sum"),
            },
            period=PERIOD,
        )
        super().__init__(
            scope,
            id,
            metric=unreported,
            alarm_description=f"A run of {source} was aborted or timed out.",
            threshold=1,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.add_alarm_action(actions.SnsAction(topic))
