"""What a Python process that failed says about why, in one line, as Glue and EMR report it."""

import re

MESSAGE_LIMIT = 4000
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?(\w+)(?::\s?(.*))?$", re.DOTALL)


def failure_message(stderr: str, exit_code: int) -> str:
    """The exception of the last traceback, e.g. "ValueError: no such layer"; for Py4JJavaError with the Java exception and its
    innermost cause, because the first line says only which call failed. Without a traceback: the last line, else the exit code.
    """
    head, mark, tail = stderr.rpartition("Traceback (most recent call last):\n")
    if not mark:
        lines = [line for line in head.splitlines() or stderr.splitlines() if line.strip()]
        if exit_code < 0:
            return f"Command failed with exit code {128 - exit_code}"
        return lines[-1].strip()[:MESSAGE_LIMIT] if lines else f"Command failed with exit code {exit_code}"
    lines = tail.splitlines()
    first = next((n for n, line in enumerate(lines) if line and not line[0].isspace()), None)
    if first is None:
        return f"Command failed with exit code {exit_code}"
    found = _EXCEPTION.match(lines[first])
    message = f"{found[1]}: {found[2]}" if found and found[2] else lines[first]
    if found and found[1] == "Py4JJavaError":
        message = f"{found[1]}: {_java_cause(lines[first + 1 :])}"
    else:
        rest = [line for line in lines[first + 1 :] if line.strip()]
        message = "\n".join([message, *rest[:20]])
    return message[:MESSAGE_LIMIT]


def _java_cause(lines: list[str]) -> str:
    raised = next((line[2:] for line in lines if line.startswith(": ")), "")
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    if causes and causes[-1] not in raised:
        return f"{raised}; caused by {causes[-1]}"
    return raised
