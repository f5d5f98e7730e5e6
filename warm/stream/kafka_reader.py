"""Reads the log in Kafka: alone, or as one of a group, whose members share the partitions.

Where a partition goes on its reader is told; Kafka's own offsets count for nothing and are only shown. Kafka knows topics by
name while messages are fetched: whether one was made anew is looked at again and again, and then all begins anew.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from app.market.protocol import Partition
from warm.stream.kafka_cluster import METADATA_MS, NAME, UNKNOWN, Cluster, code_of
from warm.stream.log import BYTES_MAX, Begin, LogError, Message, OffsetOutOfRange, check_poll

LOOK_S, SESSION_S = 1.0, 10.0
"""How often it is looked which topics there are, and how long a group waits for a member that is silent."""
_SLICE_S = 0.05
_AT_ONCE = 16
_CONFIG = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    # Says how far a partition was read where its last messages are none: marks of transactions.
    "enable.partition.eof": True,
    "partition.assignment.strategy": "cooperative-sticky",
    # The library's own would have a consumer that catches up idle for a second again and again.
    "fetch.queue.backoff.ms": 50,
    "fetch.max.bytes": BYTES_MAX,
    "queued.max.messages.kbytes": BYTES_MAX // 1024,
}
# ruff: noqa: SLF001 - so the library names its own codes


class KafkaReader:
    """A `warm.stream.log.Reader`. Members of one ``group`` share the partitions; without one it reads all.

    It looks every ``look_s`` which topics there are; a group takes the partitions of a member that is silent for ``session_s``.
    After an error it begins anew.
    """

    def __init__(
        self,
        cluster: Cluster,
        topics: Iterable[str],
        begin: Begin,
        group: str | None = None,
        *,
        look_s: float = LOOK_S,
        session_s: float = SESSION_S,
    ) -> None:
        self._cluster, self._topics, self._begin, self._group = cluster, sorted(topics), begin, group
        self._look_s, self._session_s = look_s, session_s
        self._consumer: Consumer | None = None
        self._positions: dict[Partition, int] = {}
        self._here: dict[tuple[str | None, int | None], Partition] = {}
        self._lost, self._sought = set[Partition](), set[Partition]()
        self._found: list[Message] = []
        self._look_at = 0.0

    @property
    def positions(self) -> Mapping[Partition, int]:
        """As they are after the last poll or seek."""
        return dict(self._positions)

    def poll(self, most: int, wait_s: float) -> list[Message]:
        """What Kafka has sent by then."""
        check_poll(most)
        deadline = time.monotonic() + wait_s
        try:
            with self._cluster.errors():
                while True:
                    consumer = self._look()
                    self._check_lost()
                    self._go_to(consumer)
                    left_s = max(0.0, deadline - time.monotonic())
                    found = self._read(consumer, most, min(_SLICE_S, left_s))
                    if found or left_s <= 0:
                        return found
        except OffsetOutOfRange:
            raise
        except BaseException:
            # What was fetched and not handed out is read again.
            self.close()
            raise

    def seek(self, partition: Partition, offset: int) -> None:
        """At the next poll it is found out whether there is such an offset."""
        if partition not in self._positions:
            raise LogError("unknown_partition", f"{partition.topic} {partition.partition} is not read here")
        self._positions[partition] = offset
        self._lost.discard(partition)
        self._sought.add(partition)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Nobody waits for it, and whether it comes about is not asked."""
        places = [_place(each, offset) for each, offset in offsets.items() if each in self._positions]
        if self._group is not None and self._consumer is not None and places:
            with self._cluster.errors():
                self._consumer.commit(offsets=places, asynchronous=True)

    def close(self) -> None:
        """May be polled again, and begins anew then. A group learns at once that one has left."""
        consumer, self._consumer = self._consumer, None
        self._forget(self._positions)
        self._look_at = 0.0
        if consumer is not None:
            consumer.close()

    def _look(self) -> Consumer:
        """Whether topics came, went, were made anew, or got partitions."""
        if self._consumer is not None and time.monotonic() < self._look_at:
            return self._consumer
        topics = self._cluster.topics(self._topics)
        ids = {name: each.topic_id for name, each in topics.items()}
        if any(ids.get(each.topic) != each.topic_id for each in self._positions):
            self.close()
        self._look_at = time.monotonic() + self._look_s
        if self._consumer is None:
            self._consumer = self._open()
        if self._group is None:
            there = [
                Partition(NAME, each.name, each.topic_id, number) for each in topics.values() for number in range(each.partitions)
            ]
            self._add(self._consumer, [each for each in there if each not in self._positions])
        return self._consumer

    def _open(self) -> Consumer:
        session_ms = int(self._session_s * 1000)
        consumer = Consumer(
            {
                **self._cluster.config,
                **_CONFIG,
                "group.id": self._group or "decide-none",
                "session.timeout.ms": session_ms,
                "heartbeat.interval.ms": session_ms // 10,
                "topic.metadata.refresh.interval.ms": int(max(METADATA_MS * self._look_s, 100)),
            }
        )
        if self._group is not None:
            consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked)
        return consumer

    def _assigned(self, consumer: Consumer, places: Sequence[TopicPartition]) -> None:
        topics = self._cluster.topics({each.topic for each in places})
        there = [
            Partition(NAME, each.topic, topics[each.topic].topic_id, each.partition) for each in places if each.topic in topics
        ]
        self._add(consumer, there)

    def _revoked(self, consumer: Consumer, places: Sequence[TopicPartition]) -> None:
        self._forget([self._here[each.topic, each.partition] for each in places if (each.topic, each.partition) in self._here])
        consumer.incremental_unassign(list(places))

    def _add(self, consumer: Consumer, partitions: Sequence[Partition]) -> None:
        """Read these, too."""
        marks, places = self._cluster.watermarks(partitions), []
        for partition, (low, high) in marks.items():
            at = self._begin(partition)
            self._positions[partition] = at = low if at is None else at
            self._here[partition.topic, partition.partition] = partition
            if not low <= at <= high:
                self._lost.add(partition)
            places.append(_place(partition, at if low <= at <= high else low))
        if places:
            consumer.incremental_assign(places)

    def _forget(self, partitions: Iterable[Partition]) -> None:
        for partition in list(partitions):
            del self._positions[partition]
            del self._here[partition.topic, partition.partition]
            self._lost.discard(partition)
            self._sought.discard(partition)
        self._found = [each for each in self._found if each.partition in self._positions]

    def _check_lost(self) -> None:
        """Raises:
        OffsetOutOfRange: one is at an offset that it does not have.
        """
        for partition, marks in self._cluster.watermarks(sorted(self._lost)).items():
            at = self._positions[partition]
            if not marks.low <= at <= marks.high:
                raise OffsetOutOfRange(partition, at, marks)
            self.seek(partition, at)

    def _go_to(self, consumer: Consumer) -> None:
        """Where the caller said."""
        for partition in self._sought:
            place = _place(partition, self._positions[partition])
            try:
                consumer.seek(place)
            except KafkaException as error:
                if code_of(error) != KafkaError._STATE:
                    raise
                # It has not begun yet, or has stopped at an offset that is not there.
                consumer.incremental_unassign([place])
                consumer.incremental_assign([place])
        self._sought.clear()

    def _read(self, consumer: Consumer, most: int, wait_s: float) -> list[Message]:
        """Waits for the first one; then all that is there."""
        self._found, size = [], 0
        first = consumer.poll(wait_s)
        messages = [] if first is None else [first]
        while messages:
            for message in messages:
                size += self._take(message)
            if len(self._found) >= most or size >= BYTES_MAX:
                break
            # As many as have the bytes that are left, if they are like those before.
            fitting = (BYTES_MAX - size) * len(self._found) // max(1, size)
            messages = consumer.consume(min(most - len(self._found), max(_AT_ONCE, fitting)), 0)
        found, self._found = self._found, []
        return found

    def _take(self, message: KafkaMessage) -> int:
        """One of those that Kafka sent; its bytes."""
        partition = self._here.get((message.topic(), message.partition()))
        error, offset = message.error(), message.offset() or 0
        if error is not None:
            self._take_error(error, partition, offset)
            return 0
        # Of one that is at an offset that it does not have nothing is taken before the caller says where it goes on.
        if partition is None or partition in self._lost or offset < self._positions[partition]:
            return 0
        key, value, headers = message.key(), message.value(), message.headers()
        said: Any = () if not headers else tuple((each[0], each[1] or b"") for each in headers)
        self._found.append(Message(partition, offset, max(0, message.timestamp()[1]), key, value, said))
        self._positions[partition] = offset + 1
        return len(message)

    def _take_error(self, error: KafkaError, partition: Partition | None, offset: int) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if partition is not None and partition not in self._lost:
                self._positions[partition] = max(self._positions[partition], offset)
        elif code == KafkaError._AUTO_OFFSET_RESET or code in UNKNOWN:
            self._look_at = 0.0
            if partition is not None and code == KafkaError._AUTO_OFFSET_RESET:
                self._lost.add(partition)
        else:
            raise KafkaException(error)


def _place(partition: Partition, offset: int) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition, offset)
