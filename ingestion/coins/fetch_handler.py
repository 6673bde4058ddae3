"""Lambda outside the network: asks CoinMarketCap. Events and answers: ingestion.coins.model."""

import logging
import os
import random
from functools import lru_cache
from typing import Any, Protocol

from ingestion.backoff import Backoff
from ingestion.coins.bronze import Bronze
from ingestion.coins.client import CoinMarketCap
from ingestion.coins.fetch import ask, fetch
from ingestion.coins.key import read_key
from ingestion.coins.model import Ask, FetchEnvironment, parse_fetch_event
from lake import aws

logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)

MARGIN_SECONDS = 15  # to write what came, and for an error to be told


@lru_cache(maxsize=1)
def _environment() -> FetchEnvironment:
    return FetchEnvironment.of(os.environ)


class Context(Protocol):
    """What the Lambda service hands to a handler."""

    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    environment = _environment()
    request = parse_fetch_event(event)

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS

    # As CoinMarketCap's own SDK does: twice more, up to half of the pause left to chance; a minute's limit is over in a minute.
    backoff = Backoff(
        attempts=3,
        base=0.5,
        cap=8.0,
        retry_after_cap=60.0,
        time_left=time_left,
        jitter=lambda: 1 - random.random() / 2,
    )
    key = read_key(aws.client("secretsmanager"), environment.key_secret)
    api = CoinMarketCap(url=environment.api_url, key=key, backoff=backoff, time_left=time_left)
    if isinstance(request, Ask):
        return ask(request, api=api).model_dump()
    bronze = Bronze(s3=aws.client("s3"), bucket=environment.bronze_bucket, source=environment.source)
    return fetch(request, api=api, bronze=bronze, source=environment.source, coins=environment.coins).model_dump()
