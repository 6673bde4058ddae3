"""The header vintages that the portal has published, and files in them. A vintage is a header and a way to write one case."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from local.sources.boston311 import clock, legacy, new_system
from local.sources.boston311.cases import Case, City, Period, cases, city, legacy_year
from local.sources.boston311.clock import shifted
from local.sources.boston311.legacy import Style, Writer

# Three rows in ten thousand cannot be read: no case number, no date, a date that does not exist.
UNREADABLE = 3 / 10_000


@dataclass(frozen=True)
class Vintage:
    """writer(city, year): how cases of that year's file are written, one line each with its end."""

    name: str
    header: str
    writer: Callable[[City, int], Writer]
    line_end: str = "\n"


_DISTRICTS = (
    "fire_district,pwd_district,city_council_district,police_district,neighborhood,neighborhood_services_district,ward,precinct,"
)
_HEADER_C = (
    "case_enquiry_id,open_dt,sla_target_dt,closed_dt,on_time,case_status,closure_reason,case_title,subject,reason,type,queue,"
    f"department,submitted_photo,closed_photo,location,{_DISTRICTS}"
    "location_street_name,location_zipcode,latitude,longitude,geom_4326,source"
)
_NEW_PLACE = (
    "on_time,report_source,full_address,street_number,street_name,zip_code,neighborhood,public_works_district,"
    "city_council_district,fire_district,police_district,ward,precinct"
)

VINTAGE_A = Vintage(
    name="A",
    header=(
        ",CASE_ENQUIRY_ID,OPEN_DT,TARGET_DT,CLOSED_DT,OnTime_Status,CASE_STATUS,CLOSURE_REASON,CASE_TITLE,SUBJECT,REASON,TYPE,"
        f"QUEUE,Department,SubmittedPhoto,ClosedPhoto,Location,{_DISTRICTS}"
        "land_usage,LOCATION_STREET_NAME,LOCATION_ZIPCODE,Property_Type,Property_ID,LATITUDE,LONGITUDE,Source,Geocoded_Location"
    ),
    writer=legacy.writer(Style(clock.us, clock.us, legacy.located_a, resaved=True)),
)
VINTAGE_B = Vintage(
    name="B",
    header=(
        "case_enquiry_id,open_dt,target_dt,closed_dt,ontime,case_status,closure_reason,case_title,subject,reason,type,queue,"
        f"department,submittedphoto,closedphoto,location,{_DISTRICTS}"
        "location_street_name,location_zipcode,latitude,longitude,source"
    ),
    writer=legacy.writer(Style(clock.iso, clock.iso, legacy.located_b)),
)
VINTAGE_C = Vintage(
    name="C",
    header=_HEADER_C,
    writer=legacy.writer(Style(clock.iso_fraction, clock.iso, legacy.located_c, photo_prefix=" ")),
)
VINTAGE_C_SHIFTED = Vintage(
    name="C shifted",
    header=_HEADER_C,
    writer=legacy.writer(
        Style(
            lambda wall: clock.iso(shifted(wall)),
            lambda wall: clock.iso(shifted(wall)),
            legacy.located_c_resaved,
            photo_prefix=" ",
        )
    ),
)
NEW_SYSTEM = Vintage(
    name="new system",
    header=(
        "case_id,open_date,case_topic,service_name,assigned_department,assigned_team,case_status,closure_reason,closure_comments,"
        f"close_date,target_close_date,{_NEW_PLACE},submitted_photo,closed_photo,longitude,latitude"
    ),
    writer=new_system.writer(compact=False),
    line_end="\r\n",
)
NEW_SYSTEM_COMPACT = Vintage(
    name="new system, 26 columns",
    header=(
        "case_id,open_date,close_date,target_close_date,case_topic,service_name,assigned_department,assigned_team,case_status,"
        f"closure_reason,closure_comments,{_NEW_PLACE},longitude,latitude"
    ),
    writer=new_system.writer(compact=True),
    line_end="\r\n",
)


LEGACY = {vintage.name: vintage for vintage in (VINTAGE_A, VINTAGE_B, VINTAGE_C, VINTAGE_C_SHIFTED)}


def vintage_of(year: int) -> Vintage:
    """The vintage in which the year's file is published."""
    if year == 2015:
        return VINTAGE_A
    return VINTAGE_B if year < 2024 else VINTAGE_C_SHIFTED if year == 2024 else VINTAGE_C


def csv_blocks(vintage: Vintage, *, seed: int, year: int, rows: int) -> Iterator[bytes]:
    """A legacy year's first edition, as `blocks` gives it."""
    return blocks(vintage, seed=seed, period=legacy_year(year), rows=rows)


def blocks(
    vintage: Vintage,
    *,
    seed: int,
    period: Period,
    rows: int,
    revised: Mapping[int, Case | None] = MappingProxyType({}),
    more: Sequence[Case] = (),
) -> Iterator[bytes]:
    """A period's file in UTF-8, a block for each day: never more than one day in memory.

    revised: by a row's index, what stands there instead, None = nothing. more: further cases of the system, put at the end.
    """
    yield f"{vintage.header}{vintage.line_end}".encode()
    write = vintage.writer(city(seed, period.system), period.first.year)
    spoilt = unreadable(seed=seed, period=period, rows=rows)
    index = 0
    for day in cases(seed=seed, period=period, rows=rows):
        lines = [write(case) for case in day]
        indexes = range(index, index + len(lines))
        for at in spoilt.intersection(indexes):
            lines[at - index] = spoil(lines[at - index], at)
        for at in revised.keys() & set(indexes) if revised else ():
            case = revised[at]
            lines[at - index] = "" if case is None else write(case)
        index += len(lines)
        yield "".join(lines).encode()
    yield "".join(write(case) for case in more).encode()


def unreadable(*, seed: int, period: Period, rows: int) -> frozenset[int]:
    """Indexes of the rows that cannot be read."""
    rnd = Random(f"unreadable:{seed}:{period}:{rows}")
    return frozenset(rnd.sample(range(rows), int(rows * UNREADABLE + rnd.random())))


def spoil(line: str, index: int) -> str:
    """The row with its case number or its opening time spoilt, which stand first, or second after a row number."""
    fields = line.split(",", 3)
    at = 1 if "/" in fields[2] else 0
    opened = fields[at + 1]
    no_such_day = f"02/30/{opened[6:]}" if at else f"{opened[:4]}-02-30{opened[10:]}"
    where, what = ((at, ""), (at + 1, ""), (at + 1, no_such_day), (at + 1, "not recorded"))[index % 4]
    fields[where] = what
    return ",".join(fields)
