"""Settings refuse what they do not know and say what is allowed."""

from pathlib import Path

import pytest

from lake import settings


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "CONFIG_DIR", tmp_path)
    return lambda env, text: (tmp_path / f"{env}.toml").write_text(text)


def test_every_environment_of_the_project_loads() -> None:
    assert {"local", "dev", "prod", "everything"} <= set(settings.environments())
    for env in settings.environments():
        assert settings.load(env).env == env


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 'red'", "colour: Extra inputs are not permitted"),
        ("[emr]\nmode = 'sometimes'", "emr.mode: Input should be 'transient' or 'always_on'"),
        ("[emr]\ncore_instances = 5\nmax_instances = 2", r"max_instances \(2\) is below core_instances \(5\)"),
        ("[boston311]\nschedule = '6 am'", "HH:MM in Boston's time zone"),
        ("[boston311]\nportal_url = 'http://portal'", "must use https"),
        ("name_prefix = 'Dev-'", "name_prefix"),
        ("= 1", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(write, text: str, message: str) -> None:
    write("dev", text)
    with pytest.raises(settings.SettingsError, match=message):
        settings.load("dev")


def test_production_keeps_its_data(write) -> None:
    write("prod", "allow_destroy = true")
    with pytest.raises(settings.SettingsError, match="allow_destroy must stay false"):
        settings.load("prod")


def test_a_missing_environment_names_those_that_exist(write) -> None:
    write("dev", "")
    with pytest.raises(settings.SettingsError, match=r"expected config/staging\.toml; there are dev"):
        settings.load("staging")


def test_the_portal_address_follows_the_laptops_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PORTAL_PORT", "5999")
    found = settings.load("local")
    assert found.laptop is not None
    assert (found.laptop.portal_port, found.boston311.portal_url) == (5999, "http://127.0.0.1:5999")
