"""Boston 311 rows, typed and judged by Spark: times, blanks, numbers, and the rule that a bad row is quarantined under."""

import json
from collections.abc import Callable
from datetime import UTC as UTC_ZONE
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F
from requests_csv import HEADER, Request, open_request, request, source, text

from glue_scripts.boston311 import clocks
from glue_scripts.boston311.clocks import BOSTON, SHIFTED, UTC, ZONE
from glue_scripts.boston311.rows import NO_TARGET_FROM
from glue_scripts.boston311.vintages import PORTAL_TIME, VINTAGES, plain
from glue_scripts.boston311.vintages import refusal as refused
from lake.contracts import Contract
from lake.spark.columns import instant, masked, row_hash, wall_clock
from lake.spark.rules import Tally, judged, quarantine_rows, tallies

Judge = Callable[..., list[dict[str, Any]]]
NEW = sorted(VINTAGES[-1].names)


@pytest.fixture
def judge(spark: Any, contracts: dict[str, Contract], tmp_path: Path) -> Judge:
    """(CSV text, its header, the clock that was decided) -> judged rows as dictionaries, in the file's order."""

    def judged_rows(csv_text: str, *, header: list[str] = HEADER, clock: str = BOSTON) -> list[dict[str, Any]]:
        path = tmp_path / "rows.csv"
        path.write_text(csv_text, newline="")
        boston311, shape = source(contracts), tuple(plain(name) for name in header)
        raw = boston311.read(spark, shape, [str(path)])
        raw = raw.withColumns({"resource_id": F.lit("r1"), "resource_name": F.lit("r1"), "_choice": F.lit(clock)})
        row = F.struct(*[F.col(name) for name in shape])
        rows = boston311.finish(judged(boston311.clean(raw.withColumn("_row", row), shape), boston311.contract))
        return [found.asDict() for found in rows.collect()]

    return judged_rows


def body(row: Request) -> str:
    """The line of one row."""
    return text([row]).split("\n", 1)[1]


def utc(value: datetime) -> datetime:
    """What collect() gives for a timestamp: naive, in this machine's zone."""
    return value.astimezone(UTC_ZONE)


def test_plain_row_has_the_contracts_columns_and_types(spark: Any, judge: Judge, contracts: dict[str, Contract]) -> None:
    (row,) = judge(text([request("101000000001", location_zipcode="02119", ward="Ward 8")]))
    assert row["_rule"] is None
    assert row["_raw"] is None
    names = {column.name for column in contracts["silver.service_requests"].columns}
    assert {name for name in row if not name.startswith("_")} == names - {"row_hash"}
    assert (row["case_id"], row["zip"], row["latitude"], row["longitude"]) == ("101000000001", "02119", 42.3, -71.1)
    assert utc(row["opened_at"]) == datetime(2011, 7, 1, 14, tzinfo=UTC_ZONE)
    assert row["opened_year"] == 2011


@pytest.mark.parametrize("blank", ["", " ", "  "])
def test_every_spelling_of_nothing_is_null(judge: Judge, blank: str) -> None:
    plain_text = text([open_request("1001")])
    spelt = [text([open_request("1001", closure_reason=blank, neighborhood=blank, closed_dt=blank, latitude=blank, ward=blank)])]
    assert plain_text != spelt[0]
    (row,) = judge(spelt[0])
    assert [row[c] for c in ("closure_reason", "neighborhood", "closed_at", "latitude", "ward")] == [None] * 5
    assert row["_rule"] is None


def test_the_sentinel_target_is_no_target_whatever_the_clock(judge: Judge) -> None:
    rows = text([request("1001", target_dt=t) for t in ("2059-12-31 19:00:00", "2059-12-31 14:00:00", "2059-12-30 23:59:59")])
    assert [row["target_at"] is None for row in judge(rows)] == [True, True, False]
    assert [row["_rule"] for row in judge(rows)] == [None] * 3
    assert NO_TARGET_FROM == "2059-12-31 00:00:00"


BAD = {
    "row_malformed": ("1,2011-07-01 10:00:00,too,few\n", None),
    "opened_at_unreadable": (None, {"open_dt": "2011-02-30 10:00:00"}),
    "target_at_unreadable": (None, {"target_dt": "07/03/2011 10:00"}),
    "latitude_unreadable": (None, {"latitude": "42,3"}),
    "case_id_missing": (None, {"case_enquiry_id": " "}),
    "opened_at_missing": (None, {"open_dt": ""}),
    "status_published_missing": (None, {"case_status": " "}),
    "status_known": (None, {"case_status": "Pending"}),
    "case_id_malformed": (None, {"case_enquiry_id": "1 or 2"}),
    "opened_at_implausible": (None, {"open_dt": "1011-07-01 10:00:00"}),
}


