"""The network of the Spark clusters and of the database: three zones, no way out but to the AWS services that they call."""

from aws_cdk import Fn, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.constructs.permissions import acknowledge

ZONES = 3  # Redshift Serverless asks for three; an environment-agnostic Vpc makes two by itself
# AmazonEMRServicePolicy_v2 acts only on what carries this tag.
EMR_TAG = ("for-use-with-amazon-emr-managed-policies", "true")


class Network(Construct):
    """vpc; subnets, the private ones by zone; cluster_subnet, where clusters run."""

    def __init__(self, scope: Construct, id: str, *, cidr: str, nat_gateway: bool, flow_logs: s3.IBucket) -> None:
        super().__init__(scope, id)
        private = ec2.SubnetType.PRIVATE_WITH_EGRESS if nat_gateway else ec2.SubnetType.PRIVATE_ISOLATED
        layout = [ec2.SubnetConfiguration(name="private", subnet_type=private, cidr_mask=20)]
        if nat_gateway:
            layout.append(
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                )
            )
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(cidr),
            availability_zones=[Fn.select(zone, Fn.get_azs()) for zone in range(ZONES)],
            nat_gateways=1 if nat_gateway else 0,
            subnet_configuration=layout,
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        self.subnets = self.vpc.select_subnets(subnet_type=private).subnets
        self.cluster_subnet = self.subnets[0]
        Tags.of(self.vpc).add(*EMR_TAG)
        # A cluster takes the role of each step through STS; functions and replication learn the database's passwords.
        self._endpoint("Sts", ec2.InterfaceVpcEndpointAwsService.STS, cidr=cidr)
        self._endpoint("Secrets", ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER, cidr=cidr)
        if nat_gateway:
            self.vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_s3(flow_logs, "network/"))
        else:
            reason = "Nothing gets in, and out only to S3, DynamoDB, STS and Secrets Manager, whose logs name the caller."
            acknowledge(self.vpc, "AwsSolutions-VPC7", because=reason)

    def _endpoint(self, name: str, service: ec2.IInterfaceVpcEndpointService, *, cidr: str) -> None:
        """One address of a service inside, in the zone where the clusters run: what runs in another zone reaches it too."""
        group = ec2.SecurityGroup(
            self, f"{name}Group", vpc=self.vpc, description=f"{name} endpoint, reached from inside", allow_all_outbound=False
        )
        group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.HTTPS, "hosts of this network")
        self.vpc.add_interface_endpoint(
            name,
            service=service,
            subnets=ec2.SubnetSelection(subnets=[self.cluster_subnet]),
            security_groups=[group],
            open=False,
        )
