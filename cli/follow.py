"""Follows a run of a state machine and shows which step it is at."""

import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from cli.environment import Environment
from lake.failures import in_words

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
                return Ended(
                    outcome,
                    seconds,
                    "" if outcome == "succeeded" else in_words(execution.get("error", ""), execution.get("cause", "")),
                )
            time.sleep(POLL_SECONDS)

    def _step(self) -> str:
        history = self._client.get_execution_history(executionArn=self._arn, reverseOrder=True, maxResults=50)
        for event in history["events"]:
            entered = event.get("stateEnteredEventDetails")
            if entered:
                return str(entered["name"])
        return ""