def test_a_bad_row_is_quarantined_under_the_first_rule_it_breaks(judge: Judge) -> None:
    lines = [
        line or text([{**request(f"100{n}"), **(fields or {})}]).split("\n", 1)[1] for n, (line, fields) in enumerate(BAD.values())
    ]
    found = judge(text([]) + "".join(lines))
    assert [row["_rule"] for row in found] == list(BAD)


def test_the_order_of_rules_is_malformed_unreadable_missing_own(judge: Judge) -> None:
    worst = request("", open_dt="soon", closed_dt="later", case_status="Pending")
    without_unreadable = {**worst, "open_dt": "2011-07-01 10:00:00", "closed_dt": ""}
    without_missing = {**without_unreadable, "case_enquiry_id": "1001"}
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
    found = tallies(rows, {"second": F.col("_input") == 1})
    assert (found[0].read, found[0].bad, found[0].most) == (4, 3, "b")
    assert (found[1].read, found[1].bad, found[1].most) == (1, 0, None)
    assert (found[0].evidence, found[1].evidence) == ({"second": 0}, {"second": 1})


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
    moment = datetime.fromisoformat(wall_clock).replace(tzinfo=ZoneInfo(ZONE), fold=0).astimezone(UTC_ZONE)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC_ZONE)) // timedelta(microseconds=1)


def in_whole_seconds_or_not(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds" if moment.microsecond else "seconds")


WALL_CLOCK_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 31)).map(in_whole_seconds_or_not)  # noqa: DTZ001


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(WALL_CLOCK_TIMES, min_size=20, max_size=300))
def test_local_times_become_the_instants_that_python_knows(spark: Any, drawn: list[str]) -> None:
    written = sorted({*drawn, *nights()})
    frame = spark.sql(f"SELECT * FROM VALUES {', '.join(f'({value!r})' for value in written)} AS t(written)")
    read = F.unix_micros(instant(wall_clock(F.col("written"), pattern=PORTAL_TIME), zone=ZONE))
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
    read = frame.select("written", instant(wall_clock(F.col("written"), pattern=PORTAL_TIME), zone=ZONE).alias("read")).collect()
    assert {row["written"]: row["read"] for row in read} == dict.fromkeys(NO_TIMES)


def test_a_value_that_moves_to_the_next_column_changes_the_hash(spark: Any) -> None:
    frame = spark.sql("SELECT * FROM VALUES ('x', null), (null, 'x'), ('x', null) AS t(a, b)")
    one, two, three = (row["h"] for row in frame.select(row_hash(["a", "b"]).alias("h")).collect())
    assert one == three != two


def test_a_vintage_is_known_by_its_columns_in_any_order_and_spelling() -> None:
    for vintage in VINTAGES:
        names = sorted(vintage.names)
        assert refused(names[::-1]) is None
        assert refused([*names, "id", ""]) is None, "row numbers of the datastore and of a re-saved export"
        assert refused(names[1:]) == f"unknown_vintage: nearest is {vintage.name} (missing: {names[0]}; unknown: none)"
        assert refused([*names, "mood"]) == f"unknown_vintage: nearest is {vintage.name} (missing: none; unknown: mood)"
        assert refused([*names, names[0]]) == f"duplicate_columns: {names[0]}"
    assert refused(sorted(VINTAGES[-1].names - {"submittedphoto", "closedphoto"})) is None
    assert [plain(name) for name in (" CASE_Status ", "location_zipcode", "")] == ["casestatus", "locationzipcode", ""]


CODES = {
    "location_zipcode": {"02131": "02131", "2131.0": "02131", "2125": "02125", "02131-1234": "02131", "": None, "n/a": "n/a"},
    "ward": {"Ward 3": "03", "03": "03", "3": "03", "3.0": "03", "Ward 22": "22", " ": None, "0": None},
    "precinct": {"0306": "0306", "306.0": "0306", "306": "0306", "0502A": "0502A", "06": "0306", "6.0": "0306", "": None},
    "fire_district": {"8": "8", "8.0": "8", "11": "11", "0": None, "": None},
    "pwd_district": {"09": "9", "9": "9", "10A": "10A", "1B": "1B", "": None},
    "city_council_district": {"8.0": "8", "0": None},
    "police_district": {"A7": "A7", "a 7": "A7", "D-14": "D14"},
}


