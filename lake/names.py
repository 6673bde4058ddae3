"""Every physical name of the platform, once.

Stacks create resources under these names; Lambdas, jobs and the command line find them by the same functions, so that a rename
cannot drift. `account` may be a CDK token at synthesis and the twelve digits at run time.
"""

from dataclasses import dataclass
from typing import Literal

PROJECT = "tributary"

Layer = Literal["bronze", "silver", "gold"]
LAYERS: tuple[Layer, ...] = ("bronze", "silver", "gold")

Bucket = Literal["bronze", "silver", "gold", "landing", "artifacts", "results", "logs"]
BUCKETS: tuple[Bucket, ...] = ("bronze", "silver", "gold", "landing", "artifacts", "results", "logs")

Workgroup = Literal["analysts", "scientists", "engineers"]
# What each group of people may read; also what its Athena workgroup is for.
WORKGROUP_LAYERS: dict[Workgroup, tuple[Layer, ...]] = {
    "analysts": ("gold",),
    "scientists": ("silver", "gold"),
    "engineers": ("bronze", "silver", "gold"),
}

Secret = Literal["coinmarketcap_key", "postgres_master", "postgres_loader", "postgres_replicator"]

QUARANTINE_SUFFIX = "_quarantine"

# Where the laptop cloud listens, by setting: the environment variable that goes before the settings file.
LAPTOP_PORTS = {
    "port": "LAKE_PORT",
    "portal_port": "LAKE_PORTAL_PORT",
    "coinmarketcap_port": "LAKE_COINMARKETCAP_PORT",
    "postgres_port": "LAKE_POSTGRES_PORT",
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """Physical names in one environment.

    env: the environment's name, e.g. "dev"; account: twelve digits, or a CDK token;
    prefix: put before databases and workgroups, which do not carry the environment's name (two environments in one
    account need it).
    """

    env: str
    account: str
    prefix: str = ""

    def _named(self, *parts: str) -> str:
        return "-".join((PROJECT, self.env, *parts)).replace("_", "-")

    def bucket(self, bucket: Bucket) -> str:
        return self._named(bucket, self.account)

    def database(self, layer: Layer) -> str:
        return f"{self.prefix}{layer}"

    def workgroup(self, workgroup: Workgroup) -> str:
        return f"{self.prefix}{workgroup}"

    def stack(self, name: str) -> str:
        return self._named(name)

    def machine(self, source: str) -> str:
        return self._named(source)

    def function(self, source: str, name: str) -> str:
        return self._named(source, name)

    def job(self, job: str) -> str:
        return self._named(job)

    def crawler(self, source: str, layer: Layer) -> str:
        return self._named(source, layer)

    def topic(self, outcome: Literal["successes", "failures"]) -> str:
        return self._named(outcome)

    def role(self, role: str) -> str:
        return self._named(role)

    def secret(self, secret: Secret) -> str:
        return self._named(secret)

    @property
    def postgres(self) -> str:
        return self._named("postgres")

    def replication(self, part: Literal["nets", "host", "from", "to", "task"]) -> str:
        """At most 31 characters, which is what DMS takes as a part of an address."""
        return self._named(part)

    @property
    def lease_table(self) -> str:
        return self._named("leases")

    @property
    def cluster(self) -> str:
        return self._named("cluster")

    def table_uri(self, layer: Layer, table: str) -> str:
        return f"s3://{self.bucket(layer)}/{table}"


# Keys inside the bronze bucket.
RUNS_PREFIX = "runs/"
RUN_PARTS_PREFIX = "run_parts/"


def run_report_key(run_id: str) -> str:
    return f"{RUNS_PREFIX}{run_id}.json"


def run_part_key(run_id: str, step: str) -> str:
    return f"{run_parts_prefix(run_id)}{step}.json"


def run_parts_prefix(run_id: str) -> str:
    return f"{RUN_PARTS_PREFIX}{run_id}/"


def manifest_prefix(source: str) -> str:
    return f"{source}/manifests/"


def manifest_key(source: str, resource_id: str) -> str:
    return f"{manifest_prefix(source)}{resource_id}.json"


def origin_key(source: str) -> str:
    return f"{source}/origin.json"


def replicated_prefix(source: str) -> str:
    return f"{source}/dms/"


# The replicating user's own schema, for DMS's heartbeat: an idle database would keep its log for ever.
HEARTBEAT_SCHEMA = "dms"

# Columns that replication adds to a table's own: operation (I, U or D), time of the commit, and an order within it.
OPERATION, COMMITTED_AT, CHANGE_SEQUENCE = "Op", "dms_commit_at", "dms_change_seq"


# Prefix inside the silver bucket that holds the ledger of batches.
def ledger_prefix(source: str) -> str:
    return f"_batches/{source}/"
