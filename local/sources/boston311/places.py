"""The invented places of simulated requests. Labels, codes and shares follow the real portal; streets are made up."""

from random import Random
from typing import Literal, NamedTuple

CITY_HALL = (42.3594, -71.0587)  # where vintages A and B put a request whose place is unknown
WASHINGTON = (38.907192, -77.036873)  # as far off as the new system's geocoder has gone
# Chances are in ten thousandths of all places, so that a pool of this size holds them exactly.
PLACES = 10_000
UNKNOWN = 490
INTERSECTIONS = 1550
CITY_HALL_THOUGH_KNOWN = 330
FAR_OFF = 3


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


# Neighbourhoods of the new system, which knows no combined labels; the others keep their name.
_ATOMIC = {
    "Allston / Brighton": ("Brighton", "Allston"),
    "South Boston / South Boston Waterfront": ("South Boston", "South Boston", "South Boston Waterfront"),
    "Greater Mattapan": ("Mattapan",),
    "Roxbury": ("Roxbury", "Roxbury", "Mission Hill"),
    "Downtown / Financial District": ("Downtown", "Downtown", "Leather District", "Chinatown"),
    "Fenway / Kenmore / Audubon Circle / Longwood": ("Fenway", "Fenway", "Longwood"),
    "Boston": ("North End", "West End", "Bay Village", "Chinatown"),
}


class Place(NamedTuple):
    """A stretch of a street, a crossing of two, or nowhere.

    Codes are '' or ' ' when missing; `ward` is the bare number. `atomic` and `new_pwd` are the new system's neighbourhood and
    public works district. at_city_hall: known, but without coordinates of its own. far_off: geocoded elsewhere by the new system.
    """

    kind: Literal["address", "intersection", "unknown"]
    street: str
    town: str
    zip: str
    neighborhood: str
    atomic: str
    fire: str
    pwd: str
    new_pwd: str
    council: str
    police: str
    services: str
    ward: str
    precinct: str
    latitude: float
    longitude: float
    at_city_hall: bool
    far_off: bool


_NOWHERE = Place("unknown", "", "", "", " ", "", " ", " ", "", " ", " ", " ", " ", " ", *CITY_HALL, True, False)


def places(rnd: Random) -> list[Place]:
    """A pool of PLACES; any index is as likely as the other."""
    streets = [f"{first}{second} {suffix}" for first in _FIRST for second in _SECOND for suffix in _SUFFIX]
    districts = rnd.choices(DISTRICTS, weights=[d.weight for d in DISTRICTS], k=PLACES)
    kinds = ["unknown"] * UNKNOWN + ["intersection"] * INTERSECTIONS
    pool = [_place(rnd, kind, district, streets) for kind, district in zip(kinds, districts, strict=False)]
    pool += [_place(rnd, "address", district, streets) for district in districts[len(kinds) :]]
    odd = rnd.sample(range(len(kinds), PLACES), CITY_HALL_THOUGH_KNOWN + FAR_OFF)
    for index in odd[FAR_OFF:]:
        pool[index] = pool[index]._replace(at_city_hall=True)
    for index in odd[:FAR_OFF]:
        pool[index] = pool[index]._replace(far_off=True)
    rnd.shuffle(pool)
    return pool


def _place(rnd: Random, kind: str, district: District, streets: list[str]) -> Place:
    if kind == "unknown":
        return _NOWHERE
    crossing = kind == "intersection"
    number = rnd.randint(1, 16)
    return Place(
        kind="intersection" if crossing else "address",
        street=" & ".join(sorted(rnd.sample(streets, 2))) if crossing else rnd.choice(streets),
        town=district.town,
        zip=district.zip,
        neighborhood=district.label,
        atomic=rnd.choice(_ATOMIC.get(district.label, (district.label,))),
        fire=_or_blank(rnd, district.fire, 25),
        pwd=district.pwd,
        new_pwd=_new_pwd(rnd, district.pwd),
        council=_or_blank(rnd, district.council if rnd.random() > 0.0006 else "0", 1),
        police=_or_blank(rnd, district.police, 3),
        services=district.services,
        ward=_or_blank(rnd, str(district.ward), 6),
        precinct=_or_blank(rnd, f"{district.ward:02d}{number:02d}{'A' if rnd.random() < 0.01 else ''}", 15),
        latitude=min(max(rnd.gauss(district.latitude, 0.008), 42.23), 42.39),
        longitude=min(max(rnd.gauss(district.longitude, 0.009), -71.19), -70.99),
        at_city_hall=False,
        far_off=False,
    )


def _new_pwd(rnd: Random, pwd: str) -> str:
    """The new system halves three districts and writes no leading zero."""
    plain = pwd.lstrip("0")
    return plain + rnd.choice("AB") if plain in ("6", "7", "8") else plain


def _or_blank(rnd: Random, code: str, per_ten_thousand: int) -> str:
    """The code, rarely the empty string: it stands in the same columns as the single blank of unknown places."""
    return "" if rnd.random() * 10_000 < per_ten_thousand else code
