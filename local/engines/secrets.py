"""Secrets Manager: rotation and resource policies, as templates and the API ask for them."""

import json
from typing import Any

from local.emulator import Emulator
from local.engines.rotation import Rotations


class Schedules:
    """AWS::SecretsManager::RotationSchedule and ResourcePolicy, by the calls that CloudFormation makes."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def create(self, _logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        if "HostedRotationLambda" in properties:
            raise ValueError("the laptop cloud has no hosted rotation functions: give a RotationLambdaARN")
        rules = dict(properties.get("RotationRules") or {})
        if "AutomaticallyAfterDays" in rules:
            rules["AutomaticallyAfterDays"] = int(rules["AutomaticallyAfterDays"])
        now = str(properties.get("RotateImmediatelyOnUpdate", True)).lower() == "true"
        made = self._emulator.client("secretsmanager").rotate_secret(
            SecretId=properties["SecretId"],
            RotationLambdaARN=properties["RotationLambdaARN"],
            RotateImmediately=now,
            **({"RotationRules": rules} if rules else {}),
        )
        return made["ARN"], {"Id": made["ARN"]}

    def update(self, _physical: str, _old: dict[str, Any], new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        return self.create("", new, stack)

    def delete(self, physical: str, _properties: dict[str, Any]) -> None:
        client = self._emulator.client("secretsmanager")
        try:
            client.cancel_rotate_secret(SecretId=physical)
        except (client.exceptions.ResourceNotFoundException, client.exceptions.InvalidRequestException):
            return  # gone already

    def create_policy(self, _logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        policy = properties["ResourcePolicy"]
        text = policy if isinstance(policy, str) else json.dumps(policy)
        made = self._emulator.client("secretsmanager").put_resource_policy(SecretId=properties["SecretId"], ResourcePolicy=text)
        return made["ARN"], {"Id": made["ARN"]}

    def update_policy(self, _physical: str, _old: dict[str, Any], new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        return self.create_policy("", new, stack)

    def delete_policy(self, physical: str, _properties: dict[str, Any]) -> None:
        client = self._emulator.client("secretsmanager")
        try:
            client.delete_resource_policy(SecretId=physical)
        except client.exceptions.ResourceNotFoundException:
            return


def move_endpoint(emulator: Emulator, address: str, before: int, now: int) -> None:
    """Make every secret that leads to a server follow it to another port."""
    for secret in emulator.get("services.secretsmanager", "_secrets")._data.values():
        for version in secret["Versions"].values():
            try:
                told = json.loads(version.get("SecretString") or "null")
            except ValueError:
                continue
            if isinstance(told, dict) and told.get("host") == address and str(told.get("port")) == str(before):
                version["SecretString"] = json.dumps({**told, "port": now})


def _refer_by_arn(emulator: Emulator) -> None:
    """A template's Ref of a secret is its ARN, which policies name; ministack gives the name."""
    kind = "AWS::SecretsManager::Secret"
    handlers = emulator.resource_handlers()
    create, update, delete = (handlers[kind][what] for what in ("create", "update", "delete"))
    secrets = emulator.get("services.secretsmanager", "_secrets")

    def name_of(physical: str) -> str:
        return next((secret["Name"] for secret in secrets.values() if secret["ARN"] == physical), physical)

    def create_secret(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        _, attributes = create(logical, properties, stack)
        return attributes["Arn"], attributes

    def update_secret(
        physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, *more: Any, **about: Any
    ) -> tuple[str, dict[str, Any]]:
        _, attributes = update(name_of(physical), old, new, stack, *more, **about)
        return attributes["Arn"], attributes

    def delete_secret(physical: str, properties: dict[str, Any]) -> None:
        delete(name_of(physical), properties)

    handlers[kind] = {**handlers[kind], "create": create_secret, "update": update_secret, "delete": delete_secret}


def install(emulator: Emulator) -> None:
    """Replace rotation, answer CancelRotateSecret, and register the types that ministack lacks."""
    rotations = Rotations(emulator)
    service = emulator.get("app", "SERVICE_HANDLERS")["secretsmanager"]

    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        if headers.get("x-amz-target", "").endswith(".CancelRotateSecret"):
            return rotations.cancel(json.loads(body or b"{}"))
        return await service(method, path, headers, body, query)

    emulator.service("secretsmanager", handle)
    schedules = Schedules(emulator)
    emulator.resource_type("AWS::SecretsManager::RotationSchedule", schedules.create, schedules.delete, update=schedules.update)
    emulator.resource_type(
        "AWS::SecretsManager::ResourcePolicy", schedules.create_policy, schedules.delete_policy, update=schedules.update_policy
    )
    emulator.on_restored(rotations.forget_trials)
    _refer_by_arn(emulator)
    emulator.on_restored(lambda: emulator.thread(rotations.watch))
    emulator.on_stop(rotations.end)
