"""The two operations inside the network of the database: a listing into tb_coins, and coins that are no longer active."""

import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ingestion.coins import table
from ingestion.coins.bronze import Bronze
from ingestion.coins.coin import BadCoin, Row, id_of, row_of
from ingestion.coins.listing import coins_of_pages, listed_at_of
from ingestion.coins.model import STEP, TABLE, Load, Loaded, Manifest, Mark, Marked, Outcome
from ingestion.run_part import Part, Refusal, TableReport
from lake.contracts import RELEASABLE
from lake.jobs import NOTHING
from lake.names import manifest_prefix

log = logging.getLogger(__name__)

BAD_COINS = "bad_coins"
NO_COINS = "no_coins"
_NEVER = datetime(1, 1, 1)  # noqa: DTZ001


class Connect(Protocol):
    """Makes a connection for the time of a `with`; raises DatabaseUnavailable."""

    def __call__(self) -> AbstractContextManager[Any]: ...


class ManifestMissing(Exception):
    """Bronze has no such listing."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """rows: ids unique; read: coins on the pages; bad: the coins set aside, each with its reason; ids: of all, bad ones too."""

    rows: list[Row]
    read: int
    bad: list[tuple[str, Any]]
    ids: set[int]

    def refusal(self, threshold: float) -> tuple[str, str] | None:
        """The rule and the words by which nothing of the listing is loaded, or None."""
        if not self.read:
            return NO_COINS, "the listing holds no coin"
        if len(self.bad) <= threshold * self.read:
            return None
        # Of a reason only its first field: the others are of one coin.
        ((most, _),) = Counter(reason.partition(";")[0] for reason, _ in self.bad).most_common(1)
        said = f"{len(self.bad)} of {self.read} coins cannot be rows, {RELEASABLE} {threshold:.2%}; most often: {most}"
        return BAD_COINS, said


def judge(coins: Iterable[Any], *, listing_id: str, listed_at: datetime) -> Judged:
    """Pages are no snapshot: of a coin that stands in a listing twice the one updated later counts, of equals the last."""
    rows: dict[int, Row] = {}
    bad: list[tuple[str, Any]] = []
    ids, read = set[int](), 0
    for coin in coins:
        read += 1
        try:
            row = row_of(coin, listing_id=listing_id, listed_at=listed_at)
        except BadCoin as error:
            bad.append((str(error), coin))
            found = id_of(coin)
            if found is not None:
                ids.add(found)
            continue
        other = rows.get(row.id)
        if other is None or (other.last_updated or _NEVER) <= (row.last_updated or _NEVER):
            rows[row.id] = row
    return Judged(rows=list(rows.values()), read=read, bad=bad, ids=ids | rows.keys())


def load(event: Load, *, bronze: Bronze, connect: Connect, threshold: float) -> Loaded:
    """Loads one listing, and before it what the run `accept` refused. Leaves the run's part of the report.

    Over the threshold nothing touches the database. Raises DatabaseUnavailable, ManifestMissing.
    """
    part = Part(step=STEP, tables=[TableReport(table=TABLE)])
    released = _released(event.accept, bronze=bronze)
    for key in released:
        if key != event.manifest:
            _load(key, event=event, bronze=bronze, connect=connect, threshold=1.0, part=part)
    threshold = 1.0 if event.manifest in released else threshold  # the API gave the same answer again
    answer = _load(event.manifest, event=event, bronze=bronze, connect=connect, threshold=threshold, part=part)
    bronze.put_part(event.run_id, part)
    return answer


def mark(event: Mark, *, connect: Connect) -> Marked:
    """Raises DatabaseUnavailable, ListingUnknown."""
    with connect() as connection:
        marked = table.mark_inactive(connection, event.inactive, listing_id=event.listing_id)
    log.info("run %s: %d coins are inactive by listing %s", event.run_id, marked, event.listing_id)
    return Marked(marked=marked)


def _load(key: str, *, event: Load, bronze: Bronze, connect: Connect, threshold: float, part: Part) -> Loaded:
    """Adds what it did to `part`."""
    manifest = bronze.manifest(key)
    if manifest is None:
        raise ManifestMissing(f"bronze has no {key}: fetch the listing first")
    listed_at = listed_at_of(manifest.listing_id)
    judged = judge(coins_of_pages(bronze.pages(manifest)), listing_id=manifest.listing_id, listed_at=listed_at)
    if judged.bad:
        aside = bronze.set_aside(manifest.listing_id, judged.bad)
        log.warning("run %s: %d of %d coins set aside in %s", event.run_id, len(judged.bad), judged.read, aside)
    refusal = judged.refusal(threshold)
    if refusal is not None:
        rule, said = refusal
        part.refused.append(Refusal(object=key, rule=f"{rule}: {said}"))
        log.warning("run %s: listing %s refused: %s: %s", event.run_id, manifest.listing_id, rule, said)
        return Loaded(listing_id=manifest.listing_id, outcome="refused", object=key, rule=rule, error=said)
    return _write(judged, manifest, key=key, listed_at=listed_at, event=event, connect=connect, part=part)


def _write(
    judged: Judged, manifest: Manifest, *, key: str, listed_at: datetime, event: Load, connect: Connect, part: Part
) -> Loaded:
    with connect() as connection:
        written = table.write_listing(
            connection,
            judged.rows,
            listing_id=manifest.listing_id,
            listed_at=listed_at,
            coins=judged.read,
            run_id=event.run_id,
            listed=judged.ids if manifest.complete else None,
        )
    # A task that is repeated, its answer lost, answers what it answered.
    unchanged = written.known_of not in (None, event.run_id)
    good = judged.read - len(judged.bad)
    rows = 0 if unchanged else written.rows
    account = part.tables[0]
    account.read += judged.read
    account.quarantined += len(judged.bad)
    account.written += rows
    account.unchanged += good if unchanged else 0
    account.superseded += 0 if unchanged else good - rows
    outcome: Outcome = "unchanged" if unchanged else "loaded" if written.newest else "older"
    log.info("run %s: listing %s %s, %d rows", event.run_id, manifest.listing_id, outcome, rows)
    return Loaded(listing_id=manifest.listing_id, outcome=outcome, object=key, rows=rows, missing=written.missing)


def _released(accept: str, *, bronze: Bronze) -> list[str]:
    """Manifests of listings that the run `accept` refused for their bad coins."""
    part = bronze.part(accept) if accept != NOTHING else None
    refused = part.refused if part else []
    return [r.object for r in refused if RELEASABLE in r.rule and manifest_prefix(bronze.source) in r.object]
