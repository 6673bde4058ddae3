"""Simulated requests: the same for the same wish, and as peculiar as the real ones."""

import csv
import io
import re
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.sources.boston311.cases import cases, city, legacy_year
from local.sources.boston311.choice import ChoiceError, Simulated, parse
from local.sources.boston311.clock import iso, summer_time, unix
from local.sources.boston311.vintages import VINTAGE_B, csv_blocks

ROWS = 30_000
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def body(*, seed: int = 7, year: int = 2022, rows: int = ROWS) -> bytes:
    return b"".join(csv_blocks(VINTAGE_B, seed=seed, year=year, rows=rows))


@lru_cache(maxsize=1)
def published() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body().decode(), newline=""), strict=True))


def share(count: int) -> float:
    return count / ROWS


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 3), year=st.integers(2011, 2026), rows=st.integers(1, 800))
def test_the_same_wish_gives_the_same_bytes_with_exactly_so_many_rows(seed: int, year: int, rows: int) -> None:
    first = body(seed=seed, year=year, rows=rows)
    city.cache_clear()
    assert body(seed=seed, year=year, rows=rows) == first
    records = list(csv.reader(io.StringIO(first.decode(), newline=""), strict=True))
    assert len(records) == rows + 1
    assert {len(record) for record in records} == {29}


def test_another_seed_or_year_is_another_file_with_other_case_numbers() -> None:
    assert body(rows=100) != body(seed=8, rows=100)
    numbers = [
        {case.case_id for day in cases(seed=7, period=legacy_year(year), rows=5_000) for case in day} for year in (2022, 2023)
    ]
    assert [len(n) for n in numbers] == [5_000, 5_000]
    assert not numbers[0] & numbers[1]


def test_header_and_line_ends_are_those_of_vintage_b() -> None:
    assert body(rows=1).startswith(b"case_enquiry_id,open_dt,target_dt,closed_dt,ontime,")
    assert b"\r" not in body(rows=1000)


def test_blanks_come_in_both_spellings() -> None:
    rows = published()
    assert {"", " "} < {r["ward"] for r in rows}
    assert {r["closure_reason"] for r in rows if r["case_status"] == "Closed"} >= {" "}
    assert all(r["closure_reason"].endswith(" ") for r in rows)
    open_blank = [r["closure_reason"] == " " for r in rows if r["case_status"] == "Open"]
    assert sum(open_blank) / len(open_blank) > 0.97


def test_unknown_places_lie_at_city_hall_and_intersections_have_no_postal_code() -> None:
    rows = published()
    at_city_hall = [r for r in rows if (r["latitude"], r["longitude"]) == ("42.3594", "-71.0587")]
    assert share(len(at_city_hall)) == pytest.approx(4_775 / 58_251, abs=0.02)
    assert all((r["latitude"], r["longitude"]) == ("42.3594", "-71.0587") for r in rows if r["location"] == " ")
    assert share(sum(not r["location_zipcode"] for r in rows)) == pytest.approx(0.2, abs=0.02)
    crossings = [r for r in rows if r["location"].startswith("INTERSECTION of ")]
    assert crossings
    assert not any(r["location_zipcode"] for r in crossings)
    assert all(r["location"].endswith("  MA  ") for r in crossings)


def test_codes_come_in_several_spellings() -> None:
    rows = published()
    assert {"07", "7", "1C", "10A"} < {r["pwd_district"] for r in rows}
    assert {"Ward 17", "17"} < {r["ward"] for r in rows}
    assert any(r["precinct"].endswith("A") for r in rows)
    assert {"Allston / Brighton", "Allston", "Boston"} < {r["neighborhood"] for r in rows}


