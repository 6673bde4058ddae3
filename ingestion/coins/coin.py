"""A coin as CoinMarketCap publishes it (listings v1 and v3, quotes v2 and v3), and as a row of tb_coins.

Numbers are IEEE doubles all the way: JSON numbers as Python's parser reads them, integers beyond 2**53 rounded to the nearest
double. Unknown keys are ignored, missing ones are null: fields come with time.
"""

from datetime import UTC, datetime
from typing import Annotated, NamedTuple, NotRequired

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    AllowInfNan,
    BeforeValidator,
    PlainValidator,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict

USD, USD_ID = "USD", 2781
INT32 = 2**31 - 1
SHOWN_REASONS = 3


class BadCoin(Exception):
    """A coin that cannot be a row; the text names each field with what is wrong."""


class Row(NamedTuple):
    """A row of tb_coins, in the order of its contract. Instants: UTC, milliseconds, without zone, as the table holds them."""

    id: int
    name: str
    symbol: str
    slug: str
    date_added: datetime | None
    cmc_rank: int | None
    num_market_pairs: int | None
    platform_id: int | None
    infinite_supply: bool | None
    circulating_supply: float | None
    total_supply: float | None
    max_supply: float | None
    price: float | None
    volume_24h: float | None
    volume_change_24h: float | None
    percent_change_1h: float | None
    percent_change_24h: float | None
    percent_change_7d: float | None
    percent_change_30d: float | None
    percent_change_60d: float | None
    percent_change_90d: float | None
    market_cap: float | None
    market_cap_dominance: float | None
    fully_diluted_market_cap: float | None
    last_updated: datetime | None
    is_active: bool
    listing_id: str
    last_listed_at: datetime


def instant(value: object) -> datetime:
    """Of ISO 8601 with an offset: UTC without zone, cut to milliseconds. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("an instant must be a text in ISO 8601")
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is None:
            raise ValueError("it has no offset")
        read = read.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"no instant in ISO 8601: {error}") from error
    return read.replace(microsecond=read.microsecond // 1000 * 1000)


def _integral(value: object) -> object:
    """The same field is an integer in one row and 5.0 in the next."""
    return int(value) if type(value) is float and value.is_integer() else value


def _flag(value: object) -> bool:
    if value not in (0, 1) or isinstance(value, str):
        raise ValueError("a flag must be true, false, 0 or 1")
    return bool(value)


def _plain(value: str) -> str:
    if "\0" in value:
        raise ValueError("a text of the database cannot hold a NUL")
    return value


def _usd(quotes: object) -> object:
    """The quote in US dollars: of a list (v3), or of an object by currency (v1, v2)."""
    if isinstance(quotes, dict):
        found = quotes.get(USD, quotes.get(str(USD_ID)))
    elif isinstance(quotes, list):
        found = next((q for q in quotes if isinstance(q, dict) and (q.get("symbol") == USD or q.get("id") == USD_ID)), None)
    else:
        raise ValueError("quotes must be a list or an object")
    if found is None:
        raise ValueError("there is no quote in USD")
    return found


_Id = Annotated[int, BeforeValidator(_integral), Strict(), Ge(1), Le(INT32)]
_Whole = Annotated[int, BeforeValidator(_integral), Strict(), Ge(-INT32), Le(INT32)]
_Number = Annotated[float, Strict(), AllowInfNan(False)]
_Amount = Annotated[float, Strict(), AllowInfNan(False), Ge(0)]
_Text = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=1000), AfterValidator(_plain)]  # DMS cuts longer ones
_Instant = Annotated[datetime, PlainValidator(instant)]
_Flag = Annotated[bool, PlainValidator(_flag)]


class _Quote(TypedDict, total=False):
    price: _Amount | None
    volume_24h: _Number | None
    volume_change_24h: _Number | None
    percent_change_1h: _Number | None
    percent_change_24h: _Number | None
    percent_change_7d: _Number | None
    percent_change_30d: _Number | None
    percent_change_60d: _Number | None
    percent_change_90d: _Number | None
    market_cap: _Number | None
    market_cap_dominance: _Number | None
    fully_diluted_market_cap: _Number | None
    last_updated: _Instant | None


class _Platform(TypedDict, total=False):
    id: _Id | None


class _Coin(TypedDict):  # no model: its values are wanted once, in another order, and a dictionary is made faster
    id: _Id
    name: _Text
    symbol: _Text
    slug: _Text
    date_added: NotRequired[_Instant | None]
    cmc_rank: NotRequired[_Whole | None]
    num_market_pairs: NotRequired[_Whole | None]
    platform: NotRequired[_Platform | None]
    infinite_supply: NotRequired[_Flag | None]
    circulating_supply: NotRequired[_Amount | None]
    total_supply: NotRequired[_Amount | None]
    max_supply: NotRequired[_Amount | None]
    last_updated: NotRequired[_Instant | None]
    is_active: NotRequired[_Flag | None]
    quote: Annotated[_Quote, BeforeValidator(_usd)]


_validate = TypeAdapter(_Coin).validator.validate_python
_OF_COIN = ("date_added", "cmc_rank", "num_market_pairs")
_SUPPLIES = ("infinite_supply", "circulating_supply", "total_supply", "max_supply")
_OF_QUOTE = tuple(name for name in _Quote.__annotations__ if name != "last_updated")


def row_of(coin: object, *, listing_id: str, listed_at: datetime) -> Row:
    """Raises BadCoin. A coin of a listing is active, unless the listing itself says otherwise."""
    try:
        read = _validate(coin)
    except ValidationError as error:
        raise BadCoin(_reasons(error)) from error
    get, quote = read.get, read["quote"].get
    platform = get("platform")
    return Row._make(
        (
            read["id"],
            read["name"],
            read["symbol"],
            read["slug"],
            *map(get, _OF_COIN),
            platform.get("id") if platform else None,
            *map(get, _SUPPLIES),
            *map(quote, _OF_QUOTE),
            quote("last_updated") or get("last_updated"),
            get("is_active") is not False,
            listing_id,
            listed_at,
        )
    )


def id_of(coin: object) -> int | None:
    """The id of a coin that may be bad otherwise."""
    found = _integral(coin.get("id")) if isinstance(coin, dict) else None
    return found if type(found) is int else None


def _reasons(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [": ".join([".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")]).removeprefix(": ") for e in found]
    more = [f"and {len(told) - SHOWN_REASONS} more"] if len(told) > SHOWN_REASONS else []
    return "; ".join([*told[:SHOWN_REASONS], *more])
