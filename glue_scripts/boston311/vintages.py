"""The shapes in which the city has published its requests, recognised by their column names (docs/adr/0030)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

PORTAL_TIME = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?$"
SOCRATA_TIME = r"^\d{2}/\d{2}/\d{4} \d{2}:\d{2}:\d{2} [AP]M$"
# The datastore's pages add its row number, which changes at every reload; a re-saved export has an unnamed index.
IGNORED = frozenset({"", "id"})


def plain(name: str) -> str:
    """A header name as vintages are compared: lower case, no blanks around, no underscores."""
    return name.strip().lower().replace("_", "")


# Columns of silver that have the same published name, as compared, in all legacy vintages.
_LEGACY = {
    "case_id": "caseenquiryid",
    "opened_at": "opendt",
    "closed_at": "closeddt",
    "status_published": "casestatus",
    "closure_reason": "closurereason",
    "case_title": "casetitle",
    "subject": "subject",
    "reason": "reason",
    "type": "type",
    "queue": "queue",
    "department": "department",
    "submitted_photo": "submittedphoto",
    "closed_photo": "closedphoto",
    "location": "location",
    "fire_district": "firedistrict",
    "pwd_district": "pwddistrict",
    "city_council_district": "citycouncildistrict",
    "police_district": "policedistrict",
    "neighborhood": "neighborhood",
    "neighborhood_services_district": "neighborhoodservicesdistrict",
    "ward": "ward",
    "precinct": "precinct",
    "street_name": "locationstreetname",
    "zip": "locationzipcode",
    "latitude": "latitude",
    "longitude": "longitude",
    "source": "source",
}
_NEW = {
    "case_id": "caseid",
    "opened_at": "opendate",
    "target_at": "targetclosedate",
    "closed_at": "closedate",
    "on_time": "ontime",
    "status_published": "casestatus",
    "closure_reason": "closurereason",
    "closure_comments": "closurecomments",
    "reason": "casetopic",
    "type": "servicename",
    "queue": "assignedteam",
    "department": "assigneddepartment",
    "submitted_photo": "submittedphoto",
    "closed_photo": "closedphoto",
    "location": "fulladdress",
    "fire_district": "firedistrict",
    "pwd_district": "publicworksdistrict",
    "city_council_district": "citycouncildistrict",
    "police_district": "policedistrict",
    "neighborhood": "neighborhood",
    "ward": "ward",
    "precinct": "precinct",
    "street_name": "streetname",
    "zip": "zipcode",
    "latitude": "latitude",
    "longitude": "longitude",
    "source": "reportsource",
}


@dataclass(frozen=True, kw_only=True)
class Vintage:
    """columns: column of silver -> published name as compared; extra: published, and not taken over; optional: may be absent."""

    name: str
    system: str
    columns: dict[str, str] = field(hash=False)
    extra: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    time: str = PORTAL_TIME

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.columns.values()) | self.extra

    def missing(self, header: frozenset[str]) -> frozenset[str]:
        return self.names - self.optional - header


VINTAGES = (
    Vintage(
        name="A",
        system="legacy",
        columns={**_LEGACY, "target_at": "targetdt", "on_time": "ontimestatus"},
        extra=frozenset({"landusage", "propertytype", "propertyid", "geocodedlocation"}),
        time=SOCRATA_TIME,
    ),
    Vintage(name="B", system="legacy", columns={**_LEGACY, "target_at": "targetdt", "on_time": "ontime"}),
    Vintage(
        name="C",
        system="legacy",
        columns={**_LEGACY, "target_at": "slatargetdt", "on_time": "ontime"},
        extra=frozenset({"geom4326"}),
    ),
    Vintage(
        name="NEW SYSTEM",
        system="new",
        columns=_NEW,
        extra=frozenset({"streetnumber"}),
        optional=frozenset({"submittedphoto", "closedphoto"}),
    ),
)


def vintage_of(names: Sequence[str]) -> Vintage | None:
    """The vintage whose columns these are (as compared, in any order), or None."""
    header = frozenset(names) - IGNORED
    return next((v for v in VINTAGES if not v.missing(header) and header <= v.names), None)


def refusal(names: Sequence[str]) -> str | None:
    """Why no rows can be read under this header, or None."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        return f"duplicate_columns: {', '.join(twice)}"
    if vintage_of(names) is not None:
        return None
    header = frozenset(names) - IGNORED
    nearest = min(VINTAGES, key=lambda v: len(v.missing(header)) + len(header - v.names))
    missing = ", ".join(sorted(nearest.missing(header))) or "none"
    unknown = ", ".join(sorted(header - nearest.names)) or "none"
    return f"unknown_vintage: nearest is {nearest.name} (missing: {missing}; unknown: {unknown})"
