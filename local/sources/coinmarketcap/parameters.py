"""What a request may ask for. Refusals are worded as the real service words them, whose validator is Joi."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.sources.coinmarketcap.errors import invalid

MAX_LIMIT = 5000
# By symbol: id, price in USD. The simulated exchange rates stand still.
CURRENCIES = {
    "USD": (2781, 1.0),
    "EUR": (2790, 1.15),
    "GBP": (2791, 1.31),
    "JPY": (2797, 0.0065),
    "BRL": (2783, 0.185),
    "BTC": (1, 93_000.0),
    "ETH": (1027, 3_100.0),
}
SORTS = (
    "name", "symbol", "date_added", "market_cap", "market_cap_strict", "price", "circulating_supply", "total_supply", "max_supply",
    "num_market_pairs", "volume_24h", "percent_change_1h", "percent_change_24h", "percent_change_7d",
)  # fmt: skip
BOUNDED = ("price", "market_cap", "volume_24h", "circulating_supply", "percent_change_24h")
AUX = ("num_market_pairs", "cmc_rank", "date_added", "tags", "platform", "max_supply", "circulating_supply", "total_supply")
MORE_AUX = (
    "market_cap_by_total_supply", "volume_24h_reported", "volume_7d", "volume_7d_reported", "volume_30d", "volume_30d_reported",
    "is_market_cap_included_in_calc", "is_active", "is_fiat",
)  # fmt: skip
MAP_AUX = ("platform", "first_historical_data", "last_historical_data", "is_active", "status")
STATUSES = ("active", "inactive", "untracked")
_LISTING = ("start", "limit", "convert", "convert_id", "sort", "sort_dir", "cryptocurrency_type", "tag", "aux")


@dataclass(frozen=True)
class Listing:
    """bounds: (field, least, most). left_out: fields of AUX that are not wanted."""

    start: int
    limit: int
    convert: tuple[str, ...]
    sort: str
    descending: bool
    kind: str
    tag: str
    left_out: frozenset[str]
    bounds: tuple[tuple[str, float, float], ...]

    @property
    def plain(self) -> bool:
        """Whether it is the whole market by market cap."""
        return self.sort == "market_cap" and self.descending and self.kind == self.tag == "all" and not self.bounds


@dataclass(frozen=True)
class Quotes:
    """by: id, symbol or slug."""

    by: str
    values: tuple[str, ...]
    convert: tuple[str, ...]
    skip_invalid: bool


@dataclass(frozen=True)
class Map:
    statuses: frozenset[str]
    start: int
    limit: int
    by_rank: bool
    symbols: frozenset[str]
    aux: frozenset[str]


def listing(query: Mapping[str, str]) -> Listing:
    """Raises ApiError 400."""
    bounded = [f"{name}_{end}" for name in BOUNDED for end in ("min", "max")]
    _known(query, (*_LISTING, *bounded))
    bounds = tuple(
        (name, _number(query, f"{name}_min", -math.inf), _number(query, f"{name}_max", math.inf))
        for name in BOUNDED
        if f"{name}_min" in query or f"{name}_max" in query
    )
    return Listing(
        start=_integer(query, "start", 1),
        limit=_integer(query, "limit", 100, most=MAX_LIMIT),
        convert=_convert(query),
        sort=_one(query, "sort", SORTS, "market_cap"),
        descending=_one(query, "sort_dir", ("asc", "desc"), "desc") == "desc",
        kind=_one(query, "cryptocurrency_type", ("all", "coins", "tokens"), "all"),
        tag=query.get("tag", "all"),
        left_out=frozenset(AUX) - _several(query, "aux", (*AUX, *MORE_AUX), AUX),
        bounds=bounds,
    )


def quotes(query: Mapping[str, str]) -> Quotes:
    """Raises ApiError 400."""
    _known(query, ("id", "symbol", "slug", "convert", "convert_id", "aux", "skip_invalid"))
    given = [name for name in ("id", "symbol", "slug") if name in query]
    if not given:
        raise invalid('"value" must contain at least one of [id, symbol, slug]')
    values = tuple(dict.fromkeys(value.strip() for value in query[given[0]].split(",")))
    if given[0] == "id" and not all(value.isascii() and value.isdecimal() for value in values):
        raise invalid('"id" should include one or more valid CoinMarketCap cryptocurrency ids. Pass a comma-separated list of ids')
    skip = _one(query, "skip_invalid", ("true", "false"), "true") == "true"
    return Quotes(given[0], values, _convert(query), skip)


def map_(query: Mapping[str, str]) -> Map:
    """Raises ApiError 400."""
    _known(query, ("listing_status", "start", "limit", "sort", "symbol", "aux"))
    return Map(
        statuses=_several(query, "listing_status", STATUSES, ("active",)),
        start=_integer(query, "start", 1),
        limit=_integer(query, "limit", MAX_LIMIT, most=MAX_LIMIT),
        by_rank=_one(query, "sort", ("id", "cmc_rank"), "id") == "cmc_rank",
        symbols=frozenset(query["symbol"].split(",")) if "symbol" in query else frozenset(),
        aux=_several(query, "aux", MAP_AUX, ("platform", "first_historical_data", "last_historical_data", "is_active")),
    )


def _known(query: Mapping[str, str], names: tuple[str, ...]) -> None:
    for name, value in query.items():
        if name not in names:
            raise invalid(f'"{name}" is not allowed')
        if not value:
            raise invalid(f'"{name}" is not allowed to be empty')


def _read(query: Mapping[str, str], name: str, default: Any, read: Callable[[str], Any]) -> Any:
    try:
        return read(query[name]) if name in query else default
    except ValueError as error:
        raise invalid(f'"{name}" must be a number') from error


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    return float(_read(query, name, default, float))


def _integer(query: Mapping[str, str], name: str, default: int, *, most: int | None = None) -> int:
    number = _number(query, name, default)
    if not number.is_integer():
        raise invalid(f'"{name}" must be an integer')
    if number < 1:
        raise invalid(f'"{name}" must be larger than or equal to 1')
    if most is not None and number > most:
        raise invalid(f'"{name}" must be less than or equal to {most}')
    return int(number)


def _one(query: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = query.get(name, default)
    if value not in known:
        raise invalid(f'"{name}" must be one of [{", ".join(known)}]')
    return value


def _several(query: Mapping[str, str], name: str, known: tuple[str, ...], default: tuple[str, ...]) -> frozenset[str]:
    values = query[name].split(",") if name in query else default
    for value in values:
        _one({name: value}, name, known, "")
    return frozenset(values)


def _convert(query: Mapping[str, str]) -> tuple[str, ...]:
    if "convert" in query and "convert_id" in query:
        raise invalid('"value" contains a conflict between exclusive peers [convert, convert_id]')
    if "convert_id" in query:
        symbols = {str(identifier): symbol for symbol, (identifier, _) in CURRENCIES.items()}
        return tuple(_currency("convert_id", value, symbols) for value in query["convert_id"].split(","))
    return tuple(
        _currency("convert", value.upper(), {s: s for s in CURRENCIES}) for value in query.get("convert", "USD").split(",")
    )


def _currency(name: str, value: str, known: dict[str, str]) -> str:
    if value not in known:
        raise invalid(f'Invalid value for "{name}": "{value}"')
    return known[value]
