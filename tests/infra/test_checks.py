"""cdk-nag, cfn-lint, and a synthesis that needs nothing but this repository."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from synthesis import ROOT, Assembly, context


def test_no_finding_is_unacknowledged(every: Assembly) -> None:
    assert every.violations() == []


def test_the_checks_are_switched_on(tmp_path: Path) -> None:
    """A bare bucket in the same kind of app is found, so an empty report means something."""
    from aws_cdk import App, Stack, Validations, aws_s3
    from cdk_nag import AwsSolutionsChecks

    app = App(outdir=str(tmp_path / "tributary-x"))
    aws_s3.Bucket(Stack(app, "Careless"), "Bucket")
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    found = Assembly(tmp_path / "tributary-x", "x").violations()
    assert "AwsSolutions-S10 at Careless/Bucket/Resource" in found


def test_app_registers_the_checks() -> None:
    assert "add_plugins(AwsSolutionsChecks(app" in (ROOT / "app.py").read_text()


@pytest.mark.parametrize("env", ["dev", "everything"])  # one cluster started by the machine, one kept by the stack
def test_templates_pass_cfn_lint(env: str, assembly: object) -> None:
    from cfnlint.api import ManualArgs, lint

    for template in assembly(env).templates():  # type: ignore[operator]
        # W3005: CDK itself adds the role's dependency beside its GetAtt.
        found = lint(template.path.read_text(), config=ManualArgs(regions=["us-east-1"], ignore_checks=["W3005"]))
        assert [f"{match.rule.id} {match.message}" for match in found] == []


def test_synthesis_needs_no_network_and_no_credentials(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a process leave the network (unshare -rn)")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
    environment |= {"CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": json.dumps(context(env="dev"))}
    done = subprocess.run(
        [unshare, "-rn", sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tributary-dev-foundation.template.json").exists()
