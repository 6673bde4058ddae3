"""What a dead run left on AWS is stopped, and nothing else is."""

from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import validate_parameters

from ingestion.control.leftovers import Leftovers
from ingestion.control.model import LeftoversEnding


class Service:
    """A client with fixed answers that keeps what it was asked to end; each request must be one that AWS takes."""

    def __init__(self, service: str, **answers: Any) -> None:
        self._model = Session().get_service_model(service)
        self._answers = answers
        self.ended: list[dict[str, Any]] = []

    def _check(self, operation: str, request: dict[str, Any]) -> None:
        names = {name.lower(): name for name in self._model.operation_names}
        validate_parameters(request, self._model.operation_model(names[operation.replace("_", "")]).input_shape)

    def get_paginator(self, operation: str) -> Any:
        class Pages:
            def paginate(_, **request: Any) -> list[Any]:
                self._check(operation, request)
                answer = self._answers[operation]
                return [answer(request) if callable(answer) else answer]

        return Pages()

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> dict[str, Any]:
            self._check(operation, request)
            self.ended.append(request)
            return {}

        return call


def job_run(id_: str, run: str, state: str) -> dict[str, Any]:
    return {"Id": id_, "JobRunState": state, "Arguments": {"--run_id": run}}


def thing(id_: str, name: str, state: str) -> dict[str, Any]:
    return {"Id": id_, "Name": name, "Status": {"State": state}}


def services(*, runs: Any = (), clusters: Any = (), steps: Any = ()) -> tuple[Service, Service]:
    glue = Service("glue", get_job_runs={"JobRuns": list(runs)})

    def listed(request: dict[str, Any]) -> dict[str, Any]:
        return {"Clusters": [c for c in clusters if c["Status"]["State"] in request["ClusterStates"]]}

    return glue, Service("emr", list_clusters=listed, list_steps={"Steps": list(steps)})


def end(glue: Service, emr: Service) -> None:
    Leftovers(glue=glue, emr=emr, jobs=["silver"], cluster="c").end("dead")


@pytest.mark.parametrize("state", ["STARTING", "RUNNING", "WAITING"])
def test_a_job_run_of_the_dead_run_is_stopped(state: str) -> None:
    glue, emr = services(runs=[job_run("jr_1", "alive", "RUNNING"), job_run("jr_2", "dead", state), {**job_run("jr_3", "", state)}])
    with pytest.raises(LeftoversEnding, match="job run jr_2 of silver"):
        end(glue, emr)
    assert (glue.ended, emr.ended) == ([{"JobName": "silver", "JobRunIds": ["jr_2"]}], [])


def test_a_cluster_of_the_dead_run_is_ended() -> None:
    glue, emr = services(
        clusters=[thing("j-1", "c-dead", "RUNNING"), thing("j-2", "c-dead2", "RUNNING"), thing("j-3", "c", "WAITING")]
    )
    with pytest.raises(LeftoversEnding, match="cluster j-1"):
        end(glue, emr)
    assert emr.ended == [{"JobFlowIds": ["j-1"]}]


def test_a_step_of_the_dead_run_is_cancelled_on_the_cluster_that_is_kept() -> None:
    steps = [thing("s-1", "gold dead", "RUNNING"), thing("s-2", "gold alive", "PENDING")]
    glue, emr = services(clusters=[thing("j-1", "c", "RUNNING")], steps=steps)
    with pytest.raises(LeftoversEnding, match="step s-1 of cluster j-1"):
        end(glue, emr)
    assert emr.ended == [{"ClusterId": "j-1", "StepIds": ["s-1"], "StepCancellationOption": "TERMINATE_PROCESS"}]


def test_what_is_ending_already_is_waited_for_and_not_ended_twice() -> None:
    glue, emr = services(
        runs=[job_run("jr_1", "dead", "STOPPING")],
        clusters=[thing("j-1", "c-dead", "TERMINATING"), thing("j-2", "c", "RUNNING")],
        steps=[thing("s-1", "gold dead", "CANCEL_PENDING")],
    )
    with pytest.raises(LeftoversEnding, match=r"jr_1.*j-1.*s-1"):
        end(glue, emr)
    assert (glue.ended, emr.ended) == ([], [])


def test_nothing_left_is_silent() -> None:
    ended = [job_run("jr_1", "dead", state) for state in ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR")]
    glue, emr = services(runs=ended, clusters=[thing("j-1", "c-dead", "TERMINATED"), thing("j-2", "c", "WAITING")])
    end(glue, emr)
    assert (glue.ended, emr.ended) == ([], [])
