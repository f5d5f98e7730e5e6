"""Structured logs: structlog in front, the standard library's queue behind, one thread that renders and writes.

A request only puts an event into a bounded queue; a full queue drops the line and counts it, so that a slow reader of the
output never holds up the event loop. Secrets are taken out, by key and from URLs, before anything is rendered.
"""

import contextlib
import functools
import itertools
import json
import logging
import logging.handlers
import os
import queue
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from app.withheld import withheld

with withheld("rich"):
    import structlog
    from structlog.types import EventDict, Processor, WrappedLogger

_QUEUE_MAX = 10_000
STDOUT = 1
_LAST_LINES_S = 2.0
"""How long the end of a process waits for its last lines to be read; a full queue takes half a second to write."""
_CONTEXT = "decide_context"
_SECRET_KEY = re.compile(r"password|passwd|secret|token|authorization|api_?key|redis_url|cookie", re.IGNORECASE)
# Bounded on all sides, so that a long line takes no longer than its length says.
_URL_HEAD = r"(?P<head>(?<![a-z])[a-z][a-z0-9+.-]{0,15}://[^\s:/@]{0,200}:)"
# Up to the last @: clients read one inside the password as part of it.
_URL_PASSWORD = re.compile(_URL_HEAD + r"\S{1,500}(?=@)", re.IGNORECASE)
_CUT_URL_PASSWORD = re.compile(_URL_HEAD + r"\S{1,500}\Z", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?P<head>(?:password|passwd|secret|token|api_?key)=)[^\s&,;]{1,500}", re.IGNORECASE)
# See app.domain.keys; the public id stays.
_API_KEY = re.compile(r"(?P<head>decide_[0-9a-f]{12}_)[A-Za-z0-9_-]{1,500}")
_WHETHER = ("set", "not set")
"""What `shown_settings.public_settings` says of a secret; it gives nothing away."""
_VALUE_MAX = 500
_ITEMS_MAX = 100
_DEPTH_MAX = 4
_TRACEBACK_MAX = 20_000


def _redact(_: WrappedLogger, __: str, event: EventDict, text_max: int = _VALUE_MAX) -> EventDict:
    """Hide values under secret names and passwords inside URLs; cut what is longer than a log line should be."""
    for key, value in event.items():
        event[key] = _public(key, value, _TRACEBACK_MAX if key == "exception" else text_max)
    return event


def _public(key: str, value: object, most: int, depth: int = 0) -> object:
    """``value`` as it may be printed under ``key``, made of what JSON has: objects become their text."""
    if _SECRET_KEY.search(key):
        return value if value is None or (isinstance(value, str) and value in _WHETHER) else "(hidden)"
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEPTH_MAX and isinstance(value, dict):
        return {
            str(name): _public(str(name), each, most, depth + 1) for name, each in itertools.islice(value.items(), _ITEMS_MAX)
        }
    if depth < _DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
        return [_public("", each, most, depth + 1) for each in itertools.islice(value, _ITEMS_MAX)]
    # A traceback has lines of its own; whatever else had would begin a line that we did not write.
    return _public_text(_text(value), most, lines=key == "exception")


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - whatever an object's own code raises, the line is still wanted
        return f"(a {type(value).__name__} without text)"


def _shown(text: str) -> str:
    """``text`` with escapes in the place of what acts on a terminal (controls, what turns its direction) and of lone surrogates,
    for which the stream would refuse the whole line.
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def _public_text(text: str, most: int, *, lines: bool = False) -> str:
    if len(text) > most:
        # The end of a URL may be what is cut off, and the @ after its password with it.
        text = _CUT_URL_PASSWORD.sub(r"\g<head>(hidden)", text[:most]) + "..."
    if not text.isprintable():
        text = "\n".join(map(_shown, text.split("\n"))) if lines else _shown(text)
    if "decide_" in text:
        text = _API_KEY.sub(r"\g<head>(hidden)", text)
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\g<head>(hidden)", text)
    return _ASSIGNED.sub(r"\g<head>(hidden)", text) if "=" in text else text


def _to_json(event: dict[str, Any], **_: Any) -> str:  # noqa: ANN401 - the signature structlog's JSONRenderer asks for
    try:
        return orjson.dumps(event).decode()
    except TypeError:
        # An integer of more than 64 bits.
        return json.dumps(event)


def _hold_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """``exc_info=True`` means the error being handled here and now; the writer's thread has none."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exception()
    return event


