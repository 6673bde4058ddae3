"""Glue crawlers: ministack's make nothing in five seconds; these read the data with their role and register its tables."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import Emulator
from local.engines.crawler_targets import Found, Reader, TargetError, table_name
from local.engines.spark import put_log

GLUE = "glue.amazonaws.com"
SESSION_NAME = "AWS-Crawler"
LOG_GROUP = "/aws-glue/crawlers"
UNFINISHED = ("RUNNING", "STOPPING")
Crawler = dict[str, Any]


def install(emulator: Emulator) -> None:
    """Replace what starting and stopping a crawler does."""
    engine = Crawlers(emulator)
    emulator.patch("services.glue", "_start_crawler", engine.start)
    emulator.patch("services.glue", "_stop_crawler", engine.stop)
    emulator.on_restored(engine.fail_interrupted)


class Stopped(Exception):
    """The crawl was stopped by StopCrawler."""


class Crawlers:
    """Glue's crawler operations over ministack's store of crawlers."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._crawlers = emulator.get("services.glue", "_crawlers")

    def start(self, request: dict[str, Any]) -> Any:
        name = request.get("Name", "")
        crawler = self._crawlers.get(name)
        if crawler is None:
            return self._emulator.refuse("EntityNotFoundException", f"Crawler entry with name {name} does not exist")
        if crawler["State"] != "READY":
            return self._emulator.refuse("CrawlerRunningException", f"Crawler with name {name} has already started")
        if not self._emulator.trusts(crawler["Role"], GLUE):
            said = f"Service is unable to assume provided role {crawler['Role']}. Please verify role's TrustPolicy"
            return self._emulator.refuse("InvalidInputException", said)
        crawler.update(State="RUNNING", CrawlElapsedTime=0)
        self._emulator.thread(self._work, crawler)
        return self._emulator.answer({})

    def stop(self, request: dict[str, Any]) -> Any:
        name = request.get("Name", "")
        crawler = self._crawlers.get(name)
        if crawler is None:
            return self._emulator.refuse("EntityNotFoundException", f"Crawler entry with name {name} does not exist")
        if crawler["State"] == "STOPPING":
            return self._emulator.refuse("CrawlerStoppingException", f"Crawler with name {name} is already stopping")
        if crawler["State"] != "RUNNING":
            return self._emulator.refuse("CrawlerNotRunningException", f"Crawler with name {name} isn't running")
        crawler["State"] = "STOPPING"
        return self._emulator.answer({})

    def fail_interrupted(self) -> None:
        """Crawls that a killed process left behind no longer run."""
        for name in list(self._crawlers):
            if self._crawlers[name]["State"] in UNFINISHED:
                _end(self._crawlers[name], time.time(), "FAILED", "The laptop cloud was stopped during the crawl")

    def _work(self, crawler: Crawler) -> None:
        started, lines = time.time(), [f"BENCHMARK : Running Start Crawl for Crawler {crawler['Name']}"]
        try:
            status, reason = "SUCCEEDED", ""
            lines += self._crawl(crawler)
        except Stopped:
            status, reason = "CANCELLED", ""
        except ClientError as error:
            status, reason = "FAILED", f"{error.response['Error']['Code']}: {error.response['Error'].get('Message')}"
        except TargetError as error:
            status, reason = "FAILED", str(error)
        except Exception as error:
            # A crawler that stays RUNNING for ever would hold its state machine: the failure is told, and the log has the trace.
            status, reason = "FAILED", f"Internal Service Exception: {type(error).__name__}: {error}"
            raise
        finally:
            if crawler["State"] == "RUNNING":
                crawler["State"] = "STOPPING"
            lines.append(f"ERROR : {reason}" if reason else "BENCHMARK : Crawler has finished running and is in state READY")
            put_log(self._emulator, LOG_GROUP, crawler["Name"], "\n".join(lines))
            _end(crawler, started, status, reason)

    def _crawl(self, crawler: Crawler) -> list[str]:
        """Registers all targets; returns lines for the log. Raises ClientError, TargetError, Stopped."""
        credentials = self._emulator.role_session(crawler["Role"], SESSION_NAME)
        glue = self._emulator.client("glue", credentials)
        glue.get_database(Name=crawler["DatabaseName"])
        reader = Reader(self._emulator, credentials)
        targets = crawler.get("Targets") or {}
        other = [k for k, v in targets.items() if v and k not in ("S3Targets", "DeltaTargets")]
        if other:
            raise TargetError(f"{', '.join(other)} are not crawled by the laptop cloud")
        found: list[Found] = []
        for target in targets.get("DeltaTargets") or []:
            if not target.get("CreateNativeDeltaTable"):
                raise TargetError(
                    "Delta targets without CreateNativeDeltaTable (symlink manifests) are not crawled by the laptop cloud"
                )
            for path in target.get("DeltaTables") or []:
                _go_on(crawler)
                found.append(reader.delta(path))
        for target in targets.get("S3Targets") or []:
            _go_on(crawler)
            found += reader.files(target.get("Path", ""), target.get("Exclusions") or [])
        lines = []
        for table in found:
            _go_on(crawler)
            lines.append(f"INFO : {_register(glue, crawler, table)}")
        return lines + _forget(glue, crawler, found)


