"""What the portal serves, as `PUT /_control` states it and `portal.json` keeps it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from local.sources.boston311.cases import MAX_ROWS

DEFAULT_SEED, DEFAULT_ROWS, DEFAULT_YEARS = 7, 20_000, (2022, 2023)


class ChoiceError(ValueError):
    """The wish makes no sense; the text says what is wrong."""


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["boston311"] = "boston311"


class Simulated(_Choice):
    """Invented requests: `rows` in all, spread evenly over one resource for each of `years`."""

    origin: Literal["simulated"] = "simulated"
    seed: Annotated[int, Field(ge=0)] = DEFAULT_SEED
    rows: Annotated[int, Field(ge=1)] = DEFAULT_ROWS
    years: Annotated[tuple[Annotated[int, Field(ge=2011, le=2026)], ...], Field(min_length=1)] = DEFAULT_YEARS

    @field_validator("years")
    @classmethod
    def _once(cls, years: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(years)) != len(years):
            raise ValueError("a year can be served once")
        return tuple(sorted(years))

    def rows_of(self, year: int) -> int:
        share, rest = divmod(self.rows, len(self.years))
        return share + (self.years.index(year) < rest)

    def check(self) -> None:
        if self.rows_of(self.years[0]) > MAX_ROWS:
            raise ChoiceError(f"{self.rows} rows over {len(self.years)} years: at most {MAX_ROWS} a year; name more years")


class Files(_Choice):
    """Every CSV below a directory."""

    origin: Literal["files"] = "files"
    directory: Path

    def check(self) -> None:
        if not self.directory.is_absolute():
            raise ChoiceError(f"directory must be an absolute path, not {str(self.directory)!r}")
        if not self.directory.is_dir():
            raise ChoiceError(f"there is no directory {self.directory}")
        if not csv_files(self.directory):
            raise ChoiceError(f"no *.csv below {self.directory}")


class Live(_Choice):
    """The real portal."""

    origin: Literal["live"] = "live"

    def check(self) -> None:
        """Nothing to check: whether there is internet shows at the first request."""


Choice = Simulated | Files | Live
_choice: TypeAdapter[Choice] = TypeAdapter(Annotated[Choice, Field(discriminator="origin")])


def parse(wish: Any) -> Choice:
    """Looks at the shape alone; `check` of what comes looks at the disk. Raises ChoiceError that names every wrong field."""
    try:
        return _choice.validate_python(wish)
    except ValidationError as error:
        faults = (f"{'.'.join(str(part) for part in e['loc']) or 'body'}: {e['msg']}" for e in error.errors())
        raise ChoiceError("; ".join(faults)) from error


def csv_files(directory: Path) -> list[Path]:
    """Regular files below, by name, whatever the case of their suffix; hidden ones are left out."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.suffix.lower() == ".csv"
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
