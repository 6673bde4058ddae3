"""One HTTP request to the portal: control, CKAN actions, downloads; or the relay, when the origin is live."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from local.sources.boston311 import ckan, live, storage
from local.sources.boston311.catalogue import READ_BYTES, Catalogue, Resource
from local.sources.boston311.choice import ChoiceError
from local.sources.boston311.ckan import CkanError
from local.sources.boston311.faults import API, AnswerFault, Armed, BlockPage, Fault, Status
from local.sources.control import CONTROL, ControlRefused, check_host, read_wish

if TYPE_CHECKING:
    from local.sources.boston311.portal import Portal, PortalServer

log = logging.getLogger(__name__)

BLOCK_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Request Rejected</title></head>\n"
    b"<body>The requested URL was rejected. Please consult with your administrator.</body></html>\n"
)
NOT_FOUND = CkanError(404, "Not Found Error", "Not found")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "tributary-portal"
    timeout = 60  # of an idle connection, seconds

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s %s", self.address_string(), format % args)

    @property
    def _portal(self) -> "Portal":
        return cast("PortalServer", self.server).portal

    def _answer(self) -> None:
        action = urlsplit(self.path).path.rpartition("/")[2]
        try:
            self._route()
        except CkanError as fault:
            self._send_json(fault.status, ckan.error(base=self._portal.url, action=action, fault=fault))
        except (BrokenPipeError, ConnectionResetError, TimeoutError) as error:
            log.info("%s: the client left (%s)", self.path, type(error).__name__)
            self.close_connection = True

    def _route(self) -> None:
        path = urlsplit(self.path).path
        choice, catalogue, faults = self._portal.served
        if path == CONTROL:
            self._control()
        elif self.command == "PUT":
            raise CkanError(405, "Method Not Allowed", f"PUT is for {CONTROL} alone")
        elif catalogue is None:
            self._relay()
        elif path.startswith("/api/3/action/"):
            if not self._failed(faults.strike(API, AnswerFault)):
                self._action(catalogue, path.removeprefix("/api/3/action/"), origin=choice.origin)
        elif path.startswith("/dataset/"):
            self._redirect(catalogue, path, faults)
        elif path.startswith("/storage/"):
            self._download(catalogue, path, faults)
        else:
            raise NOT_FOUND

    # --- control

    def _control(self) -> None:
        try:
            check_host(self)
            if self.command != "PUT":
                self._send_json(200, self._portal.state())
                return
            state = self._portal.choose(read_wish(self))
        except ControlRefused as error:
            kind = "Authorization Error" if error.status == 403 else "Validation Error"
            raise CkanError(error.status, kind, str(error)) from error
        except ChoiceError as error:
            raise CkanError(400, "Validation Error", str(error)) from error
        self._send_json(200, state)

    # --- CKAN

    def _action(self, catalogue: Catalogue, action: str, *, origin: str) -> None:
        if action not in ckan.ACTIONS:
            self._send_json(400, f"Bad request - Action name not known: {action}")
            return
        wanted = parse_qs(urlsplit(self.path).query).get(ckan.ACTIONS[action], [""])[0]
        if not wanted:
            raise CkanError(409, "Validation Error", f"{ckan.ACTIONS[action]}: Missing value")
        if action.startswith("datastore_"):
            raise ckan.no_datastore(action, wanted)
        base, resources = self._portal.url, self._resources(catalogue)
        if action == "package_show":
            if wanted not in (ckan.PACKAGE_ID, ckan.PACKAGE_NAME):
                raise NOT_FOUND
            result = ckan.package(base=base, origin=origin, resources=resources)
        else:
            position, resource = self._find(resources, wanted)
            result = ckan.entry(base=base, resource=resource, position=position)
        self._send_json(200, ckan.answer(base=base, action=action, result=result))

    def _resources(self, catalogue: Catalogue) -> list[Resource]:
        try:
            return catalogue.resources()
        except OSError as error:
            raise CkanError(503, "Service Unavailable", str(error)) from error

    def _find(self, resources: list[Resource], rid: str) -> tuple[int, Resource]:
        for position, resource in enumerate(resources):
            if resource.id == rid:
                return position, resource
        raise NOT_FOUND

    # --- downloads

    def _failed(self, fault: Fault | None) -> bool:
        """Whether a fault has answered the request."""
        if isinstance(fault, Status):
            after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self._send(fault.status, HTTPStatus(fault.status).phrase.encode(), "text/plain", after)
        elif isinstance(fault, BlockPage):
            self._send(fault.status, BLOCK_PAGE, "text/html; charset=utf-8")
        elif fault is not None:
            raise CkanError(200, "Authorization Error", "Access denied")
        return fault is not None

    def _redirect(self, catalogue: Catalogue, path: str, faults: Armed) -> None:
        """/dataset/<package>/resource/<id>/download/<file>: only the newest upload has an address."""
        for resource in self._resources(catalogue):
            if path == ckan.download_path(resource):
                if self._failed(faults.strike(resource.key, AnswerFault)):
                    return
                self.send_response(HTTPStatus.FOUND)
                self.send_header("Location", self._portal.signed(path.replace("/dataset/", "/storage/", 1)))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        raise NOT_FOUND

    def _download(self, catalogue: Catalogue, path: str, faults: Armed) -> None:
        if not self._portal.is_signed(self.path, host=self.headers.get("Host") or ""):
            self._send(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", "application/xml")
            return
        _, _, _, _, rid, _, file_name = path.split("/")
        _, resource = self._find(self._resources(catalogue), unquote(rid))
        if file_name != ckan.file_name(resource):
            raise NOT_FOUND
        try:
            with catalogue.content(resource) as content:
                storage.answer(self, resource, content, faults)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            raise
        except OSError as error:
            raise CkanError(503, "Service Unavailable", str(error)) from error

    # --- live

    def _relay(self) -> None:
        with live.relayed(self.command, self.path, dict(self.headers.items())) as response:
            headers = {name: response.headers[name] for name in live.RETURNED if name in response.headers}
            if self.path.startswith("/api/"):
                answer = response.content.replace(live.UPSTREAM.encode(), self._portal.url.encode())
                self._send(response.status_code, answer, headers.get("Content-Type", ckan.JSON))
                return
            chunked = "Content-Length" not in headers and self.command != "HEAD" and response.status_code != 304
            if chunked:
                headers["Transfer-Encoding"] = "chunked"
            self._send_head(response.status_code, headers)
            if self.command == "HEAD":
                return
            try:
                for piece in response.iter_content(READ_BYTES):
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            except live.LOST as error:
                log.warning("%s broke off upstream: %s", self.path, error)
                self.close_connection = True  # the headers are out: an early end is all that can still be said
                return
            if chunked:
                self.wfile.write(b"0\r\n\r\n")

    # --- sending

    def _send_json(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value, ensure_ascii=False).encode(), ckan.JSON)

    def _send(self, status: int, content: bytes, content_type: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self._send_head(status, {"Content-Type": content_type, "Content-Length": str(len(content)), **more})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