def _go_on(crawler: Crawler) -> None:
    if crawler["State"] == "STOPPING":
        raise Stopped


def _register(glue: Any, crawler: Crawler, found: Found) -> str:
    """Creates the table or, as the crawler's policy says, updates it; then its partitions. Raises ClientError."""
    database, name = crawler["DatabaseName"], table_name(crawler.get("TablePrefix") or "", found.location)
    wanted = found.table_input(name, crawler["Name"])
    try:
        present = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        glue.create_table(DatabaseName=database, TableInput=wanted)
        done = "created"
    else:
        done = "left as it is"
        if (crawler.get("SchemaChangePolicy") or {}).get("UpdateBehavior", "UPDATE_IN_DATABASE") == "UPDATE_IN_DATABASE":
            wanted["Parameters"] = {**(present.get("Parameters") or {}), **wanted["Parameters"]}
            glue.update_table(DatabaseName=database, TableInput=wanted)
            done = "updated"
    if found.partitions:
        _add_partitions(glue, database, name, found)
    return f"Table {name} in database {database} {done}"


def _add_partitions(glue: Any, database: str, name: str, found: Found) -> None:
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
    known = {tuple(p["Values"]) for page in pages for p in page["Partitions"]}
    new = [found.partition_input(values) for values in found.partitions if values not in known]
    for start in range(0, len(new), 100):  # BatchCreatePartition takes 100
        glue.batch_create_partition(DatabaseName=database, TableName=name, PartitionInputList=new[start : start + 100])


def _forget(glue: Any, crawler: Crawler, found: list[Found]) -> list[str]:
    """What becomes of this crawler's tables whose data is gone, by the crawler's DeleteBehavior."""
    behaviour = (crawler.get("SchemaChangePolicy") or {}).get("DeleteBehavior", "DEPRECATE_IN_DATABASE")
    if behaviour == "LOG":
        return []
    prefix, lines = crawler.get("TablePrefix") or "", []
    kept = {table_name(prefix, table.location) for table in found}
    for page in glue.get_paginator("get_tables").paginate(DatabaseName=crawler["DatabaseName"]):
        for table in page["TableList"]:
            parameters = table.get("Parameters") or {}
            if parameters.get("UPDATED_BY_CRAWLER") != crawler["Name"] or table["Name"] in kept:
                continue
            if behaviour == "DELETE_FROM_DATABASE":
                glue.delete_table(DatabaseName=crawler["DatabaseName"], Name=table["Name"])
            else:
                fields = ("Name", "StorageDescriptor", "PartitionKeys", "TableType")
                again = {k: table[k] for k in fields if k in table}
                marked = {**parameters, "DEPRECATED_BY_CRAWLER": str(int(time.time() * 1000))}
                glue.update_table(DatabaseName=crawler["DatabaseName"], TableInput={**again, "Parameters": marked})
            lines.append(f"INFO : Table {table['Name']}: data is gone, {behaviour}")
    return lines


def _end(crawler: Crawler, started: float, status: str, reason: str) -> None:
    last = {"Status": status, "LogGroup": LOG_GROUP, "LogStream": crawler["Name"], "MessagePrefix": "", "StartTime": started}
    crawler["LastCrawl"] = {**last, "ErrorMessage": reason} if reason else last
    crawler["CrawlElapsedTime"] = int((time.time() - started) * 1000)
    crawler["State"] = "READY"
