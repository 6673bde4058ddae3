"""Typed settings of one environment, read from `config/<env>.toml`: the only place where environments differ.

Unknown keys are refused. Defaults are the cheap and safe choice, so a file states only what it changes.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lake.names import LAPTOP_PORTS, Names

CONFIG_DIR = Path(__file__).resolve().parent.parent / "config"


class SettingsError(Exception):
    """A settings file is missing or wrong; the text says which key, what is wrong and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(_Section):
    nat_gateway: bool = False
    vpc_cidr: str = "10.40.0.0/16"


class Emr(_Section):
    mode: Literal["transient", "always_on"] = "transient"
    release: str = "emr-7.14.0"
    instance_type: str = "m6g.xlarge"
    core_instances: Annotated[int, Field(ge=1, le=50)] = 1
    max_instances: Annotated[int, Field(ge=1, le=100)] = 3
    idle_minutes: Annotated[int, Field(ge=1, le=10080)] = 15

    @model_validator(mode="after")
    def _scaling_range(self) -> Self:
        if self.max_instances < self.core_instances:
            raise ValueError(
                f"max_instances ({self.max_instances}) is below core_instances ({self.core_instances}): "
                "managed scaling needs max_instances >= core_instances"
            )
        return self


class Glue(_Section):
    workers: Annotated[int, Field(ge=2, le=100)] = 2
    timeout_minutes: Annotated[int, Field(ge=5, le=2880)] = 120


class Athena(_Section):
    """Bytes one query may scan, in megabytes; Athena's own minimum is 10."""

    analysts_scan_mb: Annotated[int, Field(ge=10)] = 10_000
    scientists_scan_mb: Annotated[int, Field(ge=10)] = 50_000
    engineers_scan_mb: Annotated[int, Field(ge=10)] = 100_000


class Boston311(_Section):
    portal_url: str = "https://data.boston.gov"
    package_id: str = "8048697b-ad64-4bfc-b090-ee00169f2323"
    schedule: str | None = Field(default=None, description="minute and hour in Boston's time zone, e.g. '06:30'; none = off")
    run_timeout_hours: Annotated[int, Field(ge=1, le=24)] = 6
    legacy_clock: Literal["evidence", "boston", "shifted"] = Field(
        default="evidence", description="clock of a legacy file that gives no evidence of its own; evidence: such a file is refused"
    )
    new_system_clock: Literal["boston", "utc"] = Field(
        default="boston", description="clock of the new system, which gives no evidence"
    )

    @model_validator(mode="after")
    def _schedule_is_a_time(self) -> Self:
        if self.schedule is not None:
            hour, _, minute = self.schedule.partition(":")
            if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
                raise ValueError(f"schedule must be HH:MM in Boston's time zone, not {self.schedule!r}")
        return self


class Coins(_Section):
    api_url: str = "https://pro-api.coinmarketcap.com"
    coins: Annotated[int, Field(ge=1, le=20_000)] = Field(default=5000, description="the first so many by market value")
    schedule: Annotated[str, Field(pattern=r"^(off|\*:[0-5]\d|([01]\d|2[0-3]):[0-5]\d)$")] = Field(
        default="*:05",
        description="'*:MM' every hour, 'HH:MM' every day (UTC), or off. 5,000 coins every hour are 14,880 credits in 31 days, "
        "and the Basic plan has 15,000 a month",
    )
    delivery_minutes: Annotated[int, Field(ge=1, le=60)] = Field(
        default=15, description="how long a run waits for replication to deliver its listing"
    )


class Postgres(_Section):
    instance_type: str = "t4g.micro"
    storage_gb: Annotated[int, Field(ge=20, le=65_536)] = 20
    multi_az: bool = False
    backup_days: Annotated[int, Field(ge=1, le=35)] = 7
    rotation_days: Annotated[int, Field(ge=1, le=365)] = 30


