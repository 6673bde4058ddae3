"""For the first person who deploys: does a deployed environment do on AWS what the laptop shows?

    make deploy ENV=dev
    TRIBUTARY_AWS_ENV=dev .venv/bin/pytest tests/aws -m aws -p no:randomly -x -s

Signed in as somebody who may start the state machine, read reports and logs, and take the groups' roles. The first run reads the
whole portal and takes its time; it costs one small Glue run and one EMR cluster each time.
"""

import json
import os
import subprocess
import sys
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from lake.settings import load

ENV = os.environ.get("TRIBUTARY_AWS_ENV", "")
RUN_SECONDS = 4 * 3600

pytestmark = [
    pytest.mark.aws,
    pytest.mark.skipif(not ENV, reason="TRIBUTARY_AWS_ENV names no deployed environment"),
    pytest.mark.timeout(RUN_SECONDS + 60),
]


def lake(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", "--env", ENV, *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_ENDPOINT_URL")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=RUN_SECONDS, check=False)


def answer(*arguments: str) -> Any:
    done = lake(*arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", autouse=True)
def identity() -> dict[str, str]:
    """Who asks; the environment's stacks must be deployed in that account."""
    settings = load(ENV)
    assert settings.laptop is None, f"{ENV} is a laptop cloud"
    try:
        caller: dict[str, str] = boto3.client("sts", region_name=settings.region).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        pytest.fail(f"not signed in to AWS: {error}")
    names = settings.names(account=caller["Account"])
    cloudformation = boto3.client("cloudformation", region_name=settings.region)
    for stack in ("foundation", "boston311", "access"):
        status = cloudformation.describe_stacks(StackName=names.stack(stack))["Stacks"][0]["StackStatus"]
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), f"{stack} is {status}"
    return caller


@pytest.fixture(scope="module")
def first() -> dict[str, Any]:
    report: dict[str, Any] = answer("run", "boston311")
    return report


def test_a_run_succeeds_and_its_account_closes(first: dict[str, Any]) -> None:
    assert first["outcome"] == "succeeded", first["error"]
    assert [table["table"] for table in first["tables"]] == ["silver.service_requests", "gold.case_delays"]
    for table in first["tables"]:
        told = table["written"] + table["unchanged"] + table["superseded"] + table["quarantined"]
        assert table["read"] == told, table


def test_the_lake_holds_what_was_written(first: dict[str, Any]) -> None:
    (row,) = answer("query", "SELECT count(*) AS requests, count(DISTINCT case_id) AS cases FROM silver.service_requests")
    assert row["requests"] == row["cases"] > 0
    (late,) = answer("query", "SELECT count(*) AS late FROM gold.case_delays WHERE delay_days > 0", "--workgroup", "analysts")
    assert 0 < late["late"] < row["requests"]


def test_analysts_cannot_read_silver(first: dict[str, Any]) -> None:
    refused = lake("query", "SELECT count(*) FROM silver.service_requests", "--workgroup", "analysts")
    assert refused.returncode == 1
    assert "not authorized" in refused.stderr or "AccessDenied" in refused.stderr or "Insufficient permissions" in refused.stderr


def test_the_log_of_every_engine_is_found(first: dict[str, Any]) -> None:
    for step in ("Begin", "Silver"):
        lines = lake("logs", first["run_id"], "--step", step).stdout.splitlines()
        assert len([line for line in lines if not line.startswith("===")]) > 0, f"{step} left no log"


def test_a_second_run_writes_nothing(first: dict[str, Any]) -> None:
    """Unless the portal published between the two runs: then look whether `read` says so, and run it again."""
    second = answer("run", "boston311")
    assert second["outcome"] == "succeeded", second["error"]
    assert [table["written"] for table in second["tables"]] == [0, 0], second
