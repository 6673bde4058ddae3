"""Starting, looking at and ending the laptop cloud; nothing it started outlives it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from bench.laptop import free_laptop_ports
from local import children, process


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LAKE_WARM_UP", "0")
    yield tmp_path / "home"
    process.stop(tmp_path / "home")


def test_from_stopped_to_running_to_stopped(home: Path) -> None:
    assert process.inspect(home).state == "stopped"
    ports = free_laptop_ports()
    daemon = process.start(home, ports)
    assert (daemon.ports, process.inspect(home).state) == (ports, "running")
    assert process.start(home, ports) == daemon
    assert process.stop(home)
    assert process.inspect(home).state == "stopped"
    assert [process.holder(port) for port in ports.values()] == [None] * len(ports)
    assert not process.stop(home)


def test_state_survives_a_stop_and_a_kill(home: Path) -> None:
    ports = free_laptop_ports()

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{ports['port']}", **keys)

    process.start(home, ports)
    client("s3").create_bucket(Bucket="kept")
    client("sqs").create_queue(QueueName="kept")
    client("s3").put_object(Bucket="kept", Key="k", Body=b"v")
    process.stop(home)
    daemon = process.start(home, ports)
    assert client("s3").get_object(Bucket="kept", Key="k")["Body"].read() == b"v"
    assert len(client("sqs").list_queues()["QueueUrls"]) == 1
    client("sqs").create_queue(QueueName="newer")
    client("s3").put_object(Bucket="kept", Key="newer", Body=b"v")
    time.sleep(4)  # snapshots are taken every three seconds
    os.kill(daemon.pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while process.inspect(home).state != "dead" and time.monotonic() < end:
        time.sleep(0.05)
    assert process.inspect(home).state == "dead"
    process.start(home, ports)
    assert client("s3").get_object(Bucket="kept", Key="newer")["Body"].read() == b"v"
    assert len(client("sqs").list_queues()["QueueUrls"]) == 2


def test_a_taken_port_is_told_with_its_holder(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(process.ProcessError, match=rf"in use by pid {os.getpid()} \(") as caught:
            process.start(home, {**free_laptop_ports(), "port": taken.getsockname()[1]})
    assert "config/local.toml" in str(caught.value)


def test_running_on_other_ports_is_told(home: Path) -> None:
    daemon = process.start(home, free_laptop_ports())
    with pytest.raises(process.ProcessError, match=f"already running on ports {daemon.ports['port']}"):
        process.start(home, free_laptop_ports())


def test_why_the_portal_does_not_start_is_told(home: Path) -> None:
    home.mkdir()
    (home / "portal.json").write_text('{"origin": "nowhere"}')
    with pytest.raises(process.ProcessError, match=r"ended at once(?s:.*)portal\.json(?s:.*)'nowhere'"):
        process.start(home, free_laptop_ports())
    assert "Traceback" in (home / "daemon.log").read_text()
    assert process.inspect(home).state == "stopped"


def test_a_pid_that_was_given_to_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_CHILDREN", str(tmp_path))
    sleeping = children.Child([sys.executable, "-c", "import time; time.sleep(60)"])
    time.sleep(0.05)  # start times have a resolution of a hundredth of a second
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        record = tmp_path / f"{sleeping.pid}.json"
        stale = record.read_text().replace(f'"pid": {sleeping.pid}', f'"pid": {bystander.pid}')
        (tmp_path / f"{bystander.pid}.json").write_text(stale)
        assert children.running(tmp_path) == [sleeping.pid]
        assert children.end_all(tmp_path) == 1
        assert bystander.poll() is None
        assert sleeping.wait(5) == -signal.SIGKILL
    finally:
        bystander.kill()
        bystander.wait()
