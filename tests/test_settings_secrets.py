"""Secrets from files, as containers get them."""

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import load_settings, secret_files
from app.shown_settings import public_settings

_NO_FILE = Path("no-such-file")


def _secret(folder: Path, content: bytes) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_password_is_read_from_its_file_without_the_last_lines_end(tmp_path: Path, end: bytes) -> None:
    """What editors and `echo` put at the end is no part of it; a space is."""
    path = _secret(tmp_path, b"pass word " + end)
    settings = load_settings({"REDIS_PASSWORD_FILE": path, "REDIS_URL": "redis://h"}, _NO_FILE)
    assert settings.redis_password == "pass word "
    assert public_settings(settings)["redis_password"] == "set"


def test_a_url_may_come_from_a_file_too(tmp_path: Path) -> None:
    """It may hold a password, so it is a secret."""
    assert load_settings({"REDIS_URL_FILE": _secret(tmp_path, b"redis://h:1/0\n")}, _NO_FILE).redis_url == "redis://h:1/0"
    with pytest.raises(SettingsError, match="REDIS_URL is"):
        load_settings({"REDIS_URL_FILE": _secret(tmp_path, b"http://h\n")}, _NO_FILE)


def test_files_of_secrets_are_told_wherever_they_are_named(tmp_path: Path) -> None:
    """By their whole paths. One that a secret or another file above it replaces is none, and an empty name names none."""
    env = tmp_path / ".env"
    env.write_text("REDIS_URL_FILE=url\nAPI_KEY_SECRET_FILE=/keys\n", encoding="utf-8")
    assert secret_files({}, env) == {"redis_url": Path.cwd() / "url", "api_key_secret": Path("/keys")}
    options = {"REDIS_PASSWORD_FILE": "/password", "REDIS_URL_FILE": ""}
    assert secret_files({"REDIS_PASSWORD_FILE": "below"}, _NO_FILE, options=options) == {"redis_password": Path("/password")}
    assert secret_files({"REDIS_URL": "redis://h", "API_KEY_SECRET_FILE": "/k"}, env) == {"api_key_secret": Path("/k")}


def test_a_file_named_in_the_env_file_counts(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(f"REDIS_PASSWORD_FILE={_secret(tmp_path, b'hidden')}\n", encoding="utf-8")
    assert load_settings({}, env).redis_password == "hidden"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "which is empty"),
        (b"\n", "which is empty"),
        (b"a\nb", "more than that"),
        (b"\xff", "not UTF-8"),
        (b"x" * 4097, "more"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"REDIS_PASSWORD_FILE": _secret(tmp_path, content)}, _NO_FILE)
    (line,) = caught.value.lines
    assert line.startswith("REDIS_PASSWORD_FILE is ")
    assert says in line
    assert "allowed: a readable file" in line
    assert "xxx" not in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(SettingsError, match="REDIS_PASSWORD_FILE is"):
            load_settings({"REDIS_PASSWORD_FILE": str(path)}, _NO_FILE)


@pytest.mark.parametrize(
    "environment",
    [
        {"REDIS_PASSWORD": "one", "REDIS_PASSWORD_FILE": "other"},
        {"REDIS_PASSWORD": "one", "REDIS_URL": "redis://:two@h"},
    ],
)
def test_two_passwords_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="allowed: one of them") as caught:
        load_settings(environment, _NO_FILE)
    assert "two" not in str(caught.value)


def test_an_empty_variable_beats_the_file(tmp_path: Path) -> None:
    """Set to nothing it means the default, so a caller can do without what .env says."""
    env = tmp_path / ".env"
    env.write_text("REDIS_URL=redis://h\n", encoding="utf-8")
    assert not load_settings({"REDIS_URL": ""}, env).redis_url
    assert load_settings({}, env).redis_url == "redis://h"
