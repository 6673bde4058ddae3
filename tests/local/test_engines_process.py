"""Starting, looking at and ending the laptop cloud; nothing it started outlives it."""

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
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


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_lambdas_were_unpacked_into_is_gone_with_the_home(home: Path, how: signal.Signals) -> None:
    ports = free_laptop_ports()
    daemon = process.start(home, ports)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    clients = {name: boto3.client(name, endpoint_url=f"http://127.0.0.1:{ports['port']}", **keys) for name in ("iam", "lambda")}
    role = clients["iam"].create_role(RoleName="runs", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return __file__\n")
    name = f"unpacked-{home.parent.name}-{how.name}"
    clients["lambda"].create_function(
        FunctionName=name, Runtime="python3.11", Role=role, Handler="index.handler", Code={"ZipFile": package.getvalue()}
    )
    answer = clients["lambda"].invoke(FunctionName=name)["Payload"].read().decode()
    assert str(home) in answer
    os.kill(daemon.pid, how)
    end = time.monotonic() + 15
    while process.inspect(home).state not in ("dead", "stopped") and time.monotonic() < end:
        time.sleep(0.05)
    if how == signal.SIGKILL:  # nothing can be tidied then but by the next one
        process.start(home, ports)
        assert not list((home / "tmp").glob(f"*{name}*"))
        process.stop(home)
    assert not (home / "tmp").exists()
    assert not list(Path(tempfile.gettempdir()).glob(f"*{name}*"))


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
