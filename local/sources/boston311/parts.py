"""What stands in each resource of the simulated package: its vintage, its period, and the cases that another one holds too."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from local.sources.boston311 import vintages
from local.sources.boston311.cases import NEW_SYSTEM, Case, Period, judged, last_cases, legacy_year
from local.sources.boston311.clock import DAY, existing
from local.sources.boston311.editions import Edition, added, revisable, revisions
from local.sources.boston311.vintages import Vintage, vintage_of

YEARS = range(2011, 2027)
NEW = "new"
REPEATED = 1 / 100  # of a year's rows are cases of the year before, in their later state


@dataclass(frozen=True)
class Part:
    """key: the year, or NEW. rows: of the period's own cases, of which the last `kept` stand in the next year's file too.

    repeated: how many cases of the year before, whose file is `before`, stand behind them.
    """

    key: str
    vintage: Vintage
    period: Period
    rows: int
    kept: int = 0
    repeated: int = 0
    before: "Part | None" = None

    @property
    def identity(self) -> str:
        """Of its content, together with the seed and the editions."""
        before = self.before.rows if self.before else 0
        return f"{self.key}:{self.vintage.name}:{self.rows}:{self.kept}:{self.repeated}:{before}"

    def repeats(self, seed: int) -> list[Case]:
        if self.before is None:
            return []
        last = last_cases(seed=seed, period=self.before.period, rows=self.before.rows, count=self.repeated)
        return [_later(case) for case in last]

    def blocks(self, seed: int, editions: Sequence[Edition] = ()) -> Iterator[bytes]:
        """The file after these editions, in pieces. Raises ValueError when they touch more rows than there are."""
        revised = revisions(seed=seed, period=self.period, rows=self.rows, kept=self.kept, editions=editions)
        more = self.repeats(seed) + added(seed=seed, period=self.period, rows=self.rows, editions=editions)
        return vintages.blocks(self.vintage, seed=seed, period=self.period, rows=self.rows, revised=revised, more=more)

    def revisable(self, seed: int) -> int:
        """How many rows a first edition may touch."""
        return len(revisable(seed=seed, period=self.period, rows=self.rows, kept=self.kept))


def parts(*, rows: int, years: Sequence[int], new_system: Vintage | None, other: Mapping[str, Vintage]) -> list[Part]:
    """`rows` in all, spread evenly over the years and the new system; repeated cases count where they stand.

    other: by year, the vintage instead of the one in which the city has published it.
    """
    keys = [*map(str, sorted(years)), *([NEW] if new_system else [])]
    share, rest = divmod(rows, len(keys))
    counts = {key: share + (index < rest) for index, key in enumerate(keys)}
    found: list[Part] = []
    for key, count in counts.items():
        if key == NEW and new_system:
            found.append(Part(NEW, new_system, NEW_SYSTEM, count))
            continue
        year = int(key)
        before = found[-1] if found and found[-1].key == str(year - 1) else None
        repeated = int(count * REPEATED) if before else 0
        kept = int(counts.get(str(year + 1), 0) * REPEATED)
        found.append(Part(key, other.get(key) or vintage_of(year), legacy_year(year), count - repeated, kept, repeated, before))
    return found


def _later(case: Case) -> Case:
    """As the next year's file tells it: every other open case is closed meanwhile, and judged again."""
    if case.closed is not None or case.case_id % 2:
        return case
    closed = existing(case.opened + 40 * DAY)
    return case._replace(closed=closed, on_time=judged(case.target, closed), comment=f"Closed at review {case.case_id % 10_000}.")
