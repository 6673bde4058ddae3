"""One download into bronze: taken up again where it broke off, handed on when the invocation's time runs short."""

import logging
from collections.abc import Callable

import requests

from ingestion.bodies import ends_with_connection, is_encoded
from ingestion.boston311.body import Body
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.client import Portal, announced_bytes, chunks
from ingestion.boston311.failures import PortalRejected, PortalUnavailable, Truncated
from ingestion.boston311.model import Fetch, Fetched, Manifest, More, Refused, Resource
from ingestion.boston311.packing import LINK_BYTES

log = logging.getLogger(__name__)

# Before this the function is left: the longest silence of the portal (client.TIMEOUT), and a part on its way into the bucket.
MARGIN_SECONDS = 75.0
# A resource that is not complete after so many invocations ends in a refusal and not in the machine's timeout: of 15 minutes each,
# 20 are five of the six hours that a run may take, and at the slowest pace that fills a part in each they bring 160 MiB, packed.
MAX_ROUNDS = 20


class OutOfTime(Exception):
    """The invocation ends soon."""


class Transfer:
    """time_left: seconds until the invocation is ended."""

    def __init__(self, event: Fetch, *, portal: Portal, bronze: Bronze, source: str, time_left: Callable[[], float]) -> None:
        self._event, self._portal, self._bronze, self._source, self._time_left = event, portal, bronze, source, time_left
        self._known = bronze.manifest(event.resource.resource_id)
        self._body: Body | None = None
        if event.progress is not None:
            self._body = Body.resumed(event.progress, upload=bronze.resumed_upload(event.progress))
        self._reached = self._received()
        self._begun_anew = False

    def run(self, resource: Resource) -> Fetched | More:
        """Downloads `resource`. What it uploaded is gone again unless it answers "changed" or "more".

        Raises Refused, PortalUnavailable, PortalRejected, UploadLost.
        """
        try:
            answer = self._run(resource)
        except BaseException:
            self._abort()
            raise
        if answer.outcome not in ("changed", "more"):
            self._abort()
        return answer

    def _run(self, resource: Resource) -> Fetched | More:
        failures = 0
        while True:
            try:
                if not self._download(resource):
                    return self._unchanged(resource)
                return self._publish(resource)
            except OutOfTime as error:
                more = self._more(resource)
                if more is None:
                    text = f"{self._received():,} bytes came in the function's time, no more than before or too few to go on from"
                    raise Refused("too_slow", text) from error
                return more
            except PortalUnavailable as error:
                failures = 1 if self._moved_on() else failures + 1
                if self._portal.backoff.wait(failures, error):
                    continue
                if isinstance(error, Truncated) and failures >= self._portal.backoff.attempts:
                    raise Refused("truncated_body", f"it ended early {failures} times: {error}") from error
                more = self._more(resource)
                if more is None:
                    raise
                return more

    def _download(self, resource: Resource) -> bool:
        """Reads to the last byte; False when the portal still has what bronze has."""
        if self._body is None:
            return self._from_the_beginning(resource)
        if self._body.resumable_as is not None:
            known, first, size = self._body.resumable_as, self._body.received, self._body.size
            with self._portal.resume(resource.url, etag=known, first=first, size=size) as response:
                if response is not None:
                    log.info("%s: taken up at byte %d", resource.resource_id, self._body.received)
                    self._read(self._body, response)
                    return True
        log.info("%s: begun anew", resource.resource_id)
        self._abort()
        self._begun_anew = True
        return self._from_the_beginning(resource)

    def _from_the_beginning(self, resource: Resource) -> bool:
        with self._portal.download(resource.url, known=self._known.etag if self._known else None) as response:
            if response is None:
                return False
            upload = self._bronze.upload(resource_id=resource.resource_id, run_id=self._event.run_id)
            self._body = Body(
                etag=response.headers.get("ETag"),
                upload=upload,
                size=announced_bytes(response),
                content_type=response.headers.get("Content-Type"),
                ranged=not is_encoded(response),
            )
            self._read(self._body, response)
        return True

    def _read(self, body: Body, response: requests.Response) -> None:
        for chunk in chunks(response):
            body.feed(chunk)
            if self._time_left() < MARGIN_SECONDS:
                raise OutOfTime
        if body.size is not None and body.received != body.size:  # of a part that was shorter than asked for, too
            raise Truncated(f"{body.received:,} of {body.size:,} bytes have come")
        body.finish(vouched=not ends_with_connection(response))

    def _publish(self, resource: Resource) -> Fetched:
        """Data first, manifest last."""
        body = self._body
        assert body is not None
        if self._known and self._known.content_hash == body.content_hash:
            return self._unchanged(resource)
        stored = body.store()
        manifest = Manifest(
            source=self._source,
            origin=self._event.origin,
            run_id=self._event.run_id,
            resource_id=resource.resource_id,
            resource_name=resource.name,
            url=resource.url,
            last_modified=resource.last_modified,
            etag=body.etag,
            content_hash=body.content_hash,
            bytes=body.received,
            header=body.header,
            fetched_at=body.fetched_at,
            object=stored,
        )
        self._bronze.put_manifest(manifest)
        log.info("run %s: %s changed, %d rows", self._event.run_id, resource.resource_id, body.rows)
        return Fetched(resource_id=resource.resource_id, outcome="changed", object=stored.key, rows=body.rows, bytes=body.received)

    def _unchanged(self, resource: Resource) -> Fetched:
        if self._known is None:
            raise PortalRejected(f"{resource.resource_id}: HTTP 304 to a request without a condition", status=304)
        return Fetched(resource_id=resource.resource_id, outcome="unchanged", object=self._known.object.key)

    def _more(self, resource: Resource) -> More | None:
        """The event of the next invocation; None when this one got no further than the one before, or there were too many."""
        before, now = self._event.progress, self._body.progress if self._body else None
        rounds = self._event.rounds + 1
        if now is None or rounds >= MAX_ROUNDS:
            return None
        if before is not None and before.etag == now.etag and (self._begun_anew or before.bytes >= now.bytes):
            return None
        log.info("run %s: %s goes on at byte %d", self._event.run_id, self._event.resource.resource_id, now.bytes)
        return More(**{**dict(self._event), "resource": resource, "progress": now, "rounds": rounds})

    def _moved_on(self) -> bool:
        """Whether a link more than ever before has come."""
        moved_on = self._received() >= self._reached + LINK_BYTES
        if moved_on:
            self._reached = self._received()
        return moved_on

    def _received(self) -> int:
        return self._body.received if self._body else 0

    def _abort(self) -> None:
        if self._body is not None:
            self._body.abort()
            self._body = None
