"""Lambda of Boston 311's ingestion. Events and answers: ingestion.boston311.model."""

import logging
import os
from functools import lru_cache
from typing import Any, Protocol

from ingestion.backoff import Backoff
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.client import Portal
from ingestion.boston311.model import Discover, Environment, parse_event
from ingestion.boston311.operations import discover, fetch
from ingestion.boston311.transfer import MARGIN_SECONDS
from lake import aws

logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment.of(os.environ)


class Context(Protocol):
    """What the Lambda service hands to a handler."""

    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    environment = _environment()

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    backoff = Backoff(time_left=lambda: time_left() - MARGIN_SECONDS)
    portal = Portal(url=environment.portal_url, package_id=environment.package_id, backoff=backoff)
    bronze = Bronze(s3=aws.client("s3"), bucket=environment.bronze_bucket, source=environment.source)
    request = parse_event(event)
    if isinstance(request, Discover):
        return discover(request, portal=portal, bronze=bronze).model_dump()
    return fetch(request, portal=portal, bronze=bronze, source=environment.source, time_left=time_left).model_dump()
