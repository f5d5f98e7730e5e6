"""A process with one of several consumers that share the partitions of a topic in Kafka, until SIGTERM.

It tells, a line of JSON each, which partitions it reads, of which it is about to write, that it wrote, and what its consumer
says. With `holds` it waits for a line of its input before it writes for the first time.
"""

import json
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.market.following import Then
from app.market.protocol import Applied, Batch, Partition
from tests.market.places import Place, PostgresPlace
from tests.stream.rig import Rig
from warm.stream.kafka_log import KafkaLog
from warm.stream.log import Message

SESSION_S = 2.0
"""A member that is silent for so long has left."""


def _tell(event: str, **facts: Any) -> None:  # noqa: ANN401 - whatever there is to tell
    sys.stdout.write(json.dumps({"event": event, **facts}, default=str) + "\n")
    sys.stdout.flush()


def _numbers(partitions: Iterable[Partition]) -> list[int]:
    return sorted(each.partition for each in partitions)


class _Wrapped:
    def __init__(self, wrapped: Any) -> None:  # noqa: ANN401 - log, reader or writer
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - its own
        return getattr(self._wrapped, name)


class _Log(_Wrapped):
    def reader(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - as of the log
        return _Reader(self._wrapped.reader(*given, **named))


class _Reader(_Wrapped):
    def __init__(self, wrapped: Any) -> None:  # noqa: ANN401 - a reader
        super().__init__(wrapped)
        self._read: list[int] = []

    def poll(self, most: int, wait_s: float) -> list[Message]:
        found: list[Message] = self._wrapped.poll(most, wait_s)
        if (read := _numbers(self._wrapped.positions)) != self._read:
            self._read = read
            _tell("reads", partitions=read)
        return found


class _Writer(_Wrapped):
    def __init__(self, wrapped: Any, *, holds: bool) -> None:  # noqa: ANN401 - a writer
        super().__init__(wrapped)
        self._holds = holds

    def apply(self, batch: Batch, then: Then | None = None) -> Applied:
        partitions = _numbers(each.partition for each in batch.moves)
        _tell("writes", partitions=partitions)
        if self._holds:
            self._holds = False
            sys.stdin.readline()
        applied: Applied = self._wrapped.apply(batch, then)
        _tell("wrote", partitions=partitions)
        return applied


class _Told(Rig):
    def _say(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - as above
        _tell(event, **facts)


if __name__ == "__main__":
    market, folder, url, group, *how = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    place = PostgresPlace(market) if market.startswith("postgresql:") else Place(Path(market))
    config = {"bootstrap.servers": url}
    _Told(place, Path(folder), open_log=lambda: KafkaLog(config, group=group, look_s=0.1, session_s=SESSION_S)).consume(
        log=_Log,
        writer=lambda it: _Writer(it, holds="holds" in how),
        stop=stop,
    )
