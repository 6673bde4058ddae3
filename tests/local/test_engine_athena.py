"""The Athena engine through its API: Delta and files, the caller's rights, limits, cancelling, result files, Step Functions."""

import gzip
import json
import signal
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from engine_cloud import Cloud, allow, case_rows, cloud, reading

__all__ = ["cloud"]
ROWS = 2000
SLOW = "SELECT count(*) FROM UNNEST(sequence(1, 300000)) AS a(x), UNNEST(sequence(1, 300000)) AS b(y) WHERE x * y % 7 = 3"


@pytest.fixture(scope="module", autouse=True)
def lake(cloud: Cloud) -> None:
    for name in ("at-bronze", "at-silver", "at-gold", "at-results"):
        cloud.bucket(name)
    glue, s3 = cloud.client("glue"), cloud.client("s3")
    for layer in ("bronze", "silver", "gold"):
        glue.create_database(DatabaseInput={"Name": layer})
    cloud.delta("s3://at-gold/case_delays", case_rows(ROWS), partition_by=["opened_year"])
    cloud.delta("s3://at-gold/case_delays", case_rows(ROWS), partition_by=["opened_year"], mode="overwrite")
    cloud.delta_table("gold", "case_delays", "s3://at-gold/case_delays/")
    cloud.delta("s3://at-silver/service_requests", case_rows(10))
    cloud.delta_table("silver", "service_requests", "s3://at-silver/service_requests/")
    for run in ("a", "b"):
        line = {
            "run_id": run,
            "seconds": 1.5,
            "tables": [{"table": "gold.case_delays", "read": 3}],
            "ended_at": "2026-01-01 00:00:00",
        }
        s3.put_object(Bucket="at-bronze", Key=f"runs/{run}.json", Body=json.dumps(line).encode() + b"\n")
    columns = ["run_id:string", "tables:array<struct<table:string,read:bigint>>", "ended_at:timestamp", "missing:string"]
    _table(glue, "runs", "s3://at-bronze/runs/", "org.openx.data.jsonserde.JsonSerDe", columns)
    s3.put_object(Bucket="at-bronze", Key="text/day=1/a.csv.gz", Body=gzip.compress(b'n,name\n1,"x,y"\n2,\n'))
    s3.put_object(Bucket="at-bronze", Key="text/day=2/a.csv", Body=b"n,name\n3,z\n")
    serde = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
    _table(glue, "text", "s3://at-bronze/text/", serde, ["n:int", "name:string"], ["day:int"], {"skip.header.line.count": "1"})
    for day in ("1", "2"):
        place = {"Location": f"s3://at-bronze/text/day={day}/"}
        glue.create_partition(DatabaseName="bronze", TableName="text", PartitionInput={"Values": [day], "StorageDescriptor": place})
    results = allow("s3:PutObject", "s3:GetObject", on=("arn:aws:s3:::at-results/*",))
    cloud.role("at-analyst", allow("athena:*", "glue:Get*"), reading("at-gold"), results)
    cloud.role("at-outsider", allow("athena:*", "glue:Get*"), reading("at-gold"))
    cloud.role("at-blind", allow("athena:*"), reading("at-gold"), results)
    settings = {"EnforceWorkGroupConfiguration": True, "ResultConfiguration": {"OutputLocation": "s3://at-results/analysts/"}}
    cloud.client("athena").create_work_group(Name="analysts", Configuration={**settings, "BytesScannedCutoffPerQuery": 10_000_000})


def _table(glue: Any, name: str, location: str, serde: str, columns: list[str], keys: Any = (), parameters: Any = None) -> None:
    described = [[dict(zip(("Name", "Type"), c.split(":", 1), strict=True)) for c in part] for part in (columns, keys)]
    storage = {"Location": location, "Columns": described[0], "SerdeInfo": {"SerializationLibrary": serde}}
    wanted = {"Name": name, "StorageDescriptor": storage, "PartitionKeys": described[1], "Parameters": parameters or {}}
    glue.create_table(DatabaseName="bronze", TableInput=wanted)


def finished(athena: Any, sql: str, **more: Any) -> dict[str, Any]:
    started = athena.start_query_execution(QueryString=sql, **{"WorkGroup": "analysts", **more})
    return waited(athena, started["QueryExecutionId"])


def waited(athena: Any, execution_id: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        execution: dict[str, Any] = athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
        if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
            return execution
        time.sleep(0.02)
    raise AssertionError("the query did not end")


def ask(athena: Any, sql: str, **more: Any) -> list[list[str | None]]:
    execution = finished(athena, sql, **more)
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution["QueryExecutionId"])
    return [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]


def test_delta_after_an_overwrite_counts_current_rows_only(cloud: Cloud) -> None:
    sql = "SELECT neighborhood, count(*) AS n, approx_percentile(delay_days, 0.5) AS m FROM gold.case_delays GROUP BY 1 ORDER BY 1"
    rows = ask(cloud.client("athena", "at-analyst"), sql)
    assert rows[0] == ["neighborhood", "n", "m"]
    assert sum(int(row[1] or 0) for row in rows[1:]) == ROWS
    assert rows[-1][0] is None


