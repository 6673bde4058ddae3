"""The servers behind RDS instances.

Each instance has its data in `<home>/postgres/<identifier>`; the first listens on LAKE_POSTGRES_PORT, further ones on any free
port. A server that dies is restarted, as RDS restarts it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.emulator import Emulator
from local.engines import postgres
from local.engines.postgres_program import remove
from local.engines.secrets import move_endpoint

RDS = "services.rds"
ADDRESS = "127.0.0.1"
MAJOR = "16"
WATCH_SECONDS = 1.0
IGNORED = ("shared_preload_libraries", "shared_buffers", "port")  # libraries are missing; the memory is that of a laptop

logger = logging.getLogger("lake.rds")
Instance = dict[str, Any]


class Databases:
    """The servers of the instances that ministack knows."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._home = emulator.home.path / "postgres"
        self._wanted_port = int(os.environ.get("LAKE_POSTGRES_PORT") or 4590)
        self._instances: Any = emulator.get(RDS, "_instances")
        self._groups: Any = emulator.get(RDS, "_param_groups")
        self._record: Callable[[Instance], None] = emulator.get(RDS, "_record_reboot_event")
        self._servers: dict[str, postgres.Server] = {}
        self._lock = threading.RLock()  # of everything that starts or stops a server
        self._ending = threading.Event()

    # Servers ------------------------------------------------------------------------------------------------------------

    def _directory(self, name: str) -> Path:
        return self._home / name

    def _is_ours(self, instance: Instance) -> bool:
        return instance["Engine"] == "postgres" and not instance.get("DBClusterIdentifier")

    def _parameters(self, instance: Instance) -> dict[str, str]:
        """What the parameter group sets; like RDS' static parameters, all of it counts from the next start."""
        named = instance["DBParameterGroups"][0]["DBParameterGroupName"]
        parameters = (self._groups.get(named) or {}).get("Parameters") or {}
        return {name: str(chosen["ParameterValue"]) for name, chosen in parameters.items()}

    def _start(self, instance: Instance) -> postgres.Server:
        name = instance["DBInstanceIdentifier"]
        parameters = self._parameters(instance)
        with self._lock:
            taken = any(server.port == self._wanted_port for server in self._servers.values())
            server = postgres.start(
                self._directory(name),
                0 if taken else self._wanted_port,
                master=instance["MasterUsername"],
                password=instance["_MasterUserPassword"],
                logical=parameters.get("rds.logical_replication") == "1",
                **{name: value for name, value in parameters.items() if name not in IGNORED and not name.startswith("rds.")},
            )
            self._servers[name] = server
            if instance.get("DBName"):
                server.admin.create_database(instance["DBName"], instance["MasterUsername"])
            instance["Endpoint"].update(Address=ADDRESS, Port=server.port)
        logger.info("instance %s: PostgreSQL runs on %s:%d", name, ADDRESS, server.port)
        return server

    def _stop(self, name: str) -> None:
        with self._lock:
            server = self._servers.pop(name, None)
            if server:
                server.stop()

    def _remove(self, name: str) -> None:
        self._stop(name)
        remove(self._directory(name))

    def restore(self) -> None:
        """Start the server of every instance that an earlier process has left."""
        for instance in list(self._instances._data.values()):
            if self._is_ours(instance):
                before = instance["Endpoint"]["Port"]
                try:
                    server = self._start(instance)
                    if server.port != before:
                        move_endpoint(self._emulator, ADDRESS, before, server.port)
                except postgres.PostgresError:
                    logger.exception("instance %s cannot be started", instance["DBInstanceIdentifier"])

    def watch(self) -> None:
        """Restart what has died, until the laptop cloud ends."""
        while not self._ending.wait(WATCH_SECONDS):
            for name, server in list(self._servers.items()):
                if server.alive():
                    continue
                with self._lock:
                    if self._servers.get(name) is not server or self._ending.is_set():
                        continue
                    logger.warning("instance %s: PostgreSQL has died and is restarted", name)
                    started = time.monotonic()
                    try:
                        server.run()
                    except postgres.PostgresError:
                        logger.exception("instance %s cannot be restarted", name)
                        continue
                    logger.info("instance %s runs again after %.1f s", name, time.monotonic() - started)
                    self._record(self._instances[name])

    def end(self) -> None:
        self._ending.set()
        for name in list(self._servers):
            self._stop(name)

    # Calls --------------------------------------------------------------------------------------------------------------

    def created(self, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Put a server behind a new instance; returns the attributes that change."""
        instance = self._instances[name]
        if not self._is_ours(instance):
            return {}
        if instance["EngineVersion"].partition(".")[0] != MAJOR:
            raise ValueError(f"the laptop cloud runs PostgreSQL {MAJOR}, the template asks for {instance['EngineVersion']}")
        instance["DBName"] = properties.get("DBName") or ""  # ministack makes one up
        self._remove(name)  # what a process left that was killed before it could remember the instance
        self._start(instance)
        return self.attributes(name)

    def attributes(self, name: str) -> dict[str, Any]:
        endpoint = self._instances[name]["Endpoint"]
        return {"Endpoint.Address": endpoint["Address"], "Endpoint.Port": str(endpoint["Port"])}

    def updated(self, name: str, password: str) -> dict[str, Any]:
        """After an update in place: what ministack has overwritten, and the password (`password`: the one before)."""
        instance, server = self._instances[name], self._servers.get(name)
        if server is None:
            return {}
        instance["Endpoint"].update(Address=ADDRESS, Port=server.port)
        if instance["_MasterUserPassword"] != password:
            server.admin.set_password(instance["MasterUsername"], instance["_MasterUserPassword"])
        return self.attributes(name)

    def deleted(self, name: str) -> None:
        self._remove(name)

    def set_password(self, instance: Instance, _old: str, new: str) -> None:
        """ModifyDBInstance with a new master password."""
        server = self._servers.get(instance["DBInstanceIdentifier"])
        if server:
            server.admin.set_password(instance["MasterUsername"], new)

    def reboot(self, instance: Instance) -> None:
        """Stop and start, so that static parameters count."""
        with self._lock:
            if self._servers.get(instance["DBInstanceIdentifier"]):
                self._stop(instance["DBInstanceIdentifier"])
                self._start(instance)

    def after(self, action: str, name: str) -> None:
        """After an API call about an instance."""
        if action == "DeleteDBInstance":
            self._remove(name)
        elif action == "StopDBInstance":
            self._stop(name)
        elif action == "StartDBInstance" and name not in self._servers and self._is_ours(self._instances[name]):
            self._start(self._instances[name])
