"""From the portal to SQL through the deployed stacks, by the `lake` command alone; also when it is killed or forbidden on the way.

Tests share one lake and come in any order: each works on a year of its own and leaves nothing undone.
"""

import base64
import contextlib
import csv
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import requests
from conftest import ACCOUNT, Laptop

from ingestion.boston311.transfer import MARGIN_SECONDS
from lake.contracts import Contract
from lake.jobs import source_tables
from lake.names import WORKGROUP_LAYERS, Workgroup, ledger_prefix
from local import process
from local.children import identity
from local.sources.boston311.vintages import VINTAGE_B, csv_blocks

SILVER, GOLD = "silver.service_requests", "gold.case_delays"
TABLES = source_tables("boston311")
COUNTS = ("read", "written", "unchanged", "superseded", "quarantined", "withdrawn")
BOSTON = ZoneInfo("America/New_York")
OPENED, TARGET, CLOSED = 1, 2, 3
STATUS = 5
BASE_YEAR, ROWS = 2012, 120


Fields = list[str]


def simulated(year: int, rows: int = ROWS) -> list[Fields]:
    """A year's requests as the shipped generator makes them."""
    text = b"".join(csv_blocks(VINTAGE_B, seed=5, year=year, rows=rows)).decode()
    return list(csv.reader(io.StringIO(text)))[1:]


def instant(wall_clock: str) -> datetime:
    return datetime.fromisoformat(wall_clock).replace(tzinfo=BOSTON).astimezone(UTC)


def delays(requests: list[Fields]) -> dict[str, float]:
    """case number -> delay in days of the closed cases that were late."""
    found = {}
    for fields in requests:
        if fields[STATUS] == "Closed" and fields[TARGET] and not fields[TARGET].startswith("2059"):
            days = (instant(fields[CLOSED]) - instant(fields[TARGET])).total_seconds() / 86_400
            if days > 0:
                found[fields[0]] = days
    return found


def until(found: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"no {what} within {seconds} s")


@dataclass
class Line:
    """The one line through the lake: the portal's folder, and runs."""

    laptop: Laptop
    folder: Path

    def write(self, year: int, requests: list[Fields], header: str = VINTAGE_B.header) -> str:
        """Puts a resource into the portal's folder; its id."""
        name = f"{year}.csv"
        with (self.folder / name).open("w", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([header.split(","), *requests])
        return name

    @property
    def command(self) -> tuple[str, ...]:
        return ("run", "boston311", "--from", str(self.folder))

    def run(self, *options: str, code: int = 0) -> dict[str, Any]:
        """`lake run`; its report."""
        report: dict[str, Any] = self.laptop.json(*self.command, *options, code=code)
        return report

    def holds(self, year: int, requests: list[Fields]) -> None:
        """Asserts that silver and gold hold exactly these requests of that resource."""
        rows = self.laptop.query(f"SELECT case_id, case_title FROM {SILVER} WHERE resource_id = '{year}.csv'")
        assert sorted((r["case_id"], r["case_title"]) for r in rows) == sorted((f[0], f[7].strip()) for f in requests)
        rows = self.laptop.query(
            f"SELECT g.case_id, g.delay_days FROM {GOLD} g JOIN {SILVER} s ON g.case_id = s.case_id "
            f"WHERE s.resource_id = '{year}.csv'"
        )
        assert len(rows) == len({row["case_id"] for row in rows})
        assert {row["case_id"]: row["delay_days"] for row in rows} == pytest.approx(delays(requests), rel=1e-12)

    def tables(self) -> dict[str, list[str]]:
        """Every row of every table, as sorted JSON."""
        return {t: sorted(json.dumps(row) for row in self.laptop.query(f"SELECT * FROM {t}")) for t in TABLES}

    def executions(self) -> set[str]:
        machine = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{self.laptop.names.machine('boston311')}"
        found = self.laptop.client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=1000)
        return {execution["executionArn"] for execution in found["executions"]}

    def entered(self, execution: str, state: str) -> bool:
        history = self.laptop.client("stepfunctions").get_execution_history(executionArn=execution, maxResults=1000)
        entries = [event.get("stateEnteredEventDetails", {}) for event in history["events"]]
        return any(entry.get("name") == state for entry in entries)

    def plans(self) -> int:
        """Batches that the silver job has planned so far."""
        found = self.laptop.client("s3").list_objects_v2(
            Bucket=self.laptop.names.bucket("silver"), Prefix=ledger_prefix("boston311")
        )
        return sum(entry["Key"].endswith(".plan.json") for entry in found.get("Contents", ()))