def _add_emission(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Time and context of a library's line are those of its thread when it was logged, not the writer's."""
    record = event["_record"]
    event["time"] = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
    for key, value in getattr(record, _CONTEXT, {}).items():
        event.setdefault(key, value)
    return event


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)


def formatter(log_format: str, text_max: int = _VALUE_MAX) -> structlog.stdlib.ProcessorFormatter:
    """Renders our events and those of libraries alike: ``json`` for machines, ``console`` for people. What is longer than
    ``text_max`` is cut.
    """
    renderer: Processor = structlog.processors.JSONRenderer(_to_json)
    if log_format == "console":
        # Tracebacks are rendered before, as plain text, so that what they quote is redacted like everything else.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=(*_SHARED, _add_emission),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            functools.partial(_redact, text_max=text_max),
            renderer,
        ],
    )


class _BoundedQueueHandler(logging.handlers.QueueHandler):
    """Drops and counts what does not fit."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        # The standard prepare renders the message here, in the request's thread; the listener does it instead. Nothing leaves
        # the process, so nothing need be picklable.
        if not isinstance(record.msg, dict):
            setattr(record, _CONTEXT, structlog.contextvars.get_contextvars())
        return record


class Descriptor:
    """A stream that writes at once, and keeps nothing: what `sys.stdout` keeps for a reader who has left, or who does not read,
    would be written at the process's end, which then fails, or never comes.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """All of it; waits as long as the reader does not read."""
        left = text.encode("utf-8", "backslashreplace")
        while left:
            left = left[os.write(self._descriptor, left) :]
        return len(text)

    def flush(self) -> None:
        """Nothing is kept."""

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)


class _Writer(logging.StreamHandler[Any]):
    """Counts what cannot be rendered or written. The standard library would print the line as it is, secrets and all, to where
    perhaps nobody reads either.
    """

    failed = 0

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock, which one thread needs not: the library takes it at the process's end, and would wait there."""
        self.emit(record)
        return True

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        self.failed += 1


class _Listener(logging.handlers.QueueListener):
    """Can also be stopped while its queue is full: the oldest line makes room for the end. A reader who does not read does not
    hold up the stop: what is still in the queue is lost.
    """

    def __init__(self, lines: "queue.Queue[Any]", writer: logging.Handler) -> None:
        super().__init__(lines, writer)
        self._lines = lines

    def enqueue_sentinel(self) -> None:
        while True:
            try:
                self._lines.put_nowait(None)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._lines.get_nowait()
            else:
                return

    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self.enqueue_sentinel()
            thread.join(_LAST_LINES_S)


class BackgroundHandler(_BoundedQueueHandler):
    """Writes to standard output in a thread of its own, which begins with the first line: for the main process, whose signals
    must not wait for whoever reads. A process that was forked from it leaves its thread alone.
    """

    def __init__(self) -> None:
        lines: queue.Queue[logging.LogRecord] = queue.Queue(_QUEUE_MAX)
        super().__init__(lines)
        self._writer = _Writer(Descriptor(STDOUT))
        self._listener = _Listener(lines, self._writer)
        self._process = 0

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the standard library's name
        """The writer's."""
        self._writer.setFormatter(fmt)

    def emit(self, record: logging.LogRecord) -> None:
        """Put it into the queue."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._listener.start()
        super().emit(record)

    def close(self) -> None:
        """Write what is queued, as far as somebody reads."""
        if self._process == os.getpid():
            self._listener.stop()
        super().close()


class Logs:
    """The process's logging, set up at construction and flushed by `close`."""

    def __init__(self, *, level: str, log_format: str, stream: TextIO | None = None) -> None:
        to = stream or Descriptor(STDOUT)
        if log_format == "auto":
            log_format = "console" if to.isatty() else "json"
        lines: queue.Queue[logging.LogRecord] = queue.Queue(_QUEUE_MAX)
        self._handler = _BoundedQueueHandler(lines)
        self._writer = _Writer(to)
        self._writer.setFormatter(formatter(log_format))
        self._listener = _Listener(lines, self._writer)
        self._listener.start()
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *_SHARED,
                _hold_exception,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=False,
        )
        root = logging.getLogger()
        self._before = (root.handlers[:], root.level)
        root.handlers[:] = [self._handler]
        root.setLevel(level.upper())
        for name in ("_granian", "granian.access"):
            # Granian gives its loggers handlers of their own; theirs must not print a second, differently shaped line.
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True

    @property
    def dropped(self) -> int:
        """Lines lost because the queue was full or they could not be written."""
        return self._handler.dropped + self._writer.failed

    def close(self) -> None:
        """Write what is queued and give the root logger back as it was."""
        self._listener.stop()
        root = logging.getLogger()
        root.handlers[:], level = self._before
        root.setLevel(level)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that adds ``name`` to its events."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
