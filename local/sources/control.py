"""`/_control`, the same for every source: GET tells what is served, PUT states it as one JSON object."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from pydantic import ValidationError

CONTROL = "/_control"
MAX_WISH = 1 << 16


class ControlRefused(Exception):
    """status: of HTTP; the text says what is wrong."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_host(request: BaseHTTPRequestHandler) -> None:
    """Raises ControlRefused: a page in the user's browser may reach 127.0.0.1 by a name of its own; it must not steer a source."""
    if (request.headers.get("Host") or "").rpartition(":")[0] not in ("127.0.0.1", "localhost"):
        raise ControlRefused(403, f"{CONTROL} answers to 127.0.0.1 and localhost alone")


def read_wish(request: BaseHTTPRequestHandler) -> Any:
    """The JSON value in the request's body. Raises ControlRefused."""
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length) > MAX_WISH:
        request.close_connection = True  # the body stays unread
        raise ControlRefused(400, f"a body of at most {MAX_WISH} bytes with Content-Length is needed")
    try:
        return json.loads(request.rfile.read(int(length)))
    except ValueError as error:
        raise ControlRefused(400, f"the body is no JSON: {error}") from error


def reasons(error: ValidationError) -> str:
    """What is wrong with a wish, field by field."""
    return "; ".join(f"{'.'.join(str(part) for part in e['loc']) or 'body'}: {e['msg']}" for e in error.errors())
