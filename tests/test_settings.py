"""Settings: one table for the code, the errors and .env.example."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SettingsError
from app.options import Settings
from app.settings import SECRETS, keys_wanted, load_setting, load_settings, render_env_example, settings_gone
from app.shown_settings import console_url, public_settings, started_facts
from app.strangers import GONE, STRANGERS, strangers_told
from tests.kit.files import put
from tests.kit.servers import ROOT

_NO_FILE = Path("no-such-file")
_NAMES = sorted(name.upper() for name in Settings.__struct_fields__)
_SECRET_URL = "redis://:hunter2@localhost:6379/0"


def test_env_example_is_what_the_settings_say() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == render_env_example()


def test_env_example_names_every_setting_with_effect_range_and_default() -> None:
    blocks = render_env_example().split("\n\n")[1:]
    assert len(blocks) == len(_NAMES)
    for block, name in zip(blocks, Settings.__struct_fields__, strict=True):
        effect, allowed, default = block.strip().splitlines()
        assert effect.startswith("# ")
        assert effect.endswith(".")
        assert allowed.startswith("# Allowed: ")
        assert "Default: " in allowed
        assert default == f"# {name.upper()}={getattr(Settings(), name)}"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TRUSTED_PROXIES", "10.0.0.1/8", "networks without bits behind their mask"),
        ("TRUSTED_PROXIES", "300.1.1.1", "IP addresses"),
        ("TRUSTED_PROXIES", "1.2.3.4 5.6.7.8", "networks without"),
        ("RATE_LIMIT_PER_S", "0.0004", "0.001 and more; 0 is no limit"),
        ("RATE_LIMIT_PER_S", "nan", "a number"),
        ("API_KEY_SECRET", "too-short", "API_KEY_SECRET is (hidden)"),
    ],
)
def test_what_access_and_limits_are_told_is_checked_whole(name: str, value: str, says: str) -> None:
    """A mask with bits behind it, or a rate that the bucket cannot have, would hold in silence for something else."""
    with pytest.raises(SettingsError, match=re.escape(says)):
        load_settings({name: value}, _NO_FILE)
    allowed = {"TRUSTED_PROXIES": " 10.0.0.0/8, ::1,", "RATE_LIMIT_PER_S": "0.001"}
    assert load_settings(allowed, _NO_FILE).rate_limit_per_s == 0.001


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),  # noqa: S104 - that is the case
        ("::", True),
        ("box", True),
    ],
)
def test_keys_are_wanted_by_themselves_wherever_others_can_call(host: str, wanted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    secret = {"API_KEY_SECRET": "x" * 32, "HOST": host}
    assert keys_wanted(load_settings(secret, _NO_FILE)) is wanted
    assert keys_wanted(load_settings(secret | {"ACCESS": "keys"}, _NO_FILE))
    assert not keys_wanted(load_settings(secret | {"ACCESS": "off"}, _NO_FILE))
    if wanted:
        with pytest.raises(SettingsError, match="API_KEY_SECRET is empty and HOST"):
            keys_wanted(load_settings({"HOST": host}, _NO_FILE))


def test_env_example_with_all_defaults_set_gives_the_defaults(tmp_path: Path) -> None:
    text = "\n".join(line[2:] for line in render_env_example().splitlines() if "=" in line and line[2:].split("=")[0].isupper())
    assert load_settings({}, put(tmp_path / ".env", text)) == Settings()


def test_the_environment_wins_over_the_file_and_empty_means_default(tmp_path: Path) -> None:
    path = put(tmp_path / ".env", "PORT=9001\nL1_TTL_S=5\nLOG_LEVEL=\n")
    settings = load_settings({"PORT": "9002", "CLOCK": ""}, path)
    assert (settings.port, settings.l1_ttl_s, settings.log_level, settings.clock) == (9002, 5.0, "info", "wall")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "99999", "a whole number, at least 1 and at most 65,535"),
        ("PORT", "80a", "a whole number"),
        ("L1_TTL_S", "nan", "a number, at least 0.1"),
        ("L1_TTL_S", "inf", "a number, at least 0.1"),
        ("L1_LEASE_S", "0.4", "at least 0.5"),
        ("L2_TIMEOUT_MS", "0", "above 0"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("KEY_PREFIX", "a b", "text matching"),
        ("WORKERS", "0", "at least 1"),
        ("REDIS_URL", "http://host", "redis://"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({name: value}, _NO_FILE)
    (line,) = refused.value.lines
    assert line.startswith(f"{name} is ")
    assert allowed in line
    assert (value in line) == (name.lower() not in SECRETS)


def test_words_are_taken_in_any_case() -> None:
    """LOG_LEVEL=INFO is what most programs call it; other texts keep theirs."""
    settings = load_settings({"LOG_LEVEL": "WARNING", "CLOCK": "Replay", "KEY_PREFIX": "Mine"}, _NO_FILE)
    assert (settings.log_level, settings.clock, settings.key_prefix) == ("warning", "replay", "Mine")
    assert load_setting("log_level", {"LOG_LEVEL": "Error"}, _NO_FILE) == "error"


def test_one_setting_is_read_without_the_others() -> None:
    assert load_setting("drain_s", {"PORT": "none"}, _NO_FILE) == Settings().drain_s
    assert load_setting("drain_s", {"DRAIN_S": "30"}, _NO_FILE) == 30
    with pytest.raises(SettingsError, match="DRAIN_S is 'much'; allowed: a number, at least 0"):
        load_setting("drain_s", {"DRAIN_S": "much"}, _NO_FILE)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("API_HOST", "it is HOST here"),
        ("API_PORT", "it is PORT here"),
        ("CACHE_TTL", "it is L1_TTL_S here"),
        ("ENVIRONMENT", "nothing depends on it; LOG_FORMAT, ACCESS and PAGES "),
        ("METRICS_ENABLED", "GET /metrics is always there"),
        ("MODEL_TYPE", "there is one policy"),
        ("HEALTH_CHECK_INTERVAL", "whoever probes /livez and /readyz says how often"),
    ],
)
def test_names_that_similar_services_use_are_told_with_what_does_it_here(name: str, said: str, tmp_path: Path) -> None:
    """In .env they are refused. In the environment they may be another program's, so they are a warning, and no error."""
    with pytest.raises(SettingsError) as refused:
        load_settings({}, put(tmp_path / ".env", f"{name}=1\n"))
    (line,) = refused.value.lines
    assert line.startswith(f"{name} in .env is not a setting; {said}")
    assert load_settings({name: "1"}, _NO_FILE) == Settings()
    (warned,) = strangers_told({name: "1", "PORT": "1"})
    assert warned.startswith(f"{name} in the environment is not a setting; {said}")
    assert strangers_told({name: ""}) == []


