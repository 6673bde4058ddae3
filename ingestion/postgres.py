"""Connections to the database with what a secret of RDS's form tells: over TLS, with time limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 120
LOCK_SECONDS = 60
SILENT_SECONDS = 30  # a server that does not even acknowledge for so long is gone


class DatabaseUnavailable(Exception):
    """Transient: the database is away, or was lost in the middle; what was not committed did not happen."""


class SecretMalformed(Exception):
    """A secret does not hold what a secret of a database holds; the text names fields, never values."""


class Credentials(BaseModel):
    """A secret as RDS writes it. Its repr shows no password."""

    model_config = ConfigDict(frozen=True, extra="allow")

    engine: str = "postgres"
    host: str
    port: int = 5432
    username: str
    password: SecretStr
    dbname: str = "postgres"


def parse_secret(name: str, text: str) -> Credentials:
    """Raises SecretMalformed."""
    try:
        return Credentials.model_validate_json(text)
    except ValidationError as error:
        fields = ", ".join(sorted({str(e["loc"][0]) if e["loc"] else "a JSON object" for e in error.errors()}))
    # Outside the `except`: the parser's error holds the text.
    raise SecretMalformed(f"the secret {name} lacks, or has no usable, {fields}; it must be of the form of a secret of RDS")


def read_secret(secretsmanager: Any, name: str) -> Credentials:
    """The current version. Raises SecretMalformed, ClientError."""
    return parse_secret(name, secretsmanager.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"])


@contextmanager
def connected(credentials: Credentials, *, application: str, statement_seconds: int = STATEMENT_SECONDS) -> Iterator[Any]:
    """A psycopg2 connection, closed at the end; what was not committed is rolled back.

    Raises DatabaseUnavailable when there is no connection, or it is lost, or a statement or a lock takes too long.
    """
    where = f"database {credentials.dbname} at {credentials.host}:{credentials.port}"
    connection = None
    try:
        connection = psycopg2.connect(
            host=credentials.host,
            port=credentials.port,
            user=credentials.username,
            password=credentials.password.get_secret_value(),
            dbname=credentials.dbname,
            sslmode="require",
            connect_timeout=CONNECT_SECONDS,
            tcp_user_timeout=SILENT_SECONDS * 1000,
            keepalives_idle=SILENT_SECONDS,
            application_name=application,
            options=f"-c statement_timeout={statement_seconds * 1000} -c lock_timeout={LOCK_SECONDS * 1000} -c timezone=UTC",
        )
        yield connection
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise DatabaseUnavailable(f"{where}: {_words(error)}") from error
    except psycopg2.DatabaseError as error:
        # A connection that is lost within COPY is no OperationalError.
        if connection is not None and connection.closed:
            raise DatabaseUnavailable(f"{where}: {_words(error)}") from error
        raise
    finally:
        if connection is not None:
            connection.close()


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
