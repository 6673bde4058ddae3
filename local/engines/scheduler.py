"""EventBridge Scheduler: ministack reads cron expressions in UTC and drops the time zone of a template; here both are honoured."""

import logging
import secrets
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from local.emulator import Emulator

logger = logging.getLogger("lake.scheduler")
SCHEDULER = "scheduler.amazonaws.com"
# Properties of AWS::Scheduler::Schedule that ministack's handler forgets.
FORGOTTEN = ("ScheduleExpressionTimezone", "StartDate", "EndDate", "KmsKeyArn")


class Scheduler:
    """One sweep over all schedules, called by ministack's ticker."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._schedules = emulator.get("services.scheduler", "_schedules")
        self._fired = emulator.get("services.scheduler", "_schedule_last_fired")
        self._epoch = emulator.get("services.scheduler", "_to_epoch")

    def next_after(self, expression: str, zone: str, after: float) -> float | None:
        """When an expression next falls due after a moment, both in seconds since 1970; None if never.

        cron and at are read in the schedule's time zone; rate counts from `after`.
        """
        rate = self._emulator.get("services.eventbridge", "_parse_rate_seconds")(expression)
        if rate is not None:
            return after + float(rate)
        there = ZoneInfo(zone)
        if expression.startswith("at("):
            return datetime.fromisoformat(expression[3:-1].strip()).replace(tzinfo=there).timestamp()
        fields = self._emulator.get("services.eventbridge", "_parse_cron_fields")(expression)
        if fields is None:
            return None
        # ministack's function walks the calendar of the time it is given, so it is given the wall clock.
        wall = datetime.fromtimestamp(after, there).replace(tzinfo=UTC)
        due = self._emulator.get("services.eventbridge", "_cron_next_fire")(fields, wall)
        return due.replace(tzinfo=there).timestamp() if due else None

    def tick(self) -> None:
        """Fire what is due."""
        now = time.time()
        for key, schedule in list(self._schedules._data.items()):
            if schedule.get("State") == "ENABLED":
                self._consider(key, schedule, now)

    def _consider(self, key: Any, schedule: dict[str, Any], now: float) -> None:
        start, end = self._epoch(schedule.get("StartDate")), self._epoch(schedule.get("EndDate"))
        if (start is not None and now < start) or (end is not None and now > end):
            return
        expression = schedule["ScheduleExpression"].strip()
        once = expression.startswith("at(")
        if once and key in self._fired:
            return
        # What fell due while the laptop cloud was down is not caught up with: a cron counts from when we first see it.
        after = self._fired.get(key) or (schedule["CreationDate"] if expression.startswith("rate(") else now)
        due = self.next_after(expression, schedule.get("ScheduleExpressionTimezone") or "UTC", after)
        if due is None or now < due:
            if not once:
                self._fired.setdefault(key, after)
            return
        self._fired[key] = now
        self._fire(schedule, now)
        if once and schedule.get("ActionAfterCompletion") == "DELETE":
            self._schedules._data.pop(key, None)
            self._fired.pop(key, None)

    def _fire(self, schedule: dict[str, Any], now: float) -> None:
        target = schedule.get("Target") or {}
        refused = self._refused(target)
        if refused:
            logger.error("schedule %s: %s", schedule["Name"], refused)
            return
        event = {
            "EventId": secrets.token_hex(16),
            "Source": "aws.scheduler",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "Time": now,
            "Resources": [schedule.get("Arn", "")],
            "Account": self._emulator.account,
            "Region": self._emulator.region,
        }
        self._emulator.get("services.eventbridge", "_invoke_target")(target, event, schedule)

    def _refused(self, target: dict[str, Any]) -> str | None:
        """Why the schedule's role may not start its target."""
        arn, role = target.get("Arn", ""), target.get("RoleArn", "")
        action = {"states": "states:StartExecution", "lambda": "lambda:InvokeFunction"}.get(arn.split(":")[2] if ":" in arn else "")
        if action is None:
            return None
        if not self._emulator.trusts(role, SCHEDULER):
            return f"the role {role} does not trust {SCHEDULER}"
        session = self._emulator.role_session(role, "scheduler")
        try:
            return self._emulator.denial(session, action, arn)
        finally:
            self._emulator.end_session(session)


def install(emulator: Emulator) -> None:
    """Replace the sweep and complete the CloudFormation type."""
    emulator.patch("services.scheduler", "_tick_schedules", Scheduler(emulator).tick)
    handlers = emulator.resource_handlers()["AWS::Scheduler::Schedule"]
    schedules = emulator.get("services.scheduler", "_schedules")
    create, update = handlers["create"], handlers["update"]

    def complete(name: str, properties: dict[str, Any]) -> None:
        schedule = schedules[f"{properties.get('GroupName', 'default')}/{name}"]
        schedule.update({key: properties.get(key) for key in FORGOTTEN})
        schedule["ScheduleExpressionTimezone"] = properties.get("ScheduleExpressionTimezone", "UTC")

    def create_all(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        name, attributes = create(logical, properties, stack)
        complete(name, properties)
        return name, attributes

    def update_all(physical: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        name, attributes = update(physical, old, new, stack)
        complete(name, new)
        return name, attributes

    handlers.update(create=create_all, update=update_all)
