"""Settings as options: all of them, checked as in the environment, and worth more."""

import argparse
from pathlib import Path

import pytest

from app.arguments import new_parser, parse
from app.errors import SettingsError
from app.options import Settings
from app.setting_options import (
    _SECTIONS,
    STORE_SETTINGS,
    add_market_settings,
    add_settings,
    given_settings,
    tells_settings,
)
from app.settings import SECRETS, lend_to_workers, load_settings


def _parser() -> argparse.ArgumentParser:
    made = new_parser("decide try", "")
    add_settings(made)
    return made


def _loaded(folder: Path, *arguments: str, **environment: str) -> Settings:
    options = given_settings(parse(_parser(), arguments))
    return load_settings(environment, folder / ".env", options=options)


def test_every_setting_has_an_option_and_every_secret_one_for_its_file() -> None:
    text = _parser().format_help()
    for name in Settings.__struct_fields__:
        option = f"--{name.replace('_', '-')}"
        assert (f"{option}-file PATH" in text) == (name in SECRETS), name
        assert (f"{option} " in text) == (name not in SECRETS), name
    assert all(f"\n{title}:\n" in text for title in _SECTIONS.values())
    assert set(_SECTIONS) <= set(Settings.__struct_fields__)


def test_an_option_is_worth_more_than_the_environment_and_that_more_than_the_file(tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_text("PORT=1\nWORKERS=2\nBATCH_MAX=3\n", encoding="utf-8")
    loaded = _loaded(tmp_path, "--port", "9000", PORT="2", WORKERS="4")
    assert (loaded.port, loaded.workers, loaded.batch_max, loaded.l1_ttl_s) == (9000, 4, 3, Settings().l1_ttl_s)


def test_the_file_of_a_secret_takes_the_place_of_the_secret(tmp_path: Path) -> None:
    """Wherever that stands; without the option the two would contradict each other."""
    secret = tmp_path / "url"
    secret.write_text("redis://elsewhere:6379/0\n", encoding="utf-8")
    tmp_path.joinpath(".env").write_text("REDIS_URL=redis://one\n", encoding="utf-8")
    assert _loaded(tmp_path, "--redis-url-file", str(secret), REDIS_URL="redis://two").redis_url == "redis://elsewhere:6379/0"
    environment = {"REDIS_URL": "redis://two", "PORT": "1", "PATH": "kept"}
    lend_to_workers({"REDIS_URL_FILE": str(secret), "PORT": "9000"}, environment)
    assert environment == {"REDIS_URL_FILE": str(secret), "PORT": "9000", "PATH": "kept"}
    assert load_settings(environment, tmp_path / "none").redis_url == "redis://elsewhere:6379/0"


def test_a_secret_in_the_environment_is_worth_more_than_its_file_in_env_and_the_reverse(tmp_path: Path) -> None:
    """Both name one thing; only in one place would they contradict each other."""
    secret = tmp_path / "url"
    secret.write_text("redis://file\n", encoding="utf-8")
    env_file = tmp_path / ".env"
    env_file.write_text(f"REDIS_URL_FILE={secret}\n", encoding="utf-8")
    assert load_settings({"REDIS_URL": "redis://environment"}, env_file).redis_url == "redis://environment"
    env_file.write_text("REDIS_URL=redis://env\n", encoding="utf-8")
    assert load_settings({"REDIS_URL_FILE": str(secret)}, env_file).redis_url == "redis://file"
    with pytest.raises(SettingsError, match="both set"):
        load_settings({"REDIS_URL": "redis://environment", "REDIS_URL_FILE": str(secret)}, env_file)


def test_a_store_by_option_beside_a_redis_by_environment_is_refused(tmp_path: Path) -> None:
    """It would be passed over in silence."""
    with pytest.raises(SettingsError) as refused:
        _loaded(tmp_path, "--store-path", "x", REDIS_URL="redis://two")
    assert refused.value.lines[0].startswith("STORE_PATH is 'x', by option, and REDIS_URL is set; allowed: one of them")
    assert _loaded(tmp_path, "--store-path", "x").store_path == "x"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "many"], "argument --port: 'many' is not allowed; allowed: a whole number, at least 1 and at most 65,535"),
        (["--clock", "sundial"], "argument --clock: 'sundial' is not allowed; allowed: one of wall, replay"),
        (["--rate-limit-per-s", "0.0001"], "or 0.001 and more; 0 is no limit"),
        (["--store-path", "a\nb"], "argument --store-path: "),
    ],
)
def test_a_wrong_value_is_refused_with_option_value_and_what_is_allowed(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(_parser(), arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--redis-password", "sesame"], ["--redis-password=sesame"], ["--redis-password", "-sesame"]]
)
def test_a_secret_itself_is_refused_and_not_repeated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Everybody on the machine can read a command line, but need not read it in the log too."""
    with pytest.raises(SystemExit):
        parse(_parser(), arguments)
    said = capsys.readouterr().err
    assert "argument --redis-password: it is not taken from the command line" in said
    assert "set REDIS_PASSWORD or --redis-password-file" in said
    assert "sesame" not in said


def test_what_is_wrong_in_the_environment_is_still_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        _loaded(tmp_path, "--port", "9000", WORKERS="many")
    assert [line.partition(";")[0] for line in refused.value.lines] == ["WORKERS is 'many'"]


def test_some_settings_can_be_offered_under_a_heading_of_their_own() -> None:
    """The warm job wants to know of the store alone."""
    parser = new_parser("decide try", "")
    add_settings(parser, STORE_SETTINGS, "where the store is")
    text = parser.format_help()
    assert "\nwhere the store is:\n" in text
    assert "--port" not in text
    given = parse(parser, ["--store-path", "x", "--key-prefix", "mine"])
    assert given_settings(given) == {"STORE_PATH": "x", "KEY_PREFIX": "mine"}


def test_a_command_tells_of_wrong_settings_wherever_it_meets_them(capsys: pytest.CaptureFixture[str]) -> None:
    @tells_settings
    def command(lines: list[str]) -> int:
        if lines:
            raise SettingsError(lines)
        return 1

    assert command(["PORT is 'x'; allowed: a number", "and more"]) == 2
    assert capsys.readouterr() == ("", "settings: PORT is 'x'; allowed: a number\nsettings: and more\n")
    assert command([]) == 1


def test_options_of_the_market_store_say_who_may_migrate_it() -> None:
    for migrates in (False, True):
        parser = new_parser("decide try", "", description="As ``decide try``.")
        add_market_settings(parser, migrates=migrates)
        text = parser.format_help()
        assert ("--market-migrations" in text) is migrates
        assert "--market-path" in text
        assert "As `decide try`." in text