def test_deadlines_statuses_and_judgements_agree_as_they_do_in_the_real_files() -> None:
    rows = [r for r in published() if TIME.fullmatch(r["open_dt"])]
    assert all(r["ontime"] == "ONTIME" for r in rows if not r["target_dt"])
    assert any(r["ontime"] == "" for r in rows)
    assert any(r["target_dt"] == "2059-12-31 19:00:00" for r in rows)
    assert all((r["case_status"] == "Closed") == bool(r["closed_dt"]) for r in rows)
    both = [r for r in rows if r["target_dt"] and r["closed_dt"] and r["ontime"]]
    assert all((r["closed_dt"] <= r["target_dt"]) == (r["ontime"] == "ONTIME") for r in both)
    before = [r for r in rows if r["closed_dt"] and r["closed_dt"] < r["open_dt"]]
    assert 0 < share(len(before)) < 0.003
    assert share(sum(r["target_dt"].endswith(" 08:30:00") for r in rows)) > 0.1
    assert any(int(r["closed_dt"][:4]) >= 2024 for r in rows if r["closed_dt"])
    late = [r["closed_dt"] > r["target_dt"] for r in both]
    assert 0.1 < sum(late) / len(late) < 0.4


def test_texts_are_damaged_as_real_ones_are() -> None:
    texts = "\n".join(r["closure_reason"] + r["case_title"] for r in published())
    for damage in ("\t", '"NO STOPPING"', "\ufffd", "\U0001f44d", "\u00a0", "\u2019", "////printed", "617-555-01"):
        assert damage in texts
    assert not any("\n" in value for r in published() for value in r.values())


def test_both_wordings_of_the_closing_date_repeat_the_closing_time() -> None:
    styles = set()
    for row in published():
        if found := re.match(r"Case Closed\. Closed date : (\S+ \S+?)\.\d+ ", row["closure_reason"]):
            assert found[1] == row["closed_dt"]
            styles.add("iso")
        elif found := re.match(
            r"Case Closed\. Closed date : \w{3} \w{3} \d\d (\d\d:\d\d:\d\d) E[DS]T (\d{4})", row["closure_reason"]
        ):
            assert (found[1], found[2]) == (row["closed_dt"][11:], row["closed_dt"][:4])
            styles.add("unix")
    assert styles == {"iso", "unix"}


def test_a_few_rows_cannot_be_read_and_a_few_repeat_another() -> None:
    rows = published()
    unreadable = [r for r in rows if not r["case_enquiry_id"] or not TIME.fullmatch(r["open_dt"]) or "02-30" in r["open_dt"]]
    assert 0 < len(unreadable) < 0.001 * ROWS
    twins = [(r["open_dt"], r["type"], r["location"]) for r in rows if r["location"] != " "]
    assert len(twins) > len(set(twins))


def test_operators_type_no_seconds() -> None:
    calls = [r["open_dt"].endswith(":00") for r in published() if r["source"] == "Constituent Call"]
    assert sum(calls) / len(calls) > 0.2


@pytest.mark.parametrize(("year", "spring", "autumn"), [(2022, "2022-03-13 02:00:00", "2022-11-06 01:00:00")])
def test_no_clock_reads_the_hour_that_is_skipped_in_spring(year: int, spring: str, autumn: str) -> None:
    assert tuple(map(iso, summer_time(year))) == (spring, autumn)
    rows = list(csv.DictReader(io.StringIO(body(rows=60_000).decode(), newline="")))
    hours = {r[column][:13] for r in rows for column in ("open_dt", "target_dt", "closed_dt")}
    assert spring[:13] not in hours
    assert autumn[:13] in hours
    assert unix(summer_time(year)[0] - 1).endswith("01:59:59 EST 2022")


@pytest.mark.parametrize(
    ("wish", "fault"),
    [
        ({"origin": "nowhere"}, "nowhere"),
        ({"origin": "simulated", "rows": 0}, "rows"),
        ({"origin": "simulated", "row": 5}, "row"),
        ({"origin": "simulated", "years": [2022, 2022]}, "once"),
        ({"origin": "simulated", "years": [2009]}, "years"),
        ({"origin": "files"}, "directory"),
        ([], "body"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told_what_is_wrong(wish: object, fault: str) -> None:
    with pytest.raises(ChoiceError, match=fault):
        parse(wish)


def test_rows_are_spread_over_the_resources_without_losing_one() -> None:
    choice = Simulated(rows=11, years=(2023, 2021, 2022))
    assert [(part.key, part.rows + part.repeated) for part in choice.parts()] == [("2021", 3), ("2022", 3), ("2023", 3), ("new", 2)]
    with pytest.raises(ChoiceError, match="name more years"):
        Simulated(rows=20_000_000, years=(2023,)).check()
