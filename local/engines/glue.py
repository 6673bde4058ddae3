"""Glue jobs: ministack says SUCCEEDED and runs nothing; here the script runs with the job's role, and the run ends as it ends."""

import json
import logging
import secrets
import time
from typing import Any

from local.emulator import Emulator
from local.engines.spark import Outcome, Runner, SparkJob, put_log
from local.engines.submission import SubmissionError, glue_arguments

UNFINISHED = ("STARTING", "RUNNING", "STOPPING", "WAITING")
SESSION_NAME = "GlueJobRunnerSession"  # as AWS names it
OUTPUT_GROUP = "/aws-glue/jobs/output"
ERROR_GROUP = "/aws-glue/jobs/error"
POLL_SECONDS = 0.1
KEPT_PROPERTIES = ("ExecutionProperty", "ExecutionClass", "JobRunQueuingEnabled")

logger = logging.getLogger("lake.glue")


class GlueJobs:
    """Glue's job operations over ministack's store of jobs and runs."""

    def __init__(self, emulator: Emulator, runner: Runner) -> None:
        self._emulator = emulator
        self._runner = runner
        self._jobs = emulator.get("services.glue", "_jobs")
        self._runs = emulator.get("services.glue", "_job_runs")

    def install(self) -> None:
        emulator = self._emulator
        self._create_job = emulator.patch("services.glue", "_create_job", self.create_job)
        self._update_job = emulator.patch("services.glue", "_update_job", self.update_job)
        emulator.patch("services.glue", "_start_job_run", self.start_job_run)
        emulator.patch("services.glue", "_batch_stop_job_run", self.batch_stop_job_run)
        # CloudFormation hands on the properties listed there only; without this MaxConcurrentRuns is lost.
        emulator.get("services.cloudformation.provisioners", "_GLUE_JOB_DEFAULTS").update(
            {"ExecutionProperty": {"MaxConcurrentRuns": 1}, "ExecutionClass": "STANDARD"}
        )
        emulator.integration("glue:startJobRun", self.start_job_run_task)
        emulator.on_restored(self.fail_interrupted)

    def create_job(self, request: dict[str, Any]) -> Any:
        answer = self._create_job(request)
        self._keep(request.get("Name", ""), request)
        return answer

    def update_job(self, request: dict[str, Any]) -> Any:
        answer = self._update_job(request)
        self._keep(request.get("JobName", ""), request.get("JobUpdate", {}))
        return answer

    def _keep(self, name: str, properties: dict[str, Any]) -> None:
        job = self._jobs.get(name)
        if job is not None:
            job.update({key: properties[key] for key in KEPT_PROPERTIES if key in properties})

    def fail_interrupted(self) -> None:
        """Runs that a killed process left behind no longer run, and must not look as if they did."""
        for name in list(self._runs):
            for run in self._runs[name]:
                if run["JobRunState"] in UNFINISHED:
                    _end(run, "FAILED", "The laptop cloud was stopped while the job was running.")

    def start_job_run(self, request: dict[str, Any]) -> Any:
        name = request.get("JobName")
        job = self._jobs.get(name)
        if job is None:
            return self._emulator.refuse("EntityNotFoundException", f"Failed to start job run due to missing metadata: {name}")
        runs = self._runs.setdefault(name, [])
        limit = int((job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns") or 1)
        if sum(run["JobRunState"] in UNFINISHED for run in runs) >= limit:
            return self._emulator.refuse("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
        if not self._emulator.trusts(job["Role"], "glue.amazonaws.com"):
            return self._emulator.refuse(
                "InvalidInputException", f"Role {job['Role']} should be given assume role permissions for Glue Service."
            )
        now = time.time()
        run = {
            "Id": f"jr_{secrets.token_hex(32)}",
            "JobName": name,
            "JobRunState": "STARTING",
            "StartedOn": now,
            "LastModifiedOn": now,
            "Arguments": request.get("Arguments") or {},
            "PredecessorRuns": [],
            "AllocatedCapacity": int(job.get("NumberOfWorkers") or 2),
            "ExecutionTime": 0,
            "Timeout": int(request.get("Timeout") or job.get("Timeout") or 2880),
            "WorkerType": request.get("WorkerType") or job.get("WorkerType") or "G.1X",
            "NumberOfWorkers": int(request.get("NumberOfWorkers") or job.get("NumberOfWorkers") or 2),
            "LogGroupName": "/aws-glue/jobs",
            "GlueVersion": job.get("GlueVersion"),
            "ExecutionClass": job.get("ExecutionClass", "STANDARD"),
            "Attempt": 0,
        }
        runs.append(run)
        self._emulator.thread(self._work, dict(job), run)
        return self._emulator.answer({"JobRunId": run["Id"]})

    def _work(self, job: dict[str, Any], run: dict[str, Any]) -> None:
        try:
            self._run(job, run)
        except Exception as error:  # a run must not stay "running" whatever went wrong here
            logger.exception("job run %s", run["Id"])
            _end(run, "FAILED", f"{type(error).__name__}: {error}")

    def _run(self, job: dict[str, Any], run: dict[str, Any]) -> None:
        command = job.get("Command") or {}
        given = {**run["Arguments"], "--JOB_NAME": run["JobName"], "--JOB_RUN_ID": run["Id"]}
        try:
            if command.get("Name") not in ("glueetl", "gluestreaming"):
                raise SubmissionError(f"Glue command {command.get('Name')!r} is not run here, only glueetl")
            asked = glue_arguments(
                command.get("ScriptLocation", ""),
                job.get("DefaultArguments") or {},
                given,
                job.get("NonOverridableArguments") or {},
            )
        except SubmissionError as error:
            _end(run, "FAILED", str(error))
            return
        if run["JobRunState"] == "STARTING":
            run.update(JobRunState="RUNNING", LastModifiedOn=time.time())
        outcome = self._runner.run(
            run["Id"],
            SparkJob(run["JobName"], asked.script, asked.arguments, asked.py_files, asked.conf, run["Timeout"] * 60.0),
            self._emulator.role_session(job["Role"], SESSION_NAME),
        )
        # The logs first: who sees the run end may read them at once.
        put_log(self._emulator, OUTPUT_GROUP, run["Id"], outcome.stdout)
        put_log(self._emulator, ERROR_GROUP, run["Id"], outcome.stderr)
        _end(run, *_state(outcome, run["Timeout"]))

    def batch_stop_job_run(self, request: dict[str, Any]) -> Any:
        name = request.get("JobName", "")
        stopped, errors = [], []
        for run_id in request.get("JobRunIds", []):
            run = next((run for run in self._runs.get(name, []) if run["Id"] == run_id), None)
            if run is not None and run["JobRunState"] in UNFINISHED:
                run.update(JobRunState="STOPPING", LastModifiedOn=time.time())
                self._runner.stop(run_id)
                stopped.append({"JobName": name, "JobRunId": run_id})
                continue
            code, said = ("EntityNotFoundException", "Job run not found")
            if run is not None:
                code, said = "InvalidInputException", f"Job run in state {run['JobRunState']} cannot be stopped"
            errors.append({"JobName": name, "JobRunId": run_id, "ErrorDetail": {"ErrorCode": code, "ErrorMessage": said}})
        return self._emulator.answer({"SuccessfulSubmissions": stopped, "Errors": errors})

    def start_job_run_task(self, resource: str, parameters: dict[str, Any]) -> Any:
        """Step Functions' glue:startJobRun and, with .sync, until the run ends; the run is the output."""
        from botocore.exceptions import ClientError

        # As the machine's role, so that starting and, for .sync, watching the run both need its permission.
        glue = self._emulator.client("glue", self._emulator.caller())
        name = parameters["JobName"]
        try:
            run_id = glue.start_job_run(**parameters)["JobRunId"]
            if ".sync" not in resource:
                return {"JobName": name, "JobRunId": run_id}
            while glue.get_job_run(JobName=name, RunId=run_id)["JobRun"]["JobRunState"] in UNFINISHED:
                time.sleep(POLL_SECONDS)
        except ClientError as error:
            found = error.response["Error"]
            raise self._emulator.task_error(f"Glue.{found['Code']}", found["Message"]) from error
        run = next(dict(run) for run in self._runs[name] if run["Id"] == run_id)
        if run["JobRunState"] != "SUCCEEDED":
            raise self._emulator.task_error("States.TaskFailed", json.dumps(run))
        return run


def _state(outcome: Outcome, timeout_minutes: int) -> tuple[str, str]:
    if outcome.stopped:
        return "STOPPED", ""
    if outcome.timed_out:
        return "TIMEOUT", f"Job run exceeded its timeout of {timeout_minutes} minutes"
    return ("SUCCEEDED", "") if outcome.succeeded else ("FAILED", outcome.message)


def _end(run: dict[str, Any], state: str, message: str) -> None:
    now = time.time()
    run.update(LastModifiedOn=now, CompletedOn=now, ExecutionTime=round(now - run["StartedOn"]))
    if message:
        run["ErrorMessage"] = message
    run["JobRunState"] = state


def install(emulator: Emulator, runner: Runner) -> None:
    """Put the Glue job engine in place."""
    GlueJobs(emulator, runner).install()
