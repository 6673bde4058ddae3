"""Step Functions' integrations with EMR (elasticmapreduce:*), plain and .sync."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from local.emulator import Emulator
from local.engines.emr import ENDED_CLUSTER, OPEN, Emr

POLL_SECONDS = 0.1


class EmrTasks:
    """Parameters and results as Step Functions documents them; a failure's cause is the cluster's or the step's description."""

    def __init__(self, emulator: Emulator, engine: Emr) -> None:
        self._emulator = emulator
        self._engine = engine

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        """EMR as the machine's role, so that every call a task makes, also for watching, needs that role's permission."""
        from botocore.exceptions import ClientError, ParamValidationError

        try:
            yield self._emulator.client("emr", self._emulator.caller())
        except ClientError as error:
            found = error.response["Error"]
            raise self._emulator.task_error(f"ElasticMapReduce.{found['Code']}", found["Message"]) from error
        except ParamValidationError as error:
            raise self._emulator.task_error("States.Runtime", str(error)) from error

    def create_cluster(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._client() as emr:
            cluster_id = emr.run_job_flow(**parameters)["JobFlowId"]
            if ".sync" in resource:
                ready = ("WAITING", "RUNNING", *ENDED_CLUSTER)
                self._until(lambda: emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"] in ready)
        cluster = dict(self._engine.clusters[cluster_id])
        if cluster["Status"]["State"] == "TERMINATED_WITH_ERRORS":
            raise self._emulator.task_error("States.TaskFailed", json.dumps(cluster))
        made = {"ClusterId": cluster_id, "ClusterArn": cluster["ClusterArn"]}
        return {**made, "Cluster": cluster} if ".sync" in resource else made

    def add_step(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        cluster_id = parameters["ClusterId"]
        role = parameters.get("ExecutionRoleArn")
        with self._client() as emr:
            asked = {"JobFlowId": cluster_id, "Steps": [parameters["Step"]], **({"ExecutionRoleArn": role} if role else {})}
            step_id = emr.add_job_flow_steps(**asked)["StepIds"][0]
            if ".sync" not in resource:
                return {"StepId": step_id}
            about = {"ClusterId": cluster_id, "StepId": step_id}
            self._until(lambda: emr.describe_step(**about)["Step"]["Status"]["State"] not in OPEN)
        step = next(dict(step) for step in self._engine.steps[cluster_id] if step["Id"] == step_id)
        if step["Status"]["State"] != "COMPLETED":
            raise self._emulator.task_error("States.TaskFailed", json.dumps(step))
        return {"StepId": step_id, "Step": step}

    def cancel_step(self, _resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._client() as emr:
            answer = emr.cancel_steps(ClusterId=parameters["ClusterId"], StepIds=[parameters["StepId"]])
        return dict(answer["CancelStepsInfoList"][0])

    def terminate_cluster(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        cluster_id = parameters["ClusterId"]
        with self._client() as emr:
            emr.terminate_job_flows(JobFlowIds=[cluster_id])
            if ".sync" not in resource:
                return {}
            self._until(lambda: emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"] in ENDED_CLUSTER)
        return {"ClusterId": cluster_id, "Cluster": dict(self._engine.clusters[cluster_id])}

    def set_termination_protection(self, _resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._client() as emr:
            protected = parameters["TerminationProtected"]
            emr.set_termination_protection(JobFlowIds=[parameters["ClusterId"]], TerminationProtected=protected)
        return {}

    def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            time.sleep(POLL_SECONDS)


def install(emulator: Emulator, engine: Emr) -> None:
    """Put the tasks in place."""
    tasks = EmrTasks(emulator, engine)
    emulator.integration("elasticmapreduce:createCluster", tasks.create_cluster)
    emulator.integration("elasticmapreduce:addStep", tasks.add_step)
    emulator.integration("elasticmapreduce:cancelStep", tasks.cancel_step)
    emulator.integration("elasticmapreduce:terminateCluster", tasks.terminate_cluster)
    emulator.integration("elasticmapreduce:setClusterTerminationProtection", tasks.set_termination_protection)
