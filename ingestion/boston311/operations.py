"""The two operations: which resources may have changed, and one resource into bronze."""

import logging
from collections.abc import Callable

from ingestion.boston311.bronze import Bronze, UploadLost
from ingestion.boston311.client import Portal
from ingestion.boston311.failures import PortalRejected
from ingestion.boston311.model import Discover, Discovered, Fetch, Fetched, More, Refused, Resource
from ingestion.boston311.transfer import Transfer
from ingestion.boston311.transform import may_have_changed
from ingestion.bronze import OriginMismatch

log = logging.getLogger(__name__)

GONE = frozenset({404, 410})


def discover(event: Discover, *, portal: Portal, bronze: Bronze) -> Discovered:
    """Compares the package with bronze's manifests; the first run records the origin.

    Raises OriginMismatch, PortalUnavailable, PortalRejected.
    """
    package = portal.package()
    bronze.claim_origin(package.origin)
    known = set(bronze.resource_ids())
    candidates = [r for r in package.resources if may_have_changed(r, bronze.manifest(r.resource_id))]
    missing = sorted(known - {r.resource_id for r in package.resources})
    log.info("run %s: %d of %d resources may have changed", event.run_id, len(candidates), len(package.resources))
    if missing:
        log.warning("no longer in the package, their rows stay: %s", ", ".join(missing))
    return Discovered(origin=package.origin, resources=candidates, missing=missing)


def fetch(event: Fetch, *, portal: Portal, bronze: Bronze, source: str, time_left: Callable[[], float]) -> Fetched | More:
    """Downloads one resource if it changed: data first, manifest last. time_left: seconds until the invocation is ended.

    What is no CSV of this source is refused, not raised: one bad resource holds up itself alone.
    Raises OriginMismatch, PortalUnavailable (after its retries), PortalRejected, UploadLost (twice in one invocation).
    """
    try:
        return _fetch(event, portal=portal, bronze=bronze, source=source, time_left=time_left)
    except UploadLost:
        log.warning("run %s: %s begins anew, its upload is gone", event.run_id, event.resource.resource_id)
        anew = event.model_copy(update={"progress": None})
        return _fetch(anew, portal=portal, bronze=bronze, source=source, time_left=time_left)


def _fetch(event: Fetch, *, portal: Portal, bronze: Bronze, source: str, time_left: Callable[[], float]) -> Fetched | More:
    resource = event.resource
    transfer = Transfer(event, portal=portal, bronze=bronze, source=source, time_left=time_left)
    try:
        try:
            return transfer.run(resource)
        except PortalRejected as error:
            if error.status not in GONE:
                raise
            # Addresses die at every upload, and there may have been one since discover.
            return transfer.run(_moved(event, portal))
    except Refused as refusal:
        log.warning("run %s: %s refused: %s: %s", event.run_id, resource.resource_id, refusal.rule, refusal)
        return Fetched(
            resource_id=resource.resource_id,
            outcome="refused",
            object=resource.resource_id,
            rule=refusal.rule,
            error=str(refusal),
        )


def _moved(event: Fetch, portal: Portal) -> Resource:
    package, resource = portal.find(event.resource.resource_id)
    if package.origin != event.origin:
        raise OriginMismatch(f"the portal changed from {event.origin!r} to {package.origin!r} during run {event.run_id}")
    if resource is None:
        raise Refused("resource_missing", "the package lists it no more; it did when the run began")
    if resource.url == event.resource.url:
        raise Refused("resource_missing", f"the package lists it, but there is nothing at {resource.url}")
    return resource
