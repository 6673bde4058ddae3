"""Which delays gold.case_delays holds, as a person sets it for a run."""

from dataclasses import dataclass

NAMES = ("min_delay_days", "max_delay_days")


class BadParameter(ValueError):
    """A parameter of the job cannot be used; the text says which and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Days of 86,400 s: delays above `min_delay_days`, and up to and with `max_delay_days` if there is one."""

    min_delay_days: float = 0.0
    max_delay_days: float | None = None

    @classmethod
    def of(cls, parameters: dict[str, str]) -> "Thresholds":
        """From the job's parameters. Raises BadParameter."""
        unknown = sorted(set(parameters) - set(NAMES))
        if unknown:
            raise BadParameter(f"unknown parameter {', '.join(unknown)}; this job takes {' and '.join(NAMES)}")
        made = cls(**{name: _days(name, text) for name, text in parameters.items()})
        least, most = made.min_delay_days, made.max_delay_days
        if most is not None and most <= least:
            raise BadParameter(f"max_delay_days must be above min_delay_days: {most} is not above {least}")
        return made


def _days(name: str, text: str) -> float:
    try:
        days = float(text)
    except ValueError as error:
        raise BadParameter(f"{name} must be a number of days, not {text!r}") from error
    if not 0 <= days < float("inf"):
        raise BadParameter(f"{name} must be zero or more, not {days}")
    return days