def test_strangers_are_no_settings_and_name_settings_that_exist() -> None:
    assert not STRANGERS.keys() & set(_NAMES)
    assert {each.setting for each in STRANGERS.values()} - {""} <= set(_NAMES)


@pytest.mark.parametrize("name", GONE)
def test_a_setting_of_the_version_before_is_told_with_what_became_of_it_and_refused_nowhere(name: str, tmp_path: Path) -> None:
    file, said = put(tmp_path / ".env", f"{name}=1\n"), f"{name} is no setting any more and is passed over; {GONE[name]}"
    assert load_settings({name: "x"}, file, options={name: "2"}) == Settings()
    assert settings_gone({name: "x"}, _NO_FILE) == settings_gone({}, file) == settings_gone({}, _NO_FILE, options={name: "2"})
    assert settings_gone({}, file) == [said]
    assert settings_gone({"PORT": "1", name: ""}, file) == []
    assert name not in _NAMES
    assert set(re.findall(r"[A-Z0-9_]{6,}", GONE[name])) <= set(_NAMES)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/"),
        ("0.0.0.0", "http://127.0.0.1:8000/"),  # noqa: S104 - nothing is bound
        ("::", "http://[::1]:8000/"),
        ("fe80::1", "http://[fe80::1]:8000/"),
        ("decide.internal", "http://decide.internal:8000/"),
        ("unix:/run/decide.sock", None),
    ],
)
def test_the_console_is_where_a_browser_finds_it(host: str, url: str | None) -> None:
    """An address that stands for all of a machine's is none to go to; a socket is none for browsers."""
    assert console_url(Settings(host=host)) == url
    assert console_url(Settings(host=host, pages="off")) is None


