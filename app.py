"""Settings -> stacks -> checks. No credentials, no network, no account: `cdk synth -c env=local|dev|prod|everything`."""

import sys
from typing import Any

from aws_cdk import App, Aws, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from lake.names import PROJECT
from lake.odcs import ContractError, load_all
from lake.settings import SettingsError, load
from stacks.access import Access
from stacks.boston311 import Boston311
from stacks.coins import Coins
from stacks.foundation import Foundation
from stacks.packages import PackageError


def build(app: App) -> None:
    """All stacks of the environment that the context names."""
    settings = load(app.node.try_get_context("env") or "local")
    names = settings.names(account=Aws.ACCOUNT_ID)
    contracts = load_all()
    foundation = Foundation(app, names.stack("foundation"), settings=settings, names=names, contracts=contracts)
    upon: dict[str, Any] = {"settings": settings, "names": names, "contracts": contracts, "foundation": foundation}
    Boston311(app, names.stack("boston311"), **upon)
    Coins(app, names.stack("coins"), **upon)
    Access(app, names.stack("access"), **upon)
    Tags.of(app).add("project", PROJECT)
    Tags.of(app).add("environment", settings.env)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True))


if __name__ == "__main__":
    # CDK's own template validation takes half of a synthesis to start; the tests run it, and cfn-lint, on every environment.
    app = App(builtin_cloud_formation_validation=False, analytics_reporting=False)
    try:
        build(app)
    except (SettingsError, ContractError, PackageError) as error:
        sys.exit(str(error))
    app.synth()
