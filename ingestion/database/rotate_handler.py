"""Lambda that Secrets Manager calls to rotate a secret of the database: {"Step", "SecretId", "ClientRequestToken"}."""

import logging
import os
from collections.abc import Callable
from typing import Any

from ingestion.database.rotate import Rotation, RotationRefused
from lake import aws

log = logging.getLogger(__name__)
logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)

MASTER_SECRET = "MASTER_SECRET"
STEPS: dict[str, Callable[[Rotation], None]] = {
    "createSecret": Rotation.create,
    "setSecret": Rotation.set,
    "testSecret": Rotation.test,
    "finishSecret": Rotation.finish,
}


def handler(event: dict[str, Any], _context: object) -> None:
    """Raises RotationRefused, DatabaseUnavailable, SecretMalformed: Secrets Manager repeats the rotation."""
    step = event["Step"]
    if step not in STEPS:
        raise RotationRefused(f"unknown step {step!r}; there are {', '.join(STEPS)}")
    rotation = Rotation(
        secretsmanager=aws.client("secretsmanager"),
        secret=event["SecretId"],
        token=event["ClientRequestToken"],
        master_secret=os.environ[MASTER_SECRET],
    )
    if rotation.is_done:
        log.info("%s: this version is the current one already", event["SecretId"])
        return
    STEPS[step](rotation)
    log.info("%s: %s done", event["SecretId"], step)
