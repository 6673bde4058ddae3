"""EMR on one machine: ministack completes every step at once without running it; here a cluster works through its steps in order.

A cluster that may not stay alive ends after its last step, as on AWS.
"""

import json
import threading
import time
from typing import Any

from local.emulator import Emulator
from local.engines.emr_steps import StepRunner, end_step
from local.engines.spark import Runner

OPEN = ("PENDING", "RUNNING")
ENDED_CLUSTER = ("TERMINATED", "TERMINATED_WITH_ERRORS", "TERMINATING")
SERVICE = "elasticmapreduce.amazonaws.com"
INSTANCES = "ec2.amazonaws.com"
INTERRUPTED = "The laptop cloud was stopped while the step was running."


class Emr:
    """EMR's cluster and step operations over ministack's stores."""

    def __init__(self, emulator: Emulator, runner: Runner) -> None:
        self._emulator = emulator
        self._steps = StepRunner(emulator, runner)
        self.clusters = emulator.get("services.emr", "_clusters")
        self.steps = emulator.get("services.emr", "_steps")
        self._handlers = emulator.get("services.emr", "_HANDLERS")
        self._configurations = emulator.document("emr_security_configurations")
        # Clusters with a thread that works through their steps.
        self._working: set[str] = set()
        self._lock = threading.Lock()

    def install(self) -> None:
        emulator = self._emulator
        self._run_job_flow = emulator.get("services.emr", "_run_job_flow")
        self._make_step = emulator.patch("services.emr", "_make_step", self.make_step)
        self._handlers.update(
            {
                "RunJobFlow": self.run_job_flow,
                "AddJobFlowSteps": self.add_job_flow_steps,
                "CancelSteps": self.cancel_steps,
                "TerminateJobFlows": self.terminate_job_flows,
                "CreateSecurityConfiguration": self.create_security_configuration,
                "DescribeSecurityConfiguration": self.describe_security_configuration,
                "DeleteSecurityConfiguration": self.delete_security_configuration,
            }
        )
        emulator.on_restored(self.fail_interrupted)

    # Security configurations ------------------------------------------------------------------------------------------

    def create_security_configuration(self, request: dict[str, Any]) -> Any:
        if self._configurations.get(request["Name"]) is not None:
            return self._emulator.refuse("InvalidRequestException", f"Security configuration {request['Name']} already exists.")
        self._configurations.set(request["Name"], request["SecurityConfiguration"])
        return self._emulator.answer({"Name": request["Name"], "CreationDateTime": time.time()})

    def describe_security_configuration(self, request: dict[str, Any]) -> Any:
        found = self._configurations.get(request["Name"])
        if found is None:
            return self._emulator.refuse("InvalidRequestException", f"Security configuration {request['Name']} does not exist.")
        return self._emulator.answer({"Name": request["Name"], "SecurityConfiguration": found})

    def delete_security_configuration(self, request: dict[str, Any]) -> Any:
        self._configurations.remove(request["Name"])
        return self._emulator.answer({})

    def _takes_execution_roles(self, cluster: dict[str, Any]) -> bool:
        """Whether the cluster's security configuration enables application-scoped roles (EMR's runtime roles)."""
        text = self._configurations.get(cluster.get("SecurityConfiguration") or "")
        configuration = json.loads(text) if isinstance(text, str) else text or {}
        authorization = configuration.get("AuthorizationConfiguration", {})
        settings = authorization.get("IAMConfiguration", {})
        return str(settings.get("EnableApplicationScopedIAMRole", False)).lower() == "true"

    # Clusters -----------------------------------------------------------------------------------------------------------

    def run_job_flow(self, request: dict[str, Any]) -> Any:
        known = request.get("SecurityConfiguration")
        if known and self._configurations.get(known) is None:
            return self._emulator.refuse("ValidationException", f"Security configuration {known} does not exist.")
        if not self._emulator.instance_role(request.get("JobFlowRole", "")):
            return self._emulator.refuse("ValidationException", f"Invalid InstanceProfile: {request.get('JobFlowRole')}.")
        refused = self._refused_roles(request)
        if refused:
            return self._emulator.refuse("AccessDeniedException", refused)
        status, headers, body = self._run_job_flow(request)
        cluster_id = list(self.clusters)[-1]
        cluster = self.clusters[cluster_id]
        cluster.update(
            {k: request[k] for k in ("SecurityConfiguration", "Configurations", "AutoTerminationPolicy") if k in request}
        )
        alive = not cluster["AutoTerminate"]
        cluster["Status"]["State"] = "WAITING" if alive and not self.steps[cluster_id] else "STARTING"
        if not alive or self.steps[cluster_id]:
            self._work_through(cluster_id)
        return status, headers, body

    def _refused_roles(self, request: dict[str, Any]) -> str | None:
        """Why the caller may not hand the cluster its roles; whoever makes a cluster has to be allowed to pass them."""
        instance_role = self._emulator.instance_role(request["JobFlowRole"]) or ""
        for role, service in ((request.get("ServiceRole", ""), SERVICE), (instance_role, INSTANCES)):
            about = {"iam:PassedToService": service}
            denial = self._emulator.denial(self._emulator.caller(), "iam:PassRole", self._emulator.role_arn(role), about)
            if denial:
                return denial
        return None

    def terminate_job_flows(self, request: dict[str, Any]) -> Any:
        for cluster_id in request.get("JobFlowIds", []):
            cluster = self.clusters.get(cluster_id)
            if cluster and cluster.get("TerminationProtected"):
                return self._emulator.refuse(
                    "ValidationException",
                    f"Could not shut down one or more job flows since they are termination protected: {cluster_id}",
                )
        for cluster_id in request.get("JobFlowIds", []):
            if cluster_id in self.clusters:
                self.end_cluster(cluster_id, "USER_REQUEST", "Terminated by user request")
        return self._emulator.answer({})

    def end_cluster(self, cluster_id: str, code: str, message: str) -> None:
        """End a cluster and whatever it still runs."""
        cluster = self.clusters[cluster_id]
        if cluster["Status"]["State"] in ENDED_CLUSTER:
            return
        for step in self.steps.get(cluster_id, []):
            if step["Status"]["State"] in OPEN:
                end_step(step, self._steps.now(), "CANCELLED", "Job terminated")
                self._steps.stop(step)
        failed = code == "STEP_FAILURE"
        cluster["Status"]["State"] = "TERMINATED_WITH_ERRORS" if failed else "TERMINATED"
        cluster["Status"]["StateChangeReason"] = {"Code": code, "Message": message}
        cluster["Status"]["Timeline"]["EndDateTime"] = self._steps.now()

    # Steps --------------------------------------------------------------------------------------------------------------

    def make_step(self, request: dict[str, Any]) -> dict[str, Any]:
        step: dict[str, Any] = self._make_step(request)
        step["Status"] = {
            "State": "PENDING",
            "StateChangeReason": {},
            "Timeline": {"CreationDateTime": step["Status"]["Timeline"]["CreationDateTime"]},
        }
        return step

    def add_job_flow_steps(self, request: dict[str, Any]) -> Any:
        cluster_id = request.get("JobFlowId", "")
        cluster = self.clusters.get(cluster_id)
        if cluster is None:
            return self._emulator.refuse("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
        if cluster["Status"]["State"] in ENDED_CLUSTER:
            return self._emulator.refuse(
                "ValidationException", "A job flow that is shutting down, terminating, or finished may not be modified."
            )
        role = request.get("ExecutionRoleArn")
        if role and not self._takes_execution_roles(cluster):
            return self._emulator.refuse(
                "InvalidRequestException",
                "Runtime roles are not supported for this cluster. Enable them in its security configuration.",
            )
        made = [self._emulator.get("services.emr", "_make_step")(step) for step in request.get("Steps", [])]
        for step in made:
            if role:
                step["ExecutionRoleArn"] = role
        self.steps.setdefault(cluster_id, []).extend(made)
        self._work_through(cluster_id)
        return self._emulator.answer({"StepIds": [step["Id"] for step in made]})

    def cancel_steps(self, request: dict[str, Any]) -> Any:
        answers = []
        for step in self.steps.get(request.get("ClusterId", ""), []):
            if step["Id"] not in request.get("StepIds", []):
                continue
            if step["Status"]["State"] in OPEN:
                running = step["Status"]["State"] == "RUNNING"
                end_step(step, self._steps.now(), "CANCELLED", "Cancelled by user")
                if running:
                    self._steps.stop(step)
                answers.append({"StepId": step["Id"], "Status": "SUBMITTED"})
            else:
                reason = f"Step is in state {step['Status']['State']}"
                answers.append({"StepId": step["Id"], "Status": "FAILED", "Reason": reason})
        return self._emulator.answer({"CancelStepsInfoList": answers})

    def _work_through(self, cluster_id: str) -> None:
        with self._lock:
            if cluster_id in self._working:
                return
            self._working.add(cluster_id)
        self._emulator.thread(self._work, cluster_id)

    def _next(self, cluster_id: str) -> dict[str, Any] | None:
        """The next step to run; None when there is none, and then nobody works on the cluster any more."""
        with self._lock:
            pending = (step for step in self.steps.get(cluster_id, []) if step["Status"]["State"] == "PENDING")
            found = next(pending, None)
            ended = self.clusters[cluster_id]["Status"]["State"] in ENDED_CLUSTER
            if found is None or ended:
                self._working.discard(cluster_id)
                return None
            result: dict[str, Any] = found
            return result

    def _work(self, cluster_id: str) -> None:
        cluster = self.clusters[cluster_id]
        while (step := self._next(cluster_id)) is not None:
            cluster["Status"]["State"] = "RUNNING"
            self._steps.run(cluster, step)
            if step["Status"]["State"] == "FAILED":
                self._after_failure(cluster, step["ActionOnFailure"])
        if cluster["Status"]["State"] in ENDED_CLUSTER:
            return
        if cluster["AutoTerminate"]:
            self.end_cluster(cluster_id, "ALL_STEPS_COMPLETED", "Steps completed")
        else:
            cluster["Status"]["State"] = "WAITING"

    def _after_failure(self, cluster: dict[str, Any], action: str) -> None:
        if action in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            self.end_cluster(cluster["Id"], "STEP_FAILURE", "Shut down as step failed")
        elif action == "CANCEL_AND_WAIT":
            for step in self.steps[cluster["Id"]]:
                if step["Status"]["State"] == "PENDING":
                    end_step(step, self._steps.now(), "CANCELLED", "Cancelled because an earlier step failed")

    def fail_interrupted(self) -> None:
        """Steps of a killed process ended with it. Their clusters go on if a stack owns them, else nobody would end them."""
        for cluster_id in list(self.clusters):
            cluster = self.clusters[cluster_id]
            if cluster["Status"]["State"] in ENDED_CLUSTER:
                continue
            for step in self.steps.get(cluster_id, []):
                if step["Status"]["State"] in OPEN:
                    end_step(step, self._steps.now(), "FAILED", INTERRUPTED)
            if any(tag["Key"] == "aws:cloudformation:stack-name" for tag in cluster["Tags"]):
                cluster["Status"]["State"] = "WAITING"
            else:
                self.end_cluster(cluster_id, "INTERNAL_ERROR", INTERRUPTED)


def install(emulator: Emulator, runner: Runner) -> None:
    """Put the EMR engine, its Step Functions tasks and its CloudFormation types in place."""
    from local.engines import emr_resources, emr_tasks

    engine = Emr(emulator, runner)
    engine.install()
    emr_tasks.install(emulator, engine)
    emr_resources.install(emulator, engine)
