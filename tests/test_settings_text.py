"""Text that looks like a setting and is none."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import SettingsError
from app.options import Settings
from app.settings import SECRETS, lend_to_opentelemetry, load_settings
from tests.kit.files import put

_NO_FILE = Path("no-such-file")


@pytest.mark.parametrize("name", ["port", "Port"])
def test_a_name_in_the_file_in_other_letters_is_refused(name: str, tmp_path: Path) -> None:
    """It would not be read, so it must not pass in silence."""
    with pytest.raises(SettingsError, match="did you mean PORT") as refused:
        load_settings({}, put(tmp_path / ".env", f"{name}=9001\n"))
    assert len(refused.value.lines) == 1


def test_a_key_that_is_no_name_is_not_shown(tmp_path: Path) -> None:
    """A colon for the first equals sign makes the URL a key."""
    with pytest.raises(SettingsError) as refused:
        load_settings({}, put(tmp_path / ".env", "REDIS_URL:redis://:hunter2@host/0?protocol=3\n"))
    assert refused.value.lines[0].startswith("line 1 of ")
    assert "hunter2" not in repr(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://h:port", "redis://:hunter/2@h", "redis://h?db=hunter2", "redis://[::1", "redis://h?socket_timeout=hunter2"]
)
def test_a_redis_url_that_the_client_cannot_read_is_refused_unseen(url: str) -> None:
    """It would end every worker at its start, with the password in a traceback."""
    with pytest.raises(SettingsError) as refused:
        load_settings({"REDIS_URL": url}, _NO_FILE)
    assert refused.value.lines == ["REDIS_URL is (hidden); allowed: empty, redis://…, rediss://… or unix://…"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("STORE_PATH", "a\0b"), ("HOST", "\udcff"), ("KEY_PREFIX", "a\n"), ("HOST", "a" * 70), ("HOST", "a..b")],
)
def test_text_that_would_fail_later_is_refused_now(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({name: value}, _NO_FILE)
    (line,) = refused.value.lines
    assert line.startswith(f"{name} is ")
    assert line.isprintable()


_NAMES = sorted(name.upper() for name in Settings.__struct_fields__)
_ANY_TEXT = st.text(st.characters(), max_size=300)


@given(st.sampled_from(_NAMES), _ANY_TEXT | _ANY_TEXT.map("redis://{}".format))
@example("PORT", "9" * 10_000)
def test_any_characters_give_settings_or_a_settings_error(name: str, text: str) -> None:
    """Lone surrogates, as undecodable bytes of the environment become, and long text among them."""
    try:
        settings = load_settings({name: text}, _NO_FILE)
    except SettingsError as refused:
        (line,) = refused.lines
        assert line.startswith(f"{name} is ")
        assert name.lower() not in SECRETS or line.startswith(f"{name} is (hidden)")
    else:
        assert isinstance(settings, Settings)


def test_opentelemetrys_variables_of_a_file_go_where_its_sdk_reads_them(tmp_path: Path) -> None:
    """Into the process's environment, which wins; nothing else of the file does."""
    path = tmp_path / ".env"
    path.write_text("OTEL_SERVICE_NAME=file\nOTEL_EXPORTER_OTLP_ENDPOINT=http://file\nOTEL_EMPTY=\nTRACES=on\n")
    environ = {"OTEL_SERVICE_NAME": "process"}
    lend_to_opentelemetry(environ, path)
    assert environ == {
        "OTEL_SERVICE_NAME": "process",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://file",
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true",
    }
