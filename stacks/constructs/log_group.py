"""A log group that forgets after the environment's retention."""

from aws_cdk import aws_logs as logs
from constructs import Construct

from lake.settings import Settings
from stacks.removal import removal_policy

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    731: logs.RetentionDays.TWO_YEARS,
}


class ExpiringLogGroup(logs.LogGroup):
    """Raises ValueError when CloudWatch knows no such retention."""

    def __init__(self, scope: Construct, id: str, *, name: str, settings: Settings) -> None:
        days = settings.log_retention_days
        if days not in _RETENTION:
            allowed = ", ".join(map(str, _RETENTION))
            raise ValueError(f"log_retention_days is {days}; CloudWatch takes {allowed}")
        super().__init__(
            scope,
            id,
            log_group_name=name,
            retention=_RETENTION[days],
            removal_policy=removal_policy(scope, settings=settings),
        )
