"""CloudFormation's EMR types. A template writes them in other shapes than the API takes."""

import json
import secrets
from typing import Any

from local.emulator import Emulator
from local.engines.emr import Emr

# A group or fleet of a template -> its role in the API.
_GROUPS = {"MasterInstanceGroup": "MASTER", "CoreInstanceGroup": "CORE"}
_FLEETS = {"MasterInstanceFleet": "MASTER", "CoreInstanceFleet": "CORE"}
_CLUSTER_PROPERTIES = (
    *("Name", "LogUri", "ReleaseLabel", "ServiceRole", "JobFlowRole", "SecurityConfiguration", "StepConcurrencyLevel"),
    *("Applications", "BootstrapActions", "Tags", "AutoTerminationPolicy", "ManagedScalingPolicy", "VisibleToAllUsers"),
)


def truth(value: Any) -> bool:
    """Templates hold booleans as such or as text."""
    return str(value).lower() == "true"


def configurations(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A template says ConfigurationProperties where the API says Properties."""
    return [
        {
            "Classification": entry["Classification"],
            "Properties": entry.get("ConfigurationProperties") or {},
            **({"Configurations": configurations(entry["Configurations"])} if entry.get("Configurations") else {}),
        }
        for entry in listed
    ]


def job_flow(properties: dict[str, Any], stack: str) -> dict[str, Any]:
    """RunJobFlow's request for an AWS::EMR::Cluster."""
    instances = dict(properties["Instances"])
    groups = [{**instances.pop(name), "InstanceRole": role} for name, role in _GROUPS.items() if name in instances]
    fleets = [{**instances.pop(name), "InstanceFleetType": role} for name, role in _FLEETS.items() if name in instances]
    for task, listed, key, role in (
        ("TaskInstanceGroups", groups, "InstanceRole", "TASK"),
        ("TaskInstanceFleets", fleets, "InstanceFleetType", "TASK"),
    ):
        listed += [{**group, key: role} for group in instances.pop(task, [])]
    for flag in ("KeepJobFlowAliveWhenNoSteps", "TerminationProtected"):
        if flag in instances:
            instances[flag] = truth(instances[flag])
    # As the resource's documentation has it: a cluster of a template stays alive unless it says otherwise.
    instances.setdefault("KeepJobFlowAliveWhenNoSteps", True)
    for group in groups:
        group["InstanceCount"] = int(group.get("InstanceCount", 1))
    request = {name: properties[name] for name in _CLUSTER_PROPERTIES if name in properties}
    tags = [*request.get("Tags", []), {"Key": "aws:cloudformation:stack-name", "Value": stack}]
    return {
        **request,
        "Tags": tags,
        "Instances": {
            **instances,
            **({"InstanceGroups": groups} if groups else {}),
            **({"InstanceFleets": fleets} if fleets else {}),
        },
        "Configurations": configurations(properties.get("Configurations", [])),
        "Steps": properties.get("Steps", []),
    }


class EmrResources:
    """create, update and delete of each type."""

    def __init__(self, emulator: Emulator, engine: Emr) -> None:
        self._emulator = emulator
        self._engine = engine

    def _done(self, answer: tuple[int, Any, bytes]) -> dict[str, Any]:
        status, _headers, body = answer
        said: dict[str, Any] = json.loads(body)
        if status >= 400:
            raise ValueError(said.get("message") or str(said))
        return said

    def create_cluster(self, _logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        made = self._done(self._engine.run_job_flow(job_flow(properties, stack)))["JobFlowId"]
        return made, {"Id": made, "MasterPublicDNS": self._engine.clusters[made]["MasterPublicDnsName"]}

    def delete_cluster(self, physical: str, _properties: dict[str, Any]) -> None:
        if physical in self._engine.clusters:
            self._done(self._engine.terminate_job_flows({"JobFlowIds": [physical]}))

    def create_security_configuration(self, logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or f"{stack}-{logical}-{secrets.token_hex(6)}"
        content = properties["SecurityConfiguration"]
        text = content if isinstance(content, str) else json.dumps(content)
        self._done(self._engine.create_security_configuration({"Name": name, "SecurityConfiguration": text}))
        return name, {}

    def delete_security_configuration(self, physical: str, _properties: dict[str, Any]) -> None:
        self._engine.delete_security_configuration({"Name": physical})

    def create_step(self, _logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        step = {key: properties[key] for key in ("Name", "ActionOnFailure", "HadoopJarStep")}
        request = {"JobFlowId": properties["JobFlowId"], "Steps": [step]}
        made = self._done(self._engine.add_job_flow_steps(request))["StepIds"][0]
        return made, {"Id": made}

    def create_group(self, logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        cluster = self._engine.clusters.get(properties["JobFlowId"])
        if cluster is None:
            raise ValueError(f"Cluster id '{properties['JobFlowId']}' is not valid.")
        made = self._emulator.get("services.emr", "_group_id")()
        count = int(properties.get("InstanceCount", 1))
        cluster["InstanceGroups"].append(
            {
                "Id": made,
                "Name": properties.get("Name", logical),
                "Market": properties.get("Market", "ON_DEMAND"),
                "InstanceGroupType": properties.get("InstanceRole", "TASK"),
                "InstanceType": properties["InstanceType"],
                "RequestedInstanceCount": count,
                "RunningInstanceCount": count,
                "Status": {"State": "RUNNING", "StateChangeReason": {}, "Timeline": {}},
            }
        )
        return made, {"Id": made}


def install(emulator: Emulator, engine: Emr) -> None:
    """Register the types. Instance groups, fleets and steps go with their cluster, so deleting them does nothing."""
    made = EmrResources(emulator, engine)

    def with_the_cluster(_physical: str, _properties: dict[str, Any]) -> None:
        """Nothing to do."""

    emulator.resource_type("AWS::EMR::Cluster", made.create_cluster, made.delete_cluster)
    emulator.resource_type(
        "AWS::EMR::SecurityConfiguration", made.create_security_configuration, made.delete_security_configuration
    )
    emulator.resource_type("AWS::EMR::Step", made.create_step, with_the_cluster)
    emulator.resource_type("AWS::EMR::InstanceGroupConfig", made.create_group, with_the_cluster)
    emulator.resource_type("AWS::EMR::InstanceFleetConfig", made.create_group, with_the_cluster)
