"""What the portal serves, as `PUT /_control` states it and `portal.json` keeps it.

The body is one JSON object, the whole state: what it does not name is at its default, and an unknown name is refused. For instance
{"origin": "simulated", "editions": [{"resource": "2023", "changed": 727, "vanished": 2}], "missing": ["2011"],
 "faults": [{"on": "new", "kind": "status", "status": 429, "retry_after": 2, "times": 3}]}
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from local.sources.boston311 import parts
from local.sources.boston311.cases import MAX_ROWS
from local.sources.boston311.editions import Edition
from local.sources.boston311.faults import API, BodyFault, Fault
from local.sources.boston311.parts import YEARS, Part
from local.sources.boston311.vintages import LEGACY, NEW_SYSTEM, NEW_SYSTEM_COMPACT
from local.sources.control import reasons

DEFAULT_SEED, DEFAULT_ROWS = 7, 20_000
_NEW_SYSTEMS = {"none": None, "28 columns": NEW_SYSTEM, "26 columns": NEW_SYSTEM_COMPACT}


class ChoiceError(ValueError):
    """The wish makes no sense; the text says what is wrong."""


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["boston311"] = "boston311"


class _Served(_Choice):
    """missing: resources that the package does not list. Resources are named by year or "new", files by their path."""

    missing: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def _check_names(self, known: set[str]) -> None:
        for name in (*self.missing, *(fault.on for fault in self.faults if fault.on != API)):
            if name not in known:
                raise ChoiceError(f"there is no resource {name!r}; there are {', '.join(sorted(known))}")
        for fault in self.faults:
            if fault.on == API and isinstance(fault, BodyFault):
                raise ChoiceError(f"{fault.kind} is a fault of a resource's body, the API has none")


class Simulated(_Served):
    """Invented requests: `rows` in all, spread evenly over one resource for each of `years` and one for the new system.

    editions: newer versions in the order of their upload; to publish another one, name it behind those that were published.
    vintages: by year, where a year is to be published in another vintage than it was.
    """

    origin: Literal["simulated"] = "simulated"
    seed: Annotated[int, Field(ge=0)] = DEFAULT_SEED
    rows: Annotated[int, Field(ge=1)] = DEFAULT_ROWS
    years: Annotated[tuple[Annotated[int, Field(ge=YEARS[0], le=YEARS[-1])], ...], Field(min_length=1)] = tuple(YEARS)
    new_system: Literal["none", "28 columns", "26 columns"] = "28 columns"
    vintages: dict[str, Literal["A", "B", "C", "C shifted"]] = {}
    editions: tuple[Edition, ...] = ()

    @field_validator("years")
    @classmethod
    def _once(cls, years: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(years)) != len(years):
            raise ValueError("a year can be served once")
        return tuple(sorted(years))

    def parts(self) -> list[Part]:
        other = {year: LEGACY[name] for year, name in self.vintages.items()}
        return parts.parts(rows=self.rows, years=self.years, new_system=_NEW_SYSTEMS[self.new_system], other=other)

    def editions_of(self, key: str) -> tuple[Edition, ...]:
        return tuple(edition for edition in self.editions if edition.resource == key)

    def check(self) -> None:
        found = {part.key: part for part in self.parts()}
        if max(part.rows for part in found.values()) + sum(edition.added for edition in self.editions) > MAX_ROWS:
            raise ChoiceError(f"{self.rows} rows over {len(found)} resources: at most {MAX_ROWS} each; name more years")
        self._check_names(set(found))
        for year in self.vintages.keys() - set(map(str, self.years)):
            raise ChoiceError(f"a vintage of {year!r}, which is not served; there are {', '.join(map(str, self.years))}")
        for key in {edition.resource for edition in self.editions}:
            if key not in found:
                raise ChoiceError(f"an edition of {key!r}, which is not served; there are {', '.join(found)}")
            left = found[key].revisable(self.seed)
            for edition in self.editions_of(key):
                left -= edition.vanished
                if left < edition.changed:
                    raise ChoiceError(f"an edition of {key} touches more rows than there are: {max(left, 0)} left to change")


class Files(_Served):
    """Every CSV below a directory."""

    origin: Literal["files"] = "files"
    directory: Path

    def check(self) -> None:
        if not self.directory.is_absolute():
            raise ChoiceError(f"directory must be an absolute path, not {str(self.directory)!r}")
        if not self.directory.is_dir():
            raise ChoiceError(f"there is no directory {self.directory}")
        found = csv_files(self.directory)
        if not found:
            raise ChoiceError(f"no *.csv below {self.directory}")
        self._check_names({path.relative_to(self.directory).as_posix() for path in found})


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
        raise ChoiceError(reasons(error)) from error


def csv_files(directory: Path) -> list[Path]:
    """Regular files below, by name, whatever the case of their suffix; hidden ones are left out."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.suffix.lower() == ".csv"
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