def account(report: dict[str, Any], table: str = SILVER) -> dict[str, int]:
    """The counts of one table that are not zero."""
    (row,) = [row for row in report["tables"] if row["table"] == table]
    assert row["read"] == row["written"] + row["unchanged"] + row["superseded"] + row["quarantined"]
    return {name: row[name] for name in COUNTS if row[name]}


def versions(report: dict[str, Any]) -> dict[str, int]:
    return {row["table"]: row["version"] for row in report["tables"]}


@pytest.fixture(scope="session")
def line(deployed: Laptop, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A lake that one run has brought one year into."""
    made = Line(deployed, tmp_path_factory.mktemp("portal"))
    requests = simulated(BASE_YEAR)
    made.write(BASE_YEAR, requests)
    report = made.run()
    assert set(report) == {"source", "run_id", "outcome", "seconds", "error", "refused", "decisions", "tables"}
    assert (report["source"], report["outcome"], report["refused"]) == ("boston311", "succeeded", [])
    assert tuple(row["table"] for row in report["tables"]) == TABLES
    assert all(set(row) == {"table", "version", *COUNTS} for row in report["tables"])
    ((decided, why),) = [(decision["object"], decision["decision"]) for decision in report["decisions"]]
    assert decided == f"{BASE_YEAR}.csv"
    assert why.startswith("Boston's wall clock: deadlines that fit as they stand ")
    for table in TABLES[-2:]:
        counts = account(report, table)
        assert counts["read"] == counts["written"] > 0
    assert account(report) == {"read": ROWS, "written": ROWS}
    late = len(delays(requests))
    assert account(report, GOLD) == {"read": late, "written": late}
    made.holds(BASE_YEAR, requests)
    return made


def test_a_second_run_with_nothing_new_writes_nothing(line: Line) -> None:
    one, two = line.run(), line.run()
    assert [account(two, table) for table in TABLES] == [{}] * len(TABLES)
    assert versions(one) == versions(two)


def test_a_replay_gives_the_same_tables(line: Line) -> None:
    quarantine = f"SELECT count(*) AS n FROM {SILVER}_quarantine"
    before, bad = line.tables(), line.laptop.query(quarantine)
    report = line.laptop.json("replay", "boston311")
    for table in TABLES:
        counts = account(report, table)
        assert set(counts) <= {"read", "unchanged", "superseded", "quarantined"}, table  # bad rows of other tests are met again
        assert counts.get("unchanged", 0) == len(before[table]), table
    assert (line.tables(), line.laptop.query(quarantine)) == (before, bad)


def test_a_resource_that_is_published_no_more_is_told_and_withdraws_nothing(line: Line) -> None:
    requests = simulated(2020)
    path = line.folder / line.write(2020, requests)
    line.run()
    aside = path.rename(path.with_suffix(".aside"))
    try:
        report = line.run()
    finally:
        aside.rename(path)
    assert {"object": "2020.csv", "decision": "no longer in the package; its rows stay"} in report["decisions"]
    assert account(report) == {}
    line.holds(2020, requests)


@pytest.fixture
def short_lived(line: Line) -> Iterator[None]:
    """The ingestion Lambda has 5 s for a download, beside the margin that it keeps."""
    client, name = line.laptop.client("lambda"), line.laptop.names.function("boston311", "ingest")
    before = client.get_function_configuration(FunctionName=name)["Timeout"]
    client.update_function_configuration(FunctionName=name, Timeout=int(MARGIN_SECONDS) + 5)
    yield
    client.update_function_configuration(FunctionName=name, Timeout=before)


def test_a_download_longer_than_the_lambdas_life_goes_on_in_the_next_invocation(line: Line, short_lived: None) -> None:
    """80 MB at 10 MB a second: the machine asks the Lambda again with its own answer until the resource is whole."""
    requests_ = simulated(2021)
    random = Random(5)
    # The nameless column, which silver ignores, holds text that hardly compresses: a part is full every few seconds.
    ballast = [[base64.b64encode(random.randbytes(500_000)).decode(), *fields] for fields in requests_]
    line.write(2021, ballast, header=f",{VINTAGE_B.header}")
    slow = {"on": "2021.csv", "kind": "slow", "bytes_per_second": 10_000_000}
    wish = {"origin": "files", "directory": str(line.folder), "faults": [slow]}
    requests.put(f"http://127.0.0.1:{line.laptop.ports['portal_port']}/_control", json=wish, timeout=60).raise_for_status()
    report = line.laptop.json("run", "boston311")
    said = line.laptop.lake("logs", report["run_id"], "--step", "ingest").stdout
    assert said.count("START RequestId") > 2, "one to discover, one to fetch this resource alone"
    assert account(report) == {"read": ROWS, "written": ROWS}
    line.holds(2021, requests_)
    line.write(2021, requests_)
    assert account(line.run()) == {"read": ROWS, "unchanged": ROWS}


def test_exactly_the_changed_rows_are_written_and_what_is_bad_is_refused_by_name(line: Line) -> None:
    """A resource with three changed rows, one that is no CSV, one cut off, and one with too many rows that cannot be read."""
    requests = simulated(2013)
    line.write(2013, requests)
    spoilt = [
        [*fields[:OPENED], "not recorded", *fields[OPENED + 1 :]] if n < 6 else fields for n, fields in enumerate(simulated(2014))
    ]
    line.write(2014, spoilt)
    page = line.folder / "page.csv"
    page.write_text("<!DOCTYPE html><html>blocked</html>")
    cut = line.folder / "cut.csv"
    lines = (line.folder / "2014.csv").read_text().splitlines(keepends=True)
    cut.write_text("".join([*lines[:51], lines[51][:30]]))
    first = line.run()
    page.unlink()
    cut.unlink()
    assert account(first) == {"read": ROWS, "written": ROWS}
    refused = {entry["object"]: entry["rule"] for entry in first["refused"]}
    assert refused.pop("page.csv").startswith("block_page: the body is a page for people, not a CSV")
    assert refused.pop("cut.csv").startswith("truncated_body: its last line (52) has 2 of 29 fields")
    ((key, rule),) = refused.items()
    assert key.startswith("boston311/resources/2014.csv/")
    assert rule == f"opened_at_unreadable: 6 of {ROWS} rows broke a rule, the contract allows 1.00%"

    for fields in requests[10:13]:
        fields[7] = "Changed title"
    line.write(2013, requests)
    second = line.run("--accept", first["run_id"])
    assert account(second) == {"read": 2 * ROWS, "written": ROWS - 6 + 3, "unchanged": ROWS - 3, "quarantined": 6}
    assert second["refused"] == []
    line.holds(2013, requests)
    line.holds(2014, spoilt[6:])
    rows = line.laptop.query(f"SELECT rule, count(*) AS n FROM {SILVER}_quarantine WHERE object = '{key}' GROUP BY rule")
    assert rows == [{"rule": "opened_at_unreadable", "n": 6}]


def test_answers_in_json_have_json_types(line: Line) -> None:
    (row,) = line.laptop.query(
        "SELECT 1 AS i, 2.5 AS d, 1e0 / 2 AS f, true AS b, null AS nothing, opened_at, delay_days, neighborhood "
        f"FROM {GOLD} WHERE opened_year = {BASE_YEAR} ORDER BY case_id LIMIT 1"
    )
    assert (row["i"], row["d"], row["f"], row["b"], row["nothing"]) == (1, "2.5", 0.5, True, None)
    assert datetime.fromisoformat(row["opened_at"]).year == BASE_YEAR
    assert isinstance(row["delay_days"], float)


def test_a_job_that_ends_well(line: Line) -> None:
    report = line.laptop.json("job", "submit", "boston311_gold", "--wait")
    assert report["outcome"] == "succeeded"
    assert account(report) == {}


def test_a_job_that_fails_says_why_and_leaves_its_log(line: Line) -> None:
    ended = line.laptop.lake(
        "job", "submit", "boston311_gold", "--wait", "--param", "min_delay_days=abc", "--format", "json", code=1
    )
    report = json.loads(ended.stdout)
    assert report["outcome"] == "failed"
    why = "min_delay_days must be a number of days, not 'abc'"
    assert why in report["error"]
    assert why in ended.stderr
    assert f"lake logs {report['run_id']}" in ended.stderr
    logged = line.laptop.lake("logs", report["run_id"]).stdout
    assert f"BadParameter: {why}" in logged
    assert "Traceback" in logged


def test_of_two_runs_at_once_one_is_refused(line: Line) -> None:
    requests = simulated(2015)
    line.write(2015, requests)
    running = [line.laptop.begin(*line.command, "--format", "json") for _ in range(2)]
    ended = sorted((one.communicate(), one.returncode) for one in running)
    reports = {code: json.loads(out) for (out, _), code in ended}
    assert set(reports) == {0, 1}
    assert account(reports[0]) == {"read": ROWS, "written": ROWS}
    assert reports[1]["error"].startswith("LeaseHeld")
    assert f"is being written by run {reports[0]['run_id']}" in reports[1]["error"]
    assert account(reports[1]) == {}
    line.holds(2015, requests)


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def child(laptop: Laptop, part: str) -> int | None:
    """The process of the laptop cloud whose command line contains `part`."""
    return next((pid for pid in laptop.children() if part in command_of(pid)), None)


def kill_the_spark_job(line: Line) -> None:
    planned = line.plans()
    running = line.laptop.begin(*line.command)
    until(lambda: line.plans() > planned, "batch")
    job = child(line.laptop, "--run_id")
    assert job is not None
    os.kill(job, signal.SIGKILL)
    _, said = running.communicate()
    assert running.returncode == 1, said


def kill_the_daemon(line: Line) -> None:
    planned = line.plans()
    running = line.laptop.begin(*line.command)
    until(lambda: line.plans() > planned, "batch")
    before = [pid for pid in line.laptop.children() if identity(pid)]
    assert before
    line.laptop.kill()
    _, said = running.communicate()
    assert running.returncode == 1, said
    assert "lake doctor" in said
    line.laptop.lake("up")
    assert [pid for pid in before if identity(pid)] == []


def kill_the_lambda(line: Line) -> None:
    """In mid-invocation: it is stopped before the run, and killed when the run waits for it."""
    name = line.laptop.names.function("boston311", "ingest")
    if child(line.laptop, name) is None:
        line.run("--only", "ingest")
    worker = child(line.laptop, name)
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    before = line.executions()
    running = line.laptop.begin(*line.command)
    until(lambda: any(line.entered(arn, "Ingest") for arn in line.executions() - before), "step Ingest")
    time.sleep(0.5)
    os.kill(worker, signal.SIGKILL)
    running.communicate()  # the machine invokes it again or fails: either is allowed


VICTIMS = {"job": (kill_the_spark_job, 2016), "daemon": (kill_the_daemon, 2017), "lambda": (kill_the_lambda, 2018)}


@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_in_mid_run_and_run_again_gives_the_same_tables(line: Line, victim: str) -> None:
    kill, year = VICTIMS[victim]
    requests = simulated(year)
    line.write(year, requests)
    kill(line)
    report = line.run()
    assert account(report) in ({"read": ROWS, "written": ROWS}, {})
    line.holds(year, requests)
    assert line.laptop.query(f"SELECT count(*) - count(DISTINCT case_id) AS twice FROM {SILVER}") == [{"twice": 0}]


def test_another_origin_is_refused_before_anything_is_switched(line: Line) -> None:
    said = line.laptop.lake("run", "boston311", "--from", "simulated", code=1).stderr
    assert "holds boston311 from origin 'files'" in said
    assert "lake down --wipe" in said
    assert account(line.laptop.json("run", "boston311", "--only", "ingest")) == {}, "the portal still serves the files"


def test_analysts_see_gold_and_not_silver(line: Line) -> None:
    assert line.laptop.lake("query", f"SELECT count(*) FROM {GOLD}", "--workgroup", "analysts").stdout
    refused = line.laptop.lake("query", f"SELECT count(*) FROM {SILVER}", "--workgroup", "analysts", code=1)
    assert "AccessDenied" in refused.stderr


@pytest.mark.parametrize("group", WORKGROUP_LAYERS)
def test_everybody_gets_answers_to_the_questions_kept_for_them(line: Line, group: Workgroup) -> None:
    athena = line.laptop.client("athena")
    kept = athena.list_named_queries(WorkGroup=line.laptop.names.workgroup(group))["NamedQueryIds"]
    queries = [athena.get_named_query(NamedQueryId=query)["NamedQuery"] for query in kept]
    assert queries
    for query in queries:
        assert line.laptop.lake("query", query["QueryString"], "--workgroup", group).stdout, query["Name"]


@pytest.fixture
def without(line: Line) -> Iterator[Callable[[str, str], None]]:
    """Takes an action out of a role's inline policies; puts it back afterwards."""
    iam = line.laptop.client("iam")
    taken: list[dict[str, str]] = []

    def take(role: str, action: str) -> None:
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            taken.append({"RoleName": role, "PolicyName": name, "PolicyDocument": json.dumps(document)})
            less = json.loads(json.dumps(document))
            for statement in less["Statement"]:
                actions = statement["Action"]
                assert actions != action
                statement["Action"] = [one for one in actions if one != action] if isinstance(actions, list) else actions
            assert less != document
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(less))

    yield take
    for policy in taken:
        iam.put_role_policy(**policy)


