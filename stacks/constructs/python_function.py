"""A Lambda of one ingestion package, with a role and a log group of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Aws, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lake.settings import Settings
from stacks.constructs.log_group import ExpiringLogGroup
from stacks.constructs.permissions import acknowledge, allow
from stacks.packages import host_architecture, lambda_package


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Where in the network a function runs; from there it reaches what has an endpoint, and what `group` is let into."""

    vpc: ec2.IVpc
    subnets: list[ec2.ISubnet]
    group: ec2.ISecurityGroup


class PythonFunction(lambda_.Function):
    """Runs `ingestion.<package>.<module>.handler`. execution_role: its role, to which the stack adds what the code needs."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        package: str,
        name: str,
        role_name: str,
        description: str,
        environment: Mapping[str, str],
        timeout: Duration,
        memory_mb: int,
        settings: Settings,
        module: str = "handler",
        inside: Inside | None = None,
    ) -> None:
        architecture = host_architecture() if settings.architecture == "host" else "arm64"
        built = lambda_package(package, architecture=architecture)
        log_group = ExpiringLogGroup(scope, f"{id}Logs", name=f"/aws/lambda/{name}", settings=settings)
        self.execution_role = iam.Role(
            scope, f"{id}Role", role_name=role_name, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )
        allow(
            self.execution_role,
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws/lambda/{name}:*"],
            because="Lambda names the streams of its log group itself.",
        )
        if inside:
            allow(
                self.execution_role,
                actions=[
                    *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"),
                    *("ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
                ],
                resources=["*"],
                because="Lambda makes the network interfaces of a function in a network with the function's role.",
            )
        super().__init__(
            scope,
            id,
            function_name=name,
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_11,
            architecture=lambda_.Architecture.ARM_64 if architecture == "arm64" else lambda_.Architecture.X86_64,
            handler=f"ingestion.{package}.{module}.handler",
            code=lambda_.Code.from_asset(str(built.path), asset_hash=built.hash),
            role=self.execution_role,
            environment=dict(environment),
            timeout=timeout,
            memory_size=memory_mb,
            log_group=log_group,
            vpc=inside.vpc if inside else None,
            vpc_subnets=ec2.SubnetSelection(subnets=inside.subnets) if inside else None,
            security_groups=[inside.group] if inside else None,
        )
        acknowledge(self, "AwsSolutions-L1", because="One Python in the whole house, that of Glue 5.1 and EMR 7: 3.11.")
