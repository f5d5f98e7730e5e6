"""Where the logs of the tests are: each implementation makes empty ones, and opens them as often as a test likes."""

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

from tests.kit.kafka import KafkaServer
from warm.stream.log import BYTES_MAX, Begin, Log, Message, OffsetOutOfRange, Outgoing, Reader
from warm.stream.sqlite_log import EmbeddedLog

TOPIC = "decide.trades"
_WITHIN_S = 30.0


class Place:
    """A log in a SQLite file; ``path`` is the file's."""

    takes_turns = True
    """Whether the partitions of a reader do so."""
    examples = 60
    """Of any history: as many as take a few seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: list[Log | Reader] = []

    def log(self) -> Log:
        """Open it, as another process would."""
        return self._open(EmbeddedLog(self.path))

    def reader(self, *topics: str, begin: Begin = lambda _: None) -> Reader:
        """One of `TOPIC`, or of ``topics``."""
        reader = self.log().reader(topics or [TOPIC], begin)
        self._opened.append(reader)
        return reader

    def _open(self, log: Log) -> Log:
        self._opened.append(log)
        return log

    def close(self) -> None:
        """All that was opened."""
        for each in reversed(self._opened):
            each.close()


class KafkaPlace(Place):
    """All of a broker. Readers that share have a name of their own."""

    takes_turns, examples = False, 6
    _numbers = count()

    def __init__(self, server: KafkaServer) -> None:
        super().__init__(Path())
        self.url, self.group = server.url, f"place{next(self._numbers)}"
        log = self.log()
        for topic in server.topics():
            log.remove(topic)

    def log(self) -> Log:
        """Its readers look which topics there are at every poll."""
        from warm.stream.kafka_log import KafkaLog  # noqa: PLC0415 - its client is an extra

        return self._open(KafkaLog({"bootstrap.servers": self.url}, group=self.group, look_s=0.0, session_s=2.0))

    def reader(self, *topics: str, begin: Begin = lambda _: None) -> Reader:
        """One that waits for what there is: Kafka sends that a moment later."""
        asked = topics or (TOPIC,)
        return cast("Reader", _Patient(super().reader(*asked, begin=begin), self.log(), asked))


class _Patient:
    """A reader whose polls end when they have all that they may have, or when there is no more."""

    def __init__(self, reader: Reader, log: Log, topics: Sequence[str]) -> None:
        self._reader, self._log, self._topics = reader, log, topics

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the reader's own
        return getattr(self._reader, name)

    def poll(self, most: int, wait_s: float) -> list[Message]:
        """As of the reader."""
        found, size, until = list[Message](), 0, time.monotonic() + _WITHIN_S
        while True:
            try:
                some = self._reader.poll(most - len(found), max(wait_s, 0.01))
            except OffsetOutOfRange:
                if not found:
                    raise
                return found
            found += some
            size += sum(len(each.value or b"") for each in some)
            if len(found) == most or size >= BYTES_MAX or self._is_at_end():
                return found
            assert time.monotonic() < until, "it does not come to the end"

    def _is_at_end(self) -> bool:
        marks = {each: mark.high for topic in self._topics for each, mark in self._log.watermarks(topic).items()}
        return marks == self._reader.positions


def values(*numbers: int | str, key: bytes | None = b"A") -> list[Outgoing]:
    """Messages of one key."""
    return [Outgoing(key, str(number).encode()) for number in numbers]


def drain(reader: Reader, most: int = 1_000) -> list[bytes | None]:
    """The values of all that is there."""
    found: list[bytes | None] = []
    while messages := reader.poll(most, 0):
        found += [each.value for each in messages]
    return found


def offsets_of(reader: Reader) -> Sequence[int]:
    """Where it is, partition by partition."""
    return [offset for _, offset in sorted(reader.positions.items())]
