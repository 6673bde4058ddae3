"""Memory and time of one download into bronze over the size of the resource, against a download into memory.

The portal is a server on 127.0.0.1 in this process, S3 the emulator's, the Lambda's handler runs in a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.laptop import free_laptop_ports
from local import process
from local.sources.boston311.vintages import VINTAGE_B, csv_blocks

MB = 1_000_000
SIZES_MB = (10, 100, 1000)
BUCKET = "bench"
# Both print {"before": ..., "peak": ...} in MiB of resident memory, and {"seconds": ...}.
_MEASURED = """
import json, os, pathlib, re, sys, time
# Not getrusage: that peak begins with what the parent held when this process was forked.
mib = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
url, size = sys.argv[1], sys.argv[2]
from ingestion.boston311 import handler
from lake import aws
s3 = aws.client("s3")
s3.list_buckets()
class Context:
    def get_remaining_time_in_millis(self): return 900_000
before, began = mib(), time.perf_counter()
{work}
print(json.dumps({{"before": before, "peak": mib(), "seconds": time.perf_counter() - began}}))
"""
_STREAMED = """
resource_ = {"resource_id": size, "name": size, "url": url}
answer = handler.handler({"op": "fetch", "run_id": "bench", "origin": "files", "resource": resource_}, Context())
assert answer["outcome"] == "changed", answer
"""
_IN_MEMORY = """
import gzip, requests
s3.put_object(Bucket=os.environ["BRONZE_BUCKET"], Key=f"in-memory-{size}", Body=gzip.compress(requests.get(url).content, 4))
"""


class _Portal(BaseHTTPRequestHandler):
    """/N: a CSV of about N bytes, repeated from a year's."""

    protocol_version = "HTTP/1.1"
    block = b""

    def do_GET(self) -> None:
        header, _, rows = self.block.partition(b"\n")
        times = (int(self.path[1:]) - len(header)) // len(rows) + 1
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("ETag", f'"{times}"')
        self.send_header("Content-Length", str(len(header) + 1 + times * len(rows)))
        self.end_headers()
        self.wfile.write(header + b"\n")
        for _ in range(times):
            self.wfile.write(rows)

    def log_message(self, format: str, *args: object) -> None:
        pass


def ingestion_memory(sizes_mb: Sequence[int] = SIZES_MB) -> list[str]:
    """A line a size: peak of resident memory, loaded code included, beside that of a download in memory; and both times."""
    lines = []
    with _portal() as portal, _s3() as environment:
        for size in sizes_mb:
            streamed, in_memory = (_measured(work, f"{portal}/{size * MB}", environment) for work in (_STREAMED, _IN_MEMORY))
            lines.append(
                f"{f'{size:,} MB into bronze, peak memory':<46}{streamed['peak']:8.0f} MiB "
                f"{'downloaded into memory':<33}{in_memory['peak']:8.0f} MiB "
                f"({streamed['seconds']:.1f} s, {in_memory['seconds']:.1f} s; loaded code {streamed['before']:.0f} MiB)"
            )
    return lines


def _measured(work: str, url: str, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-c", _MEASURED.format(work=work), url, url.rpartition("/")[2]]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@contextmanager
def _portal() -> Iterator[str]:
    _Portal.block = b"".join(csv_blocks(VINTAGE_B, seed=7, year=2022, rows=5_000))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def _s3() -> Iterator[dict[str, str]]:
    """The environment of a Lambda whose S3 is an emulator of its own, with an empty bucket."""
    with tempfile.TemporaryDirectory() as home:
        ports = free_laptop_ports()
        process.start(Path(home), ports)
        try:
            found = {
                **os.environ,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['port']}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "BRONZE_BUCKET": BUCKET,
                "PORTAL_URL": "http://127.0.0.1",
                "PACKAGE_ID": "bench",
                "SOURCE": "boston311",
            }
            make = f"from lake import aws; aws.client('s3').create_bucket(Bucket={BUCKET!r})"
            subprocess.run([sys.executable, "-c", make], env=found, check=True)
            yield found
        finally:
            process.stop(Path(home))


if __name__ == "__main__":
    print("\n".join(ingestion_memory()))
