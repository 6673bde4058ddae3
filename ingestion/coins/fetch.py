"""The two operations outside the network of the database: a listing into bronze, and what became of coins that it lacks."""

import logging
from datetime import UTC, datetime
from itertools import count

from ingestion.coins.bronze import Bronze
from ingestion.coins.client import PAGE, Answer, CoinMarketCap
from ingestion.coins.coin import id_of
from ingestion.coins.failures import CoinMarketCapRejected
from ingestion.coins.listing import coins_in, instant_of, is_complete, iso, listing_id
from ingestion.coins.model import Ask, Asked, Fetch, Fetched, Manifest

log = logging.getLogger(__name__)

# In this order: most coins that leave the market are inactive.
NOT_ACTIVE = ("inactive", "untracked")


def fetch(event: Fetch, *, api: CoinMarketCap, bronze: Bronze, source: str, coins: int) -> Fetched:
    """Archives the first `coins` coins of the market: pages first, manifest last. A listing that is there already stays as it is.

    Raises OriginMismatch, CoinMarketCapUnavailable, CoinMarketCapRejected.
    """
    answers: list[Answer] = []
    found = 0
    for page in count():
        limit = min(PAGE, coins - page * PAGE)
        answer = api.listings(start=page * PAGE + 1, limit=limit)
        if not answers:
            bronze.claim_origin(answer.origin)
        answers.append(answer)
        here = len(coins_in(answer.data))
        found += here
        if here < limit or (page + 1) * PAGE >= coins:
            break
    manifest = _manifest(event, answers, source=source, found=found, asked=coins, last=(here, limit))
    key = bronze.manifest_key(manifest.listing_id)
    held = bronze.manifest(key)
    if held is None:
        numbered = enumerate(answers, start=1)
        manifest.pages = [bronze.put_page(manifest.listing_id, number, answer.body) for number, answer in numbered]
        bronze.put_manifest(manifest)
        log.info("run %s: listing %s, %d coins, %d credits", event.run_id, manifest.listing_id, found, manifest.credits)
    else:
        manifest = held
        log.info("run %s: listing %s is there already", event.run_id, manifest.listing_id)
    return Fetched(
        origin=manifest.origin,
        listing_id=manifest.listing_id,
        listed_at=manifest.listed_at,
        coins=manifest.coins,
        manifest=key,
    )


def ask(event: Ask, *, api: CoinMarketCap) -> Asked:
    """Which of the missing ids CoinMarketCap itself calls inactive or untracked. Raises as fetch."""
    sought, inactive = set(event.missing), set[int]()
    for state in NOT_ACTIVE:
        for coin in api.map(state) if sought - inactive else ():
            if id_of(coin) in sought and coin.get("is_active") in (0, False):
                inactive.add(coin["id"])
            if inactive == sought:
                break
    log.info("run %s: %d of %d missing coins are inactive", event.run_id, len(inactive), len(sought))
    return Asked(inactive=sorted(inactive))


def _manifest(event: Fetch, answers: list[Answer], *, source: str, found: int, asked: int, last: tuple[int, int]) -> Manifest:
    """Without its pages. last: coins and limit of the last page."""
    first = answers[0]
    try:
        listed_at = instant_of(first.status)
    except ValueError as error:
        raise CoinMarketCapRejected(f"the answer's status has no timestamp: {error}", status=200) from error
    total = first.status.get("total_count")
    total = total if type(total) is int else None
    return Manifest.model_validate(
        {
            "source": source,
            "origin": first.origin,
            "run_id": event.run_id,
            "listing_id": listing_id(listed_at, (answer.body for answer in answers)),
            "listed_at": iso(listed_at),
            "fetched_at": iso(datetime.now(UTC)),
            "pages": [],
            "coins": found,
            "total_count": total,
            "credits": sum(_credits(answer.status.get("credit_count")) for answer in answers),
            "complete": is_complete(coins=found, asked=asked, last_page=last[0], last_limit=last[1], total_count=total),
        }
    )


def _credits(value: object) -> int:
    return value if type(value) is int else 0
