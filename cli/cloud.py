"""`lake up` and `lake down`: the laptop cloud with every stack deployed."""

import shutil
import sys
import time

import click

from cli.deployment import Deployment
from cli.environment import Environment
from cli.errors import LakeError
from lake import settings as lake_settings


@click.command()
@click.option("--force", is_flag=True, help="Synthesise and deploy even if nothing changed.")
@click.pass_obj
def up(env: str, force: bool) -> None:
    """Start the laptop cloud and deploy every stack into it.

    Nothing leaves 127.0.0.1 and no account is needed. The second time, with nothing changed, it takes a few seconds.
    """
    from local import process

    environment = Environment(lake_settings.load(env))
    started = time.monotonic()
    daemon = process.start(environment.home, environment.laptop.ports)
    click.echo(f"laptop cloud on {daemon.endpoint} (pid {daemon.pid})", err=True)
    deployment = Deployment(Environment.open(env))
    if not force and deployment.is_current():
        click.echo(f"every stack is deployed as it stands here; ready in {time.monotonic() - started:.1f} s", err=True)
        return
    deployment.deploy()
    click.echo(f"deployed in {time.monotonic() - started:.1f} s; next: lake run boston311", err=True)


@click.command()
@click.option("--wipe", is_flag=True, help="Also delete all data of the laptop cloud.")
@click.option("--yes", is_flag=True, help="Do not ask before wiping.")
@click.pass_obj
def down(env: str, wipe: bool, yes: bool) -> None:
    """Stop the laptop cloud. Data and deployed stacks stay, unless --wipe is given."""
    from local import process

    environment = Environment(lake_settings.load(env))
    if not environment.is_laptop:
        raise LakeError(f"{env} is no laptop cloud; to remove its stacks see the README, section Clean-up")
    home = environment.home
    if wipe and not yes:
        if not sys.stdin.isatty():
            raise LakeError("--wipe deletes data and nobody is there to be asked: say so with --yes")
        click.confirm(f"delete everything under {home}?", abort=True, err=True)
    was_running = process.stop(home)
    click.echo("laptop cloud stopped" if was_running else "the laptop cloud was not running", err=True)
    if wipe:
        from local.engines.postgres_program import remove

        remove(home / "postgres")  # its processes, killed just now, may still be ending
        shutil.rmtree(home, ignore_errors=False) if home.exists() else None
        click.echo(f"deleted {home}", err=True)
