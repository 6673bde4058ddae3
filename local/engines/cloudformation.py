"""CloudFormation types that ministack rejects, and how much stands behind every type that our templates hold."""

from typing import Any, Literal

from botocore.exceptions import ClientError

from local.emulator import Emulator

Fidelity = Literal["real", "emulated", "recorded"]

# real: an engine does the work; emulated: the control plane answers as AWS's does, with nothing behind it that moves data;
# recorded: accepted and remembered. docs/fidelity.md is made of this; a test fails when a template holds another type.
FIDELITY: dict[str, Fidelity] = {
    "AWS::Athena::NamedQuery": "real",
    "AWS::Athena::WorkGroup": "real",
    "AWS::CDK::Metadata": "recorded",
    "AWS::CloudWatch::Alarm": "emulated",
    "AWS::CloudWatch::Dashboard": "recorded",
    "AWS::DMS::Endpoint": "real",
    "AWS::DMS::ReplicationInstance": "emulated",
    "AWS::DMS::ReplicationSubnetGroup": "recorded",
    "AWS::DMS::ReplicationTask": "real",
    "AWS::DynamoDB::Table": "real",
    "AWS::EC2::EIP": "recorded",
    "AWS::EC2::FlowLog": "recorded",
    "AWS::EC2::InternetGateway": "recorded",
    "AWS::EC2::LaunchTemplate": "recorded",
    "AWS::EC2::NatGateway": "recorded",
    "AWS::EC2::Route": "recorded",
    "AWS::EC2::RouteTable": "recorded",
    "AWS::EC2::SecurityGroup": "recorded",
    "AWS::EC2::SecurityGroupEgress": "recorded",
    "AWS::EC2::SecurityGroupIngress": "recorded",
    "AWS::EC2::Subnet": "recorded",
    "AWS::EC2::SubnetRouteTableAssociation": "recorded",
    "AWS::EC2::VPC": "recorded",
    "AWS::EC2::VPCEndpoint": "recorded",
    "AWS::EC2::VPCGatewayAttachment": "recorded",
    "AWS::EMR::Cluster": "real",
    "AWS::EMR::InstanceFleetConfig": "recorded",
    "AWS::EMR::InstanceGroupConfig": "recorded",
    "AWS::EMR::SecurityConfiguration": "emulated",
    "AWS::EMR::Step": "real",
    "AWS::Events::Rule": "real",
    "AWS::Glue::Crawler": "real",
    "AWS::Glue::Database": "real",
    "AWS::Glue::Job": "real",
    "AWS::Glue::SecurityConfiguration": "recorded",
    "AWS::Glue::Table": "real",
    "AWS::Glue::Trigger": "emulated",
    "AWS::IAM::InstanceProfile": "real",
    "AWS::IAM::ManagedPolicy": "real",
    "AWS::IAM::Policy": "real",
    "AWS::IAM::Role": "real",
    "AWS::IAM::ServiceLinkedRole": "recorded",
    "AWS::KMS::Alias": "emulated",
    "AWS::KMS::Key": "emulated",
    "AWS::Lambda::EventSourceMapping": "real",
    "AWS::Lambda::Function": "real",
    "AWS::Lambda::LayerVersion": "real",
    "AWS::Lambda::Permission": "real",
    "AWS::Lambda::Version": "real",
    "AWS::Logs::LogGroup": "real",
    "AWS::Logs::ResourcePolicy": "recorded",
    "AWS::RDS::DBInstance": "real",
    "AWS::RDS::DBParameterGroup": "emulated",
    "AWS::RDS::DBSubnetGroup": "recorded",
    "AWS::S3::Bucket": "real",
    "AWS::S3::BucketPolicy": "real",
    "AWS::SNS::Subscription": "real",
    "AWS::SNS::Topic": "real",
    "AWS::SNS::TopicPolicy": "real",
    "AWS::SQS::Queue": "real",
    "AWS::SQS::QueuePolicy": "real",
    "AWS::SSM::Parameter": "real",
    "AWS::Scheduler::Schedule": "real",
    "AWS::Scheduler::ScheduleGroup": "emulated",
    "AWS::SecretsManager::ResourcePolicy": "recorded",
    "AWS::SecretsManager::RotationSchedule": "real",
    "AWS::SecretsManager::Secret": "real",
    "AWS::SecretsManager::SecretTargetAttachment": "real",
    "AWS::StepFunctions::StateMachine": "real",
    "Custom::*": "real",
}

_PROTOCOL_ALL = "-1"


