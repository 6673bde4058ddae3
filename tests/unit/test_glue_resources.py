"""What Glue asks permission for."""

import pytest

from local.engines.permissions import glue_parents, glue_resource

GLUE = "arn:aws:glue:us-east-1:000000000000"


@pytest.mark.parametrize(
    ("action", "request_", "resource"),
    [
        ("StartCrawler", {"Name": "c"}, "crawler/c"),
        ("GetCrawlerMetrics", {}, None),
        ("StartJobRun", {"JobName": "j"}, "job/j"),
        ("GetJobRun", {"JobName": "j", "RunId": "jr_1"}, "job/j"),
        ("GetTable", {"DatabaseName": "d", "Name": "t"}, "table/d/t"),
        ("CreateTable", {"DatabaseName": "d", "TableInput": {"Name": "t"}}, "table/d/t"),
        ("GetPartitions", {"DatabaseName": "d", "TableName": "t"}, "table/d/t"),
        ("GetDatabase", {"Name": "d"}, "database/d"),
    ],
)
def test_the_most_specific_resource(action: str, request_: dict[str, str], resource: str | None) -> None:
    assert glue_resource(action, request_) == (f"{GLUE}:{resource}" if resource else "*")


def test_a_table_needs_its_database_and_the_catalog_too() -> None:
    assert set(glue_parents(f"{GLUE}:table/d/t")) == {f"{GLUE}:catalog", f"{GLUE}:database/d", f"{GLUE}:table/d/t"}
