"""Answers kept in files: their order, which run gets which, what is ignored and why."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from local.sources import coinmarketcap
from local.sources.coinmarketcap import TEST_KEY

COIN = {"id": 7, "name": "Seven", "symbol": "SVN", "slug": "seven", "cmc_rank": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "answers"
    write(directory / "a-newest.json", "2026-01-03T00:00:00.000Z", [COIN])
    write(directory / "sub" / "b-oldest.JSON", "2026-01-01T00:00:00.000Z", {"SVN": [COIN, {**COIN, "id": 3}]})
    write(directory / "c-middle.json", "2026-01-02T00:00:00.000Z", [COIN])
    (directory / "notes.csv").write_text("id\n1\n")
    (directory / "broken.json").write_text('{"status"')
    (directory / "list.json").write_text("[]")
    (directory / "error.json").write_text('{"status": {"timestamp": "2026-01-01T00:00:00Z", "error_code": 1001}}')
    (directory / "timeless.json").write_text('{"status": {}, "data": []}')
    write(directory / ".hidden" / "x.json", "2025-01-01T00:00:00.000Z", [])
    return directory


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Any:
    running = coinmarketcap.start(0, tmp_path / "home")
    assert serve(running, folder).status_code == 200
    yield running
    running.stop()


def write(path: Path, timestamp: str, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"status": {"timestamp": timestamp, "error_code": 0}, "data": data, "more": 1}, indent=3))


def serve(server: coinmarketcap.Server, folder: Path, **more: Any) -> requests.Response:
    return requests.put(f"{server.url}/_control", json={"origin": "files", "directory": str(folder), **more}, timeout=10)


def get(server: coinmarketcap.Server, path: str, **query: Any) -> requests.Response:
    return requests.get(f"{server.url}{path}", params=query, headers={"X-CMC_PRO_API_KEY": TEST_KEY}, timeout=10)


def run(server: coinmarketcap.Server, version: int = 3) -> bytes:
    """What a run gets: the first page of a listing."""
    answer = get(server, f"/v{version}/cryptocurrency/listings/latest", start=1, limit=5000)
    assert (answer.status_code, answer.headers["x-tributary-origin"]) == (200, "files")
    return answer.content


def test_each_run_gets_the_next_answer_as_it_is_and_at_last_the_last_one_again(server: coinmarketcap.Server, folder: Path) -> None:
    expected = [(folder / name).read_bytes() for name in ("sub/b-oldest.JSON", "c-middle.json", "a-newest.json", "a-newest.json")]
    assert [run(server, version) for version in (1, 3, 1, 3)] == expected


def test_a_restart_and_the_same_choice_again_go_on_where_it_was(tmp_path: Path, folder: Path) -> None:
    seen = []
    for again in (True, False, True):
        running = coinmarketcap.start(0, tmp_path / "elsewhere")
        if again:
            serve(running, folder)
        seen.append(json.loads(run(running))["status"]["timestamp"][:10])
        running.stop()
    assert seen == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_an_answer_that_comes_later_is_the_next_one(server: coinmarketcap.Server, folder: Path) -> None:
    for _ in range(4):
        run(server)
    write(folder / "d.json", "2026-01-04T00:00:00.000Z", [])
    write(folder / "e-too-old.json", "2025-12-31T00:00:00.000Z", [])
    assert [run(server), run(server)] == [(folder / "d.json").read_bytes()] * 2


def test_a_further_page_holds_nothing_and_is_no_run(server: coinmarketcap.Server, folder: Path) -> None:
    first = json.loads(run(server))
    page = get(server, "/v3/cryptocurrency/listings/latest", start=5001, limit=5000).json()
    assert page["data"] == []
    assert page["status"]["timestamp"] == first["status"]["timestamp"]
    assert run(server) == (folder / "c-middle.json").read_bytes()


def test_what_is_no_answer_is_listed_with_its_reason(server: coinmarketcap.Server) -> None:
    state = requests.get(f"{server.url}/_control", timeout=10).json()
    assert [answer["file"] for answer in state["answers"]] == ["sub/b-oldest.JSON", "c-middle.json", "a-newest.json"]
    reasons = {entry["file"]: entry["reason"] for entry in state["ignored"]}
    assert reasons.pop("broken.json").startswith("no JSON: ")
    assert reasons == {
        "notes.csv": "no *.json file",
        "list.json": "no JSON object with data",
        "error.json": "no JSON object with data",
        "timeless.json": "no status.timestamp in ISO 8601",
    }


def test_the_map_knows_the_coins_of_the_last_answer_and_nobody_inactive(server: coinmarketcap.Server) -> None:
    run(server)
    found = get(server, "/v1/cryptocurrency/map").json()["data"]
    assert [(coin["id"], coin["symbol"], coin["is_active"]) for coin in found] == [(3, "SVN", 1), (7, "SVN", 1)]
    assert get(server, "/v1/cryptocurrency/map", listing_status="inactive,untracked").json()["data"] == []
    assert get(server, "/v1/key/info").json()["data"]["plan"]["credit_limit_monthly"] == 15_000
    assert get(server, "/v2/cryptocurrency/quotes/latest", id=1).status_code == 404


def test_faults_come_with_files_too_and_lose_no_answer(server: coinmarketcap.Server, folder: Path) -> None:
    serve(server, folder, faults=[{"kind": "status", "status": 500, "times": 1}, {"kind": "wrong_json", "times": 1}])
    assert get(server, "/v3/cryptocurrency/listings/latest").status_code == 500
    assert run(server).startswith(b"<!DOCTYPE")
    assert run(server) == (folder / "sub/b-oldest.JSON").read_bytes()
    serve(server, folder, faults=[{"kind": "older", "minutes": 1440, "times": 1}])
    assert json.loads(run(server))["status"]["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert run(server) == (folder / "c-middle.json").read_bytes()


def test_a_folder_without_answers_is_refused_with_the_reasons(server: coinmarketcap.Server, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "x.csv").write_text("")
    answer = serve(server, tmp_path / "none")
    assert answer.status_code == 400
    assert "x.csv: no *.json file" in answer.json()["error"]["message"]
    a_file = serve(server, tmp_path / "none" / "x.csv")
    assert (a_file.status_code, "no directory" in a_file.text) == (400, True)


def test_a_folder_that_is_gone_is_told_to_who_asks(server: coinmarketcap.Server, folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    answer = get(server, "/v3/cryptocurrency/listings/latest")
    assert answer.status_code == 503
    assert str(folder) in answer.json()["message"]
    assert "gone" in requests.get(f"{server.url}/_control", timeout=10).json()["ignored"][0]["reason"]


def test_the_real_answers_come_byte_for_byte_in_the_order_of_their_time(server: coinmarketcap.Server, shared_data: Path) -> None:
    directory = shared_data / "cmc"
    state = serve(server, directory).json()
    files = [answer["file"] for answer in state["answers"]]
    assert len(files) == 6
    assert {entry["file"] for entry in state["ignored"]} == {"dms_LOAD00000001.csv", "error_bodies.jsonl", "error_codes.json"}
    assert [run(server) for _ in range(7)] == [(directory / file).read_bytes() for file in (*files, files[-1])]
    times = [answer["timestamp"] for answer in state["answers"]]
    assert times == sorted(times)
