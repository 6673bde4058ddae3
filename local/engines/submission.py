"""How Glue and EMR are told what to run: Glue's arguments and spark-submit's command line. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Arguments that Glue keeps for itself: the script gets them too, but they say how to run it.
PY_FILES = "--extra-py-files"
CONF = "--conf"

# spark-submit options with a value that has no meaning on one machine.
_IGNORED = {
    *("--master", "--deploy-mode", "--driver-memory", "--driver-cores", "--executor-memory", "--executor-cores"),
    *("--num-executors", "--total-executor-cores", "--queue", "--driver-java-options"),
}


class SubmissionError(ValueError):
    """A submission that cannot be run; the text names the argument."""


@dataclass(frozen=True)
class Submission:
    """script: URI; arguments: for the script; py_files: URIs; conf: Spark settings."""

    script: str
    arguments: list[str] = field(default_factory=list)
    py_files: list[str] = field(default_factory=list)
    conf: dict[str, str] = field(default_factory=dict)


def _setting(text: str) -> tuple[str, str]:
    name, mark, value = text.strip().partition("=")
    if not mark or not name:
        raise SubmissionError(f"not a Spark setting: {text!r} (expected name=value)")
    return name, value


def split_conf(chain: str) -> dict[str, str]:
    """Glue takes one --conf only, so settings are chained in its value: "a=1 --conf b=2"."""
    return dict(_setting(part) for part in chain.split("--conf ") if part.strip())


def _uris(text: str) -> list[str]:
    return [uri.strip() for uri in text.split(",") if uri.strip()]


def glue_arguments(script: str, defaults: Mapping[str, str], given: Mapping[str, str], fixed: Mapping[str, str]) -> Submission:
    """Merge a Glue job's DefaultArguments, the run's Arguments over them, and NonOverridableArguments over all."""
    merged = {**defaults, **given, **fixed}
    passed = [part for name, value in merged.items() if name != CONF for part in ((name, value) if value else (name,))]
    return Submission(script, passed, _uris(merged.get(PY_FILES, "")), split_conf(merged.get(CONF, "")))


def spark_submit(command: Sequence[str]) -> Submission:
    """Parse the arguments of an EMR step: `spark-submit [options] script [arguments]`.

    Where to run it (deploy mode, executors) is dropped: there is one machine. Raises SubmissionError for what cannot be honoured.
    """
    if not command or command[0] != "spark-submit":
        raise SubmissionError(f"only spark-submit can be run, not {command[0] if command else 'nothing'!r}")
    words = list(command[1:])
    py_files: list[str] = []
    conf: dict[str, str] = {}
    while words and words[0].startswith("-"):
        option, mark, value = words.pop(0).partition("=")
        if option in ("--verbose", "-v"):
            continue
        if not mark:
            if not words:
                raise SubmissionError(f"{option} has no value")
            value = words.pop(0)
        if option == "--py-files":
            py_files += _uris(value)
        elif option in ("--conf", "-c"):
            conf.update([_setting(value)])
        elif option == "--name":
            conf["spark.app.name"] = value
        elif option not in _IGNORED:
            raise SubmissionError(f"{option} is not supported here")
    if not words:
        raise SubmissionError("spark-submit names no script")
    # Memory and executors of a cluster say nothing about a laptop.
    kept = {name: value for name, value in conf.items() if not name.startswith(("spark.executor.", "spark.driver.memory"))}
    return Submission(
        words[0], words[1:], py_files, {k: v for k, v in kept.items() if k not in ("spark.master", "spark.submit.deployMode")}
    )
