"""The log as the stream sees it: topics, whose partitions keep messages in order until they are old.

A partition counts its messages by offsets that have no holes and never go back. What was appended is durable when `Log.append`
returns; one that fails may have been done, so whoever tries again may have written twice, and whoever reads tells messages by
what is in them. A reader keeps no offset: that is its caller's, beside what came of the messages. Nothing is passed over in
silence: where an offset is none that a partition has, be it that messages were removed or that another log took its place, the
reader says so and waits to be told where to go on.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

from app.errors import DecideError
from app.market.protocol import Partition

Headers = tuple[tuple[str, bytes], ...]
"""Names, of which one may stand several times, and values."""

MESSAGES_MAX = 10_000
"""Of one append, and of one poll."""
BYTES_MAX = 16_777_216
"""Of all messages of one append. A poll that comes to it ends, with what was appended together."""
MESSAGE_BYTES_MAX = 1_048_576
"""Of key, value and headers of one message."""
DEAD_LETTERS, DEAD_LETTER_BYTES = ".dlq", 65_536
"""What the name of a dead letters' topic ends with, and how much longer its messages may be than those that they come from."""
PARTITIONS_MAX = 1_000

_headers = msgspec.msgpack.Decoder(Headers).decode
_is_topic = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}").fullmatch


class Outgoing(NamedTuple):
    """A message to be appended. One key's messages stay in order, in one partition."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Position(NamedTuple):
    """Where a message stands: the number of its partition, and its offset there."""

    partition: int
    offset: int


class Message(msgspec.Struct, frozen=True, gc=False):
    """One of a partition, which names the log, the topic and that one's id. ``timestamp_ms``: when it was appended.

    ``raw_headers`` may be headers as msgpack: few are ever looked at, and decoding them costs more than all else of a message.
    """

    partition: Partition
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    raw_headers: msgspec.Raw | Headers

    @property
    def headers(self) -> Headers:
        """In their order."""
        return self.raw_headers if isinstance(self.raw_headers, tuple) else _headers(self.raw_headers)


class Topic(NamedTuple):
    """One that is made anew has another id."""

    name: str
    topic_id: str
    partitions: int


class Watermarks(NamedTuple):
    """The offset of the oldest message that a partition has, and the one that the next will have. Lag is ``high`` less the offset
    at which a reader goes on.
    """

    low: int
    high: int


class LogError(DecideError):
    """The log could not do it. ``reason``: ``log_error``, ``log_busy`` where others write for too long, ``unknown_topic``, or
    ``unknown_partition`` of one that a reader does not read.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class OffsetOutOfRange(LogError):
    """A reader is at an offset that the partition does not have: messages from there on were removed (it is below the low
    watermark), or the log lost them or never had them (it is above the high one). `Reader.seek` says where to go on.
    """

    def __init__(self, partition: Partition, offset: int, watermarks: Watermarks) -> None:
        where = f"{partition.topic} {partition.partition}"
        super().__init__("offset_out_of_range", f"{where} is read at {offset}; allowed: {watermarks.low} to {watermarks.high}")
        self.partition, self.offset, self.watermarks = partition, offset, watermarks


Begin = Callable[[Partition], int | None]
"""The offset at which to go on with a partition; None: at its beginning."""


