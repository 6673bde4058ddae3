"""The environment a command speaks to: settings, names, and clients that reach the laptop cloud or AWS."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cli.errors import LakeError
from lake import settings as lake_settings
from lake.names import Names, Workgroup
from lake.settings import Laptop, Settings

LAPTOP_ACCOUNT = "000000000000"
# Root of the laptop cloud's own account; worth nothing anywhere else.
LAPTOP_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class Environment:
    settings: Settings

    @classmethod
    def open(cls, env: str) -> "Environment":
        """The environment `env`, clients pointed the right way. Raises SettingsError; LakeError if the laptop cloud is down."""
        environment = cls(lake_settings.load(env))
        if environment.settings.laptop is not None:
            environment.require_laptop()
            os.environ.update(environment.laptop_variables())
            os.environ.pop("AWS_SESSION_TOKEN", None)
            os.environ.pop("AWS_PROFILE", None)
        else:
            # Where the stacks are is a setting, not whatever region the profile names.
            os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = environment.settings.region
        return environment

    @property
    def is_laptop(self) -> bool:
        return self.settings.laptop is not None

    @property
    def laptop(self) -> Laptop:
        """The laptop's ports. Raises LakeError for an environment on AWS."""
        if self.settings.laptop is None:
            raise LakeError(f"environment {self.settings.env} is not a laptop cloud: it has no [laptop] section in its settings")
        return self.settings.laptop

    @cached_property
    def home(self) -> Path:
        from local.home import default_home

        return default_home()

    def laptop_variables(self) -> dict[str, str]:
        """Environment variables that point any AWS client, the CDK's included, at the laptop cloud."""
        return {
            **LAPTOP_KEYS,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.laptop.port}",
            "AWS_REGION": self.settings.region,
            "AWS_DEFAULT_REGION": self.settings.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def require_laptop(self) -> None:
        from local import process

        status = process.inspect(self.home)
        if status.state != "running":
            raise LakeError(f"the laptop cloud is not running ({status.state}): start it with `lake up`")

    def client(self, service: str) -> Any:
        from lake.aws import client

        return client(service)

    @cached_property
    def account(self) -> str:
        return LAPTOP_ACCOUNT if self.is_laptop else str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def names(self) -> Names:
        return self.settings.names(account=self.account)

    def machine_arn(self, source: str) -> str:
        return f"arn:aws:states:{self.settings.region}:{self.account}:stateMachine:{self.names.machine(source)}"

    def as_workgroup(self, service: str, workgroup: Workgroup) -> Any:
        """A client with the rights of `workgroup`'s role, so that a person sees what that group sees."""
        import boto3

        arn = f"arn:aws:iam::{self.account}:role/{self.names.role(workgroup)}"
        keys = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="lake-query")["Credentials"]
        return boto3.session.Session(
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            region_name=self.settings.region,
        ).client(service)