class Resources:
    """Each type makes the call that CloudFormation would make; ministack's own control plane remembers the resource."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def _rule(self, properties: dict[str, Any], *, inward: bool) -> dict[str, Any]:
        permission: dict[str, Any] = {"IpProtocol": str(properties.get("IpProtocol", _PROTOCOL_ALL))}
        permission.update({k: int(properties[k]) for k in ("FromPort", "ToPort") if k in properties})
        about = {"Description": properties["Description"]} if properties.get("Description") else {}
        other = properties.get("SourceSecurityGroupId" if inward else "DestinationSecurityGroupId")
        if other:
            permission["UserIdGroupPairs"] = [{"GroupId": other, **about}]
        if properties.get("CidrIp"):
            permission["IpRanges"] = [{"CidrIp": properties["CidrIp"], **about}]
        prefix_list = properties.get("SourcePrefixListId" if inward else "DestinationPrefixListId")
        if prefix_list:
            permission["PrefixListIds"] = [{"PrefixListId": prefix_list, **about}]
        return {"GroupId": properties["GroupId"], "IpPermissions": [permission]}

    def create_ingress(self, logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        self._emulator.client("ec2").authorize_security_group_ingress(**self._rule(properties, inward=True))
        return f"{stack}-{logical}", {"Id": f"{stack}-{logical}"}

    def delete_ingress(self, _physical: str, properties: dict[str, Any]) -> None:
        self._gone(self._emulator.client("ec2").revoke_security_group_ingress, **self._rule(properties, inward=True))

    def create_egress(self, logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        self._emulator.client("ec2").authorize_security_group_egress(**self._rule(properties, inward=False))
        return f"{stack}-{logical}", {"Id": f"{stack}-{logical}"}

    def delete_egress(self, _physical: str, properties: dict[str, Any]) -> None:
        self._gone(self._emulator.client("ec2").revoke_security_group_egress, **self._rule(properties, inward=False))

    def create_eip(self, _logical: str, _properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        made = self._emulator.client("ec2").allocate_address(Domain="vpc")
        return made["PublicIp"], {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]}

    def delete_eip(self, physical: str, _properties: dict[str, Any]) -> None:
        ec2 = self._emulator.client("ec2")
        for address in ec2.describe_addresses()["Addresses"]:
            if address["PublicIp"] == physical:
                self._gone(ec2.release_address, AllocationId=address["AllocationId"])

    def create_nat_gateway(self, _logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        asked = {key: properties[key] for key in ("SubnetId", "AllocationId", "ConnectivityType") if key in properties}
        made = self._emulator.client("ec2").create_nat_gateway(**asked)["NatGateway"]["NatGatewayId"]
        return made, {"NatGatewayId": made}

    def delete_nat_gateway(self, physical: str, _properties: dict[str, Any]) -> None:
        self._gone(self._emulator.client("ec2").delete_nat_gateway, NatGatewayId=physical)

    def create_flow_log(self, _logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName", "DeliverLogsPermissionArn")
        asked = {key: properties[key] for key in names if key in properties}
        made = self._emulator.client("ec2").create_flow_logs(ResourceIds=[properties["ResourceId"]], **asked)["FlowLogIds"][0]
        return made, {"Id": made}

    def delete_flow_log(self, physical: str, _properties: dict[str, Any]) -> None:
        self._gone(self._emulator.client("ec2").delete_flow_logs, FlowLogIds=[physical])

    def create_named_query(self, logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        names = ("Description", "WorkGroup", "Database", "QueryString")
        asked = {key: properties[key] for key in names if properties.get(key)}
        made = self._emulator.client("athena").create_named_query(Name=properties.get("Name") or logical, **asked)["NamedQueryId"]
        return made, {"NamedQueryId": made}

    def delete_named_query(self, physical: str, _properties: dict[str, Any]) -> None:
        self._gone(self._emulator.client("athena").delete_named_query, NamedQueryId=physical)

    def create_service_role(self, _logical: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        asked = {key: properties[key] for key in ("AWSServiceName", "CustomSuffix", "Description") if properties.get(key)}
        made = self._emulator.client("iam").create_service_linked_role(**asked)["Role"]["RoleName"]
        return made, {"RoleName": made}

    def delete_service_role(self, physical: str, _properties: dict[str, Any]) -> None:
        self._gone(self._emulator.client("iam").delete_service_linked_role, RoleName=physical)

    def _gone(self, delete: Any, **which: Any) -> None:
        """Delete; what is gone already is no error, as for CloudFormation."""
        try:
            delete(**which)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if not any(word in code for word in ("NotFound", "NoSuchEntity", "InvalidRequestException")):
                raise


def _record_metric_math(emulator: Emulator) -> None:
    """An alarm over several metrics is kept but never evaluated: the emulator knows alarms over one metric only."""
    alarm = emulator.resource_handlers()["AWS::CloudWatch::Alarm"]
    create = alarm["create"]

    def create_alarm(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        if "Metrics" not in properties:
            made: tuple[str, dict[str, Any]] = create(logical, properties, stack)
            return made
        name = properties.get("AlarmName") or f"{stack}-{logical}"
        return name, {"Arn": f"arn:aws:cloudwatch:{emulator.region}:{emulator.account}:alarm:{name}"}

    emulator.resource_handlers()["AWS::CloudWatch::Alarm"] = {**alarm, "create": create_alarm}


def install(emulator: Emulator) -> None:
    """Register the types; a bucket that was kept when its stack was deleted may be taken up again by the next deployment."""
    made = Resources(emulator)
    emulator.resource_type("AWS::EC2::SecurityGroupIngress", made.create_ingress, made.delete_ingress)
    emulator.resource_type("AWS::EC2::SecurityGroupEgress", made.create_egress, made.delete_egress)
    emulator.resource_type("AWS::EC2::EIP", made.create_eip, made.delete_eip)
    emulator.resource_type("AWS::EC2::NatGateway", made.create_nat_gateway, made.delete_nat_gateway)
    emulator.resource_type("AWS::EC2::FlowLog", made.create_flow_log, made.delete_flow_log)
    emulator.resource_type("AWS::Athena::NamedQuery", made.create_named_query, made.delete_named_query)
    emulator.resource_type("AWS::IAM::ServiceLinkedRole", made.create_service_role, made.delete_service_role)
    _record_metric_math(emulator)
    emulator.patch("services.cloudformation.provisioners", "s3_bucket_name_conflict", lambda _name: None)
