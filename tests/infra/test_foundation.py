"""What must be true of the data's home."""

import pytest
from synthesis import ACCOUNT, Assembly, Template

from lake.contracts import Contract
from lake.names import BUCKETS, LAYERS, Names
from lake.odcs import load_all

DATA = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::Glue::Database", "AWS::KMS::Key")


def buckets(assembly: Assembly) -> dict[str, dict]:
    prefix, suffix = f"tributary-{assembly.env}-", f"-{ACCOUNT}"
    found = assembly.template("foundation").properties("AWS::S3::Bucket")
    return {b["BucketName"].removeprefix(prefix).removesuffix(suffix): b for b in found}


def test_every_bucket_is_there_under_its_name(every: Assembly) -> None:
    assert sorted(buckets(every)) == sorted(BUCKETS)


def test_buckets_are_encrypted_private_and_versioned(every: Assembly) -> None:
    for name, bucket in buckets(every).items():
        rules = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256", name
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4, name
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}], name


def test_access_to_each_bucket_is_logged(every: Assembly) -> None:
    for name, bucket in buckets(every).items():
        if name != "logs":
            assert bucket["LoggingConfiguration"]["LogFilePrefix"] == f"access/{name}/"


def test_plain_http_is_denied_everywhere(every: Assembly) -> None:
    foundation = every.template("foundation")
    for kind, resources in (("AWS::S3::BucketPolicy", len(BUCKETS)), ("AWS::SNS::TopicPolicy", 2)):
        policies = foundation.properties(kind)
        assert len(policies) == resources
        for policy in policies:
            assert any(
                statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                for statement in policy["PolicyDocument"]["Statement"]
            )


def test_stale_uploads_are_aborted_and_bronze_never_expires(every: Assembly) -> None:
    for name, bucket in buckets(every).items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert all(rule["Status"] == "Enabled" for rule in rules)
        assert [r["AbortIncompleteMultipartUpload"] for r in rules if "AbortIncompleteMultipartUpload" in r] == [
            {"DaysAfterInitiation": 7}
        ], name
        expiring = [rule for rule in rules if any("Expir" in key or "Transition" in key for key in rule)]
        if name == "bronze":
            assert expiring == []
        if name == "results":
            assert {"ExpirationInDays": 30}.items() <= next(r for r in rules if r["Id"] == "expire").items()
        if name in ("silver", "gold"):
            assert all("ExpirationInDays" not in rule for rule in rules)


@pytest.mark.parametrize(
    ("env", "destroy", "policy"),
    [("dev", False, "Retain"), ("dev", True, "Delete"), ("prod", False, "Retain"), ("prod", True, "Retain")],
)
def test_data_is_deleted_by_two_keys_only(env: str, destroy: bool, policy: str, assembly: object) -> None:
    template: Template = assembly(env, destroy=destroy).template("foundation")  # type: ignore[operator]
    for kind in DATA:
        for name, resource in template.of_type(kind).items():
            # A rolled-back first deployment leaves nothing behind that would block the next one by its name.
            deletion = "RetainExceptOnCreate" if policy == "Retain" else policy
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (deletion, policy), name


def test_each_database_knows_where_it_lies(every: Assembly) -> None:
    names = Names(env=every.env, account=ACCOUNT, prefix="everything_" if every.env == "everything" else "")
    found = {d["DatabaseInput"]["Name"]: d["DatabaseInput"] for d in every.template("foundation").properties("AWS::Glue::Database")}
    assert sorted(found) == sorted(names.database(layer) for layer in LAYERS)
    for layer in LAYERS:
        assert found[names.database(layer)]["LocationUri"] == f"s3://{names.bucket(layer)}/"


def test_run_reports_are_a_table_as_their_contract_says(every: Assembly) -> None:
    contract: Contract = load_all()["bronze.runs"]
    (table,) = every.template("foundation").properties("AWS::Glue::Table")
    storage = table["TableInput"]["StorageDescriptor"]
    assert [(c["Name"], c["Type"]) for c in storage["Columns"]] == [(c.name, c.type) for c in contract.columns]
    assert storage["Location"] == f"s3://tributary-{every.env}-bronze-{ACCOUNT}/runs/"
    assert "json" in storage["SerdeInfo"]["SerializationLibrary"].lower()


def test_lease_table_can_be_restored(every: Assembly) -> None:
    (table,) = every.template("foundation").properties("AWS::DynamoDB::Table")
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == [{"AttributeName": "source", "KeyType": "HASH"}]


def test_topics_are_encrypted_with_a_rotated_key_that_alarms_may_use(every: Assembly) -> None:
    foundation = every.template("foundation")
    (key,) = foundation.properties("AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True
    services = [s["Principal"].get("Service") for s in key["KeyPolicy"]["Statement"]]
    assert "cloudwatch.amazonaws.com" in services
    assert all(topic["KmsMasterKeyId"].startswith("<Key") for topic in foundation.properties("AWS::SNS::Topic"))


def test_network_has_three_zones_and_no_way_out_by_default(every: Assembly) -> None:
    foundation = every.template("foundation")
    open_network = every.env == "everything"
    subnets = foundation.properties("AWS::EC2::Subnet")
    assert len(subnets) == (6 if open_network else 3)
    assert all(not subnet.get("MapPublicIpOnLaunch") for subnet in subnets)
    assert bool(foundation.of_type("AWS::EC2::NatGateway")) is open_network
    assert bool(foundation.of_type("AWS::EC2::InternetGateway")) is open_network
    assert bool(foundation.of_type("AWS::EC2::FlowLog")) is open_network
    endpoints = foundation.properties("AWS::EC2::VPCEndpoint")
    assert sorted(e["VpcEndpointType"] for e in endpoints) == ["Gateway", "Gateway", "Interface", "Interface"]


def test_steps_run_under_their_own_roles_on_encrypted_disks(every: Assembly) -> None:
    (security,) = every.template("foundation").properties("AWS::EMR::SecurityConfiguration")
    assert "Name" not in security  # it can only be replaced, and two cannot bear one name
    configuration = security["SecurityConfiguration"]
    assert configuration["AuthorizationConfiguration"]["IAMConfiguration"]["EnableApplicationScopedIAMRole"] is True
    assert configuration["InstanceMetadataServiceConfiguration"]["MinimumInstanceMetadataServiceVersion"] == 2
    at_rest = configuration["EncryptionConfiguration"]["AtRestEncryptionConfiguration"]
    assert at_rest["LocalDiskEncryptionConfiguration"]["EnableEbsEncryption"] is True


def test_a_cluster_is_kept_only_where_settings_say_so(every: Assembly) -> None:
    clusters = every.template("foundation").properties("AWS::EMR::Cluster")
    assert len(clusters) == (1 if every.env == "everything" else 0)
    for cluster in clusters:
        assert "AutoTerminationPolicy" not in cluster  # the stack would go on believing in a cluster that ended itself
        assert cluster["Instances"]["KeepJobFlowAliveWhenNoSteps"] is True
        assert cluster["SecurityConfiguration"].startswith("<ClusterSecurity")
