"""The API key: read from Secrets Manager at run time, put on requests, shown nowhere."""

import re
from typing import Any

import requests
from botocore.exceptions import ClientError

HEADER = "X-CMC_PRO_API_KEY"
NO_KEY = frozenset({"", "-"})
_HEADER_VALUE = re.compile(r"[!-~]+")


class KeyMalformed(Exception):
    """The secret holds something that cannot be a key; the text does not show it."""


class ApiKey(requests.auth.AuthBase):
    """Puts itself on a request. Its text and its repr do not hold it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[HEADER] = self._value
        return request

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not written down")

    def scrub(self, text: str) -> str:
        """`text` without the key, should a server have echoed it."""
        return text.replace(self._value, "***")


def read_key(secretsmanager: Any, name: str) -> ApiKey | None:
    """None where there is no secret, or none but an empty value or "-": the public endpoint is asked, without a key.

    Raises KeyMalformed, ClientError (e.g. AccessDeniedException).
    """
    try:
        value = secretsmanager.get_secret_value(SecretId=name).get("SecretString") or ""
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return None
    value = value.strip()
    if value in NO_KEY:
        return None
    # Checked here because an HTTP library shows a header that it refuses.
    if not _HEADER_VALUE.fullmatch(value):
        raise KeyMalformed(f"the secret {name} holds blanks or other characters that no key has: put the bare key into it")
    return ApiKey(value)
