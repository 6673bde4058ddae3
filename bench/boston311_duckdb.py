"""What silver of Boston 311 holds, computed by DuckDB straight from the published files.

The peer that the jobs are measured against, and the independent computation that the tests compare them with; it shares no code
with them. Files are given as {resource name: path}.
"""

import csv
from pathlib import Path

LEGACY, NEW = "legacy", "new"
DUE, EARLY = "'08:30:00'", "'04:30:00', '03:30:00'"
TIMES = ("opened", "target", "closed")
EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
TELEPHONE = r"(^|[^0-9A-Za-z])(?:\+?1[ .-]?)?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}($|[^0-9])"
# Column of silver -> published name, lower case and without underscores; a tuple: whichever is there.
COLUMNS: dict[str, tuple[str, ...]] = {
    "case_id": ("caseenquiryid", "caseid"),
    "opened": ("opendt", "opendate"),
    "target": ("targetdt", "slatargetdt", "targetclosedate"),
    "closed": ("closeddt", "closedate"),
    "on_time": ("ontime", "ontimestatus"),
    "status_published": ("casestatus",),
    "closure_reason": ("closurereason",),
    "closure_comments": ("closurecomments",),
    "case_title": ("casetitle",),
    "subject": ("subject",),
    "reason": ("reason", "casetopic"),
    "type": ("type", "servicename"),
    "queue": ("queue", "assignedteam"),
    "department": ("department", "assigneddepartment"),
    "submitted_photo": ("submittedphoto",),
    "closed_photo": ("closedphoto",),
    "location": ("location", "fulladdress"),
    "fire_district": ("firedistrict",),
    "pwd_district": ("pwddistrict", "publicworksdistrict"),
    "city_council_district": ("citycouncildistrict",),
    "police_district": ("policedistrict",),
    "neighborhood": ("neighborhood",),
    "neighborhood_services_district": ("neighborhoodservicesdistrict",),
    "ward": ("ward",),
    "precinct": ("precinct",),
    "street_number": ("streetnumber",),
    "street_name": ("locationstreetname", "streetname"),
    "zip": ("locationzipcode", "zipcode"),
    "latitude": ("latitude",),
    "longitude": ("longitude",),
    "source": ("source", "reportsource"),
}


def requests(files: dict[str, Path]) -> str:
    """SQL of one row a case, the columns of silver.service_requests but row_hash, resource_id and opened_year."""
    every = "\nUNION ALL BY NAME\n".join(_published(name, path) for name, path in files.items())
    return f"""
        SELECT * EXCLUDE (place) FROM (
            SELECT *, row_number() OVER (
                PARTITION BY case_id ORDER BY greatest(opened_at, closed_at) DESC, resource_name DESC) AS place
            FROM ({every}))
        WHERE place = 1"""


def _published(name: str, path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream))
    names = {column.strip().lower().replace("_", ""): position for position, column in enumerate(header)}
    system = NEW if "caseid" in names else LEGACY
    options = f"header = false, skip = 1, all_varchar = true, quote = '\"', escape = '\"', names = {_numbered(header)}"
    texts = []
    for column, published in COLUMNS.items():
        found = next((f"nullif(trim(c{names[one]}, ' '), '')" for one in published if one in names), "NULL::varchar")
        texts.append(f"{found} AS {column}")
    times = ", ".join(f"{_time(c)} AS {c}" for c in TIMES)
    shown = f"SELECT * REPLACE ({times}) FROM (SELECT {', '.join(texts)} FROM read_csv('{path}', {options}))"
    instants = ", ".join(f"{_instant(c)} AS {c}_at" for c in ("opened", "closed"))
    return f"""(
        SELECT * EXCLUDE (opened, target, closed, street_number) REPLACE ({_cleaned(system)}),
            '{system}' AS system, '{name}' AS resource_name, {instants},
            {_instant("CASE WHEN target < TIMESTAMP '2059-12-31' THEN target END")} AS target_at,
            CASE lower(status_published) WHEN 'closed' THEN 'Closed' ELSE 'Open' END AS status
        FROM ({_unshifted(shown) if system == LEGACY else shown}))"""


