"""Objects of a versioned bucket, named by key and version."""

import json
from collections.abc import Iterator
from typing import Any

from lake.spark.ledger import Input


def versions(s3: Any, *, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    """(key, version id) of every version below `prefix`, oldest first within a key; delete markers are none."""
    found: dict[str, list[str]] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Versions", ()):
            found.setdefault(entry["Key"], []).append(entry["VersionId"])  # S3 lists the newest first
    for key in sorted(found):
        for version in reversed(found[key]):
            yield key, version


def new_manifests(s3: Any, *, bucket: str, prefix: str, taken: set[tuple[str, str]]) -> Iterator[Input]:
    """Inputs for the manifests that no batch has taken; `facts` is the manifest, whose `object` is the data to read."""
    for key, version in versions(s3, bucket=bucket, prefix=prefix):
        if (key, version) not in taken:
            body = s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"]
            yield Input(key=key, version=version, facts=json.load(body))


class Pinned:
    """Reads exactly the planned versions, though Spark can only name keys.

    A key whose newest version is the planned one is read in place; of any other the planned version is copied aside. Afterwards
    `unmoved()` tells whether each key read in place still is the planned version: only then may the result be committed.
    """

    def __init__(self, s3: Any, *, bucket: str, staging_bucket: str, staging_prefix: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._staging_bucket, self._staging_prefix = staging_bucket, staging_prefix
        self._in_place: dict[str, str] = {}

    def uri(self, key: str, version: str) -> str:
        """Address under which Spark reads that version."""
        if self._current(key) == version:
            self._in_place[key] = version
            return f"s3://{self._bucket}/{key}"
        copy = f"{self._staging_prefix}{version}/{key}"
        self._s3.copy({"Bucket": self._bucket, "Key": key, "VersionId": version}, self._staging_bucket, copy)
        return f"s3://{self._staging_bucket}/{copy}"

    def unmoved(self) -> bool:
        return all(self._current(key) == version for key, version in self._in_place.items())

    def forget(self) -> None:
        """Deletes what was copied aside: it holds rows as received."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._staging_bucket, Prefix=self._staging_prefix):
            for entry in page.get("Contents", ()):
                self._s3.delete_object(Bucket=self._staging_bucket, Key=entry["Key"])

    def _current(self, key: str) -> str | None:
        # By listing: the role may list below its prefixes only, and then S3 answers 403, not 404, to a look at what was deleted.
        listed = self._s3.list_object_versions(Bucket=self._bucket, Prefix=key)  # of one key, newest first
        found = [entry["VersionId"] for entry in listed.get("Versions", ()) if entry["Key"] == key and entry["IsLatest"]]
        return str(found[0]) if found else None