def test_the_first_line_of_a_worker_has_only_settings_that_are_no_defaults() -> None:
    assert started_facts(Settings(port=8000)) == {"console": "http://127.0.0.1:8000/", "settings": {}}
    facts = started_facts(Settings(redis_url=_SECRET_URL, pages="off", batch_max=7))
    assert facts == {"settings": {"redis_url": "set", "pages": "off", "batch_max": 7}}


def test_every_wrong_value_has_a_line() -> None:
    """Nobody mends one mistake only to meet the next."""
    with pytest.raises(SettingsError) as refused:
        load_settings({"PORT": "x", "CLOCK": "y", "BATCH_MAX": "z"}, _NO_FILE)
    assert sorted(line.split()[0] for line in refused.value.lines) == ["BATCH_MAX", "CLOCK", "PORT"]


def test_an_unknown_name_in_the_file_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    """A typing mistake in .env must not pass in silence; other programs' variables may."""
    path = put(tmp_path / ".env", "L1_TTL=5\nCOMPOSE_PROJECT_NAME=decide\nWHATEVER=1\n")
    with pytest.raises(SettingsError) as refused:
        load_settings({}, path)
    suggestion, unknown = refused.value.lines
    assert "did you mean L1_TTL_S?" in suggestion
    assert unknown.startswith("WHATEVER in .env is not a setting")


@pytest.mark.parametrize("make", ["bytes", "folder"])
def test_a_file_that_cannot_be_read_is_a_settings_error(make: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    if make == "bytes":
        path.write_bytes(b"PORT=\xff\xfe")
    else:
        path.mkdir()
    with pytest.raises(SettingsError, match=r"\.env"):
        load_settings({}, path)


def test_a_line_that_assigns_nothing_is_refused(tmp_path: Path) -> None:
    """A line that would be passed over is named, by its number and not by its text, which may hold a secret."""
    with pytest.raises(SettingsError) as refused:
        load_settings({}, put(tmp_path / ".env", "# fine\nPORT\n\n'REDIS_URL redis://:hunter2@x\nexport CLOCK=replay\n"))
    assert [line.split(" of ")[0] for line in refused.value.lines] == ["line 2", "line 4"]
    assert "hunter2" not in str(refused.value)


def test_secrets_are_never_shown() -> None:
    settings = load_settings({"REDIS_URL": _SECRET_URL}, _NO_FILE)
    assert settings.redis_url == _SECRET_URL
    assert public_settings(settings)["redis_url"] == "set"
    assert public_settings(Settings())["redis_url"] == "not set"
    assert "hunter2" not in str(public_settings(settings))
    with pytest.raises(SettingsError) as refused:
        load_settings({"REDIS_URL": "redis://:hunter2@host bad"}, _NO_FILE)
    assert "hunter2" not in str(refused.value)


@given(st.dictionaries(st.sampled_from(_NAMES), st.text(max_size=40) | st.from_regex(r"[-+0-9.eE_]{1,30}", fullmatch=True)))
def test_any_text_gives_settings_or_a_settings_error(environ: dict[str, str]) -> None:
    try:
        lines = []
        load_settings(environ, _NO_FILE)
    except SettingsError as refused:
        lines = refused.lines
    assert {line.split(" ")[0] for line in lines} <= set(environ)


_assignments = st.builds(
    lambda name, sign, value: name.encode() + sign + value,
    st.sampled_from(_NAMES),
    st.sampled_from([b"=", b" = ", b"='", b'="', b":", b"=$", b""]),
    st.binary(max_size=30),
)


@given(st.lists(_assignments, max_size=4).map(b"\n".join) | st.binary(max_size=60))
def test_any_bytes_in_the_file_give_settings_or_a_settings_error(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".env"
        path.write_bytes(raw)
        lines = ["a line"]
        try:
            load_settings({}, path)
        except SettingsError as refused:
            lines = refused.lines
    assert lines
    assert not any("\n" in line for line in lines)
