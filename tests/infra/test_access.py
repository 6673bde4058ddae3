"""Workgroups and the questions kept in them."""

import re

import pytest
from synthesis import ACCOUNT, Assembly, Template

from lake.names import WORKGROUP_LAYERS, Names
from lake.odcs import load_all
from lake.settings import load


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
        tables = set(re.findall(r"\bFROM\s+(\S+)", query["QueryString"]))
        assert tables <= allowed[query["WorkGroup"]], query["Name"]
        assert {table.split(".")[0] for table in tables} == {query["Database"]}
