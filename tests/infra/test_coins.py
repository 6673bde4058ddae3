"""The coins: a private database, its replication, and a machine that waits for what replication delivers."""

import calendar
import json
import math
from typing import Any

import pytest
from synthesis import ACCOUNT, REGION, Assembly, Template

from lake.names import CHANGE_SEQUENCE, COMMITTED_AT, replicated_prefix
from lake.odcs import load_all
from lake.settings import load

DMS = f"arn:aws:dms:{REGION}:{ACCOUNT}"


@pytest.fixture
def stack(every: Assembly) -> Template:
    return every.template("coins")


@pytest.fixture
def machine(stack: Template) -> dict[str, Any]:
    (found,) = stack.properties("AWS::StepFunctions::StateMachine")
    definition: dict[str, Any] = json.loads(found["DefinitionString"])
    return definition


def only(stack: Template, kind: str) -> dict[str, Any]:
    (found,) = stack.properties(kind)
    return found


def test_the_database_is_private_encrypted_and_speaks_tls_alone(stack: Template) -> None:
    database = only(stack, "AWS::RDS::DBInstance")
    assert (database["PubliclyAccessible"], database["StorageEncrypted"]) == (False, True)
    assert database["DBInstanceIdentifier"].endswith("-postgres")
    parameters = only(stack, "AWS::RDS::DBParameterGroup")
    assert parameters["Family"] == "postgres16"
    assert parameters["Parameters"]["rds.force_ssl"] == "1"
    assert parameters["Parameters"]["rds.logical_replication"] == "1"
    assert int(parameters["Parameters"]["max_slot_wal_keep_size"]) * 2 < int(database["AllocatedStorage"]) * 1024
    assert "{{resolve:secretsmanager:" in database["MasterUserPassword"]


