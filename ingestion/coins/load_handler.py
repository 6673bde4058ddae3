"""Lambda inside the network: reaches S3, Secrets Manager and the database alone. Events and answers: ingestion.coins.model."""

import logging
import os
from functools import lru_cache
from typing import Any

from ingestion.coins.bronze import Bronze
from ingestion.coins.load import load, mark
from ingestion.coins.model import LoadEnvironment, Mark, parse_load_event
from ingestion.postgres import connected, read_secret
from lake import aws

logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)

APPLICATION = "tributary-load"


@lru_cache(maxsize=1)
def _environment() -> LoadEnvironment:
    return LoadEnvironment.of(os.environ)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    environment = _environment()
    request = parse_load_event(event)

    def connect() -> Any:  # the secret is read each time: it rotates
        credentials = read_secret(aws.client("secretsmanager"), environment.database_secret)
        return connected(credentials, application=APPLICATION)

    if isinstance(request, Mark):
        return mark(request, connect=connect).model_dump()
    bronze = Bronze(s3=aws.client("s3"), bucket=environment.bronze_bucket, source=environment.source)
    return load(request, bronze=bronze, connect=connect, threshold=environment.threshold).model_dump()
