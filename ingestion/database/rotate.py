"""Rotation of the database's secrets, a single user each, in the four steps of Secrets Manager; every step can be repeated."""

import json
import secrets as random
import string
from typing import Any

from psycopg2 import sql

from ingestion.database.migrate import encrypted
from ingestion.postgres import Credentials, DatabaseUnavailable, connected, parse_secret

APPLICATION = "tributary-rotate"
LENGTH = 40  # letters and digits: nothing to quote in any address or file
CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


class RotationRefused(Exception):
    """The request does not fit the secret; the text says how."""


class Rotation:
    """One version of one secret. secretsmanager: a boto3 client; master_secret: name or ARN of the master user's."""

    def __init__(self, *, secretsmanager: Any, secret: str, token: str, master_secret: str) -> None:
        self._client, self._secret, self._token, self._master = secretsmanager, secret, token, master_secret
        told = self._client.describe_secret(SecretId=secret)
        self._versions: dict[str, list[str]] = told["VersionIdsToStages"]
        if token not in self._versions:
            raise RotationRefused(f"{secret} has no version {token} to rotate to")

    @property
    def is_done(self) -> bool:
        return CURRENT in self._versions[self._token]

    def create(self) -> None:
        """A new password as the pending version, unless a former attempt made it."""
        if self._read(self._secret, version=self._token) is not None:
            return
        current = self._current(self._secret)
        alphabet = string.ascii_letters + string.digits
        password = "".join(random.choice(alphabet) for _ in range(LENGTH))
        text = json.dumps({**current.model_dump(), "password": password})
        self._client.put_secret_value(
            SecretId=self._secret, ClientRequestToken=self._token, SecretString=text, VersionStages=[PENDING]
        )

    def set(self) -> None:
        """The pending password in the database, by the master user; his own by himself."""
        pending, current = self._pending(), self._current(self._secret)
        if (pending.host, pending.port, pending.username) != (current.host, current.port, current.username):
            raise RotationRefused(f"the pending version of {self._secret} is of another user or another database")
        if _works(pending):
            return
        with connected(self._authority(current), application=APPLICATION) as connection, connection, connection.cursor() as cursor:
            statement = sql.SQL("ALTER ROLE {} WITH PASSWORD {}")
            cursor.execute(statement.format(sql.Identifier(pending.username), sql.Literal(encrypted(connection, pending))))

    def test(self) -> None:
        """Raises DatabaseUnavailable when the pending password does not let in."""
        with connected(self._pending(), application=APPLICATION) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def finish(self) -> None:
        """The pending version becomes the current one."""
        current = next((version for version, stages in self._versions.items() if CURRENT in stages), None)
        options = {"RemoveFromVersionId": current} if current else {}
        self._client.update_secret_version_stage(
            SecretId=self._secret, VersionStage=CURRENT, MoveToVersionId=self._token, **options
        )

    def _authority(self, own: Credentials) -> Credentials:
        """Who may set the password."""
        master = self._current(self._master)
        if (master.host, master.port) != (own.host, own.port):
            raise RotationRefused(f"{self._master} is of another database than {self._secret}")
        if master.username != own.username or _works(master):
            return master
        # A rotation that was given up after it had set the password leaves the current version behind what the database knows.
        return self._read(self._master, stage=PREVIOUS) or master

    def _pending(self) -> Credentials:
        found = self._read(self._secret, version=self._token)
        if found is None:
            raise RotationRefused(f"{self._secret} has no pending version: createSecret comes first")
        return found

    def _current(self, secret: str) -> Credentials:
        found = self._read(secret, stage=CURRENT)
        if found is None:
            raise RotationRefused(f"{secret} has no current version")
        return found

    def _read(self, secret: str, *, version: str | None = None, stage: str | None = None) -> Credentials | None:
        which = {"VersionId": version} if version else {"VersionStage": stage}
        try:
            text = self._client.get_secret_value(SecretId=secret, **which)["SecretString"]
        except self._client.exceptions.ResourceNotFoundException:
            return None
        return parse_secret(secret, text)


def _works(credentials: Credentials) -> bool:
    try:
        with connected(credentials, application=APPLICATION):
            return True
    except DatabaseUnavailable:
        return False
