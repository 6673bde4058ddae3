"""A newer version of a simulated resource differs from the one before it in exactly the rows that were wished."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.sources.boston311.choice import ChoiceError, Simulated, parse

ROWS = 17 * 500
KEYS = ("2012", "2015", "2023", "2024", "2026", "new")
Lines = list[tuple[str, ...]]


def edition(key: str, changed: int = 0, vanished: int = 0, added: int = 0) -> dict[str, object]:
    return {"resource": key, "changed": changed, "vanished": vanished, "added": added}


def version(key: str, *editions: dict[str, object], seed: int = 7, rows: int = ROWS) -> tuple[list[str], Lines]:
    """(header, rows) of a resource after these editions."""
    choice = Simulated.model_validate({"seed": seed, "rows": rows, "editions": editions})
    choice.check()
    part = next(part for part in choice.parts() if part.key == key)
    body = b"".join(part.blocks(choice.seed, choice.editions_of(key))).decode()
    header, *records = csv.reader(io.StringIO(body, newline=""), strict=True)
    return header, [tuple(record) for record in records]


def differences(key: str, older: Lines, newer: Lines) -> tuple[int, int, int]:
    """(changed, vanished, added) by case number; what has none must be the same in both."""
    at = 1 if key == "2015" else 0
    before, after = ({row[at]: row for row in rows if row[at]} for rows in (older, newer))
    assert [row for row in older if not row[at]] == [row for row in newer if not row[at]]
    changed = sum(before[number] != after[number] for number in before.keys() & after.keys())
    return changed, len(before.keys() - after.keys()), len(after.keys() - before.keys())


@settings(max_examples=30, deadline=None)
@given(
    key=st.sampled_from(KEYS),
    seed=st.integers(0, 1),
    wishes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(0, 20)), min_size=1, max_size=3),
)
def test_each_edition_changes_takes_and_adds_exactly_what_it_says(key: str, seed: int, wishes: list[tuple[int, int, int]]) -> None:
    editions = [edition(key, *wish) for wish in wishes]
    versions = [version(key, *editions[:count], seed=seed)[1] for count in range(len(wishes) + 1)]
    for wish, older, newer in zip(wishes, versions, versions[1:], strict=False):
        assert differences(key, older, newer) == wish


@pytest.mark.parametrize("key", KEYS)
def test_727_changed_and_2_vanished_of_a_real_size(key: str) -> None:
    rows = 17 * 5_473
    header, older = version(key, rows=rows)
    _, newer = version(key, edition(key, 727, 2), rows=rows)
    assert differences(key, older, newer) == (727, 2, 0)
    names = [name.lower().replace("_", "") for name in header]
    number, status, place = (names.index(name) for name in _columns(key))
    after = {row[number]: row for row in newer}
    pairs = [(row, after[row[number]]) for row in older if row[number] in after and row != after[row[number]]]
    closed = [new[status] == "Closed" and old[status] != "Closed" for old, new in pairs]
    assert sum(closed) > 0.25 * 727  # those that were open
    moved = [old[place] != new[place] for old, new in pairs]
    assert 0 < sum(moved) < 0.5 * 727
    assert not any(old[status] == "Closed" and new[status] != "Closed" for old, new in pairs)


def _columns(key: str) -> tuple[str, str, str]:
    return ("caseid", "casestatus", "fulladdress") if key == "new" else ("caseenquiryid", "casestatus", "location")


def test_no_other_resource_is_touched_and_what_it_repeats_is_not_either() -> None:
    wish = edition("2023", 300, 100)
    _, following = version("2024")
    assert version("2024", wish)[1] == following
    _, newer = version("2023", wish)
    numbers = {row[0] for row in following}
    repeated = [row for row in version("2023")[1] if row[0] in numbers]
    assert repeated
    assert repeated == [row for row in newer if row[0] in numbers]


def test_rows_that_cannot_be_read_are_in_every_edition() -> None:
    rows = 17 * 20_000
    part = next(part for part in Simulated(rows=rows).parts() if part.key == "2023")
    every = part.revisable(7)
    _, older = version("2023", rows=rows)
    _, newer = version("2023", edition("2023", vanished=every), rows=rows)
    spoilt = {row for row in older if not row[0] or row[1] in ("", "not recorded") or "-02-30" in row[1]}
    assert len(spoilt) > 3
    assert spoilt < set(newer)
    assert len(newer) == len(older) - every


@pytest.mark.parametrize(
    ("wish", "fault"),
    [
        ([edition("1999")], "1999.*not served"),
        ([edition("2023", 600)], "more rows than there are"),
        ([edition("2023", 0, 300), edition("2023", 0, 300)], "more rows than there are"),
        ([{"resource": "2023", "changes": 1}], "changes"),
        ([edition("2023", -1)], "changed"),
        ([{"changed": 1}], "resource"),
    ],
)
def test_an_edition_that_makes_no_sense_is_told_what_is_wrong(wish: list[dict[str, object]], fault: str) -> None:
    with pytest.raises(ChoiceError, match=fault):
        parse({"origin": "simulated", "rows": ROWS, "editions": wish}).check()
