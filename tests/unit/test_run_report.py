"""The end of a run: its account, its message, its lease; the same when a task is retried."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pydantic import ValidationError

from ingestion.control import handler as handler_module
from ingestion.control import report
from ingestion.control.model import Environment, Finish, error_text
from ingestion.run_part import Decision, Part, TableReport

TABLES = ("silver.service_requests", "gold.case_delays")
VARIABLES = {
    "LEASE_TABLE": "leases",
    "BRONZE_BUCKET": "bronze",
    "SOURCE": "boston311",
    "TABLES": json.dumps(TABLES),
    "GLUE_JOBS": "[]",
    "CLUSTER": "cluster",
}
END = datetime(2026, 11, 21, 0, 2, 0, 500_000, tzinfo=UTC)
FINISH: dict[str, Any] = {
    "op": "finish",
    "source": "boston311",
    "run_id": "run-1",
    "execution_arn": "arn:run-1",
    "outcome": "succeeded",
    "started_at": "2026-11-21T00:00:00.000Z",
    "error": None,
    "ingest": None,
}
SILVER = Part.model_validate(
    {
        "step": "silver",
        "refused": [{"object": "b.csv.gz", "rule": "over, the contract allows 1 %"}],
        "tables": [{"table": TABLES[0], "read": 10, "written": 7, "unchanged": 2, "quarantined": 1, "version": 4}],
    }
)


def finish(**changes: Any) -> Finish:
    return Finish.model_validate({**FINISH, **changes})


def build(event: Finish, *parts: Part) -> Any:
    return report.build(event, parts=parts, tables=TABLES, ended_at=END)


def test_every_table_appears_with_zeros_when_untouched() -> None:
    tables = {t.table: t for t in build(finish(), SILVER).tables}
    assert tables[TABLES[0]].written == 7
    assert tables[TABLES[1]] == TableReport(table=TABLES[1])
    assert list(tables) == list(TABLES)


def test_a_table_told_by_two_parts_is_added_up_and_shows_its_last_version() -> None:
    more = SILVER.model_copy(update={"tables": [TableReport(table=TABLES[0], read=5, written=5, version=6)]})
    table = build(finish(), SILVER, more).tables[0]
    assert (table.read, table.written, table.version) == (15, 12, 6)


def test_refusals_of_ingestion_and_of_jobs_stand_together() -> None:
    ingest = [
        {"resource_id": "a", "outcome": "refused", "object": "a.csv", "rule": "block_page"},
        {"resource_id": "c", "outcome": "changed", "object": "c.csv.gz", "rule": None},
    ]
    refused = build(finish(ingest={"fetched": ingest}), SILVER).refused
    assert [(r.object, r.rule) for r in refused] == [("a.csv", "block_page"), ("b.csv.gz", "over, the contract allows 1 %")]


def test_a_resource_that_left_the_package_is_told_and_so_is_what_jobs_decided() -> None:
    silver = SILVER.model_copy(update={"decisions": [Decision(object="c.csv", decision="boston: 58 due times at 16:30")]})
    made = build(finish(ingest={"missing": ["gone.csv"], "fetched": []}), silver)
    assert [(d.object, d.decision) for d in made.decisions] == [
        ("gone.csv", "no longer in the package; its rows stay"),
        ("c.csv", "boston: 58 due times at 16:30"),
    ]
    assert "c.csv: boston: 58 due times at 16:30" in report.message(made)
    assert made.tables == build(finish(), SILVER).tables  # nothing is withdrawn for it


def test_of_many_decisions_the_message_tells_the_first_and_how_many_there_are_more() -> None:
    text = report.message(build(finish(ingest={"missing": [f"{n}.csv" for n in range(25)]})))
    assert "19.csv" in text
    assert "20.csv" not in text
    assert "and 5 more" in text


def test_a_resource_that_could_not_be_had_is_refused_with_the_portals_words() -> None:
    cause = json.dumps({"errorMessage": "no answer from data.boston.gov: Timeout", "stackTrace": ["x"]})
    caught = {"Error": "PortalUnavailable", "Cause": cause}
    ingest = [{"resource_id": "a", "outcome": "refused", "object": "a", "rule": "unavailable", "error": caught}]
    (refused,) = build(finish(ingest={"fetched": ingest})).refused
    assert refused.rule == "unavailable: PortalUnavailable: no answer from data.boston.gov: Timeout"


def test_times_are_written_as_athena_reads_them() -> None:
    made = build(finish(started_at="2026-11-20T19:00:00.250-05:00"))
    assert (made.started_at, made.ended_at, made.seconds) == ("2026-11-21 00:00:00.250", "2026-11-21 00:02:00.500", 120.25)


@pytest.mark.parametrize(
    ("caught", "text"),
    [
        (None, ""),
        ("plain", "plain"),
        ({"Error": "OriginMismatch", "Cause": json.dumps({"errorMessage": "wipe", "stackTrace": ["x"]})}, "OriginMismatch: wipe"),
        ({"Error": "States.TaskFailed", "Cause": json.dumps({"ErrorMessage": "no disk"})}, "no disk"),
        (
            {"Error": "E", "Cause": json.dumps({"Step": {"Status": {"FailureDetails": {"Reason": "R", "Message": "m"}}}})},
            "E: m",
        ),
        ({"Error": "E", "Cause": "not json"}, "E: not json"),
        ({"Error": "E", "Cause": json.dumps({"Step": None})}, 'E: {"Step": null}'),
        ({"Error": "States.Timeout"}, "States.Timeout"),
    ],
)
def test_an_error_reads_as_a_sentence(caught: object, text: str) -> None:
    assert error_text(caught) == text


def test_the_message_says_what_happened_where_and_what_to_do_next() -> None:
    made = build(finish(outcome="failed", error={"Error": "E", "Cause": "boom"}), SILVER)
    text = report.message(made)
    for wanted in (
        "run-1",
        "boston311 failed",
        "E: boom",
        "b.csv.gz: over, the contract allows 1 %",
        "lake logs run-1",
        "--accept run-1",
    ):
        assert wanted in text
    assert report.subject(made) == "boston311 failed, 1 refused: run run-1"


def test_a_subject_never_exceeds_what_sns_takes() -> None:
    assert len(report.subject(build(finish(run_id="r" * 200)))) == 100


@pytest.mark.parametrize("missing", VARIABLES)
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        Environment.of({name: value for name, value in VARIABLES.items() if name != missing})


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in {**VARIABLES, "AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t"}.items():
        monkeypatch.setenv(name, value)
    handler_module._environment.cache_clear()
    with mock_aws():
        clients = {name: boto3.client(name, region_name="us-east-1") for name in ("s3", "dynamodb", "stepfunctions", "glue", "emr")}
        monkeypatch.setattr(handler_module.aws, "client", clients.__getitem__)
        clients["s3"].create_bucket(Bucket="bronze")
        clients["dynamodb"].create_table(
            TableName="leases",
            KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield clients


def begin(run: str) -> Any:
    arn = f"arn:aws:states:us-east-1:123456789012:execution:m:{run}"
    return handler_module.handler({"op": "begin", "source": "boston311", "run_id": run, "execution_arn": arn}, None)


def test_a_run_from_begin_to_its_one_line_report(cloud: dict[str, Any]) -> None:
    lease = begin("run-1")
    cloud["s3"].put_object(Bucket="bronze", Key="run_parts/run-1/silver.json", Body=SILVER.model_dump_json())
    cloud["s3"].put_object(Bucket="bronze", Key="run_parts/run-10/silver.json", Body=SILVER.model_dump_json())
    ended = handler_module.handler({**FINISH, "execution_arn": lease["execution_arn"]}, None)
    body = cloud["s3"].get_object(Bucket="bronze", Key="runs/run-1.json")["Body"].read().decode()
    assert body.endswith("}\n")
    assert body.count("\n") == 1
    assert json.loads(body) == ended["report"]
    assert ended["report"]["tables"][0]["read"] == 10
    assert "Item" not in cloud["dynamodb"].get_item(TableName="leases", Key={"source": {"S": "boston311"}})


def test_a_retried_finish_gives_the_same_report(cloud: dict[str, Any]) -> None:
    begin("run-1")
    first = handler_module.handler(FINISH, None)
    assert handler_module.handler(FINISH, None) == first


def test_a_run_that_fails_after_its_report_is_reported_as_failed(cloud: dict[str, Any]) -> None:
    handler_module.handler(FINISH, None)
    handler_module.handler({**FINISH, "outcome": "failed", "error": "boom"}, None)
    stored = json.loads(cloud["s3"].get_object(Bucket="bronze", Key="runs/run-1.json")["Body"].read())
    assert (stored["outcome"], stored["error"]) == ("failed", "boom")


def test_finish_does_not_release_what_another_run_has_taken_over(cloud: dict[str, Any]) -> None:
    begin("run-1")
    taken = begin("run-2")  # run-1's execution does not exist
    handler_module.handler(FINISH, None)
    item = cloud["dynamodb"].get_item(TableName="leases", Key={"source": {"S": "boston311"}})["Item"]
    assert item["execution_arn"]["S"] == taken["execution_arn"]


def test_a_function_serves_one_source_alone(cloud: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wind"):
        handler_module.handler({**FINISH, "source": "wind"}, None)
