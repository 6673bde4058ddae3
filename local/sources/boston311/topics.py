"""What simulated requests are about, in the legacy system and in the new one. Names and shares follow the real portal."""

from random import Random
from typing import NamedTuple


class Topic(NamedTuple):
    """weight: share of requests; sla_hours: promised, None = no target; hours: median time to close.

    In the new system `reason` is the case_topic, `type` the service_name, `queue` the team; it has no subject.
    """

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
_HOTLINE = "Mayor's 24 Hour Hotline"

LEGACY = (
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
    Topic(20, "PWDx", _PWD, "Street Cleaning", "Pick up Dead Animal", "PWDx_District 07", 24, 6),
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
    Topic(14, "INFO", _HOTLINE, "Needle Program", "Needle Pickup", "INFO_Mobile Sharps Team", None, 1.5),
    Topic(45, "INFO", _HOTLINE, "Employee & General Comments", "General Comments", "INFO_Comments", None, 70),
    Topic(8, "GEN_", _HOTLINE, "Notification", "Notification", "GEN_Needs Review", None, 5),
    Topic(3, "BWSC", "Boston Water & Sewer Commission", "Catchbasin", "Sewer or Drain", "BWSC_Operations", 96, 30),
    Topic(2, "DISB", "Disability Department", "Disability", "Ramp Request", "DISB_General", 336, 200),
    Topic(1, "No Q", "Boston Public Schools", "Schools", "School Comments", "No Q assigned", None, 90),
)

_ACC, _PWD_NEW = "Animal Care & Control", "Public Works Department (PWD)"
_STAFF, _LIGHTS, _FORESTRY = "Animal control staff", "PWD Street Lighting", "Urban Forestry"
_PARK_NEW, _BTD_NEW = "Parks & Recreation", "Boston Transportation Department (BTD)"


def _new(weight: int, department: str, name: str, team: str, sla_hours: float | None, hours: float) -> Topic:
    return Topic(weight, department, "", name, name, team, sla_hours, hours)


NEW_SYSTEM = (
    _new(160, _ACC, "Domestic Animal Issue", _STAFF, 72, 10),
    _new(80, _ACC, "Wild Animal Issue", _STAFF, 72, 12),
    _new(16, _ACC, "Lost Pet", _STAFF, None, 24),
    _new(150, _PWD_NEW, "Street Light Outage", _LIGHTS, 240, 130),
    _new(30, _PWD_NEW, "Street Light Other", _LIGHTS, 240, 150),
    _new(18, _PWD_NEW, "Street Light Knockdown", _LIGHTS, 24, 20),
    _new(40, _PWD_NEW, "Litter & Debris", "PWD District Operations", 48, 14),
    _new(53, _PARK_NEW, "Fallen Tree or Branches", _FORESTRY, 48, 20),
    _new(18, _PARK_NEW, "Pruning Request", _FORESTRY, 8760, 1500),
    _new(12, _PARK_NEW, "Tree or Stump Removal", _FORESTRY, 8760, 1400),
    _new(6, _PARK_NEW, "Planting Request", _FORESTRY, 8760, 2000),
    _new(1, _BTD_NEW, "Lane Divider", "Boston Transportation Department General", 336, 200),
)


def drawn(topics: tuple[Topic, ...], rnd: Random) -> list[Topic]:
    """Topics, each as often as it weighs, so that a plain index draws by weight."""
    pool = [topic for topic in topics for _ in range(topic.weight)]
    rnd.shuffle(pool)
    return pool
