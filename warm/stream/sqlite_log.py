"""The log in a SQLite file, for the processes of one machine: several write and several read.

An append is one transaction, so it is wholly there or not at all, whenever its process is killed; the disk's own loss of power
may take the last ones. Offsets are counted in it. A writer that is done wakes the readers (`app.store.bell`).
"""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.market.protocol import Partition
from app.store.bell import ring
from warm.stream.log import Begin, LogError, Outgoing, Position, Topic, Watermarks, check_messages, check_topic, partition_of
from warm.stream.sqlite_file import BUSY_S, LogFile
from warm.stream.sqlite_reader import NAME, EmbeddedReader

_BATCH_MESSAGES = 256
"""Of one row. Who reads from within a batch reads all of it."""
_REMOVED_AT_ONCE = 64
"""Old batches that an append removes in each partition that it writes to: more than it adds, and too few to hold others up."""
_PARTITIONS = """
SELECT partition, number, low, high, topic_id, retention_ms FROM topics JOIN partitions USING (topic_id)
WHERE topic = ? ORDER BY partition
"""
_PARTITION = "SELECT number, high FROM partitions WHERE topic_id = ? AND partition = ?"
_OLDEST = "SELECT next, at_ms FROM batches WHERE number = ? ORDER BY next LIMIT ?"
_encode = msgspec.msgpack.Encoder().encode


class EmbeddedLog:
    """A `warm.stream.log.Log` in a SQLite file, which is made at the first call. ``busy_s`` is how long it waits for others that
    write; ``clock_ms`` tells epoch milliseconds.
    """

    name = NAME

    def __init__(
        self, path: Path, *, busy_s: float = BUSY_S, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._file, self._busy_s, self._clock_ms = LogFile(path, busy_s), busy_s, clock_ms

    def create(self, topic: str, partitions: int, retention_ms: int | None = None) -> Topic:
        """Its id is a random one."""
        check_topic(topic, partitions, retention_ms)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO topics VALUES (?, ?, ?) ON CONFLICT (topic) DO UPDATE SET retention_ms = excluded.retention_ms",
                (topic, secrets.token_urlsafe(16), retention_ms),
            )
            (topic_id,) = connection.execute("SELECT topic_id FROM topics WHERE topic = ?", (topic,)).fetchone()
            connection.executemany(
                "INSERT INTO partitions (topic_id, partition, low, high) VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING",
                [(topic_id, number) for number in range(partitions)],
            )
            (count,) = connection.execute("SELECT count(*) FROM partitions WHERE topic_id = ?", (topic_id,)).fetchone()
        return Topic(topic, topic_id, count)

    def remove(self, topic: str) -> None:
        """In one transaction, however much there is."""
        with self._transaction() as connection:
            for _, number, *_ in connection.execute(_PARTITIONS, (topic,)).fetchall():
                connection.execute("DELETE FROM batches WHERE number = ?", (number,))
                connection.execute("DELETE FROM partitions WHERE number = ?", (number,))
            connection.execute("DELETE FROM topics WHERE topic = ?", (topic,))

    def append(self, topic: str, messages: Sequence[Outgoing]) -> list[Position]:
        """Old messages go here too, some at a time."""
        check_messages(topic, messages)
        with self._transaction() as connection:
            found = connection.execute(_PARTITIONS, (topic,)).fetchall()
            if not found:
                raise LogError("unknown_topic", f"{topic} is not in the log at {self._file.path}. Create it")
            at_ms, positions = self._clock_ms(), list[Position]()
            parts: dict[int, list[Outgoing]] = {}
            for message in messages:
                partition = partition_of(message[0], len(found))
                part = parts.setdefault(partition, [])
                positions.append(Position(partition, found[partition][3] + len(part)))
                part.append(message)
            for partition, part in parts.items():
                _, number, _, high, _, retention_ms = found[partition]
                _write(connection, number, high, at_ms, part)
                if retention_ms is not None:
                    _remove_old(connection, number, at_ms - retention_ms)
        return positions

    def watermarks(self, topic: str) -> dict[Partition, Watermarks]:
        """As they are now."""
        with self._file.errors():
            found = self._file.connection().execute(_PARTITIONS, (topic,)).fetchall()
        return {Partition(NAME, topic, each[4], each[0]): Watermarks(each[2], each[3]) for each in found}

    def trim(self, partition: Partition, before: int) -> None:
        """In one transaction, however much goes."""
        with self._transaction() as connection:
            found = connection.execute(_PARTITION, (partition.topic_id, partition.partition)).fetchone()
            if found is not None:
                number, high = found
                _remove(connection, number, min(before, high))

    def reader(self, topics: Iterable[str], begin: Begin, *, shared: bool = False) -> EmbeddedReader:  # noqa: ARG002 - cannot
        """Of all partitions, whoever else reads them."""
        return EmbeddedReader(self._file.path, topics, begin, busy_s=self._busy_s)

    def close(self) -> None:
        """May be opened again by another call."""
        self._file.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One that nobody else writes beside, and of which those that wait are told."""
        with self._file.errors():
            connection = self._file.connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            if not self._file.is_there:
                raise LogError("log_error", f"SQLite at {self._file.path} was removed, or another took its place, meanwhile")
        ring(self._file.path)


def _write(connection: sqlite3.Connection, number: int, high: int, at_ms: int, messages: Sequence[Outgoing]) -> None:
    for first in range(0, len(messages), _BATCH_MESSAGES):
        batch = messages[first : first + _BATCH_MESSAGES]
        high += len(batch)
        connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?)", (number, high, len(batch), at_ms, _encode(batch)))
    connection.execute("UPDATE partitions SET high = ? WHERE number = ?", (high, number))


def _remove_old(connection: sqlite3.Connection, number: int, before_ms: int) -> None:
    low = 0
    for following, at_ms in connection.execute(_OLDEST, (number, _REMOVED_AT_ONCE)):
        if at_ms >= before_ms:
            break
        low = following
    if low:
        _remove(connection, number, low)


def _remove(connection: sqlite3.Connection, number: int, before: int) -> None:
    connection.execute("UPDATE partitions SET low = ? WHERE number = ? AND low < ?", (before, number, before))
    connection.execute("DELETE FROM batches WHERE number = ? AND next <= ?", (number, before))
