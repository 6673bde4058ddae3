"""A failure as Step Functions hands it on, in words."""

import json
from typing import Any


def in_words(name: str, cause: str) -> str:
    """ "Name: message" from an error's name and cause.

    The cause is JSON of a Lambda (errorMessage), of a Glue run (ErrorMessage), of an EMR step (its FailureDetails, with or without
    Step around it), of another state's error (Cause), or plain text.
    """
    try:
        detail = json.loads(cause)
    except ValueError:
        detail = None
    message = (_message(detail) if isinstance(detail, dict) else "") or cause
    # States.TaskFailed only says that there is a cause, and the cause often begins with its own name.
    shown = [] if name == "States.TaskFailed" or message.startswith(f"{name}:") else [name]
    return ": ".join(part for part in (*shown, message) if part) or name


def _message(detail: dict[str, Any]) -> str:
    for key in ("errorMessage", "ErrorMessage"):
        if detail.get(key):
            return str(detail[key])
    if detail.get("Cause"):
        return in_words(str(detail.get("Error", "")), str(detail["Cause"]))
    status = (detail.get("Step") or detail).get("Status")
    failure = status.get("FailureDetails") or {} if isinstance(status, dict) else {}
    return str(failure.get("Message") or failure.get("Reason") or "")