class Reader(Protocol):
    """Reads partitions of topics; which of them, the log says. For one thread at a time."""

    @property
    def positions(self) -> Mapping[Partition, int]:
        """The partitions that are read, and at which offset each goes on. A poll may change which they are: topics come, go and
        are made anew, partitions are added, another reader takes over.
        """
        ...

    def poll(self, most: int, wait_s: float) -> list[Message]:
        """Up to ``most`` messages, each partition's in order; after ``wait_s`` without any none.

        Raises:
            OffsetOutOfRange: no message was read, and none will be before the caller seeks.
            LogError: the log cannot be read; the next call tries again.
        """
        ...

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on there.

        Raises:
            LogError: the partition is none that is read.
        """
        ...

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Have the log's own tools show that what is before these offsets was used, if it has any. Nothing here asks for it."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class Log(Protocol):
    """One place where messages are. For one thread at a time. All of it raises `LogError`."""

    name: str
    """The log's in `Partition`."""

    def create(self, topic: str, partitions: int, retention_ms: int | None = None) -> Topic:
        """Make a topic, or have one that is there as it should be: partitions are added, never taken away, and messages are kept
        for ``retention_ms`` (None: for ever), no matter who has read them.

        Raises:
            ValueError: it cannot be called so, or have so many partitions.
        """
        ...

    def remove(self, topic: str) -> None:
        """Remove a topic with its messages, if it is there."""
        ...

    def append(self, topic: str, messages: Sequence[Outgoing]) -> list[Position]:
        """Write ``messages`` durably, in this order within each partition; where each stands.

        Raises:
            ValueError: more or longer ones than may be; nothing was written.
        """
        ...

    def watermarks(self, topic: str) -> dict[Partition, Watermarks]:
        """Of each partition of a topic; empty where there is no such topic."""
        ...

    def trim(self, partition: Partition, before: int) -> None:
        """Remove messages before an offset, which is the low watermark then; nothing where it is below that. At most all go."""
        ...

    def reader(self, topics: Iterable[str], begin: Begin, *, shared: bool = False) -> Reader:
        """One of ``topics``, which need not be there yet. ``begin`` is asked for each partition that the reader comes to read.

        ``shared``: it and others that are share the partitions, where the log can have that; else each reads all of them.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def check_topic(topic: str, partitions: int, retention_ms: int | None) -> None:
    """Raises:
    ValueError: no topic can be so.
    """
    if not _is_topic(topic):
        raise ValueError(f"topic is {topic[:80]!r}; allowed: 1 to 249 of A-Z a-z 0-9 . _ -, and not . or ..")
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise ValueError(f"partitions of {topic} are {partitions}; allowed: 1 to {PARTITIONS_MAX}")
    if retention_ms is not None and retention_ms <= 0:
        raise ValueError(f"retention_ms of {topic} is {retention_ms}; allowed: above 0, or none")


def check_messages(topic: str, messages: Sequence[Outgoing]) -> None:
    """Raises:
    ValueError: they are no append that ``topic`` takes; says which is not, and what is allowed.
    """
    if len(messages) > MESSAGES_MAX:
        raise ValueError(f"{topic} gets {len(messages)} messages at once; allowed: up to {MESSAGES_MAX}")
    sizes, allowed = list(map(size_of, messages)), message_bytes_max(topic)
    for number, size in enumerate(sizes):
        if size > allowed:
            raise ValueError(f"message {number} for {topic} has {size} bytes; allowed: up to {allowed}")
    if sum(sizes) > BYTES_MAX:
        raise ValueError(f"{topic} gets {sum(sizes)} bytes at once; allowed: up to {BYTES_MAX}")


def check_poll(most: int) -> None:
    """Raises:
    ValueError: no poll is for so many messages.
    """
    if not 1 <= most <= MESSAGES_MAX:
        raise ValueError(f"a poll is for {most} messages; allowed: 1 to {MESSAGES_MAX}")


def message_bytes_max(topic: str) -> int:
    """How long a message of ``topic`` may be."""
    return MESSAGE_BYTES_MAX + (DEAD_LETTER_BYTES if topic.endswith(DEAD_LETTERS) else 0)


def size_of(message: Outgoing) -> int:
    """Bytes of key, value and headers."""
    key, value, headers = message
    size = len(key or b"") + len(value or b"")
    for name, each in headers:
        size += len(name) + len(each)
    return size


@lru_cache(65_536)
def partition_of(key: bytes | None, partitions: int) -> int:
    """The number of the partition that a key's messages are in, which is Kafka's own choice (`murmur2`), so that a log can be
    moved. Messages without a key are in the first.
    """
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """A hash of 32 bits, without sign, with Kafka's seed."""
    whole = len(data) & ~3
    found = 0x9747B28C ^ len(data)
    for at in range(0, whole, 4):
        mixed = _times(int.from_bytes(data[at : at + 4], "little"))
        found = _times(found) ^ _times(mixed ^ mixed >> 24)
    if data[whole:]:
        found = _times(found ^ int.from_bytes(data[whole:], "little"))
    found = _times(found ^ found >> 13)
    return found ^ found >> 15


def _times(number: int) -> int:
    return number * 0x5BD1E995 & 0xFFFFFFFF
