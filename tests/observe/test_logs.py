"""Log lines: their shape, what they hide, and that they never hold anybody up."""

import io
import logging
import threading

import pytest
import structlog

from app.observe.logs import _QUEUE_MAX, get_logger
from tests.kit.servers import until
from tests.observe.lines import logs_to, written


def test_lines_are_json_with_level_logger_time_and_event() -> None:
    stream = io.StringIO()
    with logs_to(stream):
        get_logger("decide").info("happened", symbol_count=3, ratio=0.5, nothing=None)
        logging.getLogger("a.library").warning("said %s", "so")
        get_logger("decide").debug("below the level")
    ours, theirs = written(stream)
    assert {key: ours[key] for key in ("event", "level", "logger", "symbol_count", "ratio", "nothing")} == {
        "event": "happened",
        "level": "info",
        "logger": "decide",
        "symbol_count": 3,
        "ratio": 0.5,
        "nothing": None,
    }
    assert str(ours["time"]).endswith("Z")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("said so", "warning", "a.library")


def test_bound_context_is_in_every_line() -> None:
    stream = io.StringIO()
    with logs_to(stream), structlog.contextvars.bound_contextvars(request_id="r-1"):
        get_logger("decide").info("one")
        get_logger("other").info("two")
    assert [line["request_id"] for line in written(stream)] == ["r-1", "r-1"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_hidden_by_key_in_urls_and_in_tracebacks(log_format: str) -> None:
    """Whoever logs a URL or a token by mistake does not publish it."""
    stream = io.StringIO()
    with logs_to(stream, log_format=log_format):
        log = get_logger("decide")
        log.info("a", password="hunter2", api_key="hunter2", redis_url="redis://x", Authorization="Bearer hunter2")
        log.info("b", detail="cannot reach rediss://user:hunter2@host:6379/0 now", other="redis://:hunter2@host")
        log.error("c", exc_info=OSError("redis://:hunter2@host refused"))
        logging.getLogger("a.library").error("lost redis://:hunter2@host")
    assert "hunter2" not in stream.getvalue()
    assert "rediss://user:(hidden)@host:6379/0" in stream.getvalue()


def test_long_values_are_cut_and_cost_no_more_than_their_length() -> None:
    """A value of a million letters is cut before anything searches it."""
    stream = io.StringIO()
    with logs_to(stream):
        get_logger("decide").info("long", value="a" * 1_000_000)
        get_logger("decide").error("longer", exc_info=ValueError("b" * 1_000_000))
    first, second = written(stream)
    assert len(str(first["value"])) < 1000
    assert 1000 < len(str(second["exception"])) < 50_000


class StuckStream(io.StringIO):
    """Writing waits until it is released, as a pipe does that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        """Waits, then writes."""
        assert self.released.wait(60)
        return super().write(text)


def test_a_stuck_reader_holds_nobody_up_and_what_is_dropped_is_counted() -> None:
    stream = StuckStream()
    with logs_to(stream) as logs:
        log = get_logger("decide")
        for number in range(_QUEUE_MAX + 50):
            log.info("line", number=number)
        assert 48 <= logs.dropped <= 50
        stream.released.set()
        # The end waits for a while only, and a busy machine takes its time.
        until(lambda: stream.getvalue().count("\n") + logs.dropped == _QUEUE_MAX + 50, 60, "all is written", 0.05)
    assert len(written(stream)) + logs.dropped == _QUEUE_MAX + 50


def test_people_get_text() -> None:
    stream = io.StringIO()
    with logs_to(stream, log_format="console"):
        get_logger("decide").warning("watch out", price=3)
    assert not stream.getvalue().startswith("{")
    assert "watch out" in stream.getvalue()
    assert "price" in stream.getvalue()


def test_auto_is_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    with logs_to(stream, log_format="auto"):
        get_logger("decide").info("x")
    assert written(stream)[0]["event"] == "x"


def test_closing_gives_the_root_logger_back() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    with logs_to(io.StringIO(), level="error"):
        assert root.level == logging.ERROR
    assert (root.handlers, root.level) == before
