"""The relational database: private, encrypted, TLS only, logically replicated, its passwords rotated.

Its tables and users are not CloudFormation's: a function makes them from the contracts at each deployment (ingestion.database).
"""

from collections.abc import Sequence

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from lake.contracts import Contract, compile_json
from lake.names import Names, Secret
from lake.settings import Settings
from stacks.constructs.network import Network
from stacks.constructs.permissions import acknowledge, allow
from stacks.constructs.python_function import Inside, PythonFunction
from stacks.packages import lambda_package

DATABASE, MASTER, LOADER, REPLICATOR = "tributary", "master", "loader", "replicator"
_SECRETS: dict[str, Secret] = {MASTER: "postgres_master", LOADER: "postgres_loader", REPLICATOR: "postgres_replicator"}
CUSTOM_RESOURCE_LIMIT = Duration.minutes(20)  # a function that dies without an answer holds a deployment up for so long
_VERSION = rds.PostgresEngineVersion.VER_16_13


class Postgres(Construct):
    """instance; secrets by user; schema: when it is made, tables, users and publication exist; inside: where its functions run."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        tables: Sequence[Contract],
        network: Network,
        removal_policy: RemovalPolicy,
        names: Names,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        self._names, self._settings = names, settings
        self.group = ec2.SecurityGroup(
            self, "Group", vpc=network.vpc, description="PostgreSQL, reached from inside", allow_all_outbound=False
        )
        own = ec2.SecurityGroup(self, "Functions", vpc=network.vpc, description="Functions that use PostgreSQL")
        acknowledge(own, "AwsSolutions-EC23", because="Nothing is let in.")
        self.allow_from(own)
        self.inside = Inside(vpc=network.vpc, subnets=network.subnets, group=own)
        self.secrets = {user: self._secret(user, removal_policy) for user in _SECRETS}
        self.instance = self._instance(network, removal_policy)
        for user in (LOADER, REPLICATOR):
            self.secrets[user].attach(self.instance)
        self.schema = self._schema(tables)
        self._rotation()

    def allow_from(self, group: ec2.ISecurityGroup) -> None:
        self.group.add_ingress_rule(group, ec2.Port.tcp(5432), "by TLS, with a password of its own")

    def allow_secret(self, role_of: PythonFunction, *users: str) -> None:
        """The function may read the passwords of these users."""
        addresses = [self.secrets[user].secret_arn for user in users]
        allow(role_of.execution_role, actions=["secretsmanager:GetSecretValue"], resources=addresses)

    def _secret(self, user: str, removal_policy: RemovalPolicy) -> rds.DatabaseSecret:
        secret = rds.DatabaseSecret(
            self,
            f"{user.capitalize()}Secret",
            username=user,
            dbname=DATABASE,
            secret_name=self._names.secret(_SECRETS[user]),
        )
        secret.apply_removal_policy(removal_policy)
        return secret

    def _instance(self, network: Network, removal_policy: RemovalPolicy) -> rds.DatabaseInstance:
        engine = rds.DatabaseInstanceEngine.postgres(version=_VERSION)
        chosen = self._settings.postgres
        parameters = rds.ParameterGroup(
            self,
            "Parameters",
            engine=engine,
            parameters={
                "rds.logical_replication": "1",
                "rds.force_ssl": "1",
                # A slot that nobody reads must not fill the disk; replication that stood still for longer loads anew.
                "max_slot_wal_keep_size": str(chosen.storage_gb * 1024 // 4),
            },
        )
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            instance_identifier=self._names.postgres,
            engine=engine,
            instance_type=ec2.InstanceType(chosen.instance_type),
            credentials=rds.Credentials.from_secret(self.secrets[MASTER]),
            database_name=DATABASE,
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=network.subnets),
            security_groups=[self.group],
            publicly_accessible=False,
            storage_encrypted=True,
            allocated_storage=chosen.storage_gb,
            storage_type=rds.StorageType.GP3,
            multi_az=chosen.multi_az,
            backup_retention=Duration.days(chosen.backup_days),
            copy_tags_to_snapshot=True,
            # Where settings allow destruction the policy above protects: with both, a failed first deployment could not roll back.
            deletion_protection=not self._settings.allow_destroy,
            # Kept as a snapshot: an instance that stayed would keep its network, and all that hangs on it, from being removed.
            removal_policy=RemovalPolicy.DESTROY if removal_policy == RemovalPolicy.DESTROY else RemovalPolicy.SNAPSHOT,
            parameter_group=parameters,
            auto_minor_version_upgrade=True,
            cloudwatch_logs_exports=["postgresql"],
        )
        acknowledge(instance, "AwsSolutions-RDS11", because="The port is no secret: nothing but two groups reaches it.")
        if not chosen.multi_az:
            acknowledge(instance, "AwsSolutions-RDS3", because="postgres.multi_az is a setting; an hour without it costs a run.")
        if self._settings.allow_destroy:
            acknowledge(
                instance, "AwsSolutions-RDS10", because="The settings allow destruction; removing the stack alone keeps it."
            )
        return instance

    def _schema(self, tables: Sequence[Contract]) -> CustomResource:
        migrate = self._function("Migrate", "migrate", "Makes tables and users from the contracts", {})
        self.allow_secret(migrate, MASTER, LOADER, REPLICATOR)
        schema = CustomResource(
            self,
            "Schema",
            resource_type="Custom::PostgresSchema",
            service_token=migrate.function_arn,
            service_timeout=CUSTOM_RESOURCE_LIMIT,
            properties={
                **{f"{user.capitalize()}Secret": self._names.secret(name) for user, name in _SECRETS.items()},
                "Contracts": compile_json({table.name: table for table in tables}),
                "Version": lambda_package("database", architecture="arm64").hash[:16],
            },
        )
        schema.node.add_dependency(self.instance, *self.secrets.values(), migrate)
        return schema

    def _rotation(self) -> None:
        rotate = self._function(
            "Rotate", "rotate", "Rotates the database's passwords", {"MASTER_SECRET": self._names.secret("postgres_master")}
        )
        rotated = [secret.secret_arn for secret in self.secrets.values()]
        actions = ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]
        allow(rotate.execution_role, actions=[f"secretsmanager:{action}" for action in actions], resources=rotated)
        allow(
            rotate.execution_role,
            actions=["secretsmanager:GetRandomPassword"],
            resources=["*"],
            because="A random text belongs to no resource.",
        )
        for user, secret in self.secrets.items():
            schedule = secretsmanager.RotationSchedule(
                self,
                f"{user.capitalize()}Rotation",
                secret=secret,
                rotation_lambda=rotate,
                automatically_after=Duration.days(self._settings.postgres.rotation_days),
                rotate_immediately_on_update=False,
            )
            schedule.node.add_dependency(self.schema)

    def _function(self, id: str, name: str, description: str, environment: dict[str, str]) -> PythonFunction:
        return PythonFunction(
            self,
            id,
            package="database",
            module=f"{name}_handler",
            name=self._names.function("postgres", name),
            role_name=self._names.role(f"postgres-{name}"),
            description=description,
            environment=environment,
            timeout=Duration.minutes(5),
            memory_mb=256,
            inside=self.inside,
            settings=self._settings,
        )
