"""The new system as the city publishes it: a mislabelled clock, its own statuses and topics, its own spellings of places."""

import re
from datetime import datetime

from boston311_files import column, published


def test_the_new_system_labels_bostons_clock_as_utc() -> None:
    rows = [row for row in published("new") if row["opendate"].endswith("+00")]
    assert len(rows) > 5_900
    fractions = {len(row["opendate"].removesuffix("+00").partition(".")[2]) for row in rows}
    assert {0, 3, 6} < fractions <= set(range(7))
    assert all("." not in row["closedate"] for row in rows)
    by_hour = [0] * 24
    for row in rows:
        by_hour[int(row["opendate"][11:13])] += 1
    assert by_hour.index(min(by_hour)) in (2, 3, 4)
    timed = [(row, found) for row in rows if (found := re.search(r"Left at (\d+:\d\d[ap]m)", row["closurecomments"]))]
    assert timed
    for row, found in timed:
        assert found[1] == f"{datetime.fromisoformat(row['closedate']):%I:%M%p}".lstrip("0").lower()


def test_the_new_system_has_its_own_statuses_topics_and_reasons() -> None:
    rows = published("new", rows=17 * 60_000)
    assert {row["casestatus"] for row in rows} == {
        "Closed", "In progress", "Create", "Submit", "Error", "Needs Reallocation", "Open", "Apply",
    }  # fmt: skip
    assert {row["closurereason"] for row in rows} == {"Resolved", "Noted", "Transitioned", "Resolved successfully", ""}
    assert len({row["servicename"] for row in rows} - {""}) >= 11
    assert all(row["casetopic"] == row["servicename"] for row in rows)
    nothing = [row for row in rows if not row["servicename"]]
    assert nothing
    assert {(row["targetclosedate"], row["ontime"], row["assignedteam"]) for row in nothing} == {("", "ONTIME", "")}
    assert all((row["casestatus"] == "Closed") == bool(row["closedate"]) for row in rows)
    assert any(row["casestatus"] == "In progress" and row["closurereason"] for row in rows)
    assert {row["ontime"] for row in rows} == {"ONTIME", "OVERDUE"}
    assert {row["reportsource"] for row in rows} == {"Call", "BOS311"}


def test_the_new_system_spells_places_in_its_own_way() -> None:
    rows = published("new")
    assert all(re.fullmatch(r"BCS-\d{8}|", row["caseid"]) for row in rows)
    assert {"6A", "6B", "7A", "7B", "8A", "8B", "9", "1C", ""} <= column("new", "publicworksdistrict")
    assert not any(" / " in name for name in column("new", "neighborhood"))
    assert {"Bay Village", "Chinatown", "Fenway", "Leather District", "Longwood", "North End", "West End"} <= column(
        "new", "neighborhood"
    )
    assert all(re.fullmatch(r"\d\d|", value) for value in column("new", "precinct") | column("new", "ward"))
    unknown = {(row["firedistrict"], row["citycouncildistrict"]) for row in rows if not row["fulladdress"]}
    assert unknown == {("0", "0"), ("", "")}
    crossings = [row for row in rows if " & " in row["fulladdress"]]
    assert {bool(row["streetnumber"]) for row in crossings} == {True, False}
    assert all(re.fullmatch(r"0\d{4}", row["zipcode"]) for row in rows if row["fulladdress"])
    assert all(row["fulladdress"].endswith(f", {row['neighborhood']}, MA {row['zipcode']}") for row in rows if row["fulladdress"])
    far_off = [row for row in published("new", rows=17 * 60_000) if row["latitude"] and float(row["latitude"]) < 42]
    assert far_off
