"""A coin as published, in every shape, as a row: numbers to the bit, and what cannot be a row with its reason."""

import json
import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.coins.coin import BadCoin, Row, id_of, instant, row_of
from lake.odcs import load_all

LISTED_AT = datetime(2026, 11, 21, 11)  # noqa: DTZ001
QUOTE = {"price": 0.5, "volume_24h": 7, "percent_change_1h": -1.5, "last_updated": "2026-11-21T10:59:00.000Z"}
COIN: dict[str, Any] = {
    "id": 1027,
    "name": "Gems ",
    "symbol": "FCT,FCT2",
    "slug": "gems",
    "platform": {"id": 1, "slug": "x"},
    "tags": ["a"],
    "infinite_supply": False,
    "circulating_supply": 0,
    "total_supply": 1e18,
    "max_supply": None,
    "date_added": "2013-04-28T00:00:00.000Z",
    "num_market_pairs": 12,
    "cmc_rank": None,
    "last_updated": "2026-11-21T10:58:00.000Z",
    "tvl_ratio": None,
}
V3 = {**COIN, "quote": [{"id": 2790, "symbol": "EUR", "price": 9.0}, {"id": 2781, "symbol": "USD", **QUOTE}]}
V1 = {**COIN, "quote": {"USD": QUOTE}}
V2_QUOTES = {**V1, "tags": [{"slug": "a", "name": "A", "category": "PROPERTY"}], "is_active": 1, "is_fiat": 0}


def row(coin: object) -> Row:
    return row_of(coin, listing_id="l", listed_at=LISTED_AT)


def test_a_row_has_the_columns_of_the_contract_and_in_its_types() -> None:
    contract = load_all()["bronze.tb_coins"]
    assert Row._fields == tuple(column.name for column in contract.columns)
    types = {"string": "str", "int": "int", "boolean": "bool", "timestamp": "datetime", "double": "float"}
    written = {name: getattr(kind, "__name__", str(kind)) for name, kind in Row.__annotations__.items()}
    hints = {name: kind.split(" | ")[0].rpartition(".")[2] for name, kind in written.items()}
    assert hints == {column.name: types[column.type] for column in contract.columns}
    optional = {name for name, kind in Row.__annotations__.items() if "None" in str(kind)}
    assert optional == {column.name for column in contract.columns if not column.required}


@pytest.mark.parametrize("coin", [V3, V1, V2_QUOTES], ids=["v3", "v1", "v2"])
def test_every_shape_gives_the_same_row(coin: dict[str, Any]) -> None:
    found = row(coin)
    assert (found.id, found.name, found.symbol, found.platform_id, found.price) == (1027, "Gems ", "FCT,FCT2", 1, 0.5)
    assert (found.volume_24h, type(found.volume_24h), found.market_cap) == (7.0, float, None)
    assert found.last_updated == datetime(2026, 11, 21, 10, 59)  # noqa: DTZ001
    assert found == row(V3)
    assert found[-3:] == (True, "l", LISTED_AT)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**1000), 2**1000)


@given(NUMBERS)
@example(1.1442e-20)
@example(5e-324)
@example(2**53 + 1)
@example(10**18)
@example(-0.0)
def test_a_number_is_the_double_nearest_to_what_was_written(number: float) -> None:
    written = json.loads(json.dumps({**V3, "quote": {"USD": {"market_cap": number}}}))
    found = row(written).market_cap
    assert struct.pack(">d", found) == struct.pack(">d", float(number))


@given(st.integers(1, 2**31 - 1), st.booleans())
def test_an_integer_may_be_written_as_a_float(number: int, as_float: bool) -> None:
    written = float(number) if as_float else number
    found = row({**V3, "id": written, "cmc_rank": written, "num_market_pairs": written, "platform": {"id": written}})
    assert (found.id, found.cmc_rank, found.num_market_pairs, found.platform_id) == (number,) * 4
    assert {type(value) for value in (found.id, found.cmc_rank, found.platform_id)} == {int}


WRONG = {
    "id": [None, "1", 0, -1, 1.5, True, 2**31, [1]],
    "name": [None, "", 7, "\0", "a\0b", "\ud800"],
    "symbol": [None, "", ["BTC"]],
    "slug": [None, ""],
    "total_supply": [-1, -1e-300, "1", float("nan"), float("inf"), 10**400, True, {}],
    "max_supply": [-1],
    "circulating_supply": [-0.5],
    "cmc_rank": [1.5, "1", 2**31, float("nan")],
    "date_added": ["", "yesterday", 0, "2013-04-28", "2013-04-28T00:00:00", "0001-01-01T00:00:00+05:00"],
    "infinite_supply": ["true", 2, []],
    "is_active": ["1", 2, float("nan")],
    "platform": [1027, [], {"id": "x"}],
    "quote": [None, {}, [], 5, {"EUR": QUOTE}, [None], {"USD": None}, {"USD": []}],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in WRONG.items() for v in values])
def test_what_cannot_be_a_row_is_refused_with_the_field(field: str, value: object) -> None:
    with pytest.raises(BadCoin, match=field):
        row({**V3, field: value})


@pytest.mark.parametrize("value", [-1, -1e-300, "0.5", float("nan"), float("inf"), float("-inf"), True, []])
def test_a_price_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(BadCoin, match=r"quote\.price"):
        row({**V3, "quote": [{"symbol": "USD", "price": value}]})


@pytest.mark.parametrize("name", ["id", "name", "symbol", "slug", "quote"])
def test_what_every_coin_has_must_be_there(name: str) -> None:
    with pytest.raises(BadCoin, match=f"{name}: Field required"):
        row({key: value for key, value in V3.items() if key != name})


def test_everything_else_may_be_missing_or_null() -> None:
    bare = {"id": 1, "name": "n", "symbol": "s", "slug": "s", "quote": {"USD": {}}}
    empty = row(bare)
    assert {empty[n] for n in range(4, len(Row._fields) - 3)} == {None}
    null = {name: None for name in COIN if name not in bare}
    assert row({**bare, **null, "is_active": None, "quote": {"USD": dict.fromkeys(QUOTE)}}) == empty


def test_a_coin_is_active_unless_the_listing_says_otherwise() -> None:
    assert [row({**V3, "is_active": said}).is_active for said in (1, True, None, 0, False, 0.0)] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("coin", [None, [], 7, "coin"])
def test_what_is_no_object_is_no_coin(coin: object) -> None:
    with pytest.raises(BadCoin):
        row(coin)
    assert id_of(coin) is None


def test_the_id_of_a_bad_coin_is_known_if_it_has_one() -> None:
    assert [id_of({"id": given}) for given in (7, 7.0, "7", None, 7.5)] == [7, 7, None, None, None]


@given(st.datetimes(timezones=st.timezones() | st.just(UTC), min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
def test_an_instant_is_utc_with_milliseconds(moment: datetime) -> None:
    found = instant(moment.isoformat())
    assert found.tzinfo is None
    assert found.microsecond % 1000 == 0
    offset = timezone(moment.utcoffset() or timedelta())
    exact = moment.replace(tzinfo=offset).astimezone(UTC).replace(tzinfo=None)
    assert timedelta(0) <= exact - found < timedelta(milliseconds=1)


def test_reasons_are_few_and_hold_no_value() -> None:
    with pytest.raises(BadCoin) as refused:
        row({"id": "secret", "name": 5, "quote": {"USD": {"price": "secret", "market_cap": "secret"}}})
    assert str(refused.value).endswith("and 3 more")
    assert "secret" not in str(refused.value)