def test_a_job_without_one_of_its_permissions_fails_and_the_report_says_so(line: Line, without: Callable[[str, str], None]) -> None:
    without(line.laptop.names.role("boston311-silver"), "s3:ListBucketVersions")
    report = line.run("--only", "silver", code=1)
    assert report["outcome"] == "failed"
    assert "AccessDenied" in report["error"]
    assert "s3:ListBucketVersions" in report["error"]
    stored = line.laptop.query(f"SELECT outcome, error FROM bronze.runs WHERE run_id = '{report['run_id']}'")
    assert [row["outcome"] for row in stored] == ["failed"]
    assert "AccessDenied" in stored[0]["error"]


def test_down_leaves_no_process_and_up_again_finds_everything(line: Line) -> None:
    laptop = line.laptop
    count = laptop.query(f"SELECT count(*) AS n FROM {SILVER}")
    running = [pid for pid in laptop.children() if identity(pid)]
    daemon = json.loads((laptop.home / "daemon.json").read_text())["pid"]
    laptop.lake("down")
    assert [pid for pid in (daemon, *running) if identity(pid)] == []
    assert [process.holder(port) for port in laptop.ports.values()] == [None] * len(laptop.ports)
    assert "start it with `lake up`" in laptop.lake("query", "SELECT 1", code=1).stderr
    assert "every stack is deployed as it stands here" in laptop.lake("up").stderr
    assert "every stack is deployed as it stands here" in laptop.lake("up").stderr
    assert laptop.query(f"SELECT count(*) AS n FROM {SILVER}") == count


