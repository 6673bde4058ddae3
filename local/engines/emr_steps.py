"""Runs one step of an EMR cluster, as the roles that EMR would use, and writes its logs.

The step's credentials are those of its ExecutionRoleArn, which the cluster's instance role has to be allowed to assume, else those
of the instance role itself, which also writes the logs.
"""

import gzip
import logging
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from local.emulator import Credentials, Emulator
from local.engines.spark import Outcome, Runner, SparkJob
from local.engines.submission import Submission, SubmissionError, spark_submit

COMMAND_RUNNER = "command-runner.jar"

logger = logging.getLogger("lake.emr")


class StepError(Exception):
    """A step cannot be started; the text says why."""


def end_step(step: dict[str, Any], now: str, state: str, message: str, logs: str | None = None) -> None:
    """Write down how a step ended; `logs`: folder of its logs."""
    step["Status"]["Timeline"]["EndDateTime"] = now
    if state == "FAILED":
        details = {"Reason": "Unknown Error.", "Message": message, **({"LogFile": f"{logs}stderr.gz"} if logs else {})}
        step["Status"]["FailureDetails"] = details
    elif message:
        step["Status"]["StateChangeReason"] = {"Message": message}
    step["Status"]["State"] = state


class StepRunner:
    """Runs steps with the Spark runner that all engines share."""

    def __init__(self, emulator: Emulator, runner: Runner) -> None:
        self._emulator = emulator
        self._runner = runner

    def now(self) -> str:
        """The present as EMR's answers have it."""
        return str(self._emulator.get("services.emr", "_now_iso")())

    def stop(self, step: dict[str, Any]) -> None:
        """Kill a step if it runs."""
        self._runner.stop(step["Id"])

    def run(self, cluster: dict[str, Any], step: dict[str, Any]) -> None:
        """Run a step to its end, which is COMPLETED or FAILED unless somebody ended it otherwise meanwhile."""
        step["Status"]["State"] = "RUNNING"
        step["Status"]["Timeline"]["StartDateTime"] = self.now()
        logs = None
        try:
            asked = self._submission(step)
            instance = self._instance(cluster)
            role = step.get("ExecutionRoleArn")
            credentials = self._assume(instance, role, step["Id"]) if role else self._instance(cluster)
            job = SparkJob(step["Name"], asked.script, asked.arguments, asked.py_files, asked.conf)
            outcome = self._runner.run(step["Id"], job, credentials)
            logs = self._write_logs(cluster, step, asked, outcome, instance)
            self._emulator.end_session(instance)
            state, message = ("COMPLETED", "") if outcome.succeeded else ("FAILED", outcome.message or "Step was stopped")
        except (StepError, SubmissionError) as error:
            state, message = "FAILED", str(error)
        except Exception as error:  # a step must not stay "running" whatever went wrong here
            logger.exception("step %s", step["Id"])
            state, message = "FAILED", f"{type(error).__name__}: {error}"
        if step["Status"]["State"] == "RUNNING":
            end_step(step, self.now(), state, message, logs)

    def _submission(self, step: dict[str, Any]) -> Submission:
        config = step["Config"]
        if config["Jar"] != COMMAND_RUNNER:
            raise StepError(f"only {COMMAND_RUNNER} can be run here, not {config['Jar']}")
        return spark_submit(config["Args"])

    def _instance(self, cluster: dict[str, Any]) -> Credentials:
        profile = cluster["Ec2InstanceAttributes"]["IamInstanceProfile"]
        role = self._emulator.instance_role(profile)
        if role is None:
            raise StepError(f"the instance profile {profile} holds no role")
        return self._emulator.role_session(role, f"i-{cluster['Id'][2:].lower()}")

    def _assume(self, instance: Credentials, role: str, session_name: str) -> Credentials:
        """The execution role's session, taken by the instance role: its permission and the role's trust are both needed."""
        try:
            taken = self._emulator.client("sts", instance).assume_role(RoleArn=role, RoleSessionName=session_name)["Credentials"]
        except ClientError as error:
            raise StepError(f"the step's execution role cannot be taken: {error.response['Error']['Message']}") from error
        return Credentials(taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"])

    def _write_logs(
        self, cluster: dict[str, Any], step: dict[str, Any], asked: Submission, outcome: Outcome, instance: Credentials
    ) -> str | None:
        """Put the step's logs below the cluster's LogUri, as EMR does a few minutes later; returns the folder.

        Logs that may not be written are lost, as on AWS: the step goes on, and the daemon's log says it.
        """
        if not cluster.get("LogUri"):
            return None
        parts = urlsplit(cluster["LogUri"])
        prefix = "/".join(part for part in (parts.path.strip("/"), cluster["Id"], "steps", step["Id"]) if part)
        controller = f"spark-submit {asked.script} {' '.join(asked.arguments)}\nended with exit code {outcome.exit_code}\n"
        s3 = self._emulator.client("s3", instance)
        try:
            for name, text in (("controller", controller), ("stderr", outcome.stderr), ("stdout", outcome.stdout)):
                s3.put_object(Bucket=parts.netloc, Key=f"{prefix}/{name}.gz", Body=gzip.compress(text.encode()))
        except ClientError as error:
            logger.warning("the logs of step %s are lost: %s", step["Id"], error)
            return None
        return f"s3://{parts.netloc}/{prefix}/"
