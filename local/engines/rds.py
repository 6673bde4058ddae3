"""RDS: behind a template's AWS::RDS::DBInstance of engine postgres runs a real PostgreSQL; the control plane stays ministack's."""

from collections.abc import Callable
from typing import Any

from local.emulator import Emulator
from local.engines.rds_servers import RDS, Databases, Instance

KIND = "AWS::RDS::DBInstance"
PROVISIONERS = "services.cloudformation.provisioners"
OK = 200

Answer = tuple[int, dict[str, str], bytes]


def _wrap_template(emulator: Emulator, databases: Databases) -> None:
    """ministack's own update calls its create and delete by name when an instance is replaced, so these are replaced there too."""
    handlers = emulator.resource_handlers()[KIND]
    create = emulator.get(PROVISIONERS, "_rds_db_instance_create")
    delete = emulator.get(PROVISIONERS, "_rds_db_instance_delete")
    update = handlers["update"]
    instances = emulator.get(RDS, "_instances")

    def create_real(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        name, attributes = create(logical, properties, stack)
        try:
            return name, {**attributes, **databases.created(name, properties)}
        except BaseException:
            delete(name, properties)
            databases.deleted(name)
            raise

    def delete_real(name: str, properties: dict[str, Any]) -> None:
        if (instances.get(name) or {}).get("DeletionProtection"):
            raise ValueError(f"Cannot delete protected DB Instance {name}, please disable deletion protection and try again.")
        delete(name, properties)
        databases.deleted(name)

    def update_real(
        physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        password = (instances.get(physical) or {}).get("_MasterUserPassword", "")
        name, attributes = update(physical, old, new, stack, logical)
        return name, {**attributes, **(databases.updated(name, password) if name == physical else databases.attributes(name))}

    handlers.update(create=create_real, update=update_real, delete=delete_real)
    emulator.patch(PROVISIONERS, "_rds_db_instance_create", create_real)
    emulator.patch(PROVISIONERS, "_rds_db_instance_delete", delete_real)
    blocks = emulator.get("services.cloudformation.stacks", "_runs_on_worker_thread")
    emulator.patch("services.cloudformation.stacks", "_runs_on_worker_thread", lambda kind: kind == KIND or blocks(kind))


def _wrap_calls(emulator: Emulator, databases: Databases) -> None:
    actions = emulator.get(RDS, "_ACTION_MAP")
    resolve = emulator.get(RDS, "_resolve_instance")

    def wrapped(action: str, original: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
        def call(parameters: dict[str, Any]) -> Answer:
            given = parameters.get("DBInstanceIdentifier", "")
            instance = resolve(given[0] if isinstance(given, list) else given)
            answer = original(parameters)
            if instance and answer[0] == OK:
                databases.after(action, instance["DBInstanceIdentifier"])
            return answer

        return call

    for action in ("DeleteDBInstance", "StopDBInstance", "StartDBInstance"):
        actions[action] = wrapped(action, actions[action])
    finish = emulator.get(RDS, "_finish_instance_reboot")

    def finish_reboot(instance: Instance, cluster: Any) -> None:
        try:
            databases.reboot(instance)
        finally:
            finish(instance, cluster)

    emulator.patch(RDS, "_finish_instance_reboot", finish_reboot)
    emulator.patch(RDS, "_rotate_instance_password", databases.set_password)


def install(emulator: Emulator) -> None:
    """Put servers behind the instances of templates, and start those of an earlier process before the first request."""
    databases = Databases(emulator)
    _wrap_template(emulator, databases)
    _wrap_calls(emulator, databases)
    emulator.on_restored(databases.restore)
    emulator.on_restored(lambda: emulator.thread(databases.watch))
    # Registered late, so that it is called after the engines that use a database have stopped.
    emulator.on_restored(lambda: emulator.on_stop(databases.end))
