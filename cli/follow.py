"""Follows a run of a state machine and shows which step it is at."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

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
        """Waits for the end. On a terminal a line tells the step it is at; each step that ends leaves a line with its seconds."""
        if sys.stderr.isatty():
            from rich.console import Console

            console = Console(stderr=True)
            with console.status("starting") as status:
                return self._wait(
                    lambda step, seconds: status.update(f"{step}  {seconds:.0f} s"),
                    lambda step, seconds: console.print(f"{step:<12}{seconds:6.1f} s", highlight=False),
                )
        return self._wait(lambda *_: None, lambda step, seconds: click.echo(f"{step:<12}{seconds:6.1f} s", err=True))

    def _wait(self, at: Callable[[str, float], None], ended: Callable[[str, float], None]) -> Ended:
        step, since = "", time.monotonic()
        while True:
            execution = self._client.describe_execution(executionArn=self._arn)
            now = self._step()
            if now != step:
                if step:
                    ended(step, time.monotonic() - since)
                step, since = now, time.monotonic()
            at(step, time.monotonic() - since)
            if execution["status"] != "RUNNING":
                seconds = (execution["stopDate"] - execution["startDate"]).total_seconds()
                outcome = "succeeded" if execution["status"] == "SUCCEEDED" else "failed"
                failed = in_words(execution.get("error", ""), execution.get("cause", "")) or execution["status"].lower()
                return Ended(outcome, seconds, "" if outcome == "succeeded" else failed)
            time.sleep(POLL_SECONDS)

    def _step(self) -> str:
        history = self._client.get_execution_history(executionArn=self._arn, reverseOrder=True, maxResults=50)
        for event in history["events"]:
            entered = event.get("stateEnteredEventDetails")
            if entered:
                return str(entered["name"])
        return ""
