"""A job's command line: what is fixed, what may be absent, what is refused before any work is done."""

import pytest

from lake.jobs import ARGUMENTS, EVERYTHING, NOTHING, parse

LINE = dict.fromkeys(ARGUMENTS, "x") | {"accept": NOTHING, "replay": NOTHING, "parameters": "{}", "settings": "{}"}


def line(**changes: str | None) -> list[str]:
    return [part for name, value in {**LINE, **changes}.items() if value is not None for part in (f"--{name}", value)]


def test_nothing_is_none_and_texts_are_objects() -> None:
    arguments = parse(line(replay=EVERYTHING, settings='{"legacy_clock": "boston"}'))
    assert (arguments.accept, arguments.replay, arguments.settings) == (None, "all", {"legacy_clock": "boston"})
    assert parse(line(replay="2026-02-17")).replay == "2026-02-17"


def test_a_run_without_replay_and_settings_has_none() -> None:
    arguments = parse(line(replay=None, settings=None))
    assert (arguments.replay, arguments.settings) == (None, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_id": None}, "--run_id"),
        ({"replay": "yesterday"}, "neither 'all' nor a date"),
        ({"settings": "[]"}, "--settings must be a JSON object of texts"),
        ({"parameters": '{"days": 7}'}, "--parameters must be a JSON object of texts"),
    ],
)
def test_a_wrong_line_ends_with_a_message(change: dict[str, str | None], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(line(**change))
    assert message in capsys.readouterr().err
