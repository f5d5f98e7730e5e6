"""Log lines that hold what they should not, or cannot be rendered."""

import io
import logging

import pytest
import structlog

from app.observe.logs import Logs, get_logger
from tests.observe.lines import logs_to, written

_URL = "redis://:hunter2@host"


class Mute:
    """An object whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError


class BrokenStream(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        """Refuses."""
        raise BrokenPipeError(len(text))


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    "value",
    [
        OSError(_URL),
        {"password": "hunter2"},
        {"deep": [{"token": "hunter2"}]},
        [_URL],
        _URL.encode(),
        "redis://user:hun@hunter2@host",
        "redis://:hun/hunter2@host",
        "redis://host?password=hunter2",
        "X-API-Key: decide_0123456789ab_hunter2hunter2",
        "y" * 480 + " redis://:hunter2hunter2hunter2@host",
    ],
    ids=["error", "dict", "nested", "list", "bytes", "at", "slash", "query", "key", "cut"],
)
def test_secrets_are_hidden_in_whatever_holds_them(value: object, log_format: str) -> None:
    stream = io.StringIO()
    with logs_to(stream, log_format=log_format):
        get_logger("decide").error("x", value=value)
    assert "hunter" not in stream.getvalue().replace("redis://user:hun", "")
    assert "value" in stream.getvalue()


@pytest.mark.parametrize("value", [2**80, "\udcff", Mute(), float("nan"), {1: {2: {3: {4: {5: 6}}}}}])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_value_costs_its_line(value: object, log_format: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    logs = Logs(level="info", log_format=log_format, stream=stream)
    get_logger("decide").info("kept", value=value)
    logs.close()
    stream.flush()
    assert b"kept" in raw.getvalue()
    assert logs.dropped == 0


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nothing_in_a_value_acts_on_a_terminal_or_begins_a_line(log_format: str) -> None:
    hostile = "\x1b[31mred\x07\r\nforged=1\u202egnp.exe\u2066"
    stream = io.StringIO()
    with logs_to(stream, log_format=log_format):
        get_logger("decide").info("kept", value=hostile, nested={"of": [hostile]})
        try:
            raise ValueError(hostile)
        except ValueError:
            get_logger("decide").exception("failed")
    text = stream.getvalue()
    assert not any(mark in text for mark in ("\x1b[31mred", "\x07", "\r", "\u202e", "\u2066"))
    assert "\\u202egnp.exe" in text.replace("\\\\", "\\")
    kept = text.split("failed")[0]
    assert len(kept.strip().splitlines()) <= 2
    assert "\nforged=1" not in kept


def test_a_line_that_cannot_be_written_is_counted_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The standard library would print it to stderr as it is, secrets and all; and whoever reads that may not read either."""
    with logs_to(BrokenStream()) as logs:
        get_logger("decide").info("x", redis_url="hunter2")
        logging.getLogger("a.library").error("wrong %d", "hunter2")
    assert logs.dropped == 2
    assert capsys.readouterr().err == ""


def test_an_error_being_handled_is_logged_with_its_traceback() -> None:
    """The traceback is taken where the line is logged, not in the writer's thread, which has none."""
    stream = io.StringIO()
    with logs_to(stream):
        try:
            raise OSError(_URL)
        except OSError:
            get_logger("decide").exception("ours")
            logging.getLogger("a.library").exception("theirs")
        get_logger("decide").error("none", exc_info=True)
    ours, theirs, none = written(stream)
    for line in (ours, theirs):
        assert "OSError: redis://:(hidden)@host" in str(line["exception"])
    assert "exception" not in none


def test_a_library_s_line_has_the_context_and_the_time_of_where_it_was_logged() -> None:
    """The writer's thread comes later and knows no request; a line's own keys win."""
    stream = io.StringIO()
    with logs_to(stream), structlog.contextvars.bound_contextvars(request_id="r-1", logger="not this"):
        record = logging.LogRecord("a.library", logging.WARNING, __file__, 1, "said", None, None)
        record.created = 1_362_171_600.25
        logging.getLogger("a.library").handle(record)
    (line,) = written(stream)
    assert (line["request_id"], line["logger"], line["time"]) == ("r-1", "a.library", "2013-03-01T21:00:00.250000Z")


def test_long_collections_are_cut() -> None:
    stream = io.StringIO()
    with logs_to(stream):
        get_logger("decide").info("long", value=list(range(100_000)), names=dict.fromkeys(map(str, range(100_000))))
    assert len(stream.getvalue()) < 5000


def test_whether_a_secret_is_set_may_be_seen() -> None:
    stream = io.StringIO()
    with logs_to(stream):
        get_logger("decide").info("started", settings={"redis_url": "set", "api_key": "not set", "token": None, "secret": "x"})
    (line,) = written(stream)
    assert line["settings"] == {"redis_url": "set", "api_key": "not set", "token": None, "secret": "(hidden)"}
