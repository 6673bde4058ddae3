"""Custom resource: brings the database to where the deployment wants it. Delete does nothing: the data stay.

Properties: MasterSecret, LoaderSecret, ReplicatorSecret (names or ARNs), Contracts (compiled JSON), Version (any text that changes
when the others' content does).
"""

import json
import logging
from typing import Any

from ingestion.custom_resource import Request, respond
from ingestion.database.migrate import migrate
from ingestion.database.tables import REPLICATED
from ingestion.postgres import connected, read_secret
from lake import aws
from lake.contracts import Contract

log = logging.getLogger(__name__)
logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)

APPLICATION = "tributary-migrate"
PHYSICAL_ID = "tributary-database"


def handler(event: dict[str, Any], _context: object) -> None:
    respond(event, physical_id=PHYSICAL_ID, work=_work)


def _work(request: Request) -> None:
    if request.kind == "Delete":
        return
    contract = contract_of(request.text("Contracts"))
    secrets = aws.client("secretsmanager")
    master, loader, replicator = (read_secret(secrets, request.text(f"{who}Secret")) for who in ("Master", "Loader", "Replicator"))
    with connected(master, application=APPLICATION) as connection:
        done = migrate(connection, contract=contract, loader=loader, replicator=replicator)
    log.info("version %s: %s", request.properties.get("Version"), "; ".join(done) or "the tables are as they should be")


def contract_of(compiled: str) -> Contract:
    """The one contract in JSON compiled by lake.contracts.compile_json. Raises ValueError."""
    known = json.loads(compiled)
    name = f"bronze.{REPLICATED}"
    if name not in known:
        raise ValueError(f"Contracts holds {', '.join(known) or 'nothing'}, not {name}")
    return Contract.from_json(known[name])