def test_a_port_in_use_is_told_with_its_holder(laptop: Laptop, tmp_path: Path) -> None:
    other = Laptop(tmp_path / "other", laptop.ports)
    daemon = json.loads((laptop.home / "daemon.json").read_text())["pid"]
    assert f"port {laptop.ports['port']} is in use by pid {daemon} " in other.lake("up", code=1).stderr


def test_crawled_tables_are_what_their_contracts_say(line: Line, contracts: dict[str, Contract]) -> None:
    glue = line.laptop.client("glue")
    for contract in contracts.values():
        if contract.format == "parquet":  # as replication delivers it; nothing has brought that into the catalogue yet
            continue
        found = glue.get_table(DatabaseName=contract.layer, Name=contract.table)["Table"]
        columns = [*found["StorageDescriptor"]["Columns"], *found.get("PartitionKeys", [])]
        assert {c["Name"]: c["Type"] for c in columns} == {c.name: c.type for c in contract.columns}, contract.name
        assert tuple(c["Name"] for c in found.get("PartitionKeys", [])) == contract.partitions


def sunday(year: int, month: int, first: int) -> date:
    """The first Sunday of a month on or after the day `first`."""
    return next(d for d in (date(year, month, first + n) for n in range(7)) if d.weekday() == 6)


# Boston's clock from these wall-clock times on, in hours behind UTC: a doubled hour counts as the first, a skipped one as later.
CHANGES = [
    change
    for year in range(2011, 2027)
    for change in ((f"{sunday(year, 3, 8)} 03:00:00", 4), (f"{sunday(year, 11, 1)} 02:00:00", 5))
]
MEDIANS = """
    WITH ranked AS (
        SELECT neighborhood, delay_days, row_number() OVER (PARTITION BY neighborhood ORDER BY delay_days) AS n,
            count(*) OVER (PARTITION BY neighborhood) AS late
        FROM gold.case_delays WHERE opened_at < timestamp '2012-01-01 05:00:00'
    )
    SELECT neighborhood, avg(delay_days) AS days, max(late) AS late FROM ranked WHERE n IN ((late + 1) / 2, (late + 2) / 2)
    GROUP BY neighborhood ORDER BY days DESC, neighborhood LIMIT 10
"""
SAME_IN_DUCKDB = """
    WITH read AS (
        SELECT trim(neighborhood) AS neighborhood, closed_dt::timestamp AS closed, target_dt::timestamp AS target
        FROM read_csv('{path}', all_varchar = true)
        WHERE case_status = 'Closed' AND trim(target_dt) <> '' AND target_dt <> '2059-12-31 19:00:00'
    ), instants AS (
        SELECT neighborhood, closed + to_hours(c.behind) AS closed, target + to_hours(t.behind) AS target
        FROM read ASOF JOIN changes c ON closed >= c.since ASOF JOIN changes t ON target >= t.since
    )
    SELECT nullif(neighborhood, '') AS neighborhood, median(epoch_us(closed) - epoch_us(target)) / 86400e6 AS days, count(*) AS late
    FROM instants WHERE closed > target GROUP BY 1 ORDER BY days DESC, 1 LIMIT 10
"""


def test_the_real_file_of_2011_gives_what_duckdb_reads_from_it(line: Line, shared_data: Path) -> None:
    source = shared_data / "boston311" / "legacy" / "2011_h2.csv"
    if not source.exists():
        pytest.skip("the real file of 2011 is absent")
    shutil.copy(source, line.folder / "2011_h2.csv")
    report = line.run()
    counts = account(report)
    assert counts["read"] == 58_251
    assert report["refused"] == []
    connection = duckdb.connect()
    connection.execute("CREATE TABLE changes (since timestamp, behind int)")
    connection.executemany("INSERT INTO changes VALUES (?, ?)", [("2000-01-01", 5), *CHANGES])
    expected = connection.execute(SAME_IN_DUCKDB.format(path=source)).fetchall()
    found = [(row["neighborhood"], row["days"], row["late"]) for row in line.laptop.query(MEDIANS)]
    assert [row[::2] for row in found] == [row[::2] for row in expected]
    assert [row[1] for row in found] == pytest.approx([row[1] for row in expected], rel=1e-12)
