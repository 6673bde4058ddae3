"""Who may do what: written down once more here, so that a permission cannot widen unseen."""

from collections import defaultdict
from typing import Any

import pytest
from synthesis import ACCOUNT, Assembly

TABLES = {"service_requests/*", "service_requests_quarantine/*", "service_requests_superseded/*"}
LEDGER = "_batches/boston311/*"
ANSWERS = {"case_delays/*", "neighborhood_service/*", "response_times/*"}
GOLD = {*ANSWERS, *(f"_batches/{table}" for table in ANSWERS)}
# Objects that a role may write, by bucket. Whoever is not here writes nothing.
WRITERS: dict[str, dict[str, set[str]]] = {
    "boston311-ingest": {"bronze": {"boston311/*"}},
    "boston311-control": {"bronze": {"runs/*"}},
    "boston311-silver": {"bronze": {"run_parts/*"}, "silver": {*TABLES, LEDGER}},
    "boston311-gold": {"bronze": {"run_parts/*"}, "gold": GOLD},
    "coins-fetch": {"bronze": {"coins/listings/*", "coins/manifests/*", "coins/origin.json*"}},
    "coins-load": {"bronze": {"coins/rejected/*", "run_parts/*"}},
    "coins-control": {"bronze": {"runs/*"}},
    "replication-target": {"bronze": {"coins/dms/*"}},
    "emr-nodes": {"logs": {"emr/*"}},
    "analysts": {"results": {"analysts/*"}},
    "scientists": {"results": {"scientists/*"}},
    "engineers": {"results": {"engineers/*"}},
}
READERS: dict[str, dict[str, set[str]]] = {
    "boston311-ingest": {"bronze": {"boston311/*"}},
    "boston311-control": {"bronze": {"run_parts/*", "runs/*"}},
    "boston311-silver": {"bronze": {"boston311/*", "run_parts/*"}, "silver": {*TABLES, LEDGER}},
    "boston311-gold": {"bronze": {"run_parts/*"}, "silver": {"service_requests/*"}, "gold": GOLD},
    "boston311-silver-crawler": {"silver": TABLES},
    "boston311-gold-crawler": {"gold": ANSWERS},
    "coins-fetch": {"bronze": {"coins/listings/*", "coins/manifests/*", "coins/origin.json*"}},
    "coins-load": {"bronze": {"coins/listings/*", "coins/manifests/*", "run_parts/*"}},
    "coins-delivery": {"bronze": {"coins/dms/*"}},
    "coins-control": {"bronze": {"run_parts/*", "runs/*"}},
    "analysts": {"gold": ANSWERS, "results": {"analysts/*"}},
    "scientists": {
        "silver": {"service_requests/*", "service_requests_superseded/*"},
        "gold": ANSWERS,
        "results": {"scientists/*"},
    },
    "engineers": {
        "bronze": {"boston311/*", "coins/*", "runs/*", "tb_coins/*"},
        "silver": TABLES,
        "gold": ANSWERS,
        "results": {"engineers/*"},
    },
}


