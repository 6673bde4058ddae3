"""Every vintage as the city has published it: headers, clocks, spellings, and one truth about a case that stands in two files."""

import re
import struct
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from boston311_files import LEGACY, SEED, SHIFTED, column, moved_back, published, shifted, shown, text

from local.sources.boston311.cases import city
from local.sources.boston311.choice import ChoiceError, parse
from local.sources.boston311.history import write_history

HEADERS = {
    "A": ",CASE_ENQUIRY_ID,OPEN_DT,TARGET_DT,CLOSED_DT,OnTime_Status,CASE_STATUS,CLOSURE_REASON,CASE_TITLE,SUBJECT,REASON,TYPE,"
    "QUEUE,Department,SubmittedPhoto,ClosedPhoto,Location,fire_district,pwd_district,city_council_district,police_district,neighborhood,"
    "neighborhood_services_district,ward,precinct,land_usage,LOCATION_STREET_NAME,LOCATION_ZIPCODE,Property_Type,Property_ID,"
    "LATITUDE,LONGITUDE,Source,Geocoded_Location",
    "B": "case_enquiry_id,open_dt,target_dt,closed_dt,ontime,case_status,closure_reason,case_title,subject,reason,type,queue,"
    "department,submittedphoto,closedphoto,location,fire_district,pwd_district,city_council_district,police_district,neighborhood,"
    "neighborhood_services_district,ward,precinct,location_street_name,location_zipcode,latitude,longitude,source",
    "C": "case_enquiry_id,open_dt,sla_target_dt,closed_dt,on_time,case_status,closure_reason,case_title,subject,reason,type,queue,"
    "department,submitted_photo,closed_photo,location,fire_district,pwd_district,city_council_district,police_district,"
    "neighborhood,neighborhood_services_district,ward,precinct,location_street_name,location_zipcode,latitude,longitude,geom_4326,"
    "source",
    "28": "case_id,open_date,case_topic,service_name,assigned_department,assigned_team,case_status,closure_reason,closure_comments,"
    "close_date,target_close_date,on_time,report_source,full_address,street_number,street_name,zip_code,neighborhood,"
    "public_works_district,city_council_district,fire_district,police_district,ward,precinct,submitted_photo,closed_photo,"
    "longitude,latitude",
    "26": "case_id,open_date,close_date,target_close_date,case_topic,service_name,assigned_department,assigned_team,case_status,"
    "closure_reason,closure_comments,on_time,report_source,full_address,street_number,street_name,zip_code,neighborhood,"
    "public_works_district,city_council_district,fire_district,police_district,ward,precinct,longitude,latitude",
}  # fmt: skip


def vintage(key: str) -> str:
    return {"2015": "A", "2024": "C", "2025": "C", "2026": "C", "new": "28"}.get(key, "B")


def told(closing_text: str) -> datetime | None:
    """The time that a closing text names."""
    if found := re.search(r"Closed date : (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", closing_text):
        return datetime.fromisoformat(found[1])
    if found := re.search(r"Closed date : \w{3} (\w{3} \d\d \d\d:\d\d:\d\d) E[SD]T (\d{4})", closing_text):
        return datetime.strptime(f"{found[1]} {found[2]}", "%b %d %H:%M:%S %Y")  # noqa: DTZ007
    return None


def truth(key: str, value: str) -> datetime | None:
    return moved_back(shown(value)) if key == SHIFTED else shown(value)


@pytest.mark.parametrize("key", [*LEGACY, "new"])
def test_each_year_has_its_header_and_its_line_ends(key: str) -> None:
    lines = text(key, rows=1700).splitlines(keepends=True)
    end = "\r\n" if key == "new" else "\n"
    assert lines[0] == HEADERS[vintage(key)] + end
    assert len(lines) == 101
    assert all(line.endswith(end) and line.count("\r") == end.count("\r") for line in lines)


def test_the_new_system_can_be_published_with_26_columns_of_the_same_cases() -> None:
    assert text("new", compact=True, rows=1700).partition("\r\n")[0] == HEADERS["26"]
    whole = [{k: v for k, v in row.items() if not k.endswith("photo")} for row in published("new")]
    assert published("new", compact=True) == whole


@pytest.mark.parametrize("key", ["2012", "2015", "2024", "2026", "new"])
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(key: str) -> None:
    first = text(key, rows=1700)
    city.cache_clear()
    assert text(key, rows=1700) == first
    assert text(key, rows=1700, seed=8) != first


