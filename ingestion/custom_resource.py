"""CloudFormation's protocol of custom resources that are Lambdas: whatever happens, the stack gets an answer."""

import json
import logging
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

log = logging.getLogger(__name__)

REASON_LENGTH = 1500  # an answer may have 4,096 bytes
ANSWER_SECONDS = 15
ANSWER_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class Request:
    """physical_id: of the resource as it is, None on Create. properties, before: as the template gives them now and gave them."""

    kind: Literal["Create", "Update", "Delete"]
    physical_id: str | None
    properties: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A property. Raises ValueError when the template does not give it."""
        value = self.properties.get(name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"the custom resource lacks its property {name}")
        return value


def respond(event: Mapping[str, Any], *, physical_id: str, work: Callable[[Request], Mapping[str, str] | None]) -> None:
    """Does `work`, which answers the resource's attributes, and tells CloudFormation how it went.

    physical_id: of a resource to be made; one that is there keeps its own, for another would have CloudFormation delete it.
    An exception of `work` is the reason that people read in the stack's events: its text must hold no secret.
    """
    request = Request(
        kind=event["RequestType"],
        physical_id=event.get("PhysicalResourceId"),
        properties=event.get("ResourceProperties", {}),
        before=event.get("OldResourceProperties", {}),
    )
    answer: dict[str, Any] = {"Status": "SUCCESS"}
    try:
        answer["Data"] = dict(work(request) or {})
    except Exception as error:
        log.exception("%s of %s failed", request.kind, event.get("LogicalResourceId"))
        answer = {"Status": "FAILED", "Reason": f"{type(error).__name__}: {error}"[:REASON_LENGTH]}
    answer["PhysicalResourceId"] = request.physical_id or physical_id
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        answer[name] = event[name]
    _send(event["ResponseURL"], answer)


def _send(url: str, answer: Mapping[str, Any]) -> None:
    """Raises OSError after several attempts: then Lambda repeats the event."""
    body = json.dumps(answer).encode()
    # The address is signed without a content type.
    request = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": ""})
    for attempt in range(1, ANSWER_ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
                return
        except OSError as error:
            log.warning("CloudFormation was not told (attempt %d): %s", attempt, type(error).__name__)
            if attempt == ANSWER_ATTEMPTS:
                raise
