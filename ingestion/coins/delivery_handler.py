"""Lambda that tells whether a listing has arrived in bronze. Event and answer: ingestion.coins.model."""

import logging
import os
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ingestion.coins.delivery import delivered
from ingestion.coins.model import Delivered, DeliveryEnvironment
from lake import aws

logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)


@lru_cache(maxsize=1)
def _environment() -> DeliveryEnvironment:
    return DeliveryEnvironment.of(os.environ)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    environment = _environment()
    return delivered(
        Delivered.model_validate(event),
        s3=aws.client("s3"),
        bucket=environment.bronze_bucket,
        source=environment.source,
        limit_minutes=environment.limit_minutes,
        now=datetime.now(UTC),
    ).model_dump()