@pytest.mark.parametrize("rows", [17 * 200, 20_000])
@pytest.mark.parametrize("key", LEGACY)
def test_every_legacy_file_shows_which_clock_it_has(key: str, rows: int) -> None:
    due, said = "slatargetdt" if vintage(key) == "C" else "targetdt", "closurereason"
    fits = {"boston": 0, "shifted": 0}
    for row in published(key, rows=rows):
        target, closed, named = shown(row[due]), shown(row["closeddt"]), told(row[said])
        for clock, of in (("boston", lambda moment: moment), ("shifted", moved_back)):
            target_there, closed_there = of(target), of(closed)
            fits[clock] += bool(target_there and f"{target_there:%T}" == "08:30:00")
            fits[clock] += bool(closed_there and named == closed_there)
    right, wrong = ("shifted", "boston") if key == SHIFTED else ("boston", "shifted")
    assert fits[right] >= 0.05 * rows / 17
    assert fits[wrong] <= 0.01 * fits[right]


def test_shifted_deadlines_show_four_hours_less_in_summer_and_five_in_winter() -> None:
    due = [d for row in published(SHIFTED) if (d := shown(row["slatargetdt"])) and d.minute == 30 and d.second == 0 and d.hour < 9]
    assert {f"{d:%H:%M}" for d in due if 4 <= d.month <= 10} >= {"04:30"}
    assert {f"{d:%H:%M}" for d in due if d.month in (1, 2, 12)} >= {"03:30"}
    assert sum(f"{d:%H:%M}" == "08:30" for d in due) < 0.01 * len(due)
    assert any(row["slatargetdt"] == "2059-12-31 14:00:00" for row in published(SHIFTED, rows=17 * 60_000))


@pytest.mark.parametrize(("older", "newer"), [("2014", "2015"), ("2015", "2016"), ("2023", "2024"), ("2024", "2025")])
def test_neighbouring_files_share_cases_and_tell_one_truth_about_them(older: str, newer: str) -> None:
    first = {row["caseenquiryid"]: row for row in published(older, rows=17 * 30_000) if shown(row["opendt"])}
    repeated = [row for row in published(newer, rows=17 * 30_000) if row["caseenquiryid"] in first]
    shared = [(first[row["caseenquiryid"]], row) for row in repeated if row["caseenquiryid"]]
    assert len(shared) == pytest.approx(300, abs=3)
    closed_since = 0
    for before, after in shared:
        assert truth(newer, after["opendt"]) == truth(older, before["opendt"])
        assert (before["type"], before["source"]) == (after["type"], after["source"])
        if before["casestatus"] == "Closed":
            assert truth(newer, after["closeddt"]) == truth(older, before["closeddt"])
        closed_since += before["casestatus"] != after["casestatus"]
    assert closed_since


@pytest.mark.parametrize("name", ["A", "B", "C", "C shifted"])
def test_any_year_can_be_published_in_any_vintage_and_tells_the_same_truth(name: str) -> None:
    assert text("2023", rows=1700, as_vintage=name).partition("\n")[0] == HEADERS[name[0]]
    shows = shifted if name == "C shifted" else lambda moment: moment
    times = ("opendt", "slatargetdt" if name.startswith("C") else "targetdt", "closeddt")
    rows = [row for row in published("2023", rows=17 * 3_000, as_vintage=name) if shown(row["opendt"])]
    plain = [row for row in published("2023", rows=17 * 3_000) if shown(row["opendt"])]
    assert [row["caseenquiryid"] for row in rows] == [row["caseenquiryid"] for row in plain]
    for row, true in zip(rows, plain, strict=True):
        assert [shown(row[time]) for time in times] == [shows(shown(true[time])) for time in ("opendt", "targetdt", "closeddt")]


@pytest.mark.parametrize(
    ("vintages", "fault"), [({"2011": "A"}, "not served"), ({"new": "A"}, "not served"), ({"2023": "D"}, "'A'")]
)
def test_a_vintage_that_makes_no_sense_is_told_what_is_wrong(vintages: dict[str, str], fault: str) -> None:
    with pytest.raises(ChoiceError, match=fault):
        parse({"origin": "simulated", "years": [2023], "vintages": vintages}).check()


