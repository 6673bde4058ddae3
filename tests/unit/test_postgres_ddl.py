"""A contract as PostgreSQL: its types, and what a migration may and may not do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.contracts import Column
from lake.odcs import load_all
from lake.postgres import Existing, MigrationRefused, create_table, migration, type_of

COINS = load_all()["bronze.tb_coins"]
TYPES = ["string", "int", "bigint", "double", "boolean", "timestamp"]
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
COLUMNS = st.builds(Column, name=NAMES, type=st.sampled_from(TYPES), required=st.booleans())


def as_created(columns: list[Column], key: list[str]) -> list[Existing]:
    """What the database holds after the table was made from `columns`."""
    place = {name: number for number, name in enumerate(key, start=1)}
    return [Existing(name=c.name, type=type_of(c), required=c.required, key=place.get(c.name, 0)) for c in columns]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[str]]:
    first, *others = draw(st.lists(COLUMNS, min_size=1, max_size=8, unique_by=lambda c: c.name))
    return [replace(first, required=True), *others], [first.name]


def test_the_coins_are_doubles_instants_and_texts() -> None:
    statement = create_table("tb_coins", COINS.columns, COINS.key)
    for part in (
        'CREATE TABLE "tb_coins" ("id" integer NOT NULL, "name" text NOT NULL',
        '"price" double precision,',
        '"last_listed_at" timestamp(3) without time zone NOT NULL',
        'PRIMARY KEY ("id"))',
    ):
        assert part in statement


def test_a_type_without_counterpart_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="tags: a table of PostgreSQL has no 'array<string>'"):
        create_table("t", [Column(name="tags", type="array<string>")], ["tags"])


@given(tables())
def test_what_was_made_from_a_contract_needs_no_migration(table: tuple[list[Column], list[str]]) -> None:
    columns, key = table
    assert migration("t", columns, key, []) == [create_table("t", columns, key)]
    assert migration("t", columns, key, as_created(columns, key)) == []


@given(tables(), st.sets(st.integers(0, 7)))
def test_added_columns_are_added_empty_in_any_place(table: tuple[list[Column], list[str]], absent: set[int]) -> None:
    columns, key = table
    new = {c.name for n, c in enumerate(columns) if n in absent and c.name not in key}
    existing = as_created([c for c in columns if c.name not in new], key)
    if any(c.required for c in columns if c.name in new):
        with pytest.raises(MigrationRefused, match="is new and required"):
            migration("t", columns, key, existing)
    else:
        expected = [f'ALTER TABLE "t" ADD COLUMN "{c.name}" {type_of(c)}' for c in columns if c.name in new]
        assert migration("t", columns, key, existing) == expected


def test_what_would_lose_something_is_refused_and_every_column_named() -> None:
    existing = [replace(c, type="numeric(28,6)") if c.name == "price" else c for c in as_created(list(COINS.columns), ["id"])]
    existing = [replace(c, required=False) if c.name == "slug" else c for c in existing]
    existing.append(Existing(name="tvl", type="double precision", required=False))
    with pytest.raises(MigrationRefused) as refused:
        migration("tb_coins", COINS.columns, COINS.key, existing)
    for reason in (
        "price is numeric(28,6) and would become double precision",
        "slug would become required",
        "tvl exists and would be dropped",
    ):
        assert reason in str(refused.value)


def test_another_key_is_refused() -> None:
    columns = [Column(name="a", type="int", required=True), Column(name="b", type="int", required=True)]
    with pytest.raises(MigrationRefused, match=r"its key is \(a\) and would become \(b, a\)"):
        migration("t", columns, ["b", "a"], as_created(columns, ["a"]))


def test_a_column_may_cease_to_be_required() -> None:
    columns = [Column(name="a", type="int", required=True), Column(name="b", type="int")]
    existing = [replace(c, required=True) for c in as_created(columns, ["a"])]
    assert migration("t", columns, ["a"], existing) == ['ALTER TABLE "t" ALTER COLUMN "b" DROP NOT NULL']
