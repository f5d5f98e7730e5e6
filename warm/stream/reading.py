"""All that a topic has at a moment."""

import time
from collections.abc import Iterator

from warm.stream.log import MESSAGES_MAX, Begin, Log, LogError, Message, OffsetOutOfRange

_WAIT_S = 10.0


def messages_now(log: Log, topic: str, begin: Begin = lambda _: None) -> Iterator[list[Message]]:
    """The messages that ``topic`` has now, each partition's from where ``begin`` says, or else from its oldest on.

    Raises:
        LogError: the log cannot be read.
    """
    marks, reader, until = log.watermarks(topic), log.reader([topic], begin), time.monotonic() + _WAIT_S
    try:
        while any(reader.positions.get(each, -1) < high for each, (_, high) in marks.items()):
            try:
                messages = reader.poll(MESSAGES_MAX, 0.05)
            except OffsetOutOfRange as error:
                reader.seek(error.partition, error.watermarks.low)
                continue
            if messages:
                until = time.monotonic() + _WAIT_S
                yield messages
            elif time.monotonic() > until:
                raise LogError("log_error", f"{topic} has messages that cannot be read")
    finally:
        reader.close()