def test_vintage_a_is_what_pandas_made_of_an_export() -> None:
    rows = published("2015")
    assert all(re.fullmatch(r"\d+", row[""]) for row in rows)
    readable = [row["opendt"] for row in rows if shown(row["opendt"])]
    assert all(re.fullmatch(r"\d\d/\d\d/201[45] (0[1-9]|1[0-2]):\d\d:\d\d [AP]M", value) for value in readable)
    assert not any(value == " " or value.endswith(" ") for row in rows for value in (row["ward"], row["closurereason"]))
    assert {"8.0", ""} < column("2015", "firedistrict")
    assert {"2124.0", ""} < column("2015", "locationzipcode")
    assert any(re.fullmatch(r"\d{3,4}\.0", value) for value in column("2015", "precinct"))
    assert any(re.fullmatch(r"\d{4}A", value) for value in column("2015", "precinct"))
    hall = [row for row in rows if (row["latitude"], row["longitude"]) == ("42.3594", "-71.0587")]
    assert hall
    assert {row["geocodedlocation"] for row in hall} == {"(0, 0)"}
    other = next(row for row in rows if row not in hall)
    assert other["geocodedlocation"] == f"({other['latitude']}, {other['longitude']})"


@pytest.mark.parametrize("key", ["2024", "2025"])
def test_vintage_c_has_exact_coordinates_a_geometry_and_nothing_for_unknown_places(key: str) -> None:
    rows = published(key)
    unknown = [row for row in rows if row["location"] == " "]
    assert unknown
    assert {(row["latitude"], row["longitude"], row["geom4326"]) for row in unknown} == {("", "", "")}
    assert ("42.3594", "-71.0587") not in {(row["latitude"], row["longitude"]) for row in rows}
    row = next(row for row in rows if row["latitude"])
    assert len(row["latitude"].partition(".")[2]) > 10
    order, kind, srid, x, y = struct.unpack("<BIIdd", bytes.fromhex(row["geom4326"]))
    assert (order, kind, srid, x, y) == (1, 0x20000001, 4326, float(row["longitude"]), float(row["latitude"]))
    photos = {row["submittedphoto"] for row in rows} - {""}
    assert photos
    assert all(photo.startswith(" https://") for photo in photos)
    zips = {row["locationzipcode"] for row in rows}
    assert ("2124.0" if key == SHIFTED else "02124") in zips


def test_exports_of_2025_have_up_to_three_digits_after_the_second() -> None:
    digits = {len(value.partition(".")[2]) for value in column("2025", "opendt") if shown(value)}
    assert digits == {0, 1, 2, 3}
    assert {len(value.partition(".")[2]) for value in column("2024", "opendt") if shown(value)} == {0}


@pytest.mark.parametrize("key", ["2013", "2015", "2024", "new"])
def test_free_text_holds_contact_data_that_nobody_masked(key: str) -> None:
    texts = "\n".join(row.get("closurecomments", row["closurereason"]) for row in published(key, rows=17 * 60_000))
    for number in (r"617-555-01\d\d", r"\(617\) 555-01\d\d", r"617\.555\.01\d\d", r"\+1 617 555 01\d\d"):
        assert re.search(number, texts)
    for address in (r"crew\d{4}@example\.org", r"J\.Doe-\d\d@mail\.example\.org", r"xxxxx\.xxxxxx@xxxxxx\.xxx"):
        assert re.search(address, texts)


def test_some_cases_are_closed_before_they_are_opened_and_some_years_later() -> None:
    spans = []
    for row in published("2013", rows=17 * 30_000):
        opened, closed = shown(row["opendt"]), shown(row["closeddt"])
        if opened and closed:
            spans.append((closed - opened, row["type"]))
    before = [span for span, _ in spans if span < timedelta(0)]
    assert 0 < len(before) < 0.003 * len(spans)
    assert max(span for span, type_ in spans if type_ == "Pothole Repair (Internal)") > timedelta(days=365)


def test_the_history_is_every_resource_as_a_plain_file(tmp_path: Path) -> None:
    paths = write_history(tmp_path / "history", 3400, SEED)
    assert [path.stem for path in paths] == [*LEGACY, "new"]
    for key in ("2015", "2024", "new"):
        assert (tmp_path / "history" / f"{key}.csv").read_bytes().decode() == text(key, rows=3400)
    assert sum(path.read_bytes().count(b"\n") - 1 for path in paths) == 3400
