"""The invented city that simulated requests come from: topics, places, texts. Nothing here is taken from a real record.

Shares and spellings follow what the real portal publishes: combined neighbourhood labels beside atomic ones, codes with and
without leading zeros, a default position for unknown places, no postal code at intersections.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

CITY_HALL = ("42.3594", "-71.0587")
# Chances are in ten thousandths of all places, so that a pool of this size holds them exactly.
PLACES = 10_000
UNKNOWN = 490
INTERSECTIONS = 1550
CITY_HALL_THOUGH_KNOWN = 330


class Topic(NamedTuple):
    """sla_hours: promised, None = no target; hours: median time to close; weight: share of requests."""

    weight: int
    department: str
    subject: str
    reason: str
    type: str
    queue: str
    sla_hours: float | None
    hours: float


_PWD, _ISD = "Public Works Department", "Inspectional Services"
_PARK, _BTD = "Parks & Recreation Department", "Transportation - Traffic Division"

TOPICS = (
    Topic(170, "PWDx", _PWD, "Sanitation", "Bulk Item Collection", "PWDx_Bulk Item Collection", 168, 60),
    Topic(60, "PWDx", _PWD, "Sanitation", "Missed Collection: Trash, Recycling", r"PWDx_Missed Trash\Recycling", 24, 20),
    Topic(90, "PWDx", _PWD, "Street Lights", "Street Light Outages", "PWDx_Street Light Outages", 240, 150),
    Topic(80, "PWDx", _PWD, "Highway Maintenance", "Pothole Repair (Internal)", "PWDx_Potholes", 48, 9),
    Topic(45, "PWDx", _PWD, "Highway Maintenance", "Request for Pothole Repair", "PWDx_Potholes", 48, 12),
    Topic(25, "PWDx", _PWD, "Highway Maintenance", "Sidewalk Repair (Make Safe)", "PWDx_District 03", 240, 300),
    Topic(15, "PWDx", _PWD, "Highway Maintenance", "Sidewalk Repair (Internal)", "PWDx_Sidewalks (INTERNAL)", 1440, 2400),
    Topic(30, "PWDx", _PWD, "Recycling", "Recycling Cart Return", "PWDx_Recycling", 480, 190),
    Topic(35, "PWDx", _PWD, "Street Cleaning", "Requests for Street Cleaning", "PWDx_District 1B", 48, 16),
    Topic(25, "PWDx", _PWD, "Street Cleaning", "Litter & Debris", "PWDx_District 10A", 24, 10),
    Topic(50, "ISD", _ISD, "Housing", "Unsatisfactory Living Conditions", "ISD_Housing (INTERNAL)", 720, 400),
    Topic(12, "ISD", _ISD, "Housing", "Bed Bugs", "ISD_Housing (INTERNAL)", 720, 380),
    Topic(40, "ISD", _ISD, "Building", "Work Without Permit, Unsafe", "ISD_Building (INTERNAL)", 720, 500),
    Topic(30, "ISD", _ISD, "Environmental Services", "Rodent Activity", "ISD_Environmental Services (INTERNAL)", 360, 90),
    Topic(70, "PARK", _PARK, "Trees", "Tree Maintenance Requests", "PARK_Tree Maintenance Request", 8760, 1400),
    Topic(35, "PARK", _PARK, "Trees", "Tree Emergencies", "PARK_Tree Emergencies", 24, 14),
    Topic(40, "BTDT", _BTD, "Signs & Signals", "Traffic Signal Repair", "BTDT_Traffic Signal Repair", 24, 8),
    Topic(28, "BTDT", _BTD, "Enforcement & Abandoned Vehicles", "Abandoned Vehicles", "BTDT_Abandoned Vehicles", 336, 170),
    Topic(6, "BTDT", _BTD, "Enforcement & Abandoned Vehicles", "Abandoned Bicycle", "BTDT_Bicycles", None, 200),
    Topic(34, "PROP", "Property Management", "Graffiti", "Graffiti Removal", "PROP_GRAF_Removal", 1080, 240),
    Topic(10, "ANML", "Animal Control", "Animal Issues", "Lost or Found Animal", "ANML_General", None, 30),
    Topic(14, "INFO", "Mayor's 24 Hour Hotline", "Needle Program", "Needle Pickup", "INFO_Mobile Sharps Team", None, 1.5),
    Topic(45, "INFO", "Mayor's 24 Hour Hotline", "Employee & General Comments", "General Comments", "INFO_Comments", None, 70),
    Topic(8, "GEN_", "Mayor's 24 Hour Hotline", "Notification", "Notification", "GEN_Needs Review", None, 5),
    Topic(3, "BWSC", "Boston Water & Sewer Commission", "Catchbasin", "Sewer or Drain", "BWSC_Operations", 96, 30),
)


class District(NamedTuple):
    """A neighbourhood: label of the legacy system, town in addresses, codes, centre."""

    weight: int
    label: str
    town: str
    zip: str
    fire: str
    pwd: str
    council: str
    police: str
    services: str
    ward: int
    latitude: float
    longitude: float


DISTRICTS = (
    District(160, "Dorchester", "Dorchester", "02124", "8", "07", "4", "C11", "5", 17, 42.290, -71.072),
    District(90, "Roxbury", "Roxbury", "02119", "9", "10B", "7", "B2", "13", 12, 42.324, -71.085),
    District(55, "Allston / Brighton", "Brighton", "02135", "11", "04", "9", "D14", "15", 22, 42.350, -71.152),
    District(30, "Allston", "Allston", "02134", "11", "4", "9", "D14", "15", 21, 42.354, -71.130),
    District(75, "Jamaica Plain", "Jamaica Plain", "02130", "9", "02", "6", "E13", "11", 19, 42.310, -71.114),
    District(65, "West Roxbury", "West Roxbury", "02132", "12", "06", "6", "E5", "10", 20, 42.281, -71.156),
    District(60, "South Boston / South Boston Waterfront", "South Boston", "02127", "6", "05", "2", "C6", "5", 6, 42.335, -71.046),
    District(30, "Greater Mattapan", "Mattapan", "02126", "12", "07", "4", "B3", "9", 18, 42.277, -71.093),
    District(30, "Mattapan", "Mattapan", "02126", "12", "7", "4", "B3", "9", 14, 42.280, -71.090),
    District(55, "Hyde Park", "Hyde Park", "02136", "12", "08", "5", "E18", "12", 18, 42.255, -71.124),
    District(50, "Roslindale", "Roslindale", "02131", "12", "06", "5", "E5", "10", 20, 42.287, -71.127),
    District(50, "East Boston", "East Boston", "02128", "1", "09", "1", "A7", "1", 1, 42.375, -71.033),
    District(20, "Downtown / Financial District", "Boston", "02110", "3", "1C", "2", "A1", "3", 3, 42.356, -71.057),
    District(40, "South End", "Boston", "02118", "4", "1C", "2", "D4", "6", 8, 42.341, -71.075),
    District(38, "Back Bay", "Boston", "02116", "4", "1C", "8", "D4", "14", 5, 42.350, -71.081),
    District(
        30, "Fenway / Kenmore / Audubon Circle / Longwood", "Boston", "02215", "4", "10A", "8", "D4", "14", 5, 42.344, -71.098
    ),
    District(28, "Charlestown", "Charlestown", "02129", "3", "1A", "1", "A15", "2", 2, 42.378, -71.063),
    District(12, "Beacon Hill", "Boston", "02114", "3", "1B", "8", "A1", "14", 5, 42.358, -71.068),
    District(20, "Boston", "Boston", "02111", "3", "1B", "2", "A1", "3", 3, 42.352, -71.061),
)

# fmt: off
_FIRST = (
    "Amber", "Birch", "Cobble", "Dory", "Elder", "Fathom", "Gable", "Harrow",
    "Inlet", "Juniper", "Kestrel", "Lantern", "Mallow", "Nutmeg", "Osprey", "Pewter", "Quarry",
)
_SECOND = (
    "brook", "cote", "dale", "field", "gate", "ham", "hollow", "mere", "mount",
    "port", "ridge", "side", "stead", "view", "ward", "well", "wick", "wood",
)
# fmt: on
_SUFFIX = ("St", "Ave", "Rd", "Ter", "Pl", "Sq", "Way", "Ct", "Pkwy")


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a street, a crossing of two, or nowhere. Codes are as published, blanks included."""

    kind: Literal["address", "intersection", "unknown"]
    street: str
    town: str
    zip: str
    neighborhood: str
    fire: str
    pwd: str
    council: str
    police: str
    services: str
    ward: str
    precinct: str
    latitude: str
    longitude: str


