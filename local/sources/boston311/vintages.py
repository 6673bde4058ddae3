"""Cases as CSV, in the header vintages that the portal has published. A vintage is a header and a way to write one case.

The writers work on text that is prepared once for each place and topic: a row costs a few microseconds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from local.sources.boston311.cases import DAY, EPOCH, HOUR, Case, City, cases, city, summer_time
from local.sources.boston311.world import Place

# Three rows in ten thousand cannot be read: no case number, no date, a date that does not exist.
UNREADABLE = 3 / 10_000
_CLOCK = [f" {s // HOUR:02d}:{s % HOUR // 60:02d}:{s % 60:02d}" for s in range(DAY)]
_FIRST_DAY = (EPOCH.replace(year=2010) - EPOCH).days
_DATES = [(EPOCH + timedelta(days=n)) for n in range(_FIRST_DAY, (EPOCH.replace(year=2061) - EPOCH).days)]
_ISO = [day.isoformat() for day in _DATES]
_UNIX = [day.strftime("%a %b %d") for day in _DATES]

Writer = Callable[[Case], str]


@dataclass(frozen=True)
class Vintage:
    """writer(city, year): how cases of that year's file are written, one line each with its end."""

    name: str
    header: str
    writer: Callable[[City, int], Writer]


def iso(wall: int | None) -> str:
    """`YYYY-MM-DD HH:MM:SS`; '' for None."""
    return "" if wall is None else _ISO[wall // DAY - _FIRST_DAY] + _CLOCK[wall % DAY]


def unix(wall: int) -> str:
    """`Wed May 15 06:58:54 EDT 2024`, as date(1) writes it."""
    day = wall // DAY - _FIRST_DAY
    spring, autumn = summer_time(_DATES[day].year)
    zone = "EDT" if spring <= wall < autumn + HOUR else "EST"
    return f"{_UNIX[day]}{_CLOCK[wall % DAY]} {zone} {_DATES[day].year}"


def quoted(text: str) -> str:
    """As a CSV field."""
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text else text


def closing_text(case: Case, year: int) -> str:
    """One blank without a text; any text ends with a blank. The wording changed with the years."""
    if case.comment is None:
        return " "
    if case.closed is None:
        return f"{case.comment} "
    if year < 2012:
        return f"Case Closed Case Resolved {case.comment} "
    if year < 2022 or case.case_id % 2:
        return f"Case Closed. Closed date : {iso(case.closed)}.{case.case_id % 1000:03d} {case.comment} "
    return f"Case Closed. Closed date : {unix(case.closed)} {case.comment} "


def _vintage_b(pools: City, year: int) -> Writer:
    """Portal exports to about 2023: ISO wall-clock times, four decimals, '' and ' ' side by side."""
    located = [_located_b(place) for place in pools.places]
    described = [
        ",".join(quoted(t) for t in (topic.subject, topic.reason, topic.type, topic.queue, topic.department))
        for topic in pools.topics
    ]

    def write(case: Case) -> str:
        case_id, opened, target, closed, on_time, _, title, topic, place, number, source, photo = case
        numbered, location, districts, street, rest = located[place]
        if not numbered:
            number = ""
        photos = ","
        if photo:
            photos = f"https://311.example.org/photos/{case_id}.jpg,"
            if closed is not None:
                photos += f"https://311.example.org/closed/{case_id}.jpg"
        return (
            f"{case_id},{iso(opened)},{iso(target)},{iso(closed)},{on_time},{'Open' if closed is None else 'Closed'},"
            f"{quoted(closing_text(case, year))},{quoted(title)},{described[topic]},{photos},"
            f"{number}{location},{districts},{number}{street},{rest},{source}\n"
        )

    return write


def _located_b(place: Place) -> tuple[bool, str, str, str, str]:
    """(has a house number, location, districts, street, postal code and coordinates) of a place as vintage B writes them."""
    crossing = "INTERSECTION " if place.kind == "intersection" else " "
    location, street = " ", ""
    if place.kind != "unknown":
        of = "of " if place.kind == "intersection" else ""
        location, street = f"{crossing}{of}{place.street}  {place.town}  MA  {place.zip}", f"{crossing}{place.street}"
    districts = (place.fire, place.pwd, place.council, place.police, place.neighborhood, place.services)
    return (
        place.kind == "address",
        location,
        ",".join(quoted(text) for text in (*districts, place.ward, place.precinct)),
        street,
        f"{place.zip},{place.latitude},{place.longitude}",
    )


VINTAGE_B = Vintage(
    name="B",
    header=(
        "case_enquiry_id,open_dt,target_dt,closed_dt,ontime,case_status,closure_reason,case_title,subject,reason,type,queue,"
        "department,submittedphoto,closedphoto,location,fire_district,pwd_district,city_council_district,police_district,"
        "neighborhood,neighborhood_services_district,ward,precinct,location_street_name,location_zipcode,latitude,longitude,"
        "source"
    ),
    writer=_vintage_b,
)


def csv_blocks(vintage: Vintage, *, seed: int, year: int, rows: int) -> Iterator[bytes]:
    """The year's file in UTF-8, a block for each day: never more than one day in memory."""
    yield f"{vintage.header}\n".encode()
    write = vintage.writer(city(seed), year)
    rnd = Random(f"unreadable:{seed}:{year}:{rows}")
    for day in cases(seed=seed, year=year, rows=rows):
        lines = [write(case) for case in day]
        for i in range(len(lines)):
            if rnd.random() < UNREADABLE:
                lines[i] = _unreadable(lines[i], rnd)
        yield "".join(lines).encode()


def _unreadable(line: str, rnd: Random) -> str:
    """The row with its case number or its opening time, which are the first two columns, spoilt."""
    case_id, opened, rest = line.split(",", 2)
    case_id, opened = rnd.choice(
        (("", opened), (case_id, ""), (case_id, f"{opened[:4]}-02-30 12:00:00"), (case_id, "not recorded"))
    )
    return f"{case_id},{opened},{rest}"
