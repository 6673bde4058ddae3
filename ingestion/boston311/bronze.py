"""Bronze as this source writes it: one gzip object per resource version, its manifest, the origin. Keys: lake.names."""

import json
from collections.abc import Iterator
from typing import IO, Any

from botocore.exceptions import ClientError

from ingestion.boston311.model import Manifest, OriginMismatch, StoredObject
from ingestion.boston311.transform import parse_manifest
from lake.names import manifest_key, manifest_prefix, origin_key

# S3 takes at most 10,000 parts and none but the last below 5 MiB: 16 MiB reach 156 GiB with one part in memory.
PART_BYTES = 16 << 20


class Bronze:
    """The bronze bucket of one source. `s3`: a boto3 S3 client."""

    def __init__(self, *, s3: Any, bucket: str, source: str) -> None:
        self._s3, self._bucket, self._source = s3, bucket, source

    def claim_origin(self, origin: str) -> None:
        """Records the origin, once. Raises OriginMismatch when bronze holds another one."""
        key = origin_key(self._source)
        body = json.dumps({"origin": origin}).encode()
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*", ContentType="application/json")
        except ClientError as error:
            # 409: somebody is writing it at this moment; what he wrote is read below.
            if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
        held = json.loads(self._read(key))["origin"]
        if held != origin:
            raise OriginMismatch(
                f"the lake holds {self._source} from origin {held!r}, the portal now serves {origin!r}: "
                f"go back to {held!r}, or empty the lake with `lake down --wipe`"
            )

    def manifest(self, resource_id: str) -> Manifest | None:
        """The newest manifest; None when there is none or it does not parse."""
        key = manifest_key(self._source, resource_id)
        # Looked up by listing: the role may list below its prefix only, and then S3 answers 403 to a read of what is absent.
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        if [entry["Key"] for entry in listed] != [key]:
            return None
        return parse_manifest(self._read(key))

    def resource_ids(self) -> Iterator[str]:
        """Every resource that has a manifest."""
        prefix = manifest_prefix(self._source)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for entry in page.get("Contents", []):
                yield entry["Key"].removeprefix(prefix).removesuffix(".json")

    def put_data(self, *, resource_id: str, sha256: str, body: IO[bytes], size: int) -> StoredObject:
        """Stores `size` bytes of gzip. Nothing is visible, and no part is left, when it fails."""
        key = f"{self._source}/resources/{resource_id}/{sha256[:16]}.csv.gz"
        target = {"Bucket": self._bucket, "Key": key}
        if size <= PART_BYTES:
            answer = self._s3.put_object(**target, Body=body.read(), ContentType="application/gzip")
        else:
            answer = self._multipart(target, body)
        return StoredObject(key=key, version_id=answer.get("VersionId"), etag=answer["ETag"].strip('"'))

    def put_manifest(self, manifest: Manifest) -> None:
        self._s3.put_object(
            Bucket=self._bucket,
            Key=manifest_key(self._source, manifest.resource_id),
            Body=manifest.model_dump_json().encode(),
            ContentType="application/json",
        )

    def _multipart(self, target: dict[str, str], body: IO[bytes]) -> Any:
        upload = {
            **target,
            "UploadId": self._s3.create_multipart_upload(**target, ContentType="application/gzip")["UploadId"],
        }
        try:
            parts = []
            for number, part in enumerate(iter(lambda: body.read(PART_BYTES), b""), start=1):
                etag = self._s3.upload_part(**upload, PartNumber=number, Body=part)["ETag"]
                parts.append({"PartNumber": number, "ETag": etag})
            return self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            self._s3.abort_multipart_upload(**upload)
            raise

    def _read(self, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body
