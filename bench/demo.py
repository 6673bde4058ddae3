"""From nothing to an answer: `lake up`, a first run, a run without news and a question, against DuckDB on the same files."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import requests

from bench import boston311_duckdb
from bench.laptop import laptop, line, timed

ROWS = 100_000
LATE = "status = 'Closed' AND closed_at > target_at"
# A row whose opening cannot be read (one says the 30th of February) is in quarantine and in no answer.
STRAIGHT = f"""SELECT neighborhood, count(*) AS late FROM ({{requests}}) WHERE {LATE} AND opened_at IS NOT NULL
    GROUP BY neighborhood ORDER BY neighborhood"""
ASKED = "SELECT neighborhood, count(*) AS late FROM gold.case_delays GROUP BY neighborhood ORDER BY neighborhood"


def demo(rows: int = ROWS) -> Iterator[str]:
    with laptop() as cloud, TemporaryDirectory() as scratch:
        again_up, _ = timed(lambda: cloud.lake("up"))
        control = {"origin": "simulated", "seed": 7, "rows": rows}
        requests.put(f"{cloud.portal}/_control", json=control, timeout=60).raise_for_status()
        first, report = timed(lambda: json.loads(cloud.lake("run", "boston311", "--format", "json")))
        again, _ = timed(lambda: cloud.lake("run", "boston311", "--format", "json"))
        asked, answer = timed(lambda: json.loads(cloud.lake("query", ASKED, "--format", "json")))
        files = _downloaded(cloud.portal, Path(scratch))
        question = STRAIGHT.format(requests=boston311_duckdb.requests(files))
        straight, found = timed(lambda: duckdb.sql(question).fetchall())
        read = report["tables"][0]["read"]
        yield line(f"{read:,} rows, portal to gold", first, "DuckDB, files to answer", straight)
        yield line("a run in which nothing changed", again, "the first run", first)
        yield line("a question to Athena, command included", asked, "DuckDB, files to answer", straight)
        yield line("lake up where everything is up", again_up, "the first run", first)
        yield f"answers equal: {[tuple(row.values()) for row in answer] == found}"


def _downloaded(portal: str, folder: Path) -> dict[str, Path]:
    package = requests.get(f"{portal}/api/3/action/package_show?id=311-service-requests", timeout=60).json()["result"]
    files = {}
    for resource in package["resources"]:
        if resource["format"] == "CSV":
            files[resource["name"]] = folder / f"{resource['id']}.csv"
            files[resource["name"]].write_bytes(requests.get(resource["url"], timeout=600).content)
    return files
