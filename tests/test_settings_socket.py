"""Settings of a server on a Unix socket."""

import re
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import keys_wanted, load_settings
from app.unix_sockets import NoSocket, socket_path

_NO_FILE = Path("/nonexistent/.env")


def _refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(environ, _NO_FILE)
    return "\n".join(refused.value.lines)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("unix:/run/decide/decide.sock", "/run/decide/decide.sock"),
        ("unix:///run/decide/decide.sock", "/run/decide/decide.sock"),
        ("unix:/run/with space/ä.sock", "/run/with space/ä.sock"),
        ("unix:/" + "x" * 106, "/" + "x" * 106),
    ],
)
def test_host_may_be_a_unix_socket(host: str, path: str) -> None:
    assert socket_path(load_settings({"HOST": host}, _NO_FILE).host) == path


@pytest.mark.parametrize(
    "host",
    [
        *(
            "unix://run/decide.sock",
            "unix:////run/decide.sock",
            "unix:",
            "unix:/",
            "unix:decide.sock",
            "unix:./decide.sock",
            "unix:/run/decide/",
            "unix:/run/..",
            "unix:/run/.",
        ),
        *("unix:/" + "x" * 107, "unix:/" + "ä" * 60, "unix:/run/a\x00b.sock", "unix:/run/a\nb.sock"),
    ],
)
def test_a_path_where_no_socket_can_be_is_refused_by_name(host: str) -> None:
    assert re.match(r"HOST is '.*, or unix:/… with a socket's absolute path of 107 bytes at most", _refusal(HOST=host))


@pytest.mark.parametrize(
    "host", ["/run/decide.sock", "UNIX:/run/d.sock", " unix:/run/d.sock", "unix :/run/d.sock", "Unix:x", "a b"]
)
def test_what_was_meant_for_a_socket_is_told_how_one_is_written(host: str) -> None:
    """It is no address either, and must not be taken for one that others reach, which wants keys."""
    told = _refusal(HOST=host)
    assert told.startswith(f"HOST is {host!r}; ")
    assert "or unix:/… with a socket's absolute path" in told
    assert "API_KEY_SECRET" not in told


def test_windows_has_no_unix_socket_to_listen_on() -> None:
    with pytest.raises(NoSocket, match="no Unix sockets on this system"):
        socket_path("unix:/run/decide.sock", there_are_any=False)


@pytest.mark.parametrize("mode", ["66", "0660", "888", "rw-", "-66", "6 0"])
def test_permissions_are_three_octal_digits(mode: str) -> None:
    assert "SOCKET_MODE is" in _refusal(SOCKET_MODE=mode)
    assert load_settings({"SOCKET_MODE": "600"}, _NO_FILE).socket_mode == "600"


def test_over_a_unix_socket_no_key_is_wanted_by_itself() -> None:
    """Its file's permissions say who may call; keys are wanted where that is asked for."""
    host = {"HOST": "unix:/run/decide/decide.sock"}
    assert not keys_wanted(load_settings(host, _NO_FILE))
    assert keys_wanted(load_settings({**host, "ACCESS": "keys", "API_KEY_SECRET": "x" * 32}, _NO_FILE))


@pytest.mark.parametrize(
    ("host", "proxies", "says"),
    [
        ("unix:/run/d.sock", "10.0.0.0/8", "a Unix socket, whose callers have no address; allowed: empty, or unix among them"),
        ("127.0.0.1", "unix", "where nobody comes from a Unix socket; allowed: addresses and networks"),
    ],
)
def test_a_proxy_that_nobody_can_be_is_refused(host: str, proxies: str, says: str) -> None:
    """It would be trusted in vain, and all callers be one."""
    assert says in _refusal(HOST=host, TRUSTED_PROXIES=proxies)


@pytest.mark.parametrize("proxies", ["unix", "10.0.0.0/8, unix", ""])
def test_whoever_comes_over_the_socket_can_be_trusted(proxies: str) -> None:
    settings = load_settings({"HOST": "unix:/run/d.sock", "TRUSTED_PROXIES": proxies}, _NO_FILE)
    assert settings.trusted_proxies == proxies


def test_a_wrong_host_is_told_once() -> None:
    assert _refusal(HOST="unix:", TRUSTED_PROXIES="unix").count("\n") == 0
