"""Boston 311 rows, typed and judged by Spark: times, blanks, numbers, and the rule that a bad row is quarantined under."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F
from requests_csv import HEADER, Request, open_request, request, text

from glue_scripts.boston311_silver import NO_TARGET, WALL_CLOCK, ZONE, Boston311, plain, raw_rows, typed
from lake.contracts import Contract
from lake.spark.columns import instant, row_hash
from lake.spark.ledger import Input
from lake.spark.rules import judged, quarantine_rows, tallies

Judge = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def judge(spark: Any, contracts: dict[str, Contract], tmp_path: Path) -> Judge:
    """CSV text -> judged rows as dictionaries, in the file's order."""

    def judged_rows(csv_text: str) -> list[dict[str, Any]]:
        path = tmp_path / "rows.csv"
        path.write_text(csv_text, newline="")
        raw = raw_rows(spark, [plain(name) for name in HEADER], uri=str(path))
        rows = typed(raw, resource_id="r1", published_at="2026-01-01T00:00:00+00:00")
        return [row.asDict() for row in judged(rows, contracts["silver.service_requests"]).collect()]

    return judged_rows


def body(row: Request) -> str:
    """The line of one row."""
    return text([row]).split("\n", 1)[1]


def utc(value: datetime) -> datetime:
    """What collect() gives for a timestamp: naive, in this machine's zone."""
    return value.astimezone(UTC)


def test_plain_row_has_the_contracts_columns_and_types(spark: Any, judge: Judge, contracts: dict[str, Contract]) -> None:
    (row,) = judge(text([request("101000000001", location_zipcode="02119", ward="Ward 8")]))
    assert row["_rule"] is None
    assert row["_raw"] is None
    assert set(row) - {"_rule", "_raw"} == {column.name for column in contracts["silver.service_requests"].columns}
    assert (row["case_id"], row["zip"], row["latitude"], row["longitude"]) == ("101000000001", "02119", 42.3, -71.1)
    assert utc(row["opened_at"]) == datetime(2011, 7, 1, 14, tzinfo=UTC)
    assert row["opened_year"] == 2011


@pytest.mark.parametrize("blank", ["", " ", "  "])
def test_every_spelling_of_nothing_is_null(judge: Judge, blank: str) -> None:
    plain_text = text([open_request("1")])
    spelt = [text([open_request("1", closure_reason=blank, neighborhood=blank, closed_dt=blank, latitude=blank, ward=blank)])]
    assert plain_text != spelt[0]
    (row,) = judge(spelt[0])
    assert [row[c] for c in ("closure_reason", "neighborhood", "closed_at", "latitude", "ward")] == [None] * 5
    assert row["_rule"] is None


def test_the_sentinel_target_is_no_target(judge: Judge) -> None:
    sentinel, other = judge(text([request("1", target_dt=NO_TARGET), request("2", target_dt="2059-12-31 18:59:59")]))
    assert (sentinel["target_at"], sentinel["_rule"]) == (None, None)
    assert utc(other["target_at"]) == datetime(2059, 12, 31, 23, 59, 59, tzinfo=UTC)


BAD = {
    "row_malformed": ("1,2011-07-01 10:00:00,too,few\n", None),
    "opened_at_unreadable": (None, {"open_dt": "2011-02-30 10:00:00"}),
    "target_at_unreadable": (None, {"target_dt": "07/03/2011 10:00"}),
    "latitude_unreadable": (None, {"latitude": "42,3"}),
    "case_id_missing": (None, {"case_enquiry_id": " "}),
    "opened_at_missing": (None, {"open_dt": ""}),
    "status_missing": (None, {"case_status": " "}),
    "status_known": (None, {"case_status": "Pending"}),
}


def test_a_bad_row_is_quarantined_under_the_first_rule_it_breaks(judge: Judge) -> None:
    lines = [
        line or text([{**request(str(n)), **(fields or {})}]).split("\n", 1)[1] for n, (line, fields) in enumerate(BAD.values())
    ]
    found = judge(text([]) + "".join(lines))
    assert [row["_rule"] for row in found] == list(BAD)


def test_the_order_of_rules_is_malformed_unreadable_missing_own(judge: Judge) -> None:
    worst = request("", open_dt="soon", closed_dt="later", case_status="Pending")
    without_unreadable = {**worst, "open_dt": "2011-07-01 10:00:00", "closed_dt": ""}
    without_missing = {**without_unreadable, "case_enquiry_id": "1"}
    rules = [row["_rule"] for row in judge(text([worst, without_unreadable, without_missing]))]
    assert rules == ["opened_at_unreadable", "case_id_missing", "status_known"]


