"""Published rows of any vintage into the columns of silver.service_requests, one spelling for everything."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glue_scripts.boston311.clocks import closing_text_time
from glue_scripts.boston311.vintages import SOCRATA_TIME, Vintage
from lake.spark.columns import masked, text, unreadable, wall_clock

TIMES = ("opened_at", "target_at", "closed_at")
FREE_TEXT = ("closure_reason", "closure_comments", "case_title")
# The city writes 2059-12-31 19:00:00 instead of "no deadline" (18 rows of 2011); shifted files show it hours earlier.
NO_TARGET_FROM = "2059-12-31 00:00:00"
CITY_HALL = (42.3594, -71.0587)  # written where the place is unknown (vintages A and B)
LATITUDES, LONGITUDES = (42.2, 42.45), (-71.25, -70.9)  # around Boston
CROSSING, INTERSECTION = " & ", "INTERSECTION "


def cleaned(raw: DataFrame, vintage: Vintage) -> DataFrame:
    """Typed rows (see lake.spark.rules) from the strings of `vintage`; times as shown, `_seen_closed` as a closing text says.

    Columns of `raw` that begin with "_", and resource_id and resource_name, are kept.
    """
    published = {column: text(name) for column, name in vintage.columns.items() if name in raw.columns}
    columns: dict[str, Column] = {
        **published,
        "system": F.lit(vintage.system),
        "case_id": whole(published["case_id"]),
        "on_time": F.upper(published["on_time"]),
        "status": F.when(F.lower(published["status_published"]) == "closed", "Closed").otherwise("Open"),
        "zip": zip_code(published["zip"]),
        "ward": ward(published["ward"]),
        "precinct": precinct(published["precinct"], ward(published["ward"])),
        "fire_district": district(published["fire_district"]),
        "city_council_district": district(published["city_council_district"]),
        "pwd_district": district(published["pwd_district"]),
        "police_district": F.upper(F.translate(published["police_district"], " -", "")),
        "street_name": street(published, raw.columns),
    }
    for name in FREE_TEXT:
        if name in published:
            columns[name] = masked(published[name])
    readings = []
    for name in TIMES:
        shown = as_shown(published[name], vintage)
        readings.append((name, published[name], shown))
        columns[name] = shown
    columns["target_at"] = F.when(columns["target_at"] < F.lit(NO_TARGET_FROM).cast("timestamp"), columns["target_at"])
    latitude, longitude = (published[name].cast("double") for name in ("latitude", "longitude"))
    readings += [("latitude", published["latitude"], latitude), ("longitude", published["longitude"], longitude)]
    known = in_boston(latitude, longitude)
    columns |= {"latitude": F.when(known, latitude), "longitude": F.when(known, longitude)}
    for name in ("closure_comments", "case_title", "subject", "submitted_photo", "closed_photo", "neighborhood_services_district"):
        columns.setdefault(name, F.lit(None).cast("string"))
    own = [F.col(name) for name in raw.columns if name.startswith("_") or name in ("resource_id", "resource_name")]
    said = closing_text_time(published["closure_reason"]) if vintage.system == "legacy" else F.lit(None).cast("timestamp")
    return raw.select(
        *[value.alias(name) for name, value in columns.items()],
        *own,
        said.alias("_seen_closed"),
        unreadable(readings).alias("_unreadable"),
    )


def as_shown(written: Column, vintage: Vintage) -> Column:
    """A written time as the clock showed it (see lake.spark.columns.wall_clock)."""
    if vintage.time == SOCRATA_TIME:
        return F.to_timestamp(F.when(written.rlike(SOCRATA_TIME), written), "MM/dd/yyyy hh:mm:ss a")
    if vintage.system == "new":  # the offset is a label only: see the setting boston311.new_system_clock
        written = F.regexp_replace(written, r"\+00(:00)?$", "")
    return wall_clock(written, pattern=vintage.time)


def zip_code(written: Column) -> Column:
    """Five digits from "02131", "2131.0", "2125", "02131-1234"; what looks otherwise stays."""
    digits = whole(F.substring_index(written, "-", 1))
    return F.when(written.rlike(r"^\d{4,5}(\.0|-\d{4})?\z"), F.lpad(digits, 5, "0")).otherwise(written)


def ward(written: Column) -> Column:
    """Two digits from "Ward 3", "03", "3", "3.0"; null from 0; what looks otherwise stays."""
    number = whole(F.when(written.startswith("Ward "), written.substr(6, 20)).otherwise(written))
    two = F.lpad(F.nullif(number.cast("int"), F.lit(0)).cast("string"), 2, "0")
    return F.when(number.rlike(r"^0*\d{1,2}\z"), two).otherwise(written)


def precinct(written: Column, ward_: Column) -> Column:
    """Ward and precinct, four digits and sometimes a letter, from "0306", "306.0", "0502A", and "06" with its ward beside it; null
    from "06" without, and from 0; what looks otherwise stays."""
    digits = F.regexp_extract(written, r"^(\d{1,4})[A-Z]?(\.0)?$", 1)
    letter = F.regexp_extract(written, r"^\d{1,4}([A-Z]?)", 1)
    spelled = (
        F.when(digits.rlike("^0+$"), None)
        .when(F.length(digits) > 2, F.concat(F.lpad(digits, 4, "0"), letter))
        .when(digits != "", F.concat(ward_, F.lpad(digits, 2, "0"), letter))
        .otherwise(written)
    )
    # Nearly all are spelled so, and five expressions a row are a tenth of the whole cleaning.
    return F.when(written.rlike(r"^\d{4}\z"), F.nullif(written, F.lit("0000"))).otherwise(spelled)


def district(written: Column) -> Column:
    """A district without leading zero from "8", "8.0", "09", "10A"; null from "0", which stands for an unknown address."""
    bare = whole(written)
    bare = F.when(bare.startswith("0"), F.regexp_replace(bare, "^0+", "")).otherwise(bare)
    return F.when(bare != "", bare)


def whole(written: Column) -> Column:
    """ "3" from "3.0": a code that was once stored as a number."""
    return F.when(written.endswith(".0"), written.substr(F.lit(1), F.length(written) - 2)).otherwise(written)


def street(published: dict[str, Column], names: list[str]) -> Column:
    """Street with number, or "A St & B St".

    The new system gives some crossings the number and street of a nearby address, so there the full address goes before them."""
    if "streetnumber" not in names:
        name = published["street_name"]
        return F.when(name.startswith(INTERSECTION), name.substr(F.lit(len(INTERSECTION) + 1), F.length(name))).otherwise(name)
    first = F.substring_index(published["location"], ",", 1)
    address = F.concat_ws(" ", text("streetnumber"), published["street_name"])
    return F.when(first.contains(CROSSING), first).when(address != "", address)


def in_boston(latitude: Column, longitude: Column) -> Column:
    at_city_hall = (latitude == CITY_HALL[0]) & (longitude == CITY_HALL[1])
    return latitude.between(*LATITUDES) & longitude.between(*LONGITUDES) & ~at_city_hall
