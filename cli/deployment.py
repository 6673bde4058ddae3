"""Synthesises the app and deploys it into the laptop cloud with the CDK's own command line."""

import hashlib
import json
import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

import click

from cli.environment import Environment
from cli.errors import LakeError

ROOT = Path(__file__).resolve().parent.parent
# What the templates and packages are made from.
INPUTS = (
    "app.py",
    "cdk.json",
    "config",
    "contracts",
    "glue_scripts",
    "ingestion",
    "lake",
    "package-lock.json",
    "requirements",
    "sensors",
    "spark_jobs",
    "stacks",
)


def node_path() -> str:
    """PATH with a suitable Node first: `make setup` puts one into .tools/node where the machine's is missing or unsuitable."""
    own = ROOT / ".tools" / "node" / "bin"
    return os.pathsep.join([str(own), os.environ["PATH"]]) if (own / "node").exists() else os.environ["PATH"]


class Deployment:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._record = environment.home / "deployed.json"
        self._assembly = environment.home / "cdk.out"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over everything that the templates and packages are made from, and the ports they name."""
        digest = hashlib.sha256(repr(self._environment.laptop).encode())
        for name in INPUTS:
            path = ROOT / name
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def is_current(self) -> bool:
        """Whether these very sources are deployed and every stack is whole."""
        if not self._record.exists():
            return False
        recorded = json.loads(self._record.read_text())
        if recorded["fingerprint"] != self.fingerprint:
            return False
        states = self.stack_states()
        return all(states.get(stack) in ("CREATE_COMPLETE", "UPDATE_COMPLETE") for stack in recorded["stacks"])

    def stack_states(self) -> dict[str, str]:
        pages = self._environment.client("cloudformation").get_paginator("describe_stacks").paginate()
        return {stack["StackName"]: stack["StackStatus"] for page in pages for stack in page["Stacks"]}

    def deploy(self) -> None:
        """Synthesises once, bootstraps if that was never done, deploys. Raises LakeError with the tool's own words."""
        self._record.unlink(missing_ok=True)
        env = self._environment.settings.env
        self._cdk("synthesising", "synth", "--quiet", "--context", f"env={env}", "--output", str(self._assembly))
        assembly = ("--app", str(self._assembly))
        if "CDKToolkit" not in self.stack_states():
            target = f"aws://{self._environment.account}/{self._environment.settings.region}"
            self._cdk("bootstrapping", "bootstrap", target, *assembly)
        self._cdk("deploying", "deploy", "--all", *assembly, "--require-approval", "never", "--progress", "events")
        manifest = json.loads((self._assembly / "manifest.json").read_text())
        stacks = [
            artifact.get("properties", {}).get("stackName", name)
            for name, artifact in manifest["artifacts"].items()
            if artifact["type"] == "aws:cloudformation:stack"
        ]
        self._record.write_text(json.dumps({"fingerprint": self.fingerprint, "stacks": stacks}))

    def _cdk(self, doing: str, *arguments: str) -> None:
        cdk = ROOT / "node_modules" / ".bin" / "cdk"
        if not cdk.exists() or shutil.which("node", path=node_path()) is None:
            raise LakeError("the CDK command line is not installed: run `make setup`")
        click.echo(f"{doing} ...", err=True)
        variables = {
            **os.environ,
            **self._environment.laptop_variables(),
            "PATH": node_path(),
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CI": "1",
        }
        done = subprocess.run(
            [str(cdk), *arguments, "--no-color", "--no-notices"],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        log = self._environment.home / f"cdk-{arguments[0]}.log"
        log.write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise LakeError(f"{doing} failed; from {log}:\n{_essence(done.stdout + done.stderr)}")


def _essence(output: str) -> str:
    """What the tool says of the failure: from its summary on, else its last lines."""
    lines = [line for line in output.splitlines() if line.strip()]
    summary = next((n for n, line in enumerate(lines) if "Failed resources:" in line), max(0, len(lines) - 25))
    return "\n".join(f"  {line}" for line in lines[summary:][:25])
