"""Errors that a user can do something about, and how they are said."""


class LakeError(Exception):
    """Something the user can mend; the text says what happened, where, and what to do next."""


def explain(error: Exception) -> str | None:
    """The message for a known error, None for one that is a defect and deserves its traceback."""
    if isinstance(error, LakeError):
        return str(error)
    known = {"SettingsError", "ContractError", "ProcessError", "ToolchainError"}
    if type(error).__name__ in known:
        return str(error)
    if type(error).__module__.startswith("botocore"):
        return _aws(error)
    return None


def _aws(error: Exception) -> str:
    name, text = type(error).__name__, str(error)
    if name in ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "SSOTokenLoadError"):
        return f"no AWS credentials for this environment ({text}); sign in first, e.g. with `aws sso login`"
    if name in ("EndpointConnectionError", "ConnectionClosedError", "ConnectTimeoutError", "ReadTimeoutError"):
        return f"{text}\nIf this is the laptop cloud: `lake doctor` tells what is wrong, `lake up` starts it."
    return text
