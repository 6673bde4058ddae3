"""What every answer is wrapped in: the status object."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from local.sources.coinmarketcap.errors import ApiError


class Answer(NamedTuple):
    """A body, and the credits that it costs."""

    body: bytes
    credits: int


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def iso(moment: datetime) -> str:
    """2026-11-21T11:00:00.123Z"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def status(version: int, *, timestamp: str, elapsed: int, credits: int, total: int | None = None) -> dict[str, Any]:
    """The status of a success; v3 says its code as a string."""
    code: dict[str, Any] = {"error_code": "0", "error_message": ""} if version >= 3 else {"error_code": 0, "error_message": None}
    found = {"timestamp": timestamp, **code, "elapsed": elapsed, "credit_count": credits, "notice": None}
    return found if total is None else {**found, "total_count": total}


def error_body(version: int, error: ApiError, *, timestamp: str) -> dict[str, Any]:
    """An error has neither data nor a notice."""
    code = str(error.code) if version >= 3 else error.code
    head = {"timestamp": timestamp, "error_code": code, "error_message": error.text}
    return {"status": {**head, "elapsed": 0, "credit_count": 0}}


def envelope(head: dict[str, Any], data: bytes) -> bytes:
    """head: the status; data: its JSON."""
    return b'{"status":' + dump(head) + b',"data":' + data + b"}"
