"""Bronze as this source writes it: one gzip object per resource version, its manifest, the origin."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError

from ingestion.boston311.model import Manifest, Progress
from ingestion.boston311.transform import parse_manifest
from ingestion.bronze import SourceBucket, StoredObject
from lake.names import manifest_key, manifest_prefix

# S3 takes at most 10,000 parts and none but the last below 5 MiB: 8 MiB reach 78 GiB, packed, with one part in memory.
PART_BYTES = 8 << 20
GZIP = "application/gzip"


class Bronze(SourceBucket):
    """Bronze of this source."""

    def manifest(self, resource_id: str) -> Manifest | None:
        """The newest manifest; None when there is none or it does not parse."""
        key = manifest_key(self._source, resource_id)
        body = self.read(key)
        return None if body is None else parse_manifest(body)

    def resource_ids(self) -> Iterator[str]:
        """Every resource that has a manifest."""
        prefix = manifest_prefix(self._source)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for entry in page.get("Contents", []):
                yield entry["Key"].removeprefix(prefix).removesuffix(".json")

    def upload(self, *, resource_id: str, run_id: str) -> "Upload":
        """Of a new version of a resource. A run's own key: what a body hashes to is known only after its last byte."""
        return Upload(s3=self._s3, bucket=self._bucket, key=f"{self._source}/resources/{resource_id}/{run_id}.csv.gz")

    def resumed_upload(self, progress: Progress) -> "Upload":
        return Upload(s3=self._s3, bucket=self._bucket, key=progress.key, upload_id=progress.upload_id, parts=tuple(progress.parts))

    def put_manifest(self, manifest: Manifest) -> None:
        self._s3.put_object(
            Bucket=self._bucket,
            Key=manifest_key(self._source, manifest.resource_id),
            Body=manifest.model_dump_json().encode(),
            ContentType="application/json",
        )


class UploadLost(Exception):
    """The multipart upload is gone: aborted, or completed by an invocation that ended before it could answer."""


class Upload:
    """One gzip object on its way into the bucket, one part in memory; seen by nobody before `complete`.

    upload_id: of the multipart upload, None until one part is full; parts: ETags of its parts.
    """

    def __init__(self, *, s3: Any, bucket: str, key: str, upload_id: str | None = None, parts: Sequence[str] = ()) -> None:
        self._s3, self._target = s3, {"Bucket": bucket, "Key": key}
        self.key, self.upload_id, self.parts = key, upload_id, list(parts)
        self._part = bytearray()

    def write(self, data: bytes) -> None:
        self._part += data

    @property
    def is_part(self) -> bool:
        """Whether what was written since the last part is enough for one."""
        return len(self._part) >= PART_BYTES

    def end_part(self) -> None:
        if self.upload_id is None:
            self.upload_id = self._s3.create_multipart_upload(**self._target, ContentType=GZIP)["UploadId"]
        number = len(self.parts) + 1
        with _lost_if_gone(self.upload_id):
            answer = self._s3.upload_part(**self._target, UploadId=self.upload_id, PartNumber=number, Body=bytes(self._part))
        self.parts.append(answer["ETag"].strip('"'))
        self._part.clear()

    def complete(self) -> StoredObject:
        """Makes the object visible."""
        if self.upload_id is None:
            answer = self._s3.put_object(**self._target, Body=bytes(self._part), ContentType=GZIP)
        else:
            if self._part:
                self.end_part()
            parts = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in enumerate(self.parts, start=1)]
            with _lost_if_gone(self.upload_id):
                answer = self._s3.complete_multipart_upload(
                    **self._target, UploadId=self.upload_id, MultipartUpload={"Parts": parts}
                )
            self.upload_id = None
        return StoredObject(key=self.key, version_id=answer.get("VersionId"), etag=answer["ETag"].strip('"'))

    def abort(self) -> None:
        """Leaves nothing behind."""
        if self.upload_id is not None:
            with suppress(UploadLost), _lost_if_gone(self.upload_id):
                self._s3.abort_multipart_upload(**self._target, UploadId=self.upload_id)
            self.upload_id = None


@contextmanager
def _lost_if_gone(upload_id: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchUpload", "InvalidPart"):
            raise
        raise UploadLost(f"upload {upload_id} is gone") from error