def statements(assembly: Assembly) -> dict[str, list[dict[str, Any]]]:
    """Allowing statements by role, without the prefix that all roles share."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for template in assembly.templates():
        roles = template.of_type("AWS::IAM::Role")
        named = {f"<{key}>": template.resolve(r["Properties"]["RoleName"]) for key, r in roles.items()}
        for policy in template.properties("AWS::IAM::Policy"):
            for role in policy["Roles"]:
                name = named.get(role, "tributary-x-emr-nodes")  # the one role that another stack adds to
                found[name.split("-", 2)[2]] += policy["PolicyDocument"]["Statement"]
    return found


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def objects(assembly: Assembly, *actions: str) -> dict[str, dict[str, set[str]]]:
    """role -> bucket -> keys for which the role has one of `actions`; buckets of assets left out."""
    prefix = f"arn:aws:s3:::tributary-{assembly.env}-"
    found: dict[str, dict[str, set[str]]] = {}
    for role, allowed in statements(assembly).items():
        for statement in allowed:
            if set(actions) & set(listed(statement["Action"])):
                for resource in listed(statement["Resource"]):
                    if resource.startswith(prefix) and resource.endswith("*"):
                        bucket, _, key = resource.removeprefix(prefix).partition(f"-{ACCOUNT}/")
                        found.setdefault(role, {}).setdefault(bucket, set()).add(key)
    return found


@pytest.fixture
def dev(assembly: Any) -> Assembly:
    return assembly("dev")


def test_who_writes_what(dev: Assembly) -> None:
    assert objects(dev, "s3:PutObject") == WRITERS


def test_who_reads_what(dev: Assembly) -> None:
    assert objects(dev, "s3:GetObject") == READERS


def test_only_jobs_delete_and_only_in_their_tables(dev: Assembly) -> None:
    assert objects(dev, "s3:DeleteObject") == {
        "boston311-silver": {"silver": {*TABLES, LEDGER}},
        "boston311-gold": {"gold": GOLD},
        "replication-target": {"bronze": {"coins/dms/*"}},  # DMS asks for it; the bucket is versioned
    }


def test_only_what_reads_a_planned_version_may_read_replaced_ones(dev: Assembly) -> None:
    assert objects(dev, "s3:GetObjectVersion") == {
        "boston311-silver": {"bronze": {"boston311/*"}},
        "coins-load": {"bronze": {"coins/listings/*"}},
    }


def test_every_listing_is_bound_to_a_prefix(dev: Assembly) -> None:
    for role, allowed in statements(dev).items():
        for statement in allowed:
            if "s3:ListBucket" in listed(statement["Action"]) and role != "replication-target":  # DMS lists without a prefix
                prefixes = statement["Condition"]["StringLike"]["s3:prefix"]
                assert "*" not in listed(prefixes), role


def test_no_action_has_a_wildcard(every: Assembly) -> None:
    for role, allowed in statements(every).items():
        actions = [action for statement in allowed for action in listed(statement["Action"])]
        assert [action for action in actions if "*" in action] == [], role


def test_a_resource_is_unbounded_only_where_there_is_none_to_name(dev: Assembly) -> None:
    unbounded: dict[str, set[str]] = defaultdict(set)
    for role, allowed in statements(dev).items():
        for statement in allowed:
            if "*" in listed(statement["Resource"]):
                unbounded[role] |= {action.split(":")[0] for action in listed(statement["Action"])}
    # logs: delivery of the machine's log; xray: its traces; elasticmapreduce: RunJobFlow, before there is a cluster, and
    # ListClusters; ec2: interfaces of functions inside the network; secretsmanager: GetRandomPassword; dms: lists.
    assert unbounded == {
        "boston311-machine": {"logs", "xray", "elasticmapreduce"},
        "boston311-control": {"elasticmapreduce"},
        "coins-machine": {"logs", "xray"},
        "coins-control": {"elasticmapreduce"},
        "coins-load": {"ec2"},
        "postgres-migrate": {"ec2"},
        "postgres-rotate": {"ec2", "secretsmanager"},
        "replication-control": {"dms"},
    }


def test_the_control_function_stops_jobs_of_its_source_only(every: Assembly) -> None:
    stopping = [s for s in statements(every)["boston311-control"] if "glue:BatchStopJobRun" in listed(s["Action"])]
    (job,) = [resource for statement in stopping for resource in listed(statement["Resource"])]
    assert job == f"arn:aws:glue:us-east-1:{ACCOUNT}:job/tributary-{every.env}-boston311-silver"
    on_emr = {a for s in statements(every)["boston311-control"] for a in listed(s["Action"]) if a.startswith("elasticmapreduce:")}
    ending = {"ListSteps", "CancelSteps"} if every.env == "everything" else {"TerminateJobFlows"}
    assert on_emr == {f"elasticmapreduce:{action}" for action in ("ListClusters", *ending)}


def test_a_wildcard_without_a_reason_cannot_be_written() -> None:
    from aws_cdk import Stack
    from aws_cdk import aws_iam as iam

    from stacks.constructs.permissions import allow

    role = iam.Role(Stack(), "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    with pytest.raises(ValueError, match="no reason"):
        allow(role, actions=["s3:GetObject"], resources=["arn:aws:s3:::bucket/*"])
    with pytest.raises(ValueError, match="name each action"):
        allow(role, actions=["s3:*"], resources=["arn:aws:s3:::bucket"])


def test_the_lease_can_be_touched_for_this_source_only(dev: Assembly) -> None:
    touching = {
        role: statement
        for role, allowed in statements(dev).items()
        for statement in allowed
        if any(action.startswith("dynamodb:") for action in listed(statement["Action"]))
    }
    assert sorted(touching) == ["boston311-control", "coins-control"]
    for source in ("boston311", "coins"):
        condition = touching[f"{source}-control"]["Condition"]
        assert condition == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [source]}}


def test_a_step_can_be_added_only_with_its_own_role(every: Assembly) -> None:
    adding = [s for s in statements(every)["boston311-machine"] if "elasticmapreduce:AddJobFlowSteps" in listed(s["Action"])]
    assert [list(statement["Condition"]["ArnEquals"]) for statement in adding] == [["elasticmapreduce:ExecutionRoleArn"]]


def test_roles_are_passed_to_one_service_each(every: Assembly) -> None:
    passed = {
        resource: statement["Condition"]["StringEquals"]
        for role, allowed in statements(every).items()
        for statement in allowed
        if "iam:PassRole" in listed(statement["Action"]) and role == "boston311-machine"
        for resource in listed(statement["Resource"])
    }
    assert all(list(condition) == ["iam:PassedToService"] for condition in passed.values())
    services = sorted(condition["iam:PassedToService"] for condition in passed.values())
    step = ["elasticmapreduce.amazonaws.com"]
    assert services == (step if every.env == "everything" else ["ec2.amazonaws.com", *step, *step])


def test_a_machine_that_makes_a_cluster_may_give_it_its_policies(every: Assembly) -> None:
    actions = {a for s in statements(every)["boston311-machine"] for a in listed(s["Action"])}
    policies = {"elasticmapreduce:PutManagedScalingPolicy", "elasticmapreduce:PutAutoTerminationPolicy"}
    assert policies & actions == (set() if every.env == "everything" else policies)


def test_the_role_of_cluster_nodes_reads_no_data(every: Assembly) -> None:
    assert "emr-nodes" not in objects(every, "s3:GetObject")


def test_people_query_in_their_own_workgroup_and_catalogue(dev: Assembly) -> None:
    seen = {"analysts": {"gold"}, "scientists": {"silver", "gold"}, "engineers": {"bronze", "silver", "gold"}}
    for group, databases in seen.items():
        allowed = statements(dev)[group]
        athena = {r for s in allowed if "athena:StartQueryExecution" in listed(s["Action"]) for r in listed(s["Resource"])}
        assert athena == {f"arn:aws:athena:us-east-1:{ACCOUNT}:workgroup/{group}"}
        catalogue = {r for s in allowed if "glue:GetTable" in listed(s["Action"]) for r in listed(s["Resource"])}
        assert {r.split("/")[1] for r in catalogue if ":database/" in r} == databases
        default = f"arn:aws:glue:us-east-1:{ACCOUNT}:database/default"
        of_default = [listed(s["Action"]) for s in allowed if default in listed(s["Resource"])]
        assert of_default == [["glue:GetDatabase"]]
        # Names may be listed; rows are guarded in S3, and the quarantine's are for engineers.
        assert {r for r in catalogue if "*" in r} == {f"arn:aws:glue:us-east-1:{ACCOUNT}:table/{name}/*" for name in databases}
        objects = {r for s in allowed if "s3:GetObject" in listed(s["Action"]) for r in listed(s["Resource"])}
        assert any("_quarantine" in r for r in objects) is (group == "engineers")


def test_nobody_shares_a_role(every: Assembly) -> None:
    users: list[tuple[int, str]] = []
    for stack, template in enumerate(every.templates()):
        for kind, attribute in (
            ("AWS::Lambda::Function", "Role"),
            ("AWS::Glue::Job", "Role"),
            ("AWS::Glue::Crawler", "Role"),
            ("AWS::StepFunctions::StateMachine", "RoleArn"),
        ):
            users += [(stack, properties[attribute]) for properties in template.properties(kind)]
    assert len(users) == len(set(users)) == 14
