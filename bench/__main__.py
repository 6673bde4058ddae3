"""`make bench`: one line a measure, the figure and its ratio to the alternative, both taken in this run.

Needs a running laptop cloud of its own; starts one in a temporary directory on free ports.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LAKE = Path(sys.executable).parent / "lake"
ROWS = 100_000
LATE = """
    SELECT neighborhood, count(*) AS late, median(days) AS median_days FROM (
        SELECT neighborhood, (epoch_us(closed) - epoch_us(target)) / 86400e6 AS days FROM (
            SELECT DISTINCT ON (case_enquiry_id) nullif(trim(neighborhood), '') AS neighborhood, case_status,
                try_cast(closed_dt AS timestamp) AT TIME ZONE 'America/New_York' AS closed,
                try_cast(nullif(target_dt, '2059-12-31 19:00:00') AS timestamp) AT TIME ZONE 'America/New_York' AS target
            FROM read_csv('{files}', all_varchar = true) ORDER BY case_enquiry_id)
        WHERE case_status = 'Closed' AND closed > target)
    GROUP BY neighborhood ORDER BY neighborhood"""
ASKED = """
    SELECT neighborhood, count(*) AS late, approx_percentile(delay_days, 0.5) AS median_days
    FROM gold.case_delays GROUP BY neighborhood ORDER BY neighborhood"""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    answer = work()
    return time.perf_counter() - started, answer


def lake(*arguments: str) -> str:
    return subprocess.run([LAKE, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def show(what: str, seconds: float, other: str, others: float) -> None:
    print(f"{what:<46}{seconds:8.2f} s   {other:<34}{others:8.2f} s   ratio {seconds / others:6.1f}", flush=True)


def main() -> None:
    """First load, a run without changes and a question, against DuckDB straight on the same files."""
    import duckdb
    import requests

    with tempfile.TemporaryDirectory() as scratch, socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        ports = [str(probe.getsockname()[1]) for probe in (one, two)]
        one.close()
        two.close()
        os.environ.update(LAKE_HOME=f"{scratch}/home", LAKE_PORT=ports[0], LAKE_PORTAL_PORT=ports[1])
        try:
            lake("up")
            control = f"http://127.0.0.1:{ports[1]}/_control"
            requests.put(control, json={"origin": "simulated", "seed": 7, "rows": ROWS}, timeout=60).raise_for_status()
            first, report = timed(lambda: json.loads(lake("run", "boston311", "--format", "json")))
            again, _ = timed(lambda: lake("run", "boston311", "--format", "json"))
            asked, answer = timed(lambda: json.loads(lake("query", ASKED, "--format", "json")))
            files = Path(scratch) / "files"
            files.mkdir()
            package = requests.get(f"http://127.0.0.1:{ports[1]}/api/3/action/package_show?id=311-service-requests", timeout=60)
            for resource in package.json()["result"]["resources"]:
                if resource["format"] == "CSV":
                    (files / f"{resource['id']}.csv").write_bytes(requests.get(resource["url"], timeout=600).content)
            straight, rows = timed(lambda: duckdb.sql(LATE.format(files=f"{files}/*.csv")).fetchall())
            read = report["tables"][0]["read"]
            same = [(r["neighborhood"], r["late"]) for r in answer] == [row[:2] for row in rows]
            show(f"{read:,} rows, portal to gold", first, "DuckDB, files to answer", straight)
            show("a run in which nothing changed", again, "the first run", first)
            show("a question to Athena, command included", asked, "DuckDB, files to answer", straight)
            print(f"answers equal: {same}")
        finally:
            lake("down", "--wipe", "--yes")


if __name__ == "__main__":
    main()
