"""Arguments of a job as its state machine passes them. Which there are: `lake.jobs.ARGUMENTS`."""

from aws_cdk import Aws

from lake.jobs import ARGUMENTS
from lake.names import LAYERS, Names


def fixed_arguments(source: str, *, names: Names) -> dict[str, str]:
    """Arguments that are the same in every run."""
    buckets = {f"--{layer}": f"s3://{names.bucket(layer)}" for layer in LAYERS}
    return {"--source": source, "--region": Aws.REGION, **buckets}


def run_arguments() -> dict[str, str]:
    """Arguments of one run, as JSONPath or intrinsic function over the machine's state."""
    return {
        "--run_id": "$$.Execution.Name",
        "--accept": "$.accept",
        "--replay": "$.replay",
        "--parameters": "States.JsonToString($.parameters)",
        "--settings": "States.JsonToString($.settings)",
    }


def command_line(source: str, *, names: Names) -> list[str]:
    """All arguments in the order of `lake.jobs.ARGUMENTS`, each name followed by its value as an intrinsic function takes it."""
    values = {**{name: f"'{text}'" for name, text in fixed_arguments(source, names=names).items()}, **run_arguments()}
    return [part for argument in ARGUMENTS for part in (f"'--{argument}'", values[f"--{argument}"])]
