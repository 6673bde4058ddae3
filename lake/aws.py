"""The one place that makes AWS clients.

The endpoint, the region and the credentials come from the standard environment variables (`AWS_ENDPOINT_URL`, ...), so the same
code talks to AWS or to the laptop cloud.
"""

from functools import lru_cache
from typing import Any

DEFAULT_REGION = "us-east-1"


@lru_cache(maxsize=1)
def _session() -> Any:
    import boto3

    return boto3.session.Session()


@lru_cache(maxsize=64)
def client(service: str, *, region: str | None = None) -> Any:
    """A boto3 client for `service` with standard retries; region: the surroundings' own, if None."""
    from botocore.config import Config

    session = _session()
    config = Config(retries={"mode": "standard", "max_attempts": 5})
    return session.client(service, region_name=region or session.region_name or DEFAULT_REGION, config=config)


def split_uri(uri: str) -> tuple[str, str]:
    """("bucket", "key/or/prefix") of an s3:// address. Raises ValueError for anything else."""
    scheme, _, rest = uri.partition("://")
    if scheme != "s3" or not rest:
        raise ValueError(f"not an s3:// address: {uri!r}")
    bucket, _, key = rest.partition("/")
    return bucket, key
