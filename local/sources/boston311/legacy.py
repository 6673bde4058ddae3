"""Cases of the legacy system as lines of CSV, in its three published vintages.

What a place or a topic says is spelt once and not for each row: a row costs a few microseconds.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from local.sources.boston311 import clock
from local.sources.boston311.cases import Case, City
from local.sources.boston311.places import CITY_HALL, Place

Writer = Callable[[Case], str]
Spelling = Callable[[int | None], str]

_LAND_USAGE = ("R1", "R2", "R3", "R4", "C", "CM", "RC", "E", "A", "CD", "I", "")


class Located(NamedTuple):
    """A place in the words of a vintage: whole fields with their commas, except those that differ by row.

    wards: ten spellings of one ward, of which a row takes one.
    """

    numbered: bool
    location: str
    districts: str
    wards: list[str]
    precinct: str
    street: str
    rest: str
    end: str


@dataclass(frozen=True)
class Style:
    """resaved: by pandas, which adds a row number, makes numbers of codes and strips blanks."""

    moment: Spelling
    target: Spelling
    located: Callable[[Place, int], Located]
    resaved: bool = False
    photo_prefix: str = ""


def writer(style: Style) -> Callable[[City, int], Writer]:
    """(city, year) -> the writer of that year's file."""

    def of(pools: City, year: int) -> Writer:
        located = [style.located(place, index) for index, place in enumerate(pools.places)]
        described = [
            ",".join(quoted(t) for t in (topic.subject, topic.reason, topic.type, topic.queue, topic.department))
            for topic in pools.topics
        ]
        moment, due, prefix = style.moment, style.target, style.photo_prefix

        def write(case: Case) -> str:
            case_id, opened, target, closed, on_time, _, title, topic, place, number, source, photo = case
            numbered, location, districts, wards, precinct, street, rest, end = located[place]
            if not numbered:
                number = ""
            photos = ","
            if photo:
                photos = f"{prefix}https://311.example.org/photos/{case_id}.jpg,"
                if closed is not None:
                    photos += f"https://311.example.org/closed/{case_id}.jpg"
            text = closing_text(case, year)
            index = ""
            if style.resaved:
                text, index = text.strip(), f"{case_id // 3 % 1_000_000},"
            return (
                f"{index}{case_id},{moment(opened)},{due(target)},{moment(closed)},{on_time},"
                f"{'Open' if closed is None else 'Closed'},{quoted(text)},{quoted(title)},{described[topic]},{photos},"
                f"{number}{location},{districts},{wards[(case_id * 31 + year) % 10]},{precinct},{number}{street},"
                f"{rest},{source}{end}\n"
            )

        return write

    return of


def quoted(text: str) -> str:
    """As a CSV field."""
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text else text


def closing_text(case: Case, year: int) -> str:
    """One blank without a text; any text ends with a blank. It tells Boston's true time also where the columns are shifted.

    The wording changed with the years, and each style lasted into the next one's time.
    """
    if case.comment is None:
        return " "
    if case.closed is None:
        return f"{case.comment} "
    if year < 2012 or (year < 2015 and case.case_id % 4):
        return f"Case Closed Case Resolved {case.comment} "
    if year < 2022 or case.case_id % 2:
        return f"Case Closed. Closed date : {clock.iso_fraction(case.closed)} {case.comment} "
    return f"Case Closed. Closed date : {clock.unix(case.closed)} {case.comment} "


def located_a(place: Place, index: int) -> Located:
    """Four decimals, city hall for unknown places with a geometry of (0, 0), codes as floats, no blanks."""
    location, street = _addresses(place)
    codes = (_float(place.fire), place.pwd, _float(place.council), place.police)
    area = (place.neighborhood, _float(place.services))
    usage = _LAND_USAGE[index % len(_LAND_USAGE)] if place.kind == "address" else ""
    kind = {"address": "Address", "intersection": "Intersection", "unknown": ""}[place.kind]
    hall = place.at_city_hall
    latitude, longitude = _four_decimals(place)
    return Located(
        numbered=place.kind == "address",
        location=location.rstrip(),
        districts=_fields(*(code.strip() for code in (*codes, *area))),
        wards=[ward.strip() for ward in _wards(place.ward)],
        precinct=f"{_float(place.precinct.strip())},{usage}",
        street=street,
        rest=f"{_float(_zip(place))},{kind},{'' if hall and not kind else f'{1000 + index}.0'},{latitude},{longitude}",
        end=',"(0, 0)"' if hall else f',"({latitude}, {longitude})"',
    )


def located_b(place: Place, _: int) -> Located:
    """Four decimals, city hall for unknown places."""
    latitude, longitude = _four_decimals(place)
    return _blanked(place, zip_code=_zip(place), rest=f"{latitude},{longitude}")


def located_c(place: Place, _: int) -> Located:
    """Full precision and a geometry; both empty for unknown places."""
    return _blanked(place, zip_code=_zip(place), rest=_exact(place))


def located_c_resaved(place: Place, _: int) -> Located:
    """As `located_c`, with postal codes as floats."""
    return _blanked(place, zip_code=_float(_zip(place)), rest=_exact(place))


def _blanked(place: Place, *, zip_code: str, rest: str) -> Located:
    location, street = _addresses(place)
    return Located(
        numbered=place.kind == "address",
        location=location or " ",
        districts=_fields(place.fire, place.pwd, place.council, place.police, place.neighborhood, place.services),
        wards=_wards(place.ward),
        precinct=place.precinct,
        street=street,
        rest=f"{zip_code},{rest}",
        end="",
    )


def _addresses(place: Place) -> tuple[str, str]:
    """(location, street), both without the house number that stands before them; postal codes are missing at intersections."""
    if place.kind == "unknown":
        return "", ""
    words = ("INTERSECTION of ", "INTERSECTION ") if place.kind == "intersection" else (" ", " ")
    return f"{words[0]}{place.street}  {place.town}  MA  {_zip(place)}", f"{words[1]}{place.street}"


def _zip(place: Place) -> str:
    return place.zip if place.kind == "address" else ""


def _wards(ward: str) -> list[str]:
    return [f"Ward {ward}"] * 7 + [ward.zfill(2)] * 2 + [ward] if ward.strip() else [ward] * 10


def _float(code: str) -> str:
    """As pandas writes a column of numbers with gaps; a code with a letter stays."""
    return f"{int(code)}.0" if code.isdecimal() else code


def _fields(*texts: str) -> str:
    return ",".join(quoted(text) for text in texts)


def _four_decimals(place: Place) -> tuple[str, str]:
    latitude, longitude = CITY_HALL if place.at_city_hall else (place.latitude, place.longitude)
    return repr(round(latitude, 4)), repr(round(longitude, 4))


def _exact(place: Place) -> str:
    if place.at_city_hall:
        return ",,"
    # EWKB of a point: little endian, type with SRID flag, SRID 4326, longitude, latitude.
    geometry = struct.pack("<BIIdd", 1, 0x20000001, 4326, place.longitude, place.latitude).hex().upper()
    return f"{place.latitude!r},{place.longitude!r},{geometry}"
