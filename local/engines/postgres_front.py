"""TLS before a PostgreSQL that was built without it: takes connections on the loopback and hands them on to the server's socket.

Speaks as much of PostgreSQL's protocol as comes before the first encrypted byte. A client that does not ask for TLS is refused, as
RDS does with rds.force_ssl.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local.engines.postgres_program import PostgresError, recorded_popen
from local.home import ROOT
from local.process import holder

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
CHUNK = 1 << 18
STARTUP_SECONDS = 30.0
LONGEST_STARTUP = 10_000
LONGEST_SOCKET_NAME = 100


def _error(code: str, message: str) -> bytes:
    fields = b"".join(f"{kind}{text}\0".encode() for kind, text in (("S", "FATAL"), ("V", "FATAL"), ("C", code), ("M", message)))
    return b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of a socket that fits into an address, however deep its directory lies."""
    if len(str(path)) < LONGEST_SOCKET_NAME or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


class Front:
    """The process that takes the connections. Listens on 127.0.0.1:`port` from its making; PostgresError if the port is taken.

    A process of its own, because a client may wait for an answer while it holds up every thread of its own process. It ends with
    the process that made it, whatever way that ends.
    """

    def __init__(self, port: int, directory: Path, socket_path: Path) -> None:
        from local.engines.postgres_certificate import certificate  # not needed, and slow to import, in the process itself

        self.certificate, key = certificate(directory)
        listening = socket.socket()
        with listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                raise PostgresError(
                    f"port {port} for PostgreSQL is in use by {holder(port)}; end it, or set another port (LAKE_POSTGRES_PORT)"
                ) from None
            self.port: int = listening.getsockname()[1]
            listening.listen(64)
            arguments = [str(listening.fileno()), str(socket_path), str(self.certificate), str(key)]
            self._process = recorded_popen(
                [sys.executable, "-m", "local.engines.postgres_front", *arguments],
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                pass_fds=(listening.fileno(),),
            )

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End every connection and give the port back."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


class Gate:
    """What the process does. server: PostgreSQL's socket."""

    def __init__(self, server: Path, tls: ssl.SSLContext) -> None:
        self._server = server
        self._tls = tls

    async def serve(self, listening: socket.socket) -> None:
        """Until standard input ends, which the process that made this one holds open."""
        await asyncio.start_server(self._connection, sock=listening, limit=CHUNK)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()
        os._exit(0)  # an orderly end of asyncio's would tell of each session that it cuts

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What a client does wrong, or that it goes, ends its connection and nothing else.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
            try:
                async with asyncio.timeout(STARTUP_SECONDS):
                    first = await self._begin(reader, writer)
                if first:
                    await self._hand_on(first, reader, writer)
            finally:
                writer.close()

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """The client's first message that is for the server; b"" if it was refused."""
        encrypted = False
        while True:
            head = await reader.readexactly(8)
            length, code = struct.unpack("!II", head)
            if not 8 <= length <= LONGEST_STARTUP:
                return b""
            if code == GSS_REQUEST and not encrypted:
                writer.write(b"N")
                continue
            if code == SSL_REQUEST and not encrypted:
                writer.write(b"S")
                await writer.start_tls(self._tls)
                encrypted = True
                continue
            message = head + await reader.readexactly(length - 8)
            if encrypted or code == CANCEL_REQUEST:  # libpq asks for a cancellation in the clear: it holds no secret of value
                return message
            writer.write(_error("28000", "no encryption: this server takes TLS only, connect with sslmode=require"))
            await writer.drain()
            return b""

    async def _hand_on(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with _short(self._server) as name:
                answers, requests = await asyncio.open_unix_connection(name, limit=CHUNK)
        except OSError:
            writer.write(_error("57P03", "the database system is not running; it is restarted within seconds"))
            await writer.drain()
            return
        requests.write(first)
        ways = {asyncio.create_task(_pipe(reader, requests)), asyncio.create_task(_pipe(answers, writer))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            requests.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()


def main() -> None:
    descriptor, server, chain, key = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(chain, key)
    asyncio.run(Gate(Path(server), tls).serve(socket.socket(fileno=int(descriptor))))


if __name__ == "__main__":
    main()
