"""The crawler engine: what it registers, with whose rights, its states, and what the schema change policy makes of changes."""

import time
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from engine_cloud import Cloud, allow, case_rows, cloud, reading

__all__ = ["cloud"]
GLUE = "glue.amazonaws.com"


@pytest.fixture(scope="module", autouse=True)
def lake(cloud: Cloud) -> None:
    for name in ("cr-bronze", "cr-silver", "cr-gold"):
        cloud.bucket(name)
    cloud.client("glue").create_database(DatabaseInput={"Name": "crawled"})
    cloud.role("cr-crawler", allow("glue:*"), reading("cr-gold", "cr-bronze"), service=GLUE)
    cloud.role("cr-reader", allow("glue:Get*"), reading("cr-gold"), service=GLUE)
    cloud.role("cr-stranger", allow("glue:*"))
    cloud.delta("s3://cr-gold/Case-Delays", case_rows(10), partition_by=["opened_year"])
    cloud.delta("s3://cr-silver/secret", case_rows(10))


def crawl(
    cloud: Cloud, name: str, targets: dict[str, Any], *, role: str = "cr-crawler", **more: Any
) -> tuple[list[str], dict[str, Any]]:
    """The states that were seen, and LastCrawl."""
    glue = cloud.client("glue")
    try:
        glue.create_crawler(
            Name=name, Role=f"arn:aws:iam::000000000000:role/{role}", DatabaseName="crawled", Targets=targets, **more
        )
    except glue.exceptions.AlreadyExistsException:
        glue.update_crawler(Name=name, Targets=targets, **more)
    glue.start_crawler(Name=name)
    states = []
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = glue.get_crawler(Name=name)["Crawler"]
        if not states or states[-1] != found["State"]:
            states.append(found["State"])
        if found["State"] == "READY":
            return states, found["LastCrawl"]
        time.sleep(0.005)
    raise AssertionError("the crawler did not end")


def delta(*paths: str) -> dict[str, Any]:
    return {"DeltaTargets": [{"DeltaTables": list(paths), "CreateNativeDeltaTable": True, "WriteManifest": False}]}


