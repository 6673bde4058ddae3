"""Follows a run of a state machine and shows which step it is at."""

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from cli.environment import Environment

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Ended:
    outcome: str
    seconds: float
    error: str


class Follower:
    def __init__(self, environment: Environment, source: str, run_id: str) -> None:
        self._client = environment.client("stepfunctions")
        self._arn = environment.machine_arn(source).replace(":stateMachine:", ":execution:") + f":{run_id}"

    def follow(self) -> Ended:
        """Waits for the end; on a terminal a line tells the step and the time, in a pipe each step leaves one line on stderr."""
        if sys.stderr.isatty():
            from rich.console import Console

            with Console(stderr=True).status("starting") as status:
                return self._wait(lambda step, seconds: status.update(f"{step}  {seconds:.0f} s"), each_poll=True)
        return self._wait(lambda step, seconds: click.echo(f"{seconds:6.1f} s  {step}", err=True), each_poll=False)

    def _wait(self, show: Any, *, each_poll: bool) -> Ended:
        started, last = time.monotonic(), ""
        while True:
            execution = self._client.describe_execution(executionArn=self._arn)
            step = self._step()
            if step and (each_poll or step != last):
                show(step, time.monotonic() - started)
                last = step
            if execution["status"] != "RUNNING":
                seconds = (execution["stopDate"] - execution["startDate"]).total_seconds()
                outcome = "succeeded" if execution["status"] == "SUCCEEDED" else "failed"
                return Ended(outcome, seconds, "" if outcome == "succeeded" else error_of(execution))
            time.sleep(POLL_SECONDS)

    def _step(self) -> str:
        history = self._client.get_execution_history(executionArn=self._arn, reverseOrder=True, maxResults=50)
        for event in history["events"]:
            entered = event.get("stateEnteredEventDetails")
            if entered:
                return str(entered["name"])
        return ""


def error_of(execution: dict[str, Any]) -> str:
    """The failure of an execution as one text: the error's name and its cause in plain words."""
    name, cause = execution.get("error", ""), execution.get("cause", "")
    try:
        found = json.loads(cause)
        cause = found.get("errorMessage") or found.get("ErrorMessage") or found.get("Cause") or cause
    except (json.JSONDecodeError, AttributeError):
        pass
    return f"{name}: {cause}" if name and name not in cause else cause or name or execution["status"]
