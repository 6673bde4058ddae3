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
DUE = 8 * 3600 + 30 * 60  # of the day
# Of all rows that say something, the share that must say the same; a file that is pasted together of both kinds is neither.
AGREEMENT = 0.9
_CLOSED = "Closed date : "
_ISO_TEXT = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\z"
_DATE_TEXT = r"^[A-Z][a-z]{2} [A-Z][a-z]{2} \d{2} \d{2}:\d{2}:\d{2} E[SD]T \d{4}\z"


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
    begins = F.instr(closing_text, _CLOSED)
    named = F.when(begins > 0, closing_text.substr(begins + len(_CLOSED), F.lit(len("Wed May 15 06:58:54 EDT 2024"))))
    dated = F.when(named.rlike(_DATE_TEXT), F.concat(named.substr(5, 15), named.substr(24, 5)))
    iso = wall_clock(named.substr(1, len("2015-09-15 14:46:49")), pattern=_ISO_TEXT)
    return F.coalesce(iso, F.to_timestamp(dated, "MMM dd HH:mm:ss yyyy"))


def evidence(target: Column, closed: Column, said: Column) -> dict[str, Column]:
    """What rows show for either clock; target, closed, said: as shown."""

    def due(shown: Column) -> Column:
        return F.unix_seconds(shown) % 86_400 == DUE

    def told(shown: Column) -> Column:
        return F.unix_seconds(shown) == F.unix_seconds(said)

    return {
        "due_boston": due(target),
        "due_shifted": due(unshifted(target)),
        "text_boston": told(closed),
        "text_shifted": told(unshifted(closed)),
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
