"""One HTTP request: control, the API, or the relay when the origin is live."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

from local.sources.coinmarketcap import live, parameters
from local.sources.coinmarketcap.choice import ChoiceError, Served
from local.sources.coinmarketcap.damage import damaged
from local.sources.coinmarketcap.envelope import Answer, dump, error_body, iso
from local.sources.coinmarketcap.errors import NOT_FOUND, USUAL, ApiError, PlainError, invalid
from local.sources.coinmarketcap.faults import (
    ANSWERED,
    BodyCode,
    Damaged,
    Endpoint,
    Fault,
    Hang,
    Older,
    Status,
    Truncated,
    WrongJson,
)
from local.sources.control import CONTROL, ControlRefused, check_host, read_wish

if TYPE_CHECKING:
    from local.sources.coinmarketcap.server import HttpServer, Market, Server

log = logging.getLogger(__name__)

KEY_HEADER = "X-CMC_PRO_API_KEY"
ORIGIN_HEADER = "x-tributary-origin"  # ours: the real service sends none
JSON = "application/json; charset=utf-8"
KEYLESS = "/public-api"
# There is no v2 of listings.
ENDPOINTS: dict[str, tuple[Endpoint, int]] = {
    **{f"/v{version}/cryptocurrency/listings/latest": ("listings", version) for version in (1, 3)},
    **{f"/v{version}/cryptocurrency/quotes/latest": ("quotes", version) for version in (1, 2, 3)},
    "/v1/cryptocurrency/map": ("map", 1),
    "/v1/key/info": ("key_info", 1),
}
WITHOUT_KEY = frozenset({"/v3/cryptocurrency/listings/latest", "/v3/cryptocurrency/quotes/latest", "/v1/cryptocurrency/map"})
# Of the many that the free plan lacks, those that a history of prices would be asked of.
PAID = frozenset({"/v2/cryptocurrency/ohlcv/historical", "/v1/cryptocurrency/listings/new"})
BLOCK_PAGE = b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body>Checking your browser.</body></html>\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "tributary-coinmarketcap"
    timeout = 60  # of an idle connection, seconds

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.close_connection = True  # the body stays unread
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s %s", self.address_string(), format % args)

    @property
    def _service(self) -> "Server":
        return cast("HttpServer", self.server).service

    def _answer(self) -> None:
        version = 3 if self._path.removeprefix(KEYLESS).startswith("/v3/") else 1
        try:
            self._route()
        except ApiError as error:
            after = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            self._send(error.status, dump(error_body(version, error, timestamp=iso(datetime.now(UTC)))), more=after)
        except PlainError as error:
            self._send(error.status, dump(error.body()))
        except ControlRefused as error:
            self._send(error.status, dump({"error": {"message": str(error)}}))
        except (BrokenPipeError, ConnectionResetError, TimeoutError) as error:
            log.info("%s: the client left (%s)", self._path, type(error).__name__)
            self.close_connection = True

    @property
    def _path(self) -> str:
        return urlsplit(self.path).path

    def _route(self) -> None:
        choice, market, faults = self._service.served
        if self._path == CONTROL:
            self._control()
            return
        if self.command != "GET":
            self.close_connection = True
            raise PlainError(405, "Method Not Allowed", f"{self.command} is for {CONTROL} alone" if self.command == "PUT" else "")
        if market is None or not isinstance(choice, Served):
            self._relay()
            return
        path = self._path.removeprefix(KEYLESS)
        keyless = path != self._path
        if path in PAID:
            raise ApiError(1006)
        if path not in ENDPOINTS:
            raise NOT_FOUND
        endpoint, version = ENDPOINTS[path]
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        fault = faults.strike(endpoint, start=query.get("start", "1"))
        self._fail_first(fault)
        name = self._admitted(path, choice, keyless=keyless)
        answer = self._asked(market, endpoint, version, query, fault, name=name, choice=choice)
        if name is not None:
            self._service.ledger.charge(name, answer.credits)
        self._send_body(answer.body, fault)

    # --- control

    def _control(self) -> None:
        check_host(self)
        if self.command == "GET":
            self._send(200, dump(self._service.state()))
            return
        if self.command != "PUT":
            raise PlainError(405, "Method Not Allowed")
        try:
            self._send(200, dump(self._service.choose(read_wish(self))))
        except ChoiceError as error:
            raise ControlRefused(400, str(error)) from error

    # --- the API

    def _fail_first(self, fault: Fault | None) -> None:
        """Faults instead of an answer. Raises ApiError."""
        if isinstance(fault, Status):
            code = USUAL.get(fault.status, 500) if fault.code is None else fault.code
            raise ApiError(code, retry_after=fault.retry_after, http=fault.status)
        if isinstance(fault, BodyCode):
            raise ApiError(fault.code, http=200)
        if isinstance(fault, Hang) and self._service.stopping.wait(fault.seconds):
            raise TimeoutError("the server ends")

    def _admitted(self, path: str, choice: Served, *, keyless: bool) -> str | None:
        """The key's name, None without one. Raises ApiError."""
        ledger, address, name = self._service.ledger, self.client_address[0], self.headers.get(KEY_HEADER)
        try:
            if not keyless:
                ledger.admit(name, choice.keys, address=address, ip_minute=choice.ip_minute)
                return name
            if path not in WITHOUT_KEY:
                raise ApiError(1005)
            if name is not None:
                raise invalid(f"{KEY_HEADER} is not allowed on {KEYLESS}")
            ledger.admit_keyless(address=address, keyless_minute=choice.keyless_minute)
        except ApiError as error:
            error.retry_after = error.retry_after if choice.retry_after else None
            raise
        return None

    def _asked(
        self,
        market: "Market",
        endpoint: Endpoint,
        version: int,
        query: Mapping[str, str],
        fault: Fault | None,
        *,
        name: str | None,
        choice: Served,
    ) -> Answer:
        """Raises ApiError, PlainError."""
        try:
            if endpoint == "listings":
                ago = fault.minutes if isinstance(fault, Older) else 0
                # An answer that does not arrive is not the run's: the client asks again and gets the same one.
                advance = fault is None or (isinstance(fault, ANSWERED) and not ago)
                return market.listing(version, parameters.listing(query), advance=advance, minutes_ago=ago)
            if endpoint == "quotes":
                return market.quotes(version, parameters.quotes(query))
            if endpoint == "map":
                return market.map(parameters.map_(query))
            if query:
                raise invalid(f'"{next(iter(query))}" is not allowed')
            return market.key_info(self._service.ledger.info(str(name), choice.keys[str(name)]))
        except OSError as error:
            raise PlainError(503, "Service Unavailable", str(error)) from error

    def _send_body(self, body: bytes, fault: Fault | None) -> None:
        if isinstance(fault, Damaged):
            body = damaged(body, fault.coins)
        if isinstance(fault, WrongJson):
            if fault.form == "html":
                self._send(200, BLOCK_PAGE, content_type="text/html; charset=utf-8")
                return
            body = body[: len(body) // 2]
        self._send(200, body, sent=fault.after if isinstance(fault, Truncated) else None)

    # --- live

    def _relay(self) -> None:
        response = live.relayed(self.command, self.path, dict(self.headers.items()))
        more = {name: response.headers[name] for name in live.RETURNED if name in response.headers}
        self._send(response.status_code, response.content, content_type=more.pop("Content-Type", JSON), more=more)

    # --- sending

    def _send(
        self,
        status: int,
        content: bytes,
        *,
        content_type: str = JSON,
        more: Mapping[str, str] = MappingProxyType({}),
        sent: int | None = None,
    ) -> None:
        """sent: how many bytes of the content, None = all; with fewer the connection ends early."""
        self.send_response(status)
        origin = self._service.served.choice.origin
        if origin != "live" and self._path != CONTROL:
            self.send_header(ORIGIN_HEADER, origin)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(content)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:sent])
        if sent is not None and sent < len(content):
            self.close_connection = True