def test_the_database_keeps_its_data_unless_both_keys_are_turned(assembly: Any, every: Assembly) -> None:
    (database,) = every.template("coins").of_type("AWS::RDS::DBInstance").values()
    assert (database["DeletionPolicy"], database["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    assert database["Properties"]["DeletionProtection"] is (every.env == "prod")
    (given_up,) = assembly("dev", destroy=True).template("coins").of_type("AWS::RDS::DBInstance").values()
    assert given_up["DeletionPolicy"] == "Delete"


def test_only_groups_are_let_into_the_database(stack: Template) -> None:
    into = stack.properties("AWS::EC2::SecurityGroupIngress")
    assert len(into) == 2  # functions, replication
    assert all(rule["FromPort"] == rule["ToPort"] == 5432 for rule in into)
    assert all("SourceSecurityGroupId" in rule and "CidrIp" not in rule for rule in into)
    assert all("SecurityGroupIngress" not in group for group in stack.properties("AWS::EC2::SecurityGroup"))


def test_only_what_needs_the_database_is_inside_the_network(stack: Template) -> None:
    inside = {
        function["FunctionName"].split("-", 2)[2]
        for function in stack.properties("AWS::Lambda::Function")
        if "VpcConfig" in function
    }
    assert inside == {"coins-load", "postgres-migrate", "postgres-rotate"}


def test_each_user_has_a_secret_of_its_own_that_is_rotated(stack: Template) -> None:
    secrets = {secret["Name"].split("-", 2)[2] for secret in stack.properties("AWS::SecretsManager::Secret")}
    assert secrets == {"coinmarketcap-key", "postgres-master", "postgres-loader", "postgres-replicator"}
    rotated = stack.properties("AWS::SecretsManager::RotationSchedule")
    assert len({rotation["SecretId"] for rotation in rotated}) == 3
    assert all(rotation["RotateImmediatelyOnUpdate"] is False for rotation in rotated)


def test_replication_writes_what_silver_needs(stack: Template) -> None:
    ends = {end["EndpointType"]: end for end in stack.properties("AWS::DMS::Endpoint")}
    target = ends["target"]["S3Settings"]
    assert f"{target['BucketFolder']}/" == replicated_prefix("coins")
    assert (target["DataFormat"], target["CompressionType"]) == ("parquet", "gzip")
    assert (target["IncludeOpForFullLoad"], target["TimestampColumnName"]) == (True, COMMITTED_AT)
    assert not target.get("CdcInsertsAndUpdates")  # it would drop deletes
    assert not target.get("CdcInsertsOnly")
    source = ends["source"]
    assert source["SslMode"] == "require"
    assert not {"Username", "Password", "ServerName"} & set(source)
    task = only(stack, "AWS::DMS::ReplicationTask")
    assert task["MigrationType"] == "full-load-and-cdc"
    rules = json.loads(task["TableMappings"])["rules"]
    assert [r["object-locator"]["table-name"] for r in rules] == ["tb_coins", "tb_coins"]
    assert (rules[1]["value"], rules[1]["expression"]) == (CHANGE_SEQUENCE, "$AR_H_CHANGE_SEQ")
    settings = json.loads(task["ReplicationTaskSettings"])
    assert settings["FullLoadSettings"]["TargetTablePrepMode"] == "DO_NOTHING"
    assert settings["ChangeProcessingDdlHandlingPolicy"]["HandleSourceTableTruncated"] is False


def test_replication_is_stopped_before_and_started_after_its_changes(stack: Template) -> None:
    (task_id,) = stack.of_type("AWS::DMS::ReplicationTask")
    ((stop_id, stop),) = stack.of_type("Custom::ReplicationStop").items()
    (start,) = stack.of_type("Custom::ReplicationStart").values()
    held = ("AWS::DMS::ReplicationTask", "AWS::DMS::Endpoint", "AWS::DMS::ReplicationInstance", "Custom::PostgresSchema")
    for changed in (resource for kind in held for resource in stack.of_type(kind).values()):
        assert stop_id in changed["DependsOn"]
    assert task_id in start["DependsOn"]
    arn = f"{DMS}:task:{only(stack, 'AWS::DMS::ReplicationTask')['ResourceIdentifier']}"
    assert stack.resolve(stop["Properties"])["TaskArn"] == stack.resolve(start["Properties"])["TaskArn"] == arn
    assert stop["Properties"]["Version"] == start["Properties"]["Version"]


def test_the_schema_is_made_before_anybody_uses_it(stack: Template) -> None:
    (schema,) = stack.of_type("Custom::PostgresSchema")
    (task,) = stack.of_type("AWS::DMS::ReplicationTask").values()
    functions = stack.of_type("AWS::Lambda::Function").values()
    (loader,) = [f for f in functions if f["Properties"]["FunctionName"].endswith("-coins-load")]
    (start,) = stack.of_type("Custom::ReplicationStart")
    assert schema in task["DependsOn"]
    assert start in loader["DependsOn"]
    properties = only(stack, "Custom::PostgresSchema")
    assert set(json.loads(properties["Contracts"])) == {"bronze.tb_coins"}


def test_the_machine_waits_for_delivery(machine: dict[str, Any]) -> None:
    (branch,) = machine["States"]["Ingest"]["Branches"]
    states = branch["States"]
    assert (branch["StartAt"], states["Fetch"]["Next"], states["Load"]["Next"]) == ("Fetch", "Load", "Coins missing?")
    assert states["Coins missing?"]["Choices"][0]["Next"] == "Ask"
    assert (states["Ask"]["Next"], states["Mark"]["Next"]) == ("Mark", "Rows to come")
    assert states["Rows to come"]["Parameters"] == {"rows.$": "States.MathAdd($.loaded.rows, $.marked.marked)"}
    assert states["Anything written?"]["Choices"][0]["Next"] == "Look"
    delivered = states["Delivered?"]
    assert (delivered["Choices"][0]["Next"], delivered["Default"]) == ("Answer", "Replicating")
    assert states["Replicating"]["Next"] == "Look"


def test_replication_that_is_late_or_failed_is_told(stack: Template) -> None:
    late = {alarm["MetricName"] for alarm in stack.properties("AWS::CloudWatch::Alarm") if alarm.get("Namespace") == "AWS/DMS"}
    assert late == {"CDCLatencySource", "CDCLatencyTarget"}
    patterns = [rule["EventPattern"] for rule in stack.properties("AWS::Events::Rule")]
    assert [p["detail"] for p in patterns if p["source"] == ["aws.dms"]] == [{"category": ["Failure"]}]
    (undone,) = [p for p in patterns if p["source"] == ["aws.cloudformation"]]
    assert undone["detail"]["status-details"] == {"status": ["UPDATE_ROLLBACK_COMPLETE"]}


def test_a_month_of_the_default_schedule_fits_the_basic_plan() -> None:
    coins = load("prod").coins
    hourly = coins.schedule.startswith("*:")
    runs = (24 if hourly else 1) * max(calendar.monthrange(2026, month)[1] for month in range(1, 13))
    assert math.ceil(coins.coins / 250) * runs == 14_880 < 15_000


def test_the_table_of_the_contract_has_the_coins_number_as_its_key() -> None:
    assert load_all()["bronze.tb_coins"].key == ("id",)


@pytest.mark.parametrize("change", [{"batch_seconds": 30}, {"instance_class": "dms.t3.medium"}, {"storage_gb": 50}])
def test_whatever_a_running_task_forbids_to_change_stops_it(tmp_path: Any, monkeypatch: Any, change: dict[str, Any]) -> None:
    from synthesis import synthesise

    import lake.settings as settings

    found = load("dev")
    changed = found.model_copy(update={"replication": found.replication.model_copy(update=change)})
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    before = synthesise(tmp_path / "before", env="dev")
    monkeypatch.setattr(settings, "load", lambda _env, **_keys: changed)
    after = synthesise(tmp_path / "after", env="dev")
    versions = [only(a.template("coins"), "Custom::ReplicationStop")["Version"] for a in (before, after)]
    assert versions[0] != versions[1]
