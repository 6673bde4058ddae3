"""Names of objects and change sequences: their forms, and that they never go back."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from local.replication import names

INSTANTS = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=dt.UTC))  # noqa: DTZ001


def test_forms() -> None:
    assert [names.load_name(n) for n in (1, 10, 16, 255)] == [
        "LOAD00000001.parquet",
        "LOAD0000000A.parquet",
        "LOAD00000010.parquet",
        "LOAD000000FF.parquet",
    ]
    moment = dt.datetime(2026, 11, 21, 10, 5, 9, 123456, dt.UTC)
    assert names.change_name(int(moment.timestamp() * 1000)) == "20261121-100509123.parquet"
    assert names.timestamp_text(moment) == "2026-11-21 10:05:09.123456"
    assert names.timestamp_text(moment.replace(microsecond=0)) == "2026-11-21 10:05:09.000000"
    clock = names.change_clock(moment)
    assert clock == "2026112110050912"
    assert names.change_sequence(clock, 0x16B3748, 2) == "2026112110050912" + "0000023803720000002"


@given(st.lists(st.integers(0, 4_000_000_000_000), min_size=2, max_size=30))
def test_names_of_changes_grow_whatever_the_clock_does(clock: list[int]) -> None:
    last, given_ = 0, []
    for now in clock:
        last = names.next_moment(now, last)
        given_.append(names.change_name(last))
    assert given_ == sorted(set(given_))


@given(
    st.lists(st.tuples(INSTANTS, st.integers(32, 10**6), st.integers(1, 5)), min_size=1, max_size=20),
    st.integers(1, 2**42),
)
def test_sequences_grow_with_commit_and_position_whatever_the_clock_does(
    transactions: list[tuple[dt.datetime, int, int]], lsn: int
) -> None:
    clock, found = "", []
    for committed_at, length, changes in transactions:
        clock = max(names.change_clock(committed_at), clock)
        lsn += length
        found += [names.change_sequence(clock, lsn, position) for position in range(changes)]
    assert found == sorted(set(found))
    assert {len(sequence) for sequence in found} == {35}


def test_a_transaction_of_millions_of_changes_stays_before_the_next_one() -> None:
    commit = 0x20000000
    assert names.change_sequence("", commit, 31_999_999) < names.change_sequence("", commit + 32, 0)
