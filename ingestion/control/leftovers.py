"""What a run that no longer runs left working on AWS: ended before another run takes its source over.

Step Functions ends what it waits for when an execution is aborted or times out, but as a best effort and without waiting.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from ingestion.control.model import LeftoversEnding

log = logging.getLogger(__name__)

_JOB_ENDING = ("STOPPING",)
_JOB_ACTIVE = ("STARTING", "RUNNING", "WAITING", *_JOB_ENDING)
_CLUSTER_ENDING = ("TERMINATING",)
_CLUSTER_ACTIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", *_CLUSTER_ENDING)
_STEP_ENDING = ("CANCEL_PENDING",)
_STEP_ACTIVE = ("PENDING", "RUNNING", *_STEP_ENDING)


class Leftovers:
    """The source's Glue jobs and the cluster of the environment. `glue`, `emr`: boto3 clients.

    A run's own cluster is called `<cluster>-<run id>`; on the kept one, called `<cluster>`, its steps are called `<job> <run id>`.
    """

    def __init__(self, *, glue: Any, emr: Any, jobs: Sequence[str], cluster: str) -> None:
        self._glue, self._emr, self._jobs, self._cluster = glue, emr, jobs, cluster

    def end(self, run_id: str) -> None:
        """Stops what still works for `run_id`. Raises LeftoversEnding if there was anything: ask again until there is not."""
        found = [*self._job_runs(run_id), *self._clusters(run_id)]
        if found:
            raise LeftoversEnding(f"run {run_id} no longer runs, but left behind, and now being stopped: {', '.join(found)}")

    def _job_runs(self, run_id: str) -> Iterator[str]:
        for job in self._jobs:
            pages = self._glue.get_paginator("get_job_runs").paginate(JobName=job)
            runs = [run for page in pages for run in page["JobRuns"]]
            for run in runs:
                if run.get("Arguments", {}).get("--run_id") != run_id or run["JobRunState"] not in _JOB_ACTIVE:
                    continue
                if run["JobRunState"] not in _JOB_ENDING:
                    answer = self._glue.batch_stop_job_run(JobName=job, JobRunIds=[run["Id"]])
                    for error in answer.get("Errors", []):  # it may have ended by itself; the next look tells
                        log.warning("%s was not stopped: %s", run["Id"], error["ErrorDetail"])
                yield f"job run {run['Id']} of {job}"

    def _clusters(self, run_id: str) -> Iterator[str]:
        pages = self._emr.get_paginator("list_clusters").paginate(ClusterStates=list(_CLUSTER_ACTIVE))
        for cluster in [cluster for page in pages for cluster in page["Clusters"]]:
            if cluster["Name"] == f"{self._cluster}-{run_id}":
                if cluster["Status"]["State"] not in _CLUSTER_ENDING:
                    self._emr.terminate_job_flows(JobFlowIds=[cluster["Id"]])
                yield f"cluster {cluster['Id']}"
            elif cluster["Name"] == self._cluster:
                yield from self._steps(cluster["Id"], run_id)

    def _steps(self, cluster_id: str, run_id: str) -> Iterator[str]:
        pages = self._emr.get_paginator("list_steps").paginate(ClusterId=cluster_id, StepStates=list(_STEP_ACTIVE))
        for step in [step for page in pages for step in page["Steps"]]:
            if step["Name"].endswith(f" {run_id}"):
                if step["Status"]["State"] not in _STEP_ENDING:
                    self._emr.cancel_steps(ClusterId=cluster_id, StepIds=[step["Id"]], StepCancellationOption="TERMINATE_PROCESS")
                yield f"step {step['Id']} of cluster {cluster_id}"
