"""Bronze as every source writes it: objects known by their version, and one origin for all of them."""

import json
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel

from lake.names import origin_key

Origin = Literal["simulated", "files", "live"]
JSON = "application/json"
GZIP = "application/gzip"


class OriginMismatch(Exception):
    """Bronze holds another origin than the source serves now; one lake holds one origin per source."""


class StoredObject(BaseModel):
    """One version of one object in bronze."""

    key: str
    version_id: str | None
    etag: str


class SourceBucket:
    """The bronze bucket of one source. `s3`: a boto3 S3 client."""

    def __init__(self, *, s3: Any, bucket: str, source: str) -> None:
        self._s3, self._bucket, self._source = s3, bucket, source

    @property
    def source(self) -> str:
        return self._source

    def claim_origin(self, origin: str) -> None:
        """Records the origin, once. Raises OriginMismatch when bronze holds another one."""
        key = origin_key(self._source)
        body = json.dumps({"origin": origin}).encode()
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*", ContentType=JSON)
        except ClientError as error:
            # 409: somebody is writing it at this moment; what he wrote is read below.
            if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
        held = json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())["origin"]
        if held != origin:
            raise OriginMismatch(
                f"the lake holds {self._source} from origin {held!r}, and now {origin!r} is served: "
                f"go back to {held!r}, or empty the lake with `lake down --wipe`"
            )

    def read(self, key: str) -> bytes | None:
        """The newest version of an object; None when there is none."""
        # Looked up by listing: the role may list below its prefix only, and then S3 answers 403 to a read of what is absent.
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        if [entry["Key"] for entry in listed] != [key]:
            return None
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body

    def read_version(self, stored: StoredObject) -> bytes:
        """Exactly this version. Raises ClientError (NoSuchKey, NoSuchVersion) when it is gone."""
        version = {"VersionId": stored.version_id} if stored.version_id else {}
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=stored.key, **version)["Body"].read()
        return body

    def put(self, key: str, body: bytes, *, content_type: str) -> StoredObject:
        answer = self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
        return StoredObject(key=key, version_id=answer.get("VersionId"), etag=answer["ETag"].strip('"'))
