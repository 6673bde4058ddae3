"""What a run's report looks like to a person."""

from typing import Any

import pytest

from cli.output import COUNTS, report_table, resource_of
from lake.contracts import RELEASABLE

KEY = "boston311/resources/legacy/2011.csv/boston311-20261121T072056-65e4.csv.gz"


def report(**other: Any) -> dict[str, Any]:
    table = dict(zip(COUNTS, (104_917, 104_000, 490, 420, 7, 2), strict=True))
    empty: dict[str, Any] = {"error": "", "refused": [], "decisions": []}
    return (
        {"source": "boston311", "run_id": "r1", "outcome": "succeeded", "seconds": 1.25}
        | empty
        | {"tables": [{"table": "silver.service_requests", "version": None, **table}]}
        | other
    )


def lines(capsys: pytest.CaptureFixture[str], **other: Any) -> list[str]:
    report_table(report(**other))
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_account_reads_as_a_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys) == [
        "boston311 succeeded in 1.2 s (run r1)",
        "table read = written + unchanged + superseded + quarantined withdrawn version",
        "silver.service_requests 104,917 104,000 490 420 7 2 -",
    ]


def test_every_object_is_told_by_its_resource_with_what_was_decided_or_why_it_was_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = lines(
        capsys,
        decisions=[{"object": "[2011].csv", "decision": "Boston's wall clock: deadlines that fit 58"}],
        refused=[{"object": KEY, "rule": f"rule_x: 6 of 120 rows broke a rule, {RELEASABLE} 1.00%"}],
    )
    assert said[0] == "boston311 succeeded in 1.2 s, 1 refused (run r1)"
    assert said[3:] == [
        "",
        "decided",
        "[2011].csv Boston's wall clock: deadlines that fit 58",
        "",
        "refused",
        "legacy/2011.csv rule_x: 6 of 120 rows broke a rule, the contract allows 1.00%",
        "to publish the good rows all the same: lake run boston311 --accept r1",
    ]


def test_a_run_that_failed_before_it_read_anything_shows_no_empty_account(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = {"table": "silver.service_requests", "version": None, **dict.fromkeys(COUNTS, 0)}
    assert lines(capsys, outcome="failed", tables=[nothing]) == ["boston311 failed in 1.2 s (run r1)"]


@pytest.mark.parametrize(("key", "resource"), [(KEY, "legacy/2011.csv"), ("legacy/2011.csv", "legacy/2011.csv"), ("a", "a")])
def test_a_key_in_bronze_is_shown_as_its_resource(key: str, resource: str) -> None:
    assert resource_of(key) == resource
