"""Which clock a file shows, decided from the file itself.

Legacy files show Boston's wall clock, but some exports of 2024 are shifted: Boston's time was taken for UTC and converted to
Boston's time again, so that it is 4 h (summer) or 5 h (winter) too early. Two things in the rows tell: deadlines are due at 08:30
in the morning, and closing texts name the time at which the case was closed. Both were checked on 427 cases published in both ways.
"""

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.spark.columns import instant, wall_clock
from lake.spark.rules import Tally
from lake.spark.silver import Decision

ZONE = "America/New_York"
BOSTON, SHIFTED, UTC = "boston", "shifted", "utc"
DUE = "08:30:00"
# Of all rows that say something, the share that must say the same; a file that is pasted together of both kinds is neither.
AGREEMENT = 0.9
_ISO_TEXT = r"Closed date : (\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})"
_DATE_TEXT = r"Closed date : [A-Z][a-z]{2} ([A-Z][a-z]{2} \d{2} \d{2}:\d{2}:\d{2} E[SD]T \d{4})"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The environment's settings of these names (lake.settings.Boston311)."""

    legacy_clock: str = "evidence"
    new_system_clock: str = BOSTON


def unshifted(shown: Column) -> Column:
    """Boston's wall clock from what a shifted file shows.

    In the doubled hour of the night in autumn the reading is ambiguous, and taken for the first."""
    return instant(shown, zone=ZONE)


def instants(shown: Column, choice: Column) -> Column:
    """The instants at which the chosen clock showed `shown`."""
    boston = F.when(choice == SHIFTED, unshifted(shown)).otherwise(shown)
    return F.when(choice == UTC, shown).otherwise(instant(boston, zone=ZONE))


def closing_text_time(closing_text: Column) -> Column:
    """The wall clock that a legacy closing text names, to the second; null without one.

    Either "Closed date : 2015-09-15 14:46:49.68" or "Closed date : Wed May 15 06:58:54 EDT 2024"."""
    found = F.when(closing_text.contains("Closed date : "), closing_text)
    iso = wall_clock(F.regexp_extract(found, _ISO_TEXT, 1), pattern=r"^\d{4}-.*")
    dated = F.regexp_replace(F.regexp_extract(found, _DATE_TEXT, 1), " E[SD]T ", " ")
    return F.coalesce(iso, F.to_timestamp(F.when(dated != "", dated), "MMM dd HH:mm:ss yyyy"))


def evidence(target: Column, closed: Column, said: Column) -> dict[str, Column]:
    """What rows show for either clock; target, closed, said: as shown."""

    def due(shown: Column) -> Column:
        return F.date_format(shown, "HH:mm:ss") == DUE

    closed = F.date_trunc("second", closed)
    return {
        "due_boston": due(target),
        "due_shifted": due(unshifted(target)),
        "text_boston": said == closed,
        "text_shifted": said == unshifted(closed),
    }


def decide(tally: Tally, settings: Settings) -> Decision:
    """The clock of a legacy file; one that shows no evidence has that of the setting, or is refused where that is "evidence"."""
    seen = tally.evidence
    boston, shifted = (seen[f"due_{clock}"] + seen[f"text_{clock}"] for clock in (BOSTON, SHIFTED))
    shown = (
        f"deadlines that fit as they stand {seen['due_boston']:,}, moved back {seen['due_shifted']:,}; "
        f"closing texts {seen['text_boston']:,}, {seen['text_shifted']:,}"
    )
    if boston + shifted == 0:
        if settings.legacy_clock == "evidence":
            return Decision(
                choice="",
                refused="clock_unknown: no deadline at 08:30 and no closing text tells it; the setting boston311.legacy_clock can",
            )
        said = f"{_words(settings.legacy_clock)}, by the setting: the file shows no evidence"
        return Decision(choice=settings.legacy_clock, said=said)
    if max(boston, shifted) < AGREEMENT * (boston + shifted):
        return Decision(choice="", refused=f"clock_contradictory: {shown}")
    choice = BOSTON if boston > shifted else SHIFTED
    return Decision(choice=choice, said=f"{_words(choice)}: {shown}")


def decide_new_system(settings: Settings) -> Decision:
    clock = settings.new_system_clock
    return Decision(choice=clock, said=f"{_words(clock)}, by the setting: the new system's +00 is no evidence")


def _words(clock: str) -> str:
    return {
        BOSTON: "Boston's wall clock",
        SHIFTED: "shifted, converted to Boston's time once too often",
        UTC: "UTC",
    }[clock]