_NOWHERE = Place("unknown", "", "", "", " ", " ", " ", " ", " ", " ", " ", " ", *CITY_HALL)


def topics(rnd: Random) -> list[Topic]:
    """Topics, each as often as it weighs, so that a plain index draws by weight."""
    pool = [topic for topic in TOPICS for _ in range(topic.weight)]
    rnd.shuffle(pool)
    return pool


def places(rnd: Random) -> list[Place]:
    """A pool of PLACES; any index is as likely as the other."""
    streets = [f"{first}{second} {suffix}" for first in _FIRST for second in _SECOND for suffix in _SUFFIX]
    districts = rnd.choices(DISTRICTS, weights=[d.weight for d in DISTRICTS], k=PLACES)
    kinds = ["unknown"] * UNKNOWN + ["intersection"] * INTERSECTIONS
    pool = [_place(rnd, kind, district, streets) for kind, district in zip(kinds, districts, strict=False)]
    pool += [_place(rnd, "address", district, streets) for district in districts[len(kinds) :]]
    for index in rnd.sample(range(len(kinds), PLACES), CITY_HALL_THOUGH_KNOWN):
        pool[index] = _at_city_hall(pool[index])
    rnd.shuffle(pool)
    return pool


def _place(rnd: Random, kind: str, district: District, streets: list[str]) -> Place:
    if kind == "unknown":
        return _NOWHERE
    crossing = kind == "intersection"
    ward = rnd.choice((f"Ward {district.ward}",) * 7 + (f"{district.ward:02d}",) * 2 + (str(district.ward),))
    number = rnd.randint(1, 16)
    return Place(
        kind="intersection" if crossing else "address",
        street=" & ".join(sorted(rnd.sample(streets, 2))) if crossing else rnd.choice(streets),
        town=district.town,
        zip="" if crossing else district.zip,
        neighborhood=district.label,
        fire=_or_blank(rnd, district.fire, 25),
        pwd=district.pwd,
        council=_or_blank(rnd, district.council if rnd.random() > 0.0006 else "0", 1),
        police=_or_blank(rnd, district.police, 3),
        services=district.services,
        ward=_or_blank(rnd, ward, 6),
        precinct=_or_blank(rnd, f"{district.ward:02d}{number:02d}{'A' if rnd.random() < 0.01 else ''}", 15),
        latitude=_degrees(rnd.gauss(district.latitude, 0.008), 42.23, 42.39),
        longitude=_degrees(rnd.gauss(district.longitude, 0.009), -71.19, -70.99),
    )


