"""The full history of Boston 311 through silver and gold, against DuckDB doing the same work; then a thousand rows that changed."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from bench.boston311_duckdb import requests
from bench.laptop import Laptop, laptop, line, timed
from local.sources.boston311.editions import Edition
from local.sources.boston311.history import write_history
from local.sources.boston311.parts import YEARS, parts
from local.sources.boston311.vintages import NEW_SYSTEM

FULL, SMALL, CHANGED = 3_000_000, 60_000, 1_000
SEED = 311
DAYS = "(epoch_us({}) - epoch_us(opened_at)) / 86400e6"
GOLD = {
    "case_delays": """SELECT case_id, (epoch_us(closed_at) - epoch_us(target_at)) / 86400e6 AS delay_days FROM silver
        WHERE status = 'Closed' AND closed_at > target_at""",
    "neighborhood_service": f"""SELECT date_trunc('month', opened_at) AS month, neighborhood, reason, count(*),
        count(*) FILTER (status = 'Closed'), avg((closed_at <= target_at)::int),
        quantile_cont({DAYS.format("closed_at")}, [0.5, 0.9]) FROM silver GROUP BY 1, 2, 3""",
    "response_times": f"""SELECT type, year(opened_at), count(*), quantile_cont({DAYS.format("closed_at")}, [0.5, 0.9]) FROM silver
        GROUP BY 1, 2""",
}


def history(full: int = FULL, small: int = SMALL) -> Iterator[str]:
    changes = {}
    for rows in (full, small):
        with TemporaryDirectory() as scratch, laptop() as cloud:
            folder = Path(scratch) / "files"
            write_history(folder, rows, SEED)
            steps = cloud.steps("boston311", "--from", str(folder))
            if rows == full:
                silver, gold = _by_duckdb(folder, Path(scratch))
                yield line(f"silver of {rows:,} rows", steps["Silver"], "DuckDB, files to one Parquet table", silver)
                yield line("three gold tables of them", steps["Gold"], "DuckDB, the same questions", gold)
                yield f"downloaded and packed in {steps['Ingest']:.1f} s"
            changes[rows] = _changed(cloud, folder, rows)
    for what, seconds in changes[full].items():
        yield line(f"{CHANGED:,} changed rows into {full:,}: {what}", seconds, f"into {small:,}", changes[small][what])


def _by_duckdb(folder: Path, scratch: Path) -> tuple[float, float]:
    """Seconds for silver, and for gold of it, both from files to Parquet files."""
    files = {path.name: path for path in sorted(folder.glob("*.csv"))}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2")

        def write(query: str, name: str) -> None:
            connection.execute(f"COPY ({query}) TO '{scratch}/{name}.parquet'")

        silver, _ = timed(lambda: write(requests(files), "silver"))
        connection.execute(f"CREATE VIEW silver AS SELECT * FROM '{scratch}/silver.parquet'")
        gold, _ = timed(lambda: [write(query, name) for name, query in GOLD.items()])
    return silver, gold


def _changed(cloud: Laptop, folder: Path, rows: int) -> dict[str, float]:
    """A newer version of 2015, of whose rows CHANGED differ: seconds by what the silver job does with it, and of all steps."""
    part = next(p for p in parts(rows=rows, years=YEARS, new_system=NEW_SYSTEM, other={}) if p.key == "2015")
    edition = Edition(resource=part.key, changed=CHANGED)
    (folder / "2015.csv").write_bytes(b"".join(part.blocks(SEED, [edition])))
    steps = cloud.steps("boston311")
    log = cloud.lake("logs", "boston311")
    told = {what: float(seconds) for what, seconds in re.findall(r"(read|published) in ([\d.]+) s", log)}
    return {
        "parsing (a twentieth of all)": told["read"],
        "comparing and merging": told["published"],
        "all of silver": steps["Silver"],
        "all of gold": steps["Gold"],
    }
