"""`python -m local.serve`: the laptop cloud, one process on 127.0.0.1.

ministack with our engines, and the sources' portal beside it. State lies under LAKE_HOME and is written every few seconds, because
ministack itself writes it at a clean stop only. Ports come from the variables of
lake.names.LAPTOP_PORTS.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from typing import Any

from lake.names import LAPTOP_PORTS
from local import children, toolchain
from local.home import Home, default_home, write_json

SNAPSHOT_SECONDS = 3.0
# A process that answers requests keeps its connections for longer than a client that polls waits between two polls.
KEEP_ALIVE_SECONDS = 75

logger = logging.getLogger("lake")


def _configure(home: Home, port: int) -> None:
    """ministack reads its settings from the environment when it is imported; nothing of the user's AWS settings may reach it."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINISTACK_", "LOCALSTACK_", "PYTHON"))]:
        del os.environ[name]  # PYTHONPATH too: a Lambda has what it carries, not this repository
    os.environ.update(
        {
            "LAKE_CHILDREN": str(home.children),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "AUTH": "true",
            "MINISTACK_ACCOUNT_ID": "000000000000",
            "MINISTACK_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(home.state),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(home.objects),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "DOCKER_HOST": f"unix://{home.path}/no-docker",
        }
    )


def _scratch(home: Home) -> None:
    """ministack unpacks every Lambda into the directory for temporary files and, when it ends, leaves it there."""
    shutil.rmtree(home.scratch, ignore_errors=True)  # of a process that was killed
    home.scratch.mkdir(mode=0o700)
    tempfile.tempdir = str(home.scratch)


def _over_tls(emulator: Any, ready: Any) -> Any:
    """The loopback stands for TLS, else every `aws:SecureTransport` condition would deny; `ready` runs before the first request."""
    application = emulator.application()

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":

            async def send_once_ready(message: dict[str, Any]) -> None:
                if message["type"] == "lifespan.startup.complete":
                    ready()
                await send(message)

            await application(scope, receive, send_once_ready)
            return
        if scope["type"] == "http":
            scope = {**scope, "scheme": "https"}
            emulator.remember_caller(scope)
        await application(scope, receive, send)

    return wrapped


def _sources(home: Home, ports: dict[str, int]) -> list[Any]:
    """The servers that sources are read from: objects with `stop()`."""
    from local.sources.boston311 import portal
    from local.sources.coinmarketcap import server

    return [
        portal.start(port=ports["portal_port"], home=home.path),
        server.start(port=ports["coinmarketcap_port"], home=home.path),
    ]


async def _snapshots(emulator: Any, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), SNAPSHOT_SECONDS)
        if not stopping.is_set():
            await asyncio.to_thread(emulator.snapshot)


async def _serve(home: Home, ports: dict[str, int]) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from local.emulator import Emulator
    from local.engines import install_all

    port = ports["port"]
    emulator = Emulator(home=home, port=port)
    install_all(emulator)
    emulator.isolate_lambdas(str(toolchain.prepare().lambda_python))
    sources = _sources(home, ports)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.graceful_timeout = 1.0
    config.loglevel = "WARNING"
    started = {"pid": os.getpid(), "ports": ports, "started_at": time.time()}

    def ready() -> None:
        emulator.restored()
        write_json(home.daemon, started)

    # Not `await serve(...)` alone: engines are to be stopped before ministack writes its state, so that no run is left "running".
    snapshots = asyncio.create_task(_snapshots(emulator, stopping))
    ended = asyncio.Event()
    server = asyncio.create_task(serve(_over_tls(emulator, ready), config, shutdown_trigger=ended.wait))
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({server, waiting}, return_when=asyncio.FIRST_COMPLETED)
    logger.info("stopping")
    stopping.set()
    await asyncio.to_thread(emulator.stop)
    ended.set()
    await snapshots
    await server
    for source in sources:
        source.stop()


def _quiet() -> None:
    # Several lines every few seconds, and one per request, would bury what matters.
    for name in ("persistence", "hypercorn.access", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def main() -> None:
    """Serve until SIGTERM; end with all children, and leave no record of a running process."""
    home = Home(default_home())
    ports = {name: int(os.environ[variable]) for name, variable in LAPTOP_PORTS.items()}
    home.path.mkdir(parents=True, exist_ok=True)
    lock = home.lock.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"a laptop cloud is already running on {home.path}")
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    os.chdir(home.path)
    home.children.mkdir(exist_ok=True)
    home.daemon.unlink(missing_ok=True)
    orphans = children.end_all(home.children)
    _scratch(home)
    _configure(home, ports["port"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(name)s] %(message)s")
    _quiet()
    if orphans:
        logger.info("ended %d processes that an earlier process had left behind", orphans)
    code = 0
    try:
        asyncio.run(_serve(home, ports))
    except BaseException:
        logger.exception("the laptop cloud broke down")  # here, as nothing reaches the interpreter's own report
        code = 1
    children.end_all(home.children)
    shutil.rmtree(home.scratch, ignore_errors=True)
    home.daemon.unlink(missing_ok=True)
    logger.info("stopped")
    logging.shutdown()
    # Threads that wait for a job or a Lambda must not keep the process alive.
    os._exit(code)


if __name__ == "__main__":
    main()
