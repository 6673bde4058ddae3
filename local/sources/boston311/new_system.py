"""Cases of the new system as lines of CSV: Boston's wall clock mislabelled as `+00`, CRLF, places by their atomic names."""

from collections.abc import Callable
from typing import NamedTuple

from local.sources.boston311 import clock
from local.sources.boston311.cases import Case, City, judged
from local.sources.boston311.legacy import Writer, quoted
from local.sources.boston311.places import WASHINGTON, Place

# In 1,024 cases each.
_OPEN = ("Create",) * 4 + ("Submit",) * 3 + ("Error",) * 3 + ("Needs Reallocation", "Open", "Open", "Apply")
_OPEN_STATUS = _OPEN + ("In progress",) * (1024 - len(_OPEN))
_CLOSED_REASON = ("Resolved",) * 875 + ("Noted",) * 110 + ("Transitioned",) * 36 + ("Resolved successfully",) * 3
_OPEN_REASON = ("Resolved",) * 58 + ("Noted", "Transitioned") + ("",) * 964


class Located(NamedTuple):
    """A place as whole fields; `address` follows a house number when numbered."""

    numbered: bool
    address: str
    comma: str  # quotes the address, when it holds commas
    street: str
    number: str
    districts: str
    latitude: str
    longitude: str


def writer(*, compact: bool) -> Callable[[City, int], Writer]:
    """compact: 26 columns in another order, without photos; else 28."""

    def of(pools: City, _: int) -> Writer:
        located = [_located(place, index) for index, place in enumerate(pools.places)]
        described = [
            (f"{quoted(topic.reason)},{quoted(topic.type)},", f"{quoted(topic.department)},{quoted(topic.queue)}")
            for topic in pools.topics
        ]

        def write(case: Case) -> str:
            case_id, opened, target, closed, on_time, comment, _, topic, place, number, _, photo = case
            numbered, address, comma, street, fixed_number, districts, latitude, longitude = located[place]
            if not numbered:
                number, house = "", fixed_number
            else:
                house = number
            luck = case_id * 2_654_435_761 >> 9 & 1023
            status, reason = ("Closed", _CLOSED_REASON[luck]) if closed is not None else (_OPEN_STATUS[luck], _OPEN_REASON[-luck])
            about, assigned = described[topic]
            if status in ("Create", "Error"):  # nothing is known of it yet
                about, assigned, target, on_time = ",,", ",", None, "ONTIME"
            comments = "" if comment is None else quoted(comment if luck % 4 else _timed(comment, closed))
            fraction = clock.MICROSECONDS[opened * 7919 & 1023]
            opening = f"{clock.iso(opened)}{fraction}+00"
            closing = "" if closed is None else f"{clock.iso(closed)}+00"
            due = "" if target is None else f"{clock.iso(target)}{fraction}+00"
            end = f"{on_time or judged(target, closed)},{case.source},{comma}{number}{address}{comma},{house},{street},{districts}"
            first = f"BCS-{case_id:08d},{opening},"
            if compact:
                return f"{first}{closing},{due},{about}{assigned},{status},{reason},{comments},{end},{longitude},{latitude}\r\n"
            photos = f"https://311.example.org/photos/{case_id}.jpg," if photo else ","
            return (
                f"{first}{about}{assigned},{status},{reason},{comments},{closing},{due},{end},{photos},{longitude},{latitude}\r\n"
            )

        return write

    return of


def _timed(comment: str, closed: int | None) -> str:
    """The comment with a clock time that fits the closing time."""
    if closed is None:
        return comment
    hour, minute = closed // clock.HOUR % 24, closed // 60 % 60
    return f"{comment} Left at {hour % 12 or 12}:{minute:02d}{'am' if hour < 12 else 'pm'}."


def _located(place: Place, index: int) -> Located:
    if place.kind == "unknown":
        # Two spellings of knowing nothing: zero for two districts, or nothing at all.
        return Located(False, "", "", "", "", ",,,0,0,,," if index % 2 else ",,,,,,,", "", "")
    latitude, longitude = WASHINGTON if place.far_off else (place.latitude, place.longitude)
    decimals = (6, 6, 6, 6, 6, 6, 6, 8, 5, 4)[index % 10]
    crossing = place.kind == "intersection"
    nearby = crossing and index % 5 < 3  # a crossing may carry the number and street of an address beside it
    codes = (
        place.zip,
        quoted(place.atomic),
        place.new_pwd,
        place.council.strip(),
        place.fire.strip(),
        place.police.strip(),
        place.ward.strip().zfill(2) if place.ward.strip() else "",
        place.precinct.strip()[2:4],
    )
    return Located(
        numbered=not crossing,
        address=f"{'' if crossing else ' '}{place.street}, {place.atomic}, MA {place.zip}",
        comma='"',
        street=place.street if not crossing else place.street.split(" & ")[0] if nearby else "",
        number=str(index % 300 + 1) if nearby else "",
        districts=",".join(codes),
        latitude="" if place.at_city_hall else repr(round(latitude, decimals)),
        longitude="" if place.at_city_hall else repr(round(longitude, decimals)),
    )
