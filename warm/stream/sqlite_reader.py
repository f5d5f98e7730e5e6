"""Reads the log in a SQLite file, each poll of one moment. Whoever waits is woken by the writer, or looks again by himself."""

import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from app.market.protocol import Partition
from app.store.bell import Ear
from app.store.sqlite_feed import snapshot
from warm.stream.log import BYTES_MAX, Begin, LogError, Message, OffsetOutOfRange, Watermarks, check_poll
from warm.stream.sqlite_file import BUSY_S, LogFile

NAME = "sqlite"
"""The log's in `Partition`: topics' ids tell files apart."""
_LOOK_S = 0.02
_PARTITIONS = """
SELECT topic, topic_id, partition, number, low, high FROM topics JOIN partitions USING (topic_id)
WHERE topic IN (SELECT value FROM json_each(?)) ORDER BY topic, partition
"""
_BATCHES = "SELECT next, count, at_ms, messages FROM batches WHERE number = ? AND next > ? ORDER BY next"
_decode = msgspec.msgpack.Decoder(list[tuple[bytes | None, bytes | None, msgspec.Raw]]).decode


class EmbeddedReader:
    """A `warm.stream.log.Reader` of all partitions of ``topics``.

    It waits ``busy_s`` for others' locks, and looks by itself every ``look_s``.
    """

    def __init__(
        self, path: Path, topics: Iterable[str], begin: Begin, *, busy_s: float = BUSY_S, look_s: float = _LOOK_S
    ) -> None:
        self._file, self._ear, self._look_s = LogFile(path, busy_s), Ear(path), look_s
        self._topics, self._begin = msgspec.json.encode(sorted(topics)).decode(), begin
        self._positions: dict[Partition, int] = {}
        self._seen: int | None = None
        self._turn = 0

    @property
    def positions(self) -> Mapping[Partition, int]:
        """As they are after the last poll or seek."""
        return dict(self._positions)

    def poll(self, most: int, wait_s: float) -> list[Message]:
        """Partitions take turns at being the first."""
        check_poll(most)
        deadline = time.monotonic() + wait_s
        self._ear.open()
        while True:
            self._ear.forget()
            with self._file.errors():
                found = self._read(most)
            left_s = deadline - time.monotonic()
            if found or left_s <= 0:
                return found
            self._ear.wait(min(self._look_s, left_s))

    def seek(self, partition: Partition, offset: int) -> None:
        """At the next poll it is found out whether there is such an offset."""
        if partition not in self._positions:
            raise LogError("unknown_partition", f"{partition.topic} {partition.partition} is not read here")
        self._positions[partition], self._seen = offset, None

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """There is no other tool."""

    def close(self) -> None:
        """May be polled again, and begins anew then."""
        self._file.close()
        self._ear.close()
        self._positions, self._seen = {}, None

    def _read(self, most: int) -> list[Message]:
        if not self._file.is_there:
            # Of another file these offsets say nothing.
            self._positions, self._seen = {}, None
        connection = self._file.connection()
        self._ear.watch()
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._seen:
            return []
        found, ahead = list[Message](), dict[Partition, int]()
        with snapshot(connection):
            partitions = self._partitions(connection)
            self._turn += 1
            left = BYTES_MAX
            for number in range(len(partitions)):
                partition, stored_as = partitions[(self._turn + number) % len(partitions)]
                position = self._positions[partition]
                if len(found) < most and left > 0:
                    messages, size = _messages(connection, partition, stored_as, position, most - len(found), left)
                    found += messages
                    left -= size
                    ahead[partition] = position + len(messages)
        # None is passed over if one partition cannot be read.
        self._positions |= ahead
        if not found:
            self._seen = version
        return found

    def _partitions(self, connection: sqlite3.Connection) -> list[tuple[Partition, int]]:
        """Those that there are, each with the number that its messages are stored under."""
        positions, marks, numbers = dict[Partition, int](), dict[Partition, Watermarks](), list[tuple[Partition, int]]()
        for topic, topic_id, each, number, low, high in connection.execute(_PARTITIONS, (self._topics,)).fetchall():
            partition = Partition(NAME, topic, topic_id, each)
            position = self._positions.get(partition)
            if position is None:
                position = self._begin(partition)
            positions[partition] = low if position is None else position
            marks[partition] = Watermarks(low, high)
            numbers.append((partition, number))
        self._positions = positions
        for partition, position in positions.items():
            low, high = marks[partition]
            if not low <= position <= high:
                raise OffsetOutOfRange(partition, position, marks[partition])
        return numbers


def _messages(
    connection: sqlite3.Connection, partition: Partition, number: int, position: int, most: int, most_bytes: int
) -> tuple[list[Message], int]:
    """Those of a partition from ``position`` on, and how many bytes they have about."""
    found, size = list[Message](), 0
    for following, count, at_ms, raw in connection.execute(_BATCHES, (number, position)):
        batch, first = _decode(raw), following - count
        if not first <= position or len(batch) != count:
            raise LogError("log_error", f"{partition.topic} {partition.partition} is damaged at {position}")
        for key, value, headers in batch[position - first : position - first + most - len(found)]:
            found.append(Message(partition, position, at_ms, key, value, headers))
            position += 1
        size += len(raw)
        if len(found) == most or size >= most_bytes:
            break
    return found, size