def _at_city_hall(place: Place) -> Place:
    values = {name: getattr(place, name) for name in Place.__slots__}
    return Place(**{**values, "latitude": CITY_HALL[0], "longitude": CITY_HALL[1]})


def _or_blank(rnd: Random, code: str, per_ten_thousand: int) -> str:
    """The code, rarely the empty string: it stands in the same columns as the single blank of unknown places."""
    return "" if rnd.random() * 10_000 < per_ten_thousand else code


def _degrees(value: float, low: float, high: float) -> str:
    return repr(round(min(max(value, low), high), 4))


_SENTENCES = (
    "Crew sent and work completed.",
    "Inspected; no violation found.",
    "Duplicate of Existing Case.",
    "Work order {n} issued to contractor, work done.",
    "Area was cleaned, photo on file.",
    "Referred to the district yard, ticket {n}.",
    "Could not locate the item reported.",
    "Resident informed by letter.",
    "Repair made, patched and sealed",
    "Not in our jurisdiction; passed on to the state.",
)
_ODD = (  # text, ten thousandths
    ('Sign reads "NO STOPPING"; put back up.', 30),
    ("Moved 2\tbarrels\tto the kerb.", 8),
    ("Owner\ufffds gate repaired.", 40),
    ("Thank you \U0001f44d\U0001f333", 5),
    ("Caf\u00e9 sign removed,\u00a0sidewalk clear.", 6),
    ("Neighbour\u2019s \u201cpile\u201d picked up.", 10),
    ("Call desk at 617-555-0100, ext {n}.", 15),
    ("Write to crew{n}@example.org for details.", 15),
)


def comments(rnd: Random, size: int = 10_000) -> list[str]:
    """Free closing texts, damaged as real ones are: doubled quotes, tabs, U+FFFD, emoji, contact data."""
    pool = [text.format(n=rnd.randint(1000, 9999)) for text, share in _ODD for _ in range(share * size // 10_000)]
    while len(pool) < size:
        sentence = rnd.choice(_SENTENCES)
        pool.append(sentence.format(n=rnd.randint(10_000, 999_999)))
    rnd.shuffle(pool)
    return pool


def titles(topic: Topic, rnd: Random) -> list[str]:
    """Eight spellings of a title in a hundred: titles are typed by hand, one in eight differs from the type."""
    word = topic.type.split()[-1]
    odd = [
        topic.type.upper(),
        "PRINTED",
        f"{word.lower()}////printed",
        f"{topic.type}: [{topic.queue.split('_')[-1][:12]}]",
        f"{topic.type} #{rnd.randint(2, 9)}",
        topic.type.replace("s", "", 1),
    ]
    pool = [topic.type] * 88 + [odd[i % len(odd)] for i in range(12)]
    rnd.shuffle(pool)
    return pool
