"""AWS clients with the sessions that the engine has taken of the endpoints' roles, renewed from its file before they end."""

import json
from pathlib import Path
from typing import IO, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from local.home import read_json
from local.replication.errors import Fatal, Transient
from local.replication.plan import CREDENTIALS, Plan

_FOR_GOOD = ("AccessDenied", "AccessDeniedException", "NoSuchBucket", "ResourceNotFoundException", "InvalidRequestException")


def client(directory: Path, plan: Plan, service: str, role: str) -> Any:
    """role: "secret" or "target", whose sessions the engine keeps in the directory."""

    def read() -> dict[str, str]:
        found: dict[str, str] = read_json(directory / CREDENTIALS)[role]
        return found

    session = botocore.session.get_session()
    session._credentials = RefreshableCredentials.create_from_metadata(read(), refresh_using=read, method="dms")
    config = Config(retries={"max_attempts": 3}, connect_timeout=5, read_timeout=60)
    made = boto3.session.Session(botocore_session=session, region_name=plan.region)
    return made.client(service, endpoint_url=plan.endpoint, config=config)


def failure(error: ClientError | BotoCoreError, what: str) -> Fatal | Transient:
    """What an AWS error means for the task; `what` was tried."""
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        said = f"{what}: {code}: {error.response['Error'].get('Message', '')}"
        return Fatal(said) if code in _FOR_GOOD else Transient(said)
    return Transient(f"{what}: {error}")


class Login:
    """What the source's secret holds; asked anew for every connection, because passwords are rotated."""

    def __init__(self, secretsmanager: Any, secret: str) -> None:
        self._client = secretsmanager
        self._secret = secret

    def read(self) -> dict[str, Any]:
        """Raises Fatal, Transient."""
        try:
            text = self._client.get_secret_value(SecretId=self._secret)["SecretString"]
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"reading the secret {self._secret}") from error
        try:
            found: dict[str, Any] = json.loads(text)
            return {name: found[name] for name in ("host", "port", "username", "password")} | {"dbname": found.get("dbname")}
        except (ValueError, KeyError, TypeError):
            # Not the error itself: it can quote the secret.
            raise Fatal(f"the secret {self._secret} does not hold host, port, username and password as JSON") from None


class Objects:
    """The target bucket."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._client = client(directory, plan, "s3", "target")
        self._target = plan.target

    def put(self, schema: str, table: str, name: str, body: IO[bytes]) -> str:
        """The key of the new object. Raises Fatal, Transient."""
        key = self._target.key(schema, table, name)
        try:
            self._client.put_object(Bucket=self._target.bucket, Key=key, Body=body, **self._target.encryption)
        except (ClientError, BotoCoreError) as error:
            raise failure(error, f"writing s3://{self._target.bucket}/{key}") from error
        return key
