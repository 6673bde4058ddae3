"""One laptop cloud and one Spark session for the whole tier: starting them is what takes time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from bench.laptop import free_laptop_ports
from lake import odcs, settings
from lake.contracts import Contract
from lake.names import Names
from local import process

ROOT = Path(__file__).resolve().parent.parent.parent
ACCOUNT = "000000000000"
LAKE = Path(sys.executable).parent / "lake"
FOREIGN = ("AWS_", "LAKE_", "SPARK_", "PYSPARK_")


@dataclass
class Laptop:
    """A laptop cloud of the tests' own: state directory, ports, clients as root or as a role, and the `lake` command."""

    home: Path
    ports: dict[str, int] = field(default_factory=free_laptop_ports)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**kept, "LAKE_HOME": str(self.home), **process.variables(self.ports)}

    @property
    def names(self) -> Names:
        return settings.load("local").names(account=ACCOUNT)

    def start(self) -> None:
        process.start(self.home, self.ports)

    def stop(self) -> None:
        process.stop(self.home)

    def kill(self) -> None:
        """SIGKILL the daemon alone, as a crash would."""
        os.kill(json.loads((self.home / "daemon.json").read_text())["pid"], signal.SIGKILL)

    def children(self) -> list[int]:
        """Processes that the daemon has started: JVMs, jobs, Lambda workers."""
        return [json.loads(path.read_text())["pid"] for path in (self.home / "children").glob("*.json")]

    def lake(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs `lake` to its end; fails, showing what it said, unless it exits with `code`."""
        ended = subprocess.run([LAKE, *arguments], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == code, f"lake {' '.join(arguments)}: exit {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts `lake` and returns at once."""
        pipe = subprocess.PIPE
        return subprocess.Popen([LAKE, *arguments], env=self.environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Standard output of `lake`, which must be one JSON value and nothing else."""
        return json.loads(self.lake(*arguments, "--format", "json", code=code).stdout)

    def query(self, sql: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("query", sql)
        return found

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"mode": "standard", "max_attempts": 5}),
        )


@pytest.fixture(scope="session")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A running laptop cloud in which nothing is deployed."""
    made = Laptop(tmp_path_factory.mktemp("laptop"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def deployed(laptop: Laptop) -> Laptop:
    """The laptop cloud with every stack."""
    laptop.lake("up")
    return laptop


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    return odcs.load_all()


@pytest.fixture(scope="session")
def s3(laptop: Laptop) -> Any:
    return laptop.client("s3")


@dataclass(frozen=True)
class Buckets:
    """Three buckets as the foundation makes them; addresses as jobs get them."""

    bronze: str
    silver: str
    gold: str


def make_buckets(s3: Any) -> Buckets:
    made = {layer: f"{layer}-{uuid4().hex[:12]}" for layer in ("bronze", "silver", "gold")}
    for bucket in made.values():
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=made["bronze"], VersioningConfiguration={"Status": "Enabled"})
    return Buckets(**{layer: f"s3://{bucket}" for layer, bucket in made.items()})


@pytest.fixture
def buckets(s3: Any) -> Buckets:
    return make_buckets(s3)


@pytest.fixture(scope="session")
def spark(laptop: Laptop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The session of the jobs, in a JVM as the laptop cloud starts it for them, with its S3."""
    from local import toolchain
    from local.engines import jvm, spark_conf

    directory = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_CHILDREN", str(directory / "children"))
        machine = jvm.start(toolchain.prepare(), directory / "jvm")
        try:
            machine.configure(
                {
                    **spark_conf.defaults(laptop.endpoint, directory),
                    "spark.hadoop.fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
                    "spark.hadoop.fs.s3a.access.key": "test",
                    "spark.hadoop.fs.s3a.secret.key": "test",
                }
            )
            patch.setenv("PYSPARK_GATEWAY_PORT", str(machine.port))
            patch.setenv("PYSPARK_GATEWAY_SECRET", machine.secret)
            from lake.spark.session import spark_session

            session = spark_session("tests")
            session.conf.set("spark.sql.shuffle.partitions", "2")
            yield session
            session.stop()
        finally:
            machine.end()


@pytest.fixture(scope="session")
def new_lake(spark: Any, s3: Any, contracts: dict[str, Contract]) -> Callable[[], Any]:
    """Makes empty silver_lake.Lake s."""
    from silver_lake import Lake

    return lambda: Lake(spark=spark, s3=s3, buckets=make_buckets(s3), contracts=contracts)


@pytest.fixture
def lake(new_lake: Callable[[], Any]) -> Any:
    return new_lake()