def test_delta_timestamps_are_utc_without_zone_and_columns_come_from_the_log(cloud: Cloud) -> None:
    athena = cloud.client("athena", "at-analyst")
    execution = finished(
        athena, "SELECT opened_at, opened_year FROM case_delays ORDER BY 1 LIMIT 1", QueryExecutionContext={"Database": "gold"}
    )
    result = athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]
    assert [c["VarCharValue"] for c in result["Rows"][1]["Data"]] == ["2011-07-01 04:00:00.000", "2011"]
    kinds = [(c["Name"], c["Type"], c["Precision"]) for c in result["ResultSetMetadata"]["ColumnInfo"]]
    assert kinds == [("opened_at", "timestamp", 3), ("opened_year", "integer", 10)]


def test_json_lines_with_nested_types(cloud: Cloud) -> None:
    rows = ask(cloud.client("athena"), "SELECT run_id, tables[1].read, tables, ended_at, missing FROM bronze.runs ORDER BY 1")
    assert rows[1:] == [[run, "3", "[{table=gold.case_delays, read=3}]", "2026-01-01 00:00:00.000", None] for run in ("a", "b")]


def test_partitioned_csv_reads_the_asked_partition_only(cloud: Cloud) -> None:
    athena = cloud.client("athena")
    assert ask(athena, "SELECT * FROM bronze.text ORDER BY n")[1:] == [["1", "x,y", "1"], ["2", "", "1"], ["3", "z", "2"]]
    execution = finished(athena, "SELECT sum(n) FROM bronze.text WHERE day = 2")
    assert execution["Statistics"]["DataScannedInBytes"] == len(b"n,name\n3,z\n")
    assert ask(athena, "SHOW PARTITIONS bronze.text") == [["day=1"], ["day=2"]]


def test_who_may_not_read_the_layer_is_denied(cloud: Cloud) -> None:
    status = finished(cloud.client("athena", "at-analyst"), "SELECT * FROM silver.service_requests")["Status"]
    assert status["State"] == "FAILED"
    assert "AccessDenied" in status["StateChangeReason"]
    assert "s3://at-silver/service_requests" in status["StateChangeReason"]
    assert ask(cloud.client("athena"), "SELECT count(*) FROM silver.service_requests")[1] == ["10"]


def test_who_may_not_see_the_catalogue_is_denied(cloud: Cloud) -> None:
    status = finished(cloud.client("athena", "at-blind"), "SELECT * FROM gold.case_delays")["Status"]
    assert status["State"] == "FAILED"
    assert "glue:GetTable" in status["StateChangeReason"]


def test_results_are_written_and_read_with_the_callers_rights(cloud: Cloud) -> None:
    outsider = cloud.client("athena", "at-outsider")
    status = finished(outsider, "SELECT 1")["Status"]
    assert status["State"] == "FAILED"
    assert "s3:PutObject" in status["StateChangeReason"]
    execution = finished(cloud.client("athena", "at-analyst"), "SELECT 1")
    with pytest.raises(ClientError, match="results"):
        outsider.get_query_results(QueryExecutionId=execution["QueryExecutionId"])


def test_result_file_is_athenas(cloud: Cloud) -> None:
    athena = cloud.client("athena", "at-analyst")
    sql = "SELECT 'a\"b,c' AS t, NULL AS n, '' AS e, 1.5e0 * 2, ARRAY[1]"
    execution = finished(athena, sql, ResultConfiguration={"OutputLocation": "s3://at-gold/elsewhere/"})
    location = f"s3://at-results/analysts/{execution['QueryExecutionId']}.csv"
    assert execution["ResultConfiguration"]["OutputLocation"] == location
    body = cloud.client("s3").get_object(Bucket="at-results", Key=location.removeprefix("s3://at-results/"))["Body"].read().decode()
    assert body == '"t","n","e","_col3","_col4"\n"a""b,c",,"","3.0","[1]"\n'
    assert ask(athena, sql)[1] == ['a"b,c', None, "", "3.0", "[1]"]


def test_many_rows_come_in_pages(cloud: Cloud) -> None:
    rows = ask(cloud.client("athena", "at-analyst"), "SELECT case_id FROM gold.case_delays ORDER BY 1")
    assert len(rows) == ROWS + 1
    assert rows[-1] == [f"c{ROWS - 1:06d}"]


def test_scan_limit_cancels_the_query(cloud: Cloud) -> None:
    s3, athena = cloud.client("s3"), cloud.client("athena")
    s3.put_object(Bucket="at-bronze", Key="big/a.csv", Body=b"xxxxxxxxxx\n" * 1_000_000)
    _table(cloud.client("glue"), "big", "s3://at-bronze/big/", "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", ["x:string"])
    execution = finished(athena, "SELECT max(length(x)) FROM bronze.big")
    assert execution["Status"]["State"] == "CANCELLED"
    assert "Bytes scanned limit was exceeded" in execution["Status"]["StateChangeReason"]
    free = {"WorkGroup": "primary", "ResultConfiguration": {"OutputLocation": "s3://at-results/free/"}}
    execution = finished(athena, "SELECT max(length(x)) FROM bronze.big", **free)
    assert execution["Status"]["State"] == "SUCCEEDED"
    assert execution["Statistics"]["DataScannedInBytes"] == 11_000_000


