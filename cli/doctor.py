"""`lake doctor`: what is wrong with this machine or the laptop cloud, and the way out."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.environment import Environment
from cli.output import emit_json
from lake import settings as lake_settings
from lake.jobs import SOURCES
from lake.names import LAPTOP_PORTS
from lake.settings import Settings

if TYPE_CHECKING:
    from local.process import Status

ROOT = Path(__file__).resolve().parent.parent
NODE_MAJORS = (22, 24)
FREE_GIGABYTES = 5


@dataclass(frozen=True)
class Finding:
    """remedy: empty when all is well."""

    what: str
    finding: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        return not self.remedy


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def doctor(env: str, form: str) -> None:
    """Check tools, ports, the process, the stacks and the leases. The exit status is 1 if something needs mending."""
    settings = lake_settings.load(env)
    findings = [finding for check in CHECKS for finding in check(settings)]
    if form == "json":
        emit_json([{"what": f.what, "finding": f.finding, "remedy": f.remedy, "well": f.well} for f in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.well else 'MEND'}  {finding.what}: {finding.finding}")
            if not finding.well:
                click.echo(f"      -> {finding.remedy}")
    sys.exit(0 if all(finding.well for finding in findings) else 1)


def _tools(_settings: Settings) -> Iterator[Finding]:
    from cli.deployment import node_path

    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", version, "" if sys.version_info[:2] == (3, 11) else "run `make setup` with Python 3.11 on PATH")
    node = shutil.which("node", path=node_path())
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip() if node else "none"
    major = int(said.lstrip("v").split(".")[0]) if said.startswith("v") else 0
    yield Finding("Node", said, "" if major in NODE_MAJORS else "run `make setup`: it installs Node 24 into .tools/node")
    cdk = ROOT / "node_modules" / ".bin" / "cdk"
    yield Finding("CDK command line", "installed" if cdk.exists() else "missing", "" if cdk.exists() else "run `make setup`")
    from local import toolchain

    try:
        tools = toolchain.prepare()
    except (toolchain.ToolchainError, subprocess.CalledProcessError) as error:
        yield Finding("Spark", str(error), "run `make setup`")
    else:
        yield Finding("Spark", f"{len(tools.jars)} jars, JDK at {tools.java_home}")


def _disk(_settings: Settings) -> Iterator[Finding]:
    from local.home import default_home

    home = default_home()
    place = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    remedy = "" if free >= FREE_GIGABYTES else f"free some space under {place}, or set LAKE_HOME to a larger disk"
    yield Finding("Disk", f"{free:.0f} GB free at {place}", remedy)


def _process(settings: Settings) -> Iterator[Finding]:
    from local import process
    from local.home import default_home

    if settings.laptop is None:
        return
    status = process.inspect(default_home())
    yield Finding("Laptop cloud", *_state(status))
    if status.state in ("running", "starting"):
        return
    for name, port in settings.laptop.ports.items():
        holder = process.holder(port)
        if holder is None:
            yield Finding(f"Port {port}", "free")
        else:
            remedy = f"end it, or choose another: {name} in config/{settings.env}.toml [laptop], or {LAPTOP_PORTS[name]}"
            yield Finding(f"Port {port}", f"in use by {holder}", remedy)


def _state(status: "Status") -> tuple[str, str]:
    if status.state == "running" and status.daemon is not None:
        return f"running, pid {status.daemon.pid}, {status.daemon.endpoint}", ""
    if status.state == "starting":
        return f"a process holds {status.log.parent} but does not answer", f"wait a moment; then `lake down`, and see {status.log}"
    if status.state == "dead":
        orphans = f", {len(status.orphans)} of its processes still run" if status.orphans else ""
        return f"it was killed{orphans}; its data is on disk", "`lake up` ends what is left over and starts again from there"
    return "stopped", "start it with `lake up`"


def _deployed(settings: Settings) -> Iterator[Finding]:
    if settings.laptop is None or not _running():
        return
    from cli.deployment import Deployment

    environment = Environment.open(settings.env)
    deployment = Deployment(environment)
    if deployment.is_current():
        yield Finding("Stacks", "deployed as they stand here")
        return
    states = deployment.stack_states()
    broken = [f"{name} is {state}" for name, state in states.items() if not state.endswith("COMPLETE") or "ROLLBACK" in state]
    yield Finding("Stacks", "; ".join(broken) or "not deployed as they stand here", "run `lake up`")


def _leases(settings: Settings) -> Iterator[Finding]:
    if settings.laptop is not None and not _running():
        return
    environment = Environment.open(settings.env)
    client, table = environment.client("dynamodb"), environment.names.lease_table
    try:
        items = client.scan(TableName=table)["Items"]
    except client.exceptions.ResourceNotFoundException:
        return  # said by the stacks' check
    machines = environment.client("stepfunctions")
    held = {item["source"]["S"]: item for item in items}
    for source in SOURCES:
        if source not in held:
            yield Finding(f"Lease of {source}", "free")
            continue
        item = held[source]
        try:
            state = machines.describe_execution(executionArn=item["execution_arn"]["S"])["status"]
        except machines.exceptions.ExecutionDoesNotExist:
            state = "gone"
        by = f"held by {item['run_id']['S']} ({state.lower()})"
        yield Finding(f"Lease of {source}", by if state == "RUNNING" else f"{by}; the next run takes it over")


def _running() -> bool:
    from local import process
    from local.home import default_home

    return process.inspect(default_home()).state == "running"


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (_tools, _disk, _process, _deployed, _leases)
