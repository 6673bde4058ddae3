"""`lake`: the commands, each in a module of its own that is imported when it is called."""

import importlib
import os
import sys
from typing import Any

import click

# command -> (module, attribute, line of help): `lake --help` must not import them all.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("cli.cloud", "up", "Start the laptop cloud and deploy every stack into it."),
    "down": ("cli.cloud", "down", "Stop the laptop cloud; --wipe also deletes its data."),
    "status": ("cli.status", "status", "Freshness, rows, quality and last runs."),
    "doctor": ("cli.doctor", "doctor", "Say what is wrong with this machine or the laptop cloud, and the way out."),
    "run": ("cli.run", "run", "Run a source: ingest, silver, gold, catalogue."),
    "replay": ("cli.run", "replay", "Make silver and gold anew from bronze."),
    "logs": ("cli.logs", "logs", "Every step's log of one run."),
    "job": ("cli.run", "job", "Submit one job."),
    "query": ("cli.query", "query", "Ask Athena a question in SQL."),
    "tables": ("cli.tables", "tables", "List the tables and what they hold."),
    "describe": ("cli.tables", "describe", "One table's columns, rules, quality and lineage."),
}


class Lazy(click.Group):
    """A group whose commands are imported at the call."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: Any = getattr(importlib.import_module(module), attribute)
        return _with_env(command) if isinstance(command, click.Command) else None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


def _with_env(command: click.Command) -> click.Command:
    """The command with --env among its own options too: people write it at either place."""

    def choose(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.obj = value

    for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        if not any(parameter.name == "env" for parameter in each.params):
            env = click.Option(
                ["--env"], metavar="ENV", expose_value=False, callback=choose, help="Environment of config/ENV.toml."
            )
            each.params.append(env)
    return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--env", "env", default="local", show_default=True, metavar="ENV", help="Environment of config/ENV.toml.")
@click.pass_context
def lake(ctx: click.Context, env: str) -> None:
    """Three sources, one lake, on AWS or, unchanged, on a laptop.

    \b
    Start here:
      lake up                      start the laptop cloud and deploy into it
      lake run boston311           portal -> bronze -> silver -> gold
      lake query "SELECT count(*) AS late FROM gold.case_delays"

    The same words work on an AWS environment with --env dev.
    """
    ctx.obj = env


def main() -> None:
    """Entry point: known errors end as one message and exit status 1, a closed pipe ends quietly."""
    from cli.errors import explain

    try:
        lake(prog_name="lake")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        click.echo(f"lake: {message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
