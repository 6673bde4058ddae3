"""The pipeline of Boston 311: the machine, and that code and stack speak of the same variables, arguments and names."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from synthesis import ACCOUNT, REGION, Assembly, Template

from ingestion.boston311.model import Discovered, Fetch, More, Resource
from ingestion.boston311.model import Environment as IngestEnvironment
from ingestion.boston311.model import parse_event as parse_ingest
from ingestion.control.model import Environment as ControlEnvironment
from ingestion.control.model import Ingested, parse_event
from lake.contracts import Contract
from lake.jobs import ARGUMENTS, COMPLETE_RUN, JOBS, NOTHING, parse
from lake.odcs import load_all


@pytest.fixture
def stack(every: Assembly) -> Template:
    return every.template("boston311")


@pytest.fixture
def machine(stack: Template) -> dict[str, Any]:
    (found,) = stack.properties("AWS::StepFunctions::StateMachine")
    return json.loads(found["DefinitionString"])


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, those inside Parallel and Map too."""
    for name, state in definition["States"].items():
        yield name, state
        for inner in [*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])]:
            yield from states(inner)


def reachable(definition: dict[str, Any], start: str) -> set[str]:
    """States that the normal way from `start` can come to."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            state = definition["States"][name]
            ways = [state.get("Next"), state.get("Default"), *(c["Next"] for c in state.get("Choices", []))]
            ahead += [way for way in ways if way]
    return found


def test_every_error_ends_in_a_report_a_message_and_a_failure(machine: dict[str, Any]) -> None:
    reporting = {"Finish as failed", "Tell failure", "Tell failure without report", "Tell refusal"}
    for name, state in machine["States"].items():
        if state["Type"] in ("Task", "Map", "Parallel") and name not in reporting:
            catch = state["Catch"][-1]
            assert catch == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Finish as failed"}, name
    for name in reporting:
        assert machine["States"][name]["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
        assert reachable(machine, name) & {"Failed", "Refused"}
    assert reachable(machine, "Finish as failed") == {"Finish as failed", "Tell failure", "Failed"}
    assert machine["States"]["Failed"] == {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"}


def test_leftovers_of_a_dead_holder_are_waited_for_and_found_by_the_run_id(every: Assembly, machine: dict[str, Any]) -> None:
    waiting = [r for r in machine["States"]["Begin"]["Retry"] if r["ErrorEquals"] == ["LeftoversEnding"]]
    assert waiting == [{"ErrorEquals": ["LeftoversEnding"], "IntervalSeconds": 15, "MaxAttempts": 20, "BackoffRate": 1}]
    found = dict(states(machine))
    step = found["Run step"]["Parameters"]["Step"]
    assert step["Name.$"] == "States.Format('boston311_gold {}', $$.Execution.Name)"
    if every.env != "everything":
        name = found["Start cluster"]["Parameters"]["Name.$"]
        assert name == f"States.Format('tributary-{every.env}-cluster-{{}}', $$.Execution.Name)"


def test_a_held_lease_refuses_at_once_tells_people_and_releases_nothing(machine: dict[str, Any]) -> None:
    first = machine["States"]["Begin"]["Catch"][0]
    assert first["ErrorEquals"] == ["LeaseHeld"]
    assert reachable(machine, first["Next"]) == {"Lease held", "Tell refusal", "Refused"}
    told = machine["States"]["Tell refusal"]["Parameters"]
    assert "Failures" in told["TopicArn"]
    assert told["Message.$"] == "States.Format('Run {} did nothing: {}.', $$.Execution.Name, $.held.by.errorMessage)"
    assert machine["States"]["Refused"] == {"Type": "Fail", "Error": "LeaseHeld", "CausePath": "$.error.Cause"}


def test_a_lambda_that_crashed_is_tried_again_whatever_its_crash_is_called(machine: dict[str, Any]) -> None:
    calls = {name: state for name, state in states(machine) if re.match("<(Control|Ingest)", state.get("Resource", ""))}
    assert set(calls) == {"Begin", "Discover", "Fetch", "Finish", "Finish as failed"}
    for name, state in calls.items():
        tried = {error for retrier in state["Retry"] for error in retrier["ErrorEquals"]}
        assert {"Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError"} <= tried, name


def test_a_resource_that_cannot_be_had_holds_up_itself_alone(machine: dict[str, Any]) -> None:
    found = dict(states(machine))
    assert found["Fetch"]["Catch"] == [
        {
            "ErrorEquals": ["PortalUnavailable", "PortalRejected", "UploadLost", "Sandbox.Timedout"],
            "ResultPath": "$.error",
            "Next": "Unavailable",
        }
    ]
    answer = found["Unavailable"]["Parameters"]
    assert {key.removesuffix(".$") for key in answer} == {"resource_id", "outcome", "object", "rule", "error"}
    assert (answer["outcome"], found["Unavailable"]["End"]) == ("refused", True)
    assert "Catch" not in found["Discover"]  # without the package there is no run


def test_a_download_that_ran_out_of_time_goes_on_with_its_answer_as_the_event(machine: dict[str, Any]) -> None:
    found = dict(states(machine))
    (again,) = found["More?"]["Choices"]
    assert again == {"Variable": "$.outcome", "StringEquals": "more", "Next": "Fetch"}
    assert (found["Fetch"]["Next"], found["More?"]["Default"]) == ("More?", "Fetched")
    assert "Parameters" not in found["Fetch"]  # the whole state is the event
    assert "ResultPath" not in found["Fetch"]  # and the answer the whole state
    resource = {"resource_id": "r", "name": "n", "url": "https://h/r.csv"}
    more = More(op="fetch", run_id="r", origin="files", resource=Resource(**resource), progress=None)
    assert parse_ingest(more.model_dump()) == Fetch.model_validate(more.model_dump())


def test_what_the_ingestion_answers_is_what_the_report_reads(machine: dict[str, Any]) -> None:
    assert dict(states(machine))["Fetch each"]["ResultPath"] == "$.fetched"
    assert set(Ingested.model_fields) == {"missing", "fetched"}
    assert "missing" in Discovered.model_fields


def test_stages_follow_each_other_and_can_be_run_alone(machine: dict[str, Any]) -> None:
    def way(only: str) -> list[str]:
        name, visited = machine["States"]["Begin"]["Next"], []
        while name:
            state = machine["States"][name]
            if state["Type"] == "Choice":
                name = next((c["Next"] for c in state["Choices"] if f'"{only}"' in json.dumps(c)), state["Default"])
            else:
                visited.append(name)
                name = state.get("Next")
        return visited

    assert way("all") == ["Ingest", "Silver", "Gold", "Catalogue", "Finish", "Tell success", "Succeeded"]
    assert way("ingest") == ["Ingest", "Finish", "Tell success", "Succeeded"]
    assert way("silver") == ["Silver", "Catalogue", "Finish", "Tell success", "Succeeded"]
    assert way("gold") == ["Gold", "Catalogue", "Finish", "Tell success", "Succeeded"]
    assert way("nonsense") == ["Unknown stage", "Finish as failed", "Tell failure", "Failed"]


def test_missing_input_gets_defaults(machine: dict[str, Any]) -> None:
    given = machine["States"][machine["StartAt"]]["Parameters"]
    assert given["defaults"] == COMPLETE_RUN == {"only": "all", "accept": NOTHING, "replay": NOTHING, "parameters": {}}


def test_clocks_are_settings_that_no_input_can_change(machine: dict[str, Any]) -> None:
    fixed = machine["States"][machine["StartAt"]]["Parameters"]["fixed"]
    assert fixed["settings"] == {"legacy_clock": "evidence", "new_system_clock": "boston"}
    merged = machine["States"]["Defaults"]["Parameters"]["state.$"]
    assert merged.endswith(", $.fixed, false)")  # what is fixed is merged last


def test_a_replay_begins_at_silver(machine: dict[str, Any]) -> None:
    first, second, _ = machine["States"]["Where to begin"]["Choices"]
    everything = {"And": [{"Variable": "$.only", "StringEquals": "all"}, {"Variable": "$.replay", "StringEquals": NOTHING}]}
    assert (first["Next"], first["Or"][0]) == ("Ingest", everything)
    assert (second["Next"], second["Or"][0]) == ("Silver", {"Variable": "$.only", "StringEquals": "all"})


def test_calls_of_the_control_function_are_what_it_understands(machine: dict[str, Any]) -> None:
    samples = {"run_id": "r", "execution_arn": "a", "started_at": "2026-01-01T00:00:00Z", "ingest": {}, "error": {"Error": "x"}}
    for name in ("Begin", "Finish", "Finish as failed"):
        event = {key.removesuffix(".$"): value for key, value in machine["States"][name]["Parameters"].items()}
        parse_event({**event, **{key: value for key, value in samples.items() if event.get(key)}})


def test_a_transient_cluster_ends_whether_its_step_fails_or_not(every: Assembly, machine: dict[str, Any]) -> None:
    (gold,) = machine["States"]["Gold"]["Branches"]
    step = gold["States"]["Run step"]
    assert step["Parameters"]["ExecutionRoleArn"].startswith("<GoldRole")
    if every.env == "everything":
        assert list(gold["States"]) == ["Run step"]
        return
    assert gold["StartAt"] == "Start cluster"
    rescue = step["Catch"][0]
    assert rescue["ErrorEquals"] == ["States.ALL"]
    for name in (step["Next"], rescue["Next"]):
        assert gold["States"][name]["Resource"].endswith("terminateCluster.sync"), name
        assert gold["States"][name]["ResultPath"] == "$.ended"  # beside $.error, which is told afterwards
    assert gold["States"][gold["States"][rescue["Next"]]["Next"]]["Type"] == "Fail"
    assert gold["States"]["Start cluster"]["Parameters"]["AutoTerminationPolicy"]["IdleTimeout"] >= 60


def test_crawlers_are_started_awaited_and_judged(machine: dict[str, Any]) -> None:
    crawl = machine["States"]["Catalogue"]["ItemProcessor"]["States"]
    assert crawl["Start crawler"]["Resource"].endswith(":aws-sdk:glue:startCrawler")  # not .sync, which does not exist
    assert "Glue.CrawlerRunningException" in crawl["Start crawler"]["Retry"][0]["ErrorEquals"]
    assert reachable(machine["States"]["Catalogue"]["ItemProcessor"], "Look at crawler") >= {
        "While it crawls",
        "Crawled",
        "Crawl failed",
    }


def test_the_machine_logs_traces_and_ends(stack: Template, machine: dict[str, Any]) -> None:
    (found,) = stack.properties("AWS::StepFunctions::StateMachine")
    assert found["LoggingConfiguration"]["Level"] == "ALL"
    assert found["TracingConfiguration"] == {"Enabled": True}
    assert machine["TimeoutSeconds"] == 6 * 3600


def environment(stack: Template, name: str) -> dict[str, str]:
    functions = {f["FunctionName"]: f for f in stack.properties("AWS::Lambda::Function")}
    return functions[next(key for key in functions if key.endswith(name))]["Environment"]["Variables"]


@pytest.mark.parametrize(("name", "model"), [("ingest", IngestEnvironment), ("control", ControlEnvironment)])
def test_functions_get_the_variables_that_they_read(stack: Template, name: str, model: Any) -> None:
    variables = environment(stack, name)
    assert set(variables) == {field.alias for field in model.model_fields.values()}
    model.of(variables)


def test_functions_run_the_python_of_the_house(every: Assembly, stack: Template) -> None:
    for function in stack.properties("AWS::Lambda::Function"):
        assert function["Runtime"] == "python3.11"
        assert re.fullmatch(r"ingestion\.(boston311|control)\.handler\.handler", function["Handler"])
        if every.env != "local":
            assert function["Architectures"] == ["arm64"]


def test_the_silver_job_is_small_and_has_every_argument(every: Assembly, stack: Template, machine: dict[str, Any]) -> None:
    (job,) = stack.properties("AWS::Glue::Job")
    assert (job["GlueVersion"], job["WorkerType"]) == ("5.1", "G.1X")
    assert job["NumberOfWorkers"] == (4 if every.env == "prod" else 2)
    assert (job["MaxRetries"], job["ExecutionProperty"]["MaxConcurrentRuns"], job["Timeout"]) == (0, 1, 120)
    paid = {"--enable-metrics", "--enable-observability-metrics", "--enable-spark-ui", "--enable-job-insights"}
    assert not paid & set(job["DefaultArguments"])
    assert job["DefaultArguments"]["--datalake-formats"] == "delta"
    assert job["DefaultArguments"]["--extra-py-files"].count(".zip") == 2
    run = {key.removesuffix(".$") for key in machine["States"]["Silver"]["Parameters"]["Arguments"]}
    given = {*run, *job["DefaultArguments"]}
    assert {name for name in given if name[2:] in ARGUMENTS} == {f"--{argument}" for argument in ARGUMENTS}
    assert not run & set(job["DefaultArguments"])
    assert job["DefaultArguments"]["--region"] == REGION


def test_the_gold_step_has_every_argument(machine: dict[str, Any]) -> None:
    (gold,) = machine["States"]["Gold"]["Branches"]
    step = gold["States"]["Run step"]["Parameters"]["Step"]["HadoopJarStep"]
    assert step["Jar"] == "command-runner.jar"
    known = {"$$.Execution.Name": "r", "$.accept": NOTHING, "$.replay": "all"}
    known |= {"States.JsonToString($.parameters)": "{}", "States.JsonToString($.settings)": '{"legacy_clock": "boston"}'}
    inner = step["Args.$"].removeprefix("States.Array(").removesuffix(")")
    line = [known.get(part, part.strip("'")) for part in inner.split(", ")]
    script = next(i for i, part in enumerate(line) if part.endswith(".py"))
    arguments = parse(line[script + 1 :])
    assert (arguments.source, arguments.parameters, arguments.bronze[:5]) == ("boston311", {}, "s3://")
    assert (arguments.accept, arguments.replay, arguments.settings) == (None, "all", {"legacy_clock": "boston"})
    assert arguments.region == REGION
    assert len(line[line.index("--py-files") + 1].split(",")) == 2


def test_crawlers_cover_every_table_of_the_jobs(every: Assembly, stack: Template) -> None:
    found = {
        path
        for crawler in stack.properties("AWS::Glue::Crawler")
        for target in crawler["Targets"]["DeltaTargets"]
        for path in target["DeltaTables"]
        if target["CreateNativeDeltaTable"] and not target["WriteManifest"]
    }
    contracts: dict[str, Contract] = load_all()
    expected = set()
    for name in (table for job in JOBS.values() for table in job.tables):
        contract = contracts[name]
        bucket = f"s3://tributary-{every.env}-{contract.layer}-{ACCOUNT}"
        expected.add(f"{bucket}/{contract.table}/")
        if contract.layer == "silver" and not contract.columns_of:
            expected.add(f"{bucket}/{contract.quarantine}/")
    assert found == expected


def test_one_schedule_in_boston_time_or_none(every: Assembly, stack: Template) -> None:
    schedules = stack.properties("AWS::Scheduler::Schedule")
    assert len(schedules) == (1 if every.env in ("prod", "everything") else 0)
    for schedule in schedules:
        assert schedule["ScheduleExpressionTimezone"] == "America/New_York"
        assert schedule["ScheduleExpression"] == "cron(30 6 * * ? *)"
        assert json.loads(schedule["Target"]["Input"]) == COMPLETE_RUN


def test_runs_that_cannot_report_raise_an_alarm(stack: Template) -> None:
    (alarm,) = stack.properties("AWS::CloudWatch::Alarm")
    metrics = {m["MetricStat"]["Metric"]["MetricName"] for m in alarm["Metrics"] if "MetricStat" in m}
    assert metrics == {"ExecutionsTimedOut", "ExecutionsAborted"}
    assert len(alarm["AlarmActions"]) == 1


def test_no_machine_path_gets_into_a_template(every: Assembly) -> None:
    for template in every.templates():
        text = template.path.read_text()
        assert os.getcwd() not in text  # noqa: PTH109
        assert os.path.expanduser("~") + "/" not in text  # noqa: PTH111