def test_stopped_query_ends_soon(cloud: Cloud) -> None:
    athena = cloud.client("athena", "at-analyst")
    execution_id = athena.start_query_execution(QueryString=SLOW, WorkGroup="analysts")["QueryExecutionId"]
    time.sleep(1.0)
    athena.stop_query_execution(QueryExecutionId=execution_id)
    assert waited(athena, execution_id)["Status"]["State"] == "CANCELLED"
    assert ask(athena, "SELECT 1")[1] == ["1"]


def test_callers_at_the_same_time_keep_their_own_rights(cloud: Cloud) -> None:
    analyst, root = cloud.client("athena", "at-analyst"), cloud.client("athena")
    sql = "SELECT count(*), max(case_id) FROM silver.service_requests"
    started = [
        (who, who.start_query_execution(QueryString=sql, WorkGroup="analysts")["QueryExecutionId"]) for who in (analyst, root) * 6
    ]
    states = [waited(who, execution_id)["Status"]["State"] for who, execution_id in started]
    assert states == ["FAILED", "SUCCEEDED"] * 6


def test_errors_name_line_and_column(cloud: Cloud) -> None:
    athena = cloud.client("athena", "at-analyst")
    for sql, reason in (
        ("SELECT * FROM gold.nope", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.gold.nope' does not exist"),
        ("SELECT * FROM nope.nope", "SCHEMA_NOT_FOUND: line 1:15: Schema 'nope' does not exist"),
        ("SELECT\n delay FROM gold.case_delays", "COLUMN_NOT_FOUND: line 2:2: Column 'delay'"),
        ("SELECT quantile(1)", "FUNCTION_NOT_FOUND: line 1:8: Function 'quantile' not registered"),
        ("CREATE TABLE x AS SELECT 1", "NOT_SUPPORTED"),
        ("SELEC 1", "SYNTAX_ERROR: line 1:"),
    ):
        status = finished(athena, sql)["Status"]
        assert status["State"] == "FAILED"
        assert reason in status["StateChangeReason"]


def test_catalogue_statements(cloud: Cloud) -> None:
    athena = cloud.client("athena", "at-analyst")
    assert ask(athena, "SHOW DATABASES") == [["bronze"], ["gold"], ["silver"]]
    assert ask(athena, "SHOW TABLES IN gold") == [["case_delays"]]
    assert ask(athena, "DESCRIBE bronze.text")[:2] == [["n", "int", ""], ["name", "string", ""]]
    assert ["LOCATION"] in ask(athena, "SHOW CREATE TABLE gold.case_delays")
    assert ask(athena, "SHOW COLUMNS IN bronze.runs")[0] == ["run_id"]
    sql = "SELECT data_type FROM information_schema.columns WHERE table_schema = 'bronze' AND column_name = 'tables'"
    assert ask(athena, sql)[1:] == [["array(row(table varchar, read bigint))"]]


def test_step_functions_start_and_wait(cloud: Cloud) -> None:
    results = allow("s3:PutObject", "s3:GetObject", on=("arn:aws:s3:::at-results/*",))
    role = cloud.role("at-machine", allow("athena:*", "glue:Get*"), reading("at-gold"), results, service="states.amazonaws.com")
    states = cloud.client("stepfunctions")
    outcomes = {}
    for table in ("gold.case_delays", "silver.service_requests"):
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::athena:startQueryExecution.sync",
            "Parameters": {"QueryString": f"SELECT count(*) FROM {table}", "WorkGroup": "analysts"},
            "End": True,
        }
        machine = states.create_state_machine(
            name=table.replace(".", "-"), roleArn=role, definition=json.dumps({"StartAt": "Ask", "States": {"Ask": task}})
        )
        execution = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        while (found := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.1)
        outcomes[table] = found
    good, bad = outcomes.values()
    assert good["status"] == "SUCCEEDED", good
    assert json.loads(good["output"])["QueryExecution"]["Status"]["State"] == "SUCCEEDED"
    assert bad["status"] == "FAILED"
    assert "AccessDenied" in bad["cause"]


def test_history_survives_a_kill(cloud: Cloud) -> None:
    athena = cloud.client("athena", "at-analyst")
    done = finished(athena, "SELECT 42 AS answer")["QueryExecutionId"]
    running = athena.start_query_execution(QueryString=SLOW, WorkGroup="analysts")["QueryExecutionId"]
    time.sleep(4.0)  # longer than the daemon takes to write ministack's own state
    cloud.stop(signal.SIGKILL)
    cloud.start()
    root = cloud.client("athena")
    rows = root.get_query_results(QueryExecutionId=done)["ResultSet"]["Rows"]
    assert rows[1]["Data"] == [{"VarCharValue": "42"}]
    assert root.get_query_execution(QueryExecutionId=running)["QueryExecution"]["Status"]["State"] == "FAILED"
    assert done in root.list_query_executions(WorkGroup="analysts")["QueryExecutionIds"]