@pytest.mark.parametrize("column", CODES)
def test_codes_are_spelled_one_way(judge: Judge, column: str) -> None:
    spelt = CODES[column]
    rows = judge(text([request(f"10{n:02d}", **{"ward": "3", column: written}) for n, written in enumerate(spelt)]))
    name = "zip" if column == "location_zipcode" else column
    assert [row[name] for row in rows] == list(spelt.values())


def test_an_unknown_place_is_null_and_not_city_hall(judge: Judge) -> None:
    places = [("42.3594", "-71.0587"), ("0", "0"), ("38.9", "-77.03"), ("42.35940001", "-71.0587"), ("", "")]
    rows = judge(text([request(f"10{n:02d}", latitude=lat, longitude=lon) for n, (lat, lon) in enumerate(places)]))
    assert [row["latitude"] for row in rows] == [None, None, None, 42.35940001, None]
    assert [row["longitude"] is None for row in rows] == [row["latitude"] is None for row in rows]
    assert [row["_rule"] for row in rows] == [None] * len(places)


def new_request(**fields: str) -> Request:
    plain_request = {"caseid": "BCS-00000001", "opendate": "2025-07-01 18:52:03.5+00", "casestatus": "In progress"}
    return {**plain_request, **fields}


def test_the_new_system_shows_boston_time_unless_the_setting_says_utc(judge: Judge) -> None:
    written = text([new_request(closedate="2025-12-01 01:00:00+00")], header=NEW)
    for clock, opened, closed in ((BOSTON, (22, 1), (6, 1)), (UTC, (18, 1), (1, 1))):
        (row,) = judge(written, header=NEW, clock=clock)
        assert row["_rule"] is None
        assert (row["opened_at"].hour, row["opened_at"].day) == opened
        assert (row["closed_at"].hour, row["closed_at"].day) == closed
    assert (row["status"], row["status_published"], row["system"]) == ("Open", "In progress", "new")


def test_the_new_system_gives_a_crossing_its_own_name(judge: Judge) -> None:
    crossing = new_request(fulladdress="A St & B St, Dorchester, MA 02122", streetnumber="12", streetname="C St")
    house = new_request(fulladdress="2-6A C St, Dorchester, MA 02122", streetnumber="2-6A", streetname="C St")
    assert [r["street_name"] for r in judge(text([crossing, house], header=NEW), header=NEW)] == ["A St & B St", "2-6A C St"]


MASKED = {
    "write to Jane.Doe+311@mail.boston.gov, or call": "write to [email], or call",
    "call 617-635-4500 or (617) 635-4500, 617.635.4500": "call [telephone] or [telephone], [telephone]",
    "+1 617-635-4500": "[telephone]",
    "case 101000295613 of 2024-07-21 07:49:30": "case 101000295613 of 2024-07-21 07:49:30",
    "at 5pm @ the corner": "at 5pm @ the corner",
}


def test_mail_and_telephone_are_masked_in_free_text_and_nothing_else_is(spark: Any) -> None:
    frame = spark.createDataFrame([(written,) for written in MASKED], "written string")
    assert [row["m"] for row in frame.select(masked(F.col("written")).alias("m")).collect()] == list(MASKED.values())


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(WALL_CLOCK_TIMES, min_size=20, max_size=300))
def test_a_shifted_file_gives_back_the_time_that_it_was_made_from(spark: Any, drawn: list[str]) -> None:
    """Boston's time taken for UTC and shown in Boston's time; only on the nights on which clocks change is that ambiguous."""
    zone = ZoneInfo(ZONE)

    def shift(written: str) -> str:
        shown = datetime.fromisoformat(written).replace(tzinfo=UTC_ZONE).astimezone(zone)
        return in_whole_seconds_or_not(shown.replace(tzinfo=None))

    times = {written: shift(written) for written in drawn if not near_a_change(written, zone)}
    if not times:
        return
    values = ", ".join(f"('{written}', '{shown}')" for written, shown in times.items())
    frame = spark.sql(f"SELECT * FROM VALUES {values} AS t(written, shown)")
    read = F.unix_micros(clocks.instants(wall_clock(F.col("shown"), pattern=PORTAL_TIME), F.lit(SHIFTED)))
    assert {row["written"]: row["r"] for row in frame.select("written", read.alias("r")).collect()} == {w: micros(w) for w in times}


