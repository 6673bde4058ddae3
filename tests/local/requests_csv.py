"""Boston 311 service requests as the portal publishes them, for tests: CSV text, and objects with manifests in bronze."""

import csv
import gzip
import hashlib
import io
from collections.abc import Iterable
from typing import Any

from glue_scripts.boston311.clocks import Settings
from glue_scripts.boston311_silver import Boston311
from ingestion.boston311.bronze import Bronze
from ingestion.boston311.model import Manifest
from lake.contracts import Contract
from local.sources.boston311.vintages import VINTAGE_B

HEADER = VINTAGE_B.header.split(",")
PLAIN = {
    "open_dt": "2011-07-01 10:00:00",
    "target_dt": "2011-07-03 08:30:00",  # the city's hour, by which a file's clock is known,
    "closed_dt": "2011-07-02 10:00:00",
    "ontime": "ONTIME",
    "case_status": "Closed",
    "closure_reason": " ",
    "reason": "Sanitation",
    "neighborhood": "Roxbury",
    "latitude": "42.3",
    "longitude": "-71.1",
}

Request = dict[str, str]


def source(contracts: dict[str, Contract], settings: Settings | None = None) -> Boston311:
    return Boston311(
        contract=contracts["silver.service_requests"],
        superseded=contracts["silver.service_requests_superseded"],
        settings=settings or Settings(),
    )


def request(case_id: str, **fields: str) -> Request:
    """One row by the portal's column names; what is not given is plain or blank."""
    return {"case_enquiry_id": case_id, **PLAIN, **fields}


def open_request(case_id: str, **fields: str) -> Request:
    return request(case_id, **{"closed_dt": "", "case_status": "Open", **fields})


def unreadable(case_id: str) -> Request:
    return request(case_id, open_dt="not recorded")


def text(requests: Iterable[Request], *, header: list[str] = HEADER) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(requests)
    return out.getvalue()


def put_text(s3: Any, bucket: str, resource: str, csv_text: str, *, fetched_at: str, header: list[str]) -> tuple[str, str]:
    """Puts a resource into bronze as the ingestion does: data, then manifest. Returns (key, version) of the data."""
    body = csv_text.encode()
    digest = hashlib.sha256(body).hexdigest()
    bronze = Bronze(s3=s3, bucket=bucket, source="boston311")
    upload = bronze.upload(resource_id=resource, run_id=digest[:16])
    upload.write(gzip.compress(body))
    stored = upload.complete()
    manifest = Manifest(
        source="boston311",
        origin="files",
        run_id="ingestion",
        resource_id=resource,
        resource_name=resource,
        url=f"http://127.0.0.1/{resource}",
        last_modified=None,
        etag=None,
        sha256=digest,
        content_hash=digest,
        bytes=len(body),
        header=header,
        fetched_at=fetched_at,
        object=stored,
    )
    bronze.put_manifest(manifest)
    assert stored.version_id is not None
    return stored.key, stored.version_id