class Replication(_Section):
    instance_class: str = "dms.t3.small"
    storage_gb: Annotated[int, Field(ge=5, le=6144)] = 20
    multi_az: bool = False
    batch_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="changes are written to bronze after so many seconds at the latest"
    )
    late_minutes: Annotated[int, Field(ge=1, le=120)] = Field(
        default=10, description="an alarm is raised while replication is behind by more"
    )
    settle_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=20, description="until roles that were just made count everywhere in the account"
    )


class Laptop(_Section):
    """Ports of the laptop cloud on 127.0.0.1; only `local` has them. The variables of lake.names.LAPTOP_PORTS go before the file,
    so that several laptop clouds can run beside each other."""

    port: Annotated[int, Field(ge=1024, le=65535)] = 4566
    portal_port: Annotated[int, Field(ge=1024, le=65535)] = 4580
    coinmarketcap_port: Annotated[int, Field(ge=1024, le=65535)] = 4581
    postgres_port: Annotated[int, Field(ge=1024, le=65535)] = 4590

    @property
    def ports(self) -> dict[str, int]:
        """By the names of lake.names.LAPTOP_PORTS."""
        return {name: getattr(self, name) for name in LAPTOP_PORTS}


class Settings(_Section):
    """All settings of one environment."""

    env: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,15}$")]
    name_prefix: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,20}_)?$")] = ""
    region: str = "us-east-1"
    allow_destroy: bool = Field(default=False, description="first of the two keys that let a stack delete data")
    log_retention_days: Annotated[int, Field(ge=1)] = 30
    architecture: Literal["arm64", "host"] = Field(default="arm64", description="of Lambda functions; host: this machine's own")
    network: Network = Network()
    emr: Emr = Emr()
    glue: Glue = Glue()
    athena: Athena = Athena()
    boston311: Boston311 = Boston311()
    coins: Coins = Coins()
    postgres: Postgres = Postgres()
    replication: Replication = Replication()
    laptop: Laptop | None = None

    @model_validator(mode="after")
    def _production_keeps_data(self) -> Self:
        if self.env == "prod" and self.allow_destroy:
            raise ValueError("allow_destroy must stay false in prod; empty and delete a production lake by hand")
        for name, address in (("boston311.portal_url", self.boston311.portal_url), ("coins.api_url", self.coins.api_url)):
            if self.laptop is None and address.startswith("http://"):
                raise ValueError(f"{name} must use https outside the laptop")
        return self

    def names(self, *, account: str) -> Names:
        return Names(env=self.env, account=account, prefix=self.name_prefix)


def environments() -> list[str]:
    """Names of the environments that have a file, sorted."""
    return sorted(path.stem for path in CONFIG_DIR.glob("*.toml"))


def _with_ports(data: dict[str, Any], *, own: bool) -> dict[str, Any]:
    """The laptop's ports, from the environment's variables if `own`, put into the addresses of the sources."""
    if "laptop" not in data:
        return data
    chosen = {key: os.environ[name] for key, name in LAPTOP_PORTS.items() if name in os.environ} if own else {}
    laptop = {**data["laptop"], **chosen}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return value.format(**laptop) if isinstance(value, str) else value

    return {**filled(data), "laptop": laptop}


def load(env: str, *, own_ports: bool = True) -> Settings:
    """Settings of `env`; own_ports: the variables of lake.names.LAPTOP_PORTS go before the file's ports.

    Raises SettingsError naming the file, the key and what is allowed.
    """
    path = CONFIG_DIR / f"{env}.toml"
    if not path.is_file():
        raise SettingsError(
            f"no settings for environment {env!r}: expected config/{env}.toml; there are {', '.join(environments())}"
        )
    try:
        return Settings.model_validate({"env": env, **_with_ports(tomllib.loads(path.read_text()), own=own_ports)})
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"config/{env}.toml is not valid TOML: {error}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise SettingsError(f"config/{env}.toml is refused:\n" + "\n".join(lines)) from error
