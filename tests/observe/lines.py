"""Logging into a text, and its lines."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

from app.observe.logs import Logs


@contextmanager
def logs_to(stream: io.StringIO, level: str = "info", log_format: str = "json") -> Iterator[Logs]:
    """Logging into ``stream``, flushed and undone at the end."""
    logs = Logs(level=level, log_format=log_format, stream=stream)
    try:
        yield logs
    finally:
        logs.close()


def written(stream: io.StringIO) -> list[dict[str, object]]:
    """The lines, each of which must be one JSON object."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]