def near_a_change(written: str, zone: ZoneInfo) -> bool:
    moment = datetime.fromisoformat(written).replace(tzinfo=zone)
    return len({(moment + timedelta(hours=h)).utcoffset() for h in (-8, 0, 8)}) > 1


CLOSING_TEXTS = {
    "Case Closed. Closed date : 2015-09-15 14:46:49.68 Case Resolved": datetime(2015, 9, 15, 14, 46, 49),  # noqa: DTZ001
    "Case Closed. Closed date : Wed May 15 06:58:54 EDT 2024 Noted": datetime(2024, 5, 15, 6, 58, 54),  # noqa: DTZ001
    "Case Closed Case Resolved": None,
    "Closed date : soon": None,
}


def test_closing_texts_tell_their_time(spark: Any) -> None:
    frame = spark.createDataFrame([(written,) for written in CLOSING_TEXTS], "written string")
    read = frame.select(clocks.closing_text_time(F.col("written")).alias("r")).collect()
    assert [row["r"] for row in read] == list(CLOSING_TEXTS.values())


EVIDENCE = {"due_boston": 0, "due_shifted": 0, "text_boston": 0, "text_shifted": 0}


@pytest.mark.parametrize(
    ("seen", "clock"),
    [
        ({"due_boston": 1}, BOSTON),
        ({"text_shifted": 1}, SHIFTED),
        ({"due_shifted": 1003, "text_shifted": 4, "due_boston": 1}, SHIFTED),
        ({"due_boston": 9, "due_shifted": 1}, BOSTON),
        ({"due_boston": 8, "text_shifted": 1}, ""),
        ({}, ""),
    ],
)
def test_a_clock_is_what_nine_of_ten_signs_say(seen: dict[str, int], clock: str) -> None:
    tally = Tally(read=2000, bad=0, most=None, evidence={**EVIDENCE, **seen})
    decision = clocks.decide(tally, clocks.Settings())
    assert decision.choice == clock
    assert (decision.refused is None) == bool(clock)


def test_fuzzed_rows_are_all_accounted_for(judge: Judge) -> None:
    """10,000 rows with cells of any kind: each is good or has a rule, none is lost, and its neighbours are as they were."""
    random = Random(311)
    odd = [
        "",
        " ",
        "\x00",
        "0",
        "NaN",
        "-1e308",
        "9" * 40,
        '"',
        ",",
        "\n",
        "\r\n",
        "\t",
        "\\",
        "\ufffd",
        "\u00a0",
        "😀",
        "2024-02-30 25:61:61",
    ]
    odd += [
        "0000-00-00 00:00:00",
        "12/31/2011 11:59:59 PM",
        "2011-11-06 01:30:00",
        "+00",
        "'; DROP TABLE",
        "null",
        "NULL",
        "Infinity",
    ]
    rows, whole = [], {}
    for n in range(10_000):
        row = request(f"2{n:05d}")
        if n % 10 == 0:
            whole[row["case_enquiry_id"]] = row
        else:
            for column in random.sample(HEADER, k=random.randint(1, 4)):
                row[column] = "".join(random.choices([*odd, row.get(column, ""), "x"], k=random.randint(1, 3)))
        rows.append(row)
    found = judge(text(rows))
    assert len(found) == len(rows)
    good = {row["case_id"]: row for row in found if row["_rule"] is None}
    assert whole.keys() <= good.keys()
    assert len({tuple(v for k, v in good[case].items() if k != "case_id") for case in whole}) == 1
    assert all(row["_raw"] for row in found if row["_rule"] is not None)


def test_fuzzed_bytes_never_end_the_job_and_lose_no_line(judge: Judge) -> None:
    """Bytes struck out, doubled or put in anywhere, quotes and line ends too: what was read is good or quarantined."""
    random = Random(113)
    lines = [body(request(f"3{n:05d}")) for n in range(2_000)]
    for n in range(0, len(lines), 2):
        at = random.randrange(len(lines[n]))
        lines[n] = (
            lines[n][:at]
            + random.choice(["", '"', ",", "\n", "\x00", "\\", "\r", lines[n]])
            + lines[n][at + random.randint(0, 2) :]
        )
    found = judge(text([]) + "".join(lines))
    assert all((row["_rule"] is None) != (row["_raw"] is not None) for row in found)
    assert sum(row["_rule"] is None for row in found) > 500
