"""Structured logs: structlog in front, the standard library's queue behind, one thread that renders and writes.

A request only puts an event into a bounded queue; a full queue drops the line and counts it, so that a slow reader of the
output never holds up the event loop. Secrets are taken out by key before anything is rendered.
"""

import contextlib
import logging
import logging.handlers
import queue
import re
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

_QUEUE_MAX = 10_000
_SECRET_KEY = re.compile(r"password|passwd|secret|token|authorization|api_?key|redis_url|cookie", re.IGNORECASE)
# Bounded on all sides, so that a long line takes no longer than its length says.
_URL_PASSWORD = re.compile(r"(?P<head>(?<![a-z])[a-z][a-z0-9+.-]{0,15}://[^\s:/@]{0,200}:)[^\s@/]{1,500}(?=@)", re.IGNORECASE)
_VALUE_MAX = 500
_TRACEBACK_MAX = 20_000


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide values under secret names and passwords inside URLs; cut what is longer than a log line should be."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = "(hidden)"
        elif isinstance(value, str):
            most = _TRACEBACK_MAX if key == "exception" else _VALUE_MAX
            cut = value if len(value) <= most else value[:most] + "..."
            event[key] = _URL_PASSWORD.sub(r"\g<head>(hidden)", cut)
    return event


def _orjson(event: dict[str, Any], **_: Any) -> str:  # noqa: ANN401 - the signature structlog's JSONRenderer asks for
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)


def formatter(log_format: str) -> structlog.stdlib.ProcessorFormatter:
    """Renders our events and those of libraries alike: ``json`` for machines, ``console`` for people."""
    renderer: Processor = structlog.processors.JSONRenderer(_orjson)
    if log_format == "console":
        # Tracebacks are rendered before, as plain text, so that what they quote is redacted like everything else.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redact,
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
        return record


class _Listener(logging.handlers.QueueListener):
    """Can also be stopped while its queue is full: the oldest line makes room for the end."""

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


class Logs:
    """The process's logging, set up at construction and flushed by `close`."""

    def __init__(self, *, level: str, log_format: str, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        if log_format == "auto":
            log_format = "console" if stream.isatty() else "json"
        lines: queue.Queue[logging.LogRecord] = queue.Queue(_QUEUE_MAX)
        self._handler = _BoundedQueueHandler(lines)
        writer = logging.StreamHandler(stream)
        writer.setFormatter(formatter(log_format))
        self._listener = _Listener(lines, writer)
        self._listener.start()
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *_SHARED,
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
        """Lines dropped because the queue was full."""
        return self._handler.dropped

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
