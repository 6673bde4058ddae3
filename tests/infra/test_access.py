"""Workgroups and the questions kept in them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from synthesis import ACCOUNT, Assembly, Template

from lake.names import WORKGROUP_LAYERS, Names
from lake.odcs import load_all
from lake.settings import load
from lake.spark.rules import QUARANTINE_COLUMNS
from local.engines.athena_query import translate
from local.engines.athena_relations import Table
from local.engines.athena_run import connect, fetch, lock
from local.engines.athena_types import AthenaError, Type, duck, parse_type, quote
from stacks.queries import named_queries

TABLES: dict[tuple[str, str], list[tuple[str, Type]]] = {}
for _contract in load_all().values():
    TABLES[_contract.layer, _contract.table] = [(c.name, parse_type(c.type)) for c in _contract.columns]
    _columns = [column.replace(" NOT NULL", "").split() for column in QUARANTINE_COLUMNS.split(", ")]
    TABLES[_contract.layer, _contract.quarantine] = [(name, parse_type(kind)) for name, kind in _columns]


@pytest.fixture
def access(every: Assembly) -> Template:
    return every.template("access")


def test_each_workgroup_limits_scans_and_encrypts_its_own_results(every: Assembly, access: Template) -> None:
    settings = load(every.env)
    names = settings.names(account=ACCOUNT)
    found = {workgroup["Name"]: workgroup for workgroup in access.properties("AWS::Athena::WorkGroup")}
    assert set(found) == {names.workgroup(group) for group in WORKGROUP_LAYERS}
    for group in WORKGROUP_LAYERS:
        workgroup = found[names.workgroup(group)]
        configuration = workgroup["WorkGroupConfiguration"]
        assert workgroup["RecursiveDeleteOption"] is True
        assert configuration["EnforceWorkGroupConfiguration"] is True
        assert configuration["BytesScannedCutoffPerQuery"] == getattr(settings.athena, f"{group}_scan_mb") * 1_000_000
        result = configuration["ResultConfiguration"]
        assert result["OutputLocation"] == f"s3://{names.bucket('results')}/{names.workgroup(group)}/"
        assert result["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}


def test_roles_can_be_taken_from_inside_the_account_only(access: Template) -> None:
    for role in access.properties("AWS::IAM::Role"):
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


def test_named_queries_ask_only_for_tables_that_their_group_may_see(every: Assembly, access: Template) -> None:
    names: Names = load(every.env).names(account=ACCOUNT)
    contracts = load_all().values()
    allowed = {
        names.workgroup(group): {
            f"{names.database(contract.layer)}.{table}"
            for contract in contracts
            if contract.layer in layers
            for table in ([contract.table, contract.quarantine] if group == "engineers" else [contract.table])
        }
        for group, layers in WORKGROUP_LAYERS.items()
    }
    queries = access.properties("AWS::Athena::NamedQuery")
    assert {query["WorkGroup"] for query in queries} == set(allowed)
    for query in queries:
        tables = set(re.findall(r"\b(?:FROM|(?<!CROSS )JOIN)\s+([\w.]+)", query["QueryString"]))
        assert tables <= allowed[query["WorkGroup"]], query["Name"]
        assert {table.split(".")[0] for table in tables} == {query["Database"]}


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    """Every table of the catalogue, with one row of nulls."""
    connection = connect()
    for (schema, table), columns in TABLES.items():
        listed = ", ".join(f"CAST(NULL AS {duck(kind)}) AS {quote(column)}" for column, kind in columns)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute(f"CREATE TABLE {schema}.{table} AS SELECT {listed}")
    lock(connection)
    yield connection
    connection.close()


def test_every_named_query_runs(database: Any) -> None:
    """By the laptop's Athena, against the contracts' columns: an unknown name or a wrong type is an error."""
    names: Names = load("local").names(account=ACCOUNT)
    asked = set()
    for group in WORKGROUP_LAYERS:
        for title, (schema, sql) in named_queries(group, names=names).items():
            fetch(database, translate(sql, lambda given, table, _at, schema=schema: catalogued(given or schema, table)))
            asked |= {(group, table) for table in re.findall(r"\b(?:FROM|JOIN)\s+\w+\.(\w+)", sql)}
            assert title
    gold = {contract.table for contract in load_all().values() if contract.layer == "gold"}
    assert {table for group, table in asked if group == "analysts"} == gold


def catalogued(schema: str, table: str) -> Table:
    if (schema, table) not in TABLES:
        raise AthenaError("TABLE_NOT_FOUND", f"there is no {schema}.{table}", None)
    return Table(f"{schema}.{table}", TABLES[schema, table])