def _instant(shown: str) -> str:
    """When Boston's clock showed it; of the doubled hour in autumn the first, where DuckDB takes the second."""
    second = f"timezone('America/New_York', {shown})"
    earlier = f"{second} - INTERVAL 1 HOUR"
    return f"CASE WHEN timezone('America/New_York', {earlier}) = {shown} THEN {earlier} ELSE {second} END"


def _unshifted(shown: str) -> str:
    """Shifted files show 08:30 as 04:30 or 03:30."""
    hour = "count(*) FILTER (strftime(target, '%H:%M:%S') IN ({}))"
    shifted = f"{hour.format(EARLY)} > {hour.format(DUE)}"
    back = "timezone('UTC', timezone('America/New_York', {0}))"
    moved = ", ".join(f"CASE WHEN shifted THEN {back.format(c)} ELSE {c} END AS {c}" for c in TIMES)
    return f"""
        WITH shown AS MATERIALIZED ({shown}), clock AS (SELECT {shifted} AS shifted FROM shown)
        SELECT * EXCLUDE (shifted) REPLACE ({moved}) FROM shown, clock"""


def _numbered(header: list[str]) -> str:
    return str([f"c{position}" for position in range(len(header))])


def _time(column: str) -> str:
    iso = f"try_cast(regexp_replace({column}, '\\+00(:00)?$', '') AS timestamp)"
    return f"coalesce(try_strptime({column}, '%m/%d/%Y %I:%M:%S %p'), {iso})"


def _cleaned(system: str) -> str:
    zip_code = r"lpad(nullif(regexp_extract(zip, '^(\d{4,5})(\.0|-\d{4})?$', 1), ''), 5, '0')"
    ward = r"lpad(nullif(regexp_extract(ward, '^(?:Ward )?0*(\d{1,2})(\.0)?$', 1), ''), 2, '0')"
    digits = r"nullif(regexp_extract(precinct, '^(\d{1,4})[A-Z]?(\.0)?$', 1), '')"
    letter = r"regexp_extract(precinct, '^\d{1,4}([A-Z]?)', 1)"
    known = "latitude::double BETWEEN 42.2 AND 42.45 AND longitude::double BETWEEN -71.25 AND -70.9"
    known += " AND NOT (latitude::double = 42.3594 AND longitude::double = -71.0587)"
    columns = {
        "case_id": r"regexp_replace(case_id, '\.0$', '')",
        "on_time": "upper(on_time)",
        "zip": f"coalesce({zip_code}, zip)",
        "ward": f"nullif(coalesce({ward}, ward), '00')",
        "precinct": f"CASE WHEN length({digits}) > 2 THEN lpad({digits}, 4, '0') || {letter} "
        f"WHEN {digits} IS NOT NULL THEN {ward} || lpad({digits}, 2, '0') || {letter} ELSE precinct END",
        "police_district": "upper(regexp_replace(police_district, '[ -]', '', 'g'))",
        "latitude": f"CASE WHEN {known} THEN latitude::double END",
        "longitude": f"CASE WHEN {known} THEN longitude::double END",
    }
    for name in ("fire_district", "pwd_district", "city_council_district"):
        columns[name] = rf"nullif(regexp_replace(regexp_replace({name}, '\.0$', ''), '^0+', ''), '')"
    for name in ("closure_reason", "closure_comments", "case_title"):
        masked = f"regexp_replace({name}, '{EMAIL}', '[email]', 'g')"
        columns[name] = rf"regexp_replace({masked}, '{TELEPHONE}', '\1[telephone]\2', 'g')"
    if system == LEGACY:
        columns["street_name"] = "regexp_replace(street_name, '^INTERSECTION ', '')"
    else:
        first = "split_part(location, ',', 1)"
        address = "nullif(concat_ws(' ', street_number, street_name), '')"
        columns["street_name"] = f"CASE WHEN contains({first}, ' & ') THEN {first} ELSE {address} END"
    return ", ".join(f"{value} AS {name}" for name, value in columns.items())
