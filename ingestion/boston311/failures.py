"""What the portal's failures are.

Terminal and transient ones are different classes. The portal's firewall answers 403 for throttling, not for rights, so 403
counts as transient here.
"""

from ingestion.backoff import Unavailable

TRANSIENT_STATUS = frozenset({403, 408, 429, 500, 502, 503, 504})


class PortalError(Exception):
    """The portal did not give what was asked."""


class PortalUnavailable(PortalError, Unavailable):
    """Transient."""


class Truncated(PortalUnavailable):
    """The body ended before its announced length."""


class PortalRejected(PortalError):
    """Terminal: the portal understood and said no. `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
