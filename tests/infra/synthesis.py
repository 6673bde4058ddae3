"""Templates of an environment, synthesised once for all tests of a session, and a reader that resolves their intrinsics."""

import fcntl
import json
import runpy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
ACCOUNT, REGION, PARTITION = "000000000000", "us-east-1", "aws"
_PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": PARTITION, "AWS::URLSuffix": "amazonaws.com"}


@dataclass
class Template:
    """A stack's template; names and addresses come out as in account 000000000000."""

    stack: str
    path: Path
    body: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.body = json.loads(self.path.read_text())

    def of_type(self, type_: str) -> dict[str, dict[str, Any]]:
        """Resources of a type by logical id, unresolved."""
        return {name: r for name, r in self.body["Resources"].items() if r["Type"] == type_}

    def properties(self, type_: str) -> list[dict[str, Any]]:
        """Resolved properties of every resource of a type."""
        return [self.resolve(resource["Properties"]) for resource in self.of_type(type_).values()]

    def resolve(self, value: Any) -> Any:
        match value:
            case {"Ref": name}:
                return _PSEUDO.get(name, f"<{name}>")
            case {"Fn::GetAtt": [name, attribute]}:
                return f"<{name}.{attribute}>"
            case {"Fn::ImportValue": name}:
                return f"<import {name}>"
            case {"Fn::Join": [delimiter, parts]}:
                return delimiter.join(str(self.resolve(part)) for part in parts)
            case {"Fn::Sub": str(text)}:
                for name, known in _PSEUDO.items():
                    text = text.replace(f"${{{name}}}", known)
                return text
            case dict():
                return {key: self.resolve(item) for key, item in value.items()}
            case list():
                return [self.resolve(item) for item in value]
        return value


@dataclass(frozen=True)
class Assembly:
    """What one synthesis left: templates by stack ("foundation", ...) and the report of the checks."""

    directory: Path
    env: str

    def template(self, stack: str) -> Template:
        return Template(stack, self.directory / f"tributary-{self.env}-{stack}.template.json")

    def templates(self) -> list[Template]:
        prefix = f"tributary-{self.env}-"
        return [
            Template(path.name.removeprefix(prefix).removesuffix(".template.json"), path)
            for path in sorted(self.directory.glob("*.template.json"))
        ]

    def violations(self) -> list[str]:
        """ "rule at place" of everything that a check found."""
        report = json.loads((self.directory / "validation-report.json").read_text())
        return [
            f"{violation['ruleName']} at {place['constructPath']}"
            for plugin in report["pluginReports"]
            for violation in plugin["violations"]
            for place in violation["violatingConstructs"]
        ]


def context(**keys: str) -> dict[str, Any]:
    """cdk.json's feature flags, as the command line hands them to the app, and `keys`."""
    return {**json.loads((ROOT / "cdk.json").read_text())["context"], **keys}


def synthesise(directory: Path, *, env: str, destroy: bool = False) -> Assembly:
    """Runs app.py's `build` in this process, unless another worker of the session already did."""
    from aws_cdk import App

    target = directory / f"{env}{'-destroy' if destroy else ''}"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "validation-report.json").exists():
            app = App(outdir=str(target), context=context(env=env, **({"destroy": "true"} if destroy else {})))
            runpy.run_path(str(ROOT / "app.py"))["build"](app)
            try:
                app.synth()
            except RuntimeError as error:  # the report says what was found; `violations` reads it
                if "ValidationFailed" not in str(error):
                    raise
    return Assembly(target, env)
