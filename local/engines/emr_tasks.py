"""Step Functions' integrations with EMR (elasticmapreduce:*), plain and .sync."""

import json
import time
from typing import Any

from local.emulator import Emulator
from local.engines.emr import ENDED_CLUSTER, OPEN, Emr

POLL_SECONDS = 0.1


class EmrTasks:
    """Parameters and results as Step Functions documents them; a failure's cause is the cluster's or the step's description."""

    def __init__(self, emulator: Emulator, engine: Emr) -> None:
        self._emulator = emulator
        self._engine = engine

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        try:
            answer: dict[str, Any] = getattr(self._emulator.client("emr"), operation)(**parameters)
        except ClientError as error:
            found = error.response["Error"]
            raise self._emulator.task_error(f"ElasticMapReduce.{found['Code']}", found["Message"]) from error
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def create_cluster(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        made = self._call("run_job_flow", **parameters)
        cluster_id = made["JobFlowId"]
        cluster = self._engine.clusters[cluster_id]
        if ".sync" in resource:
            self._until(lambda: cluster["Status"]["State"] in ("WAITING", "RUNNING", *ENDED_CLUSTER))
            if cluster["Status"]["State"] in ("TERMINATED_WITH_ERRORS",):
                raise self._emulator.task_error("States.TaskFailed", json.dumps(cluster))
        return {
            "ClusterId": cluster_id,
            "ClusterArn": cluster["ClusterArn"],
            **({"Cluster": dict(cluster)} if ".sync" in resource else {}),
        }

    def add_step(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        cluster_id = parameters["ClusterId"]
        step = dict(parameters["Step"])
        role = parameters.get("ExecutionRoleArn") or step.pop("ExecutionRoleArn", None)
        request = {"JobFlowId": cluster_id, "Steps": [step], **({"ExecutionRoleArn": role} if role else {})}
        step_id = self._call("add_job_flow_steps", **request)["StepIds"][0]
        if ".sync" not in resource:
            return {"StepId": step_id}
        found = next(step for step in self._engine.steps[cluster_id] if step["Id"] == step_id)
        self._until(lambda: found["Status"]["State"] not in OPEN)
        if found["Status"]["State"] != "COMPLETED":
            raise self._emulator.task_error("States.TaskFailed", json.dumps(found))
        return {"StepId": step_id, "Step": dict(found)}

    def cancel_step(self, _resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        asked = {"ClusterId": parameters["ClusterId"], "StepIds": [parameters["StepId"]]}
        answer: dict[str, Any] = self._call("cancel_steps", **asked)["CancelStepsInfoList"][0]
        return answer

    def terminate_cluster(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        cluster_id = parameters["ClusterId"]
        self._call("terminate_job_flows", JobFlowIds=[cluster_id])
        cluster = self._engine.clusters.get(cluster_id)
        if ".sync" in resource and cluster:
            self._until(lambda: cluster["Status"]["State"] in ENDED_CLUSTER)
            return {"ClusterId": cluster_id, "Cluster": dict(cluster)}
        return {}

    def set_termination_protection(self, _resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        protected = parameters["TerminationProtected"]
        return self._call("set_termination_protection", JobFlowIds=[parameters["ClusterId"]], TerminationProtected=protected)

    def _until(self, reached: Any) -> None:
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