def test_the_raw_row_is_kept_as_received(spark: Any, judge: Judge) -> None:
    odd = {"open_dt": "soon", "closure_reason": 'said "no", twice\nand left ', "neighborhood": " "}
    short, unread = judge(text([]) + "1,short,row\n" + body(request("2", **odd)))
    assert short["_raw"] == "1,short,row"
    raw = json.loads(unread["_raw"])
    assert (raw["caseenquiryid"], raw["opendt"], raw["closurereason"]) == ("2", "soon", odd["closure_reason"])


def test_tallies_count_by_input_and_name_the_commonest_rule(spark: Any) -> None:
    rows = spark.sql("SELECT * FROM VALUES (0, 'a'), (0, 'b'), (0, 'b'), (0, null), (1, null) AS t(_input, _rule)")
    found = tallies(rows)
    assert (found[0].read, found[0].bad, found[0].most) == (4, 3, "b")
    assert (found[1].read, found[1].bad, found[1].most) == (1, 0, None)


def test_quarantined_rows_say_where_they_came_from(spark: Any) -> None:
    bad = spark.sql("SELECT 'r' AS _rule, 'k' AS _object, 'v' AS _version, 'line' AS _raw")
    (row,) = quarantine_rows(bad, batch=3).collect()
    assert row.asDict() == {"batch": 3, "rule": "r", "object": "k", "version_id": "v", "raw": "line"}


NIGHTS = ("1986-04-27", "2006-10-29", "2011-03-13", "2011-11-06", "2024-11-03")  # clocks changed; the rules did in between


def nights() -> list[str]:
    """Every ten minutes of those nights' first hours, the skipped and the doubled hour included."""
    return [f"{night} {hour:02d}:{minute}0:00" for night in NIGHTS for hour in range(5) for minute in range(6)]


def micros(wall_clock: str) -> int:
    """Microseconds since 1970, as Python reads Boston's clock (fold=0: the first of two, and what is skipped an hour later)."""
    moment = datetime.fromisoformat(wall_clock).replace(tzinfo=ZoneInfo(ZONE), fold=0).astimezone(UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def in_whole_seconds_or_not(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds" if moment.microsecond else "seconds")


WALL_CLOCK_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 31)).map(in_whole_seconds_or_not)  # noqa: DTZ001


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(WALL_CLOCK_TIMES, min_size=20, max_size=300))
def test_local_times_become_the_instants_that_python_knows(spark: Any, drawn: list[str]) -> None:
    written = sorted({*drawn, *nights()})
    frame = spark.sql(f"SELECT * FROM VALUES {', '.join(f'({value!r})' for value in written)} AS t(written)")
    read = F.unix_micros(instant(F.col("written"), zone=ZONE, pattern=WALL_CLOCK))
    found = {row["written"]: row["micros"] for row in frame.select("written", read.alias("micros")).collect()}
    assert found == {value: micros(value) for value in written}


NO_TIMES = (
    "2011-7-1 10:00:00",
    "2011-07-01",
    "2011-07-01T10:00:00",
    "2011-07-01 24:00:00",
    "2011-13-01 10:00:00",
    "now",
    "",
)


def test_what_is_no_wall_clock_time_is_null_and_not_guessed(spark: Any) -> None:
    frame = spark.sql(f"SELECT * FROM VALUES {', '.join(f'({t!r})' for t in NO_TIMES)} AS t(written)")
    read = frame.select("written", instant(F.col("written"), zone=ZONE, pattern=WALL_CLOCK).alias("read")).collect()
    assert {row["written"]: row["read"] for row in read} == dict.fromkeys(NO_TIMES)


def test_a_value_that_moves_to_the_next_column_changes_the_hash(spark: Any) -> None:
    frame = spark.sql("SELECT * FROM VALUES ('x', null), (null, 'x'), ('x', null) AS t(a, b)")
    one, two, three = (row["h"] for row in frame.select(row_hash(["a", "b"]).alias("h")).collect())
    assert one == three != two


def source_input(header: list[str]) -> Input:
    return Input(key="m", version="1", facts={"header": header})


def test_only_the_header_of_vintage_b_is_read(contracts: dict[str, Contract]) -> None:
    source = Boston311(contract=contracts["silver.service_requests"])
    assert source.refusal(source_input(HEADER)) is None
    assert source.refusal(source_input([name.upper().replace("_", "") for name in reversed(HEADER)])) is None
    assert source.refusal(source_input([*HEADER, "open_DT"])) == "duplicate_columns: opendt"
    refused = source.refusal(source_input(["geom_4326", *HEADER[1:]]))
    assert refused == "unknown_vintage: not the header of vintage B (missing: caseenquiryid; unknown: geom4326)"