def table(cloud: Cloud, name: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.client("glue").get_table(DatabaseName="crawled", Name=name)["Table"]
    return found


def columns(entry: dict[str, Any]) -> dict[str, str]:
    return {c["Name"]: c["Type"] for c in entry["StorageDescriptor"]["Columns"]}


def test_native_delta_table(cloud: Cloud) -> None:
    states, last = crawl(cloud, "delta", delta("s3://cr-gold/Case-Delays/"), TablePrefix="gold_")
    assert states[0] == "RUNNING"
    assert states[-1] == "READY"
    assert last["Status"] == "SUCCEEDED"
    entry = table(cloud, "gold_case_delays")
    assert columns(entry) == {"case_id": "string", "opened_at": "timestamp", "delay_days": "double", "neighborhood": "string"}
    assert [(k["Name"], k["Type"]) for k in entry["PartitionKeys"]] == [("opened_year", "int")]
    assert entry["StorageDescriptor"]["Location"] == "s3://cr-gold/Case-Delays/"
    expected = {"table_type": "DELTA", "classification": "delta", "spark.sql.sources.provider": "delta"}
    assert expected.items() <= entry["Parameters"].items()


def test_nested_types_are_glues(cloud: Cloud) -> None:
    entry = pa.struct([("object", pa.string()), ("rule", pa.decimal128(10, 2))])
    rows = pa.table({"refused": pa.array([[{"object": "a", "rule": None}]], pa.list_(entry)), "n": pa.array([1], pa.int16())})
    cloud.delta("s3://cr-gold/nested", rows)
    crawl(cloud, "nested", delta("s3://cr-gold/nested"))
    assert columns(table(cloud, "nested")) == {"refused": "array<struct<object:string,rule:decimal(10,2)>>", "n": "smallint"}


def test_role_without_rights_to_the_data_fails(cloud: Cloud) -> None:
    _, last = crawl(cloud, "denied", delta("s3://cr-silver/secret"))
    assert last["Status"] == "FAILED"
    assert "AccessDenied" in last["ErrorMessage"]
    assert "s3:" in last["ErrorMessage"]


def test_role_without_rights_to_the_catalogue_fails(cloud: Cloud) -> None:
    _, last = crawl(cloud, "reader", delta("s3://cr-gold/Case-Delays"), role="cr-reader", TablePrefix="never_")
    assert last["Status"] == "FAILED"
    assert "glue:CreateTable" in last["ErrorMessage"]


def test_role_that_glue_may_not_take_is_refused(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="assume"):
        crawl(cloud, "stranger", delta("s3://cr-gold/Case-Delays"), role="cr-stranger")


def test_target_without_delta_log_fails(cloud: Cloud) -> None:
    _, last = crawl(cloud, "nothing", delta("s3://cr-gold/nothing"))
    assert last["Status"] == "FAILED"
    assert "not a Delta table" in last["ErrorMessage"]


def test_files_are_told_by_content_and_folders(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    for key, body in (
        ("wind/year=2026/month=01/a", b'{"turbine":"t1","power":1.5,"at":"2026-01-01T00:00:00Z","tags":[{"k":"a"}]}\n'),
        ("wind/year=2026/month=02/a", b'{"turbine":"t2","power":2.5,"at":"2026-02-01T00:00:00Z","tags":[]}\n'),
        ("plain/a.csv", b"ID,some name\n1,x\n2,y\n"),
        ("quoted/a.csv", b'id,name\n1,"x,y"\n'),
        ("quoted/_SUCCESS", b"x"),
        ("skipped/a.csv", b"a,b\n1,2\n"),
    ):
        s3.put_object(Bucket="cr-bronze", Key=f"files/{key}", Body=body)
    _, last = crawl(cloud, "files", {"S3Targets": [{"Path": "s3://cr-bronze/files/", "Exclusions": ["skipped/**"]}]})
    assert last["Status"] == "SUCCEEDED"
    wind, plain, quoted = (table(cloud, name) for name in ("wind", "plain", "quoted"))
    assert columns(wind) == {"turbine": "string", "power": "double", "at": "string", "tags": "array<struct<k:string>>"}
    assert [k["Name"] for k in wind["PartitionKeys"]] == ["year", "month"]
    assert columns(plain) == {"id": "bigint", "some_name": "string"}
    assert plain["Parameters"]["skip.header.line.count"] == "1"
    assert quoted["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].endswith("OpenCSVSerde")
    partitions = cloud.client("glue").get_partitions(DatabaseName="crawled", TableName="wind")["Partitions"]
    assert sorted(p["Values"] for p in partitions) == [["2026", "01"], ["2026", "02"]]
    with pytest.raises(ClientError, match="EntityNotFound"):
        table(cloud, "skipped")


@pytest.mark.parametrize(("behaviour", "expected"), [("UPDATE_IN_DATABASE", True), ("LOG", False)])
def test_schema_change_policy(cloud: Cloud, behaviour: str, expected: bool) -> None:
    place, name = f"s3://cr-gold/changing_{behaviour.lower()}", f"changing_{behaviour.lower()}"
    policy = {"UpdateBehavior": behaviour, "DeleteBehavior": "LOG"}
    cloud.delta(place, pa.table({"a": [1]}))
    crawl(cloud, name, delta(place), SchemaChangePolicy=policy)
    cloud.delta(place, pa.table({"a": [2], "b": ["x"]}), mode="append", schema_mode="merge")
    crawl(cloud, name, delta(place), SchemaChangePolicy=policy)
    assert ("b" in columns(table(cloud, name))) is expected


def test_tables_whose_data_is_gone(cloud: Cloud) -> None:
    cloud.delta("s3://cr-gold/going", pa.table({"a": [1]}))
    cloud.delta("s3://cr-gold/staying", pa.table({"a": [1]}))
    policy = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"}
    crawl(cloud, "going", delta("s3://cr-gold/going", "s3://cr-gold/staying"), SchemaChangePolicy=policy)
    crawl(cloud, "going", delta("s3://cr-gold/staying"), SchemaChangePolicy=policy)
    assert table(cloud, "staying")
    with pytest.raises(ClientError, match="EntityNotFound"):
        table(cloud, "going")


def test_running_crawler_cannot_be_started_again_and_can_be_stopped(cloud: Cloud) -> None:
    glue = cloud.client("glue")
    many = [f"s3://cr-gold/Case-Delays{'/' * i}" for i in range(1, 60)]
    glue.create_crawler(Name="long", Role="arn:aws:iam::000000000000:role/cr-crawler", DatabaseName="crawled", Targets=delta(*many))
    glue.start_crawler(Name="long")
    with pytest.raises(ClientError, match="already started"):
        glue.start_crawler(Name="long")
    glue.stop_crawler(Name="long")
    while glue.get_crawler(Name="long")["Crawler"]["State"] != "READY":
        time.sleep(0.05)
    assert glue.get_crawler(Name="long")["Crawler"]["LastCrawl"]["Status"] == "CANCELLED"
    with pytest.raises(ClientError, match="isn't running"):
        glue.stop_crawler(Name="long")
