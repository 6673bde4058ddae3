"""Secrets of a real PostgreSQL rotated step by step, each step twice, and after attempts that were given up."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from coins_database import Database, new_database, server
from moto import mock_aws

from ingestion.database import migrate_handler, rotate_handler
from ingestion.database.rotate import RotationRefused
from ingestion.postgres import Credentials, DatabaseUnavailable, SecretMalformed, parse_secret, read_secret
from lake.contracts import compile_json
from lake.odcs import load_all

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


def text(user: Credentials) -> str:
    return json.dumps({**user.model_dump(), "password": user.password.get_secret_value(), "dbInstanceIdentifier": "kept"})


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with server(tmp_path_factory.mktemp("postgres")) as running:
        yield new_database(running.port)


@pytest.fixture
def secrets(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        for user in (database.master, database.loader, database.replicator):
            client.create_secret(Name=user.username, SecretString=text(user))
        monkeypatch.setenv("MASTER_SECRET", "master")
        monkeypatch.setattr(rotate_handler.aws, "client", lambda _: client)
        yield client


def lets_in(database: Database, user: Credentials) -> bool:
    try:
        with database.connect(user):
            return True
    except DatabaseUnavailable:
        return False


@pytest.fixture
def step(secrets: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Does a step. moto knows a version only once it has a value, AWS from the beginning: so it is told of."""
    describe = secrets.describe_secret

    def call(name: str, secret: str, token: str) -> None:
        def described(SecretId: str) -> Any:
            told = describe(SecretId=SecretId)
            told["VersionIdsToStages"].setdefault(token, ["AWSPENDING"])
            return told

        monkeypatch.setattr(secrets, "describe_secret", described)
        rotate_handler.handler({"Step": name, "SecretId": secret, "ClientRequestToken": token}, None)

    return call


@pytest.mark.parametrize("name", ["loader", "replicator", "master"])
def test_a_rotation_replaces_the_password_and_every_step_can_be_repeated(
    database: Database, secrets: Any, step: Callable[[str, str, str], None], name: str
) -> None:
    before = read_secret(secrets, name)
    token = str(uuid4())
    for done in STEPS:
        step(done, name, token)
        step(done, name, token)
        assert lets_in(database, read_secret(secrets, name)) or done in ("setSecret", "testSecret")
    after = read_secret(secrets, name)
    assert (after.host, after.username, after.dbname) == (before.host, before.username, before.dbname)
    assert after.model_extra == {"dbInstanceIdentifier": "kept"}
    assert after.password != before.password
    assert lets_in(database, after)
    assert not lets_in(database, before)
    step("createSecret", name, token)  # the version is current: nothing is left to do
    assert read_secret(secrets, name) == after


def test_after_a_rotation_that_was_given_up_the_next_one_succeeds(
    database: Database, secrets: Any, step: Callable[[str, str, str], None]
) -> None:
    given_up, next_one = str(uuid4()), str(uuid4())
    for done in ("createSecret", "setSecret"):
        step(done, "loader", given_up)
    assert not lets_in(database, read_secret(secrets, "loader"))
    for done in STEPS:
        step(done, "loader", next_one)
    assert lets_in(database, read_secret(secrets, "loader"))


def test_a_migration_after_a_rotation_leaves_the_passwords_of_the_secrets(
    database: Database, secrets: Any, step: Callable[[str, str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = str(uuid4())
    for done in STEPS:
        step(done, "loader", token)
    answers: list[Any] = []
    monkeypatch.setattr(migrate_handler.aws, "client", lambda _: secrets)
    monkeypatch.setattr("ingestion.custom_resource._send", lambda _, answer: answers.append(answer))
    properties = {f"{who.capitalize()}Secret": who for who in ("master", "loader", "replicator")}
    contracts = {"bronze.tb_coins": load_all()["bronze.tb_coins"]}
    event = {
        "RequestType": "Update",
        "PhysicalResourceId": "tributary-database",
        "ResponseURL": "",
        "StackId": "s",
        "RequestId": "r",
        "LogicalResourceId": "l",
        "ResourceProperties": {**properties, "Contracts": compile_json(contracts), "Version": "2"},
    }
    migrate_handler.handler(event, None)
    assert answers[0]["Status"] == "SUCCESS", answers
    for name in ("loader", "replicator"):
        assert lets_in(database, read_secret(secrets, name))


def test_what_does_not_fit_is_refused(secrets: Any, step: Callable[[str, str, str], None]) -> None:
    with pytest.raises(RotationRefused, match="unknown step 'dropSecret'"):
        step("dropSecret", "loader", "t" * 32)
    with pytest.raises(RotationRefused, match="createSecret comes first"):
        step("testSecret", "loader", "t" * 32)
    token = str(uuid4())
    step("createSecret", "loader", token)
    pending = json.loads(secrets.get_secret_value(SecretId="loader", VersionId=token)["SecretString"])
    secrets.put_secret_value(
        SecretId="replicator", ClientRequestToken=token, SecretString=json.dumps(pending), VersionStages=["AWSPENDING"]
    )
    with pytest.raises(RotationRefused, match="another user"):
        step("setSecret", "replicator", token)
    with pytest.raises(RotationRefused, match="no version unknown"):
        rotate_handler.Rotation(
            secretsmanager=boto3.client("secretsmanager", region_name="us-east-1"),
            secret="loader",
            token="unknown",
            master_secret="master",
        )


@pytest.mark.parametrize("held", ["no JSON but hunter2", '["hunter2"]', '{"password": "hunter2", "port": "hunter2"}', "7"])
def test_a_malformed_secret_is_refused_without_its_content(held: str) -> None:
    with pytest.raises(SecretMalformed, match="the-secret") as raised:
        parse_secret("the-secret", held)
    error = raised.value
    assert "hunter2" not in f"{error} {error.__cause__} {error.__context__}"
