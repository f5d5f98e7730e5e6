"""The log in Kafka, for as many machines as one likes.

An append is acknowledged by all replicas that are in sync before it returns. Kafka has no transaction of it here: of one that
fails a part may have been done. Topics that are there keep the settings that they have; those that are made get Decide's.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from app.market.protocol import Partition
from warm.stream.kafka_cluster import NAME, OVERHEAD_BYTES, UNKNOWN, Cluster, text_of
from warm.stream.kafka_reader import LOOK_S, SESSION_S, KafkaReader
from warm.stream.log import (
    DEAD_LETTER_BYTES,
    MESSAGE_BYTES_MAX,
    Begin,
    LogError,
    Outgoing,
    Position,
    Topic,
    Watermarks,
    check_messages,
    check_topic,
)

_CONFIG = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 1,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    # Before it is compressed; the topic's own bound is of what comes of it.
    "message.max.bytes": 2 * (MESSAGE_BYTES_MAX + DEAD_LETTER_BYTES + OVERHEAD_BYTES),
    "allow.auto.create.topics": False,
    "topic.metadata.propagation.max.ms": 1_000,
}


class KafkaLog:
    """A `warm.stream.log.Log` in the cluster that ``config`` tells how to reach, in librdkafka's words.

    Readers that share are members of ``group``. What Kafka is asked for may take ``timeout_s``. Of ``look_s`` and ``session_s``
    `KafkaReader` tells.
    """

    name = NAME

    def __init__(
        self,
        config: Mapping[str, str],
        *,
        group: str = "decide",
        timeout_s: float = 10.0,
        look_s: float = LOOK_S,
        session_s: float = SESSION_S,
    ) -> None:
        self._cluster, self._group = Cluster(config, timeout_s), group
        self._look_s, self._session_s = look_s, session_s
        self._producer: Producer | None = None

    def check(self) -> None:
        """Raises:
        ValueError: its configuration cannot be; says why.
        """
        try:
            self._cluster.open()
        except KafkaException as error:
            raise ValueError(text_of(error.args[0])) from error

    def create(self, topic: str, partitions: int, retention_ms: int | None = None) -> Topic:
        """How long a topic that is there keeps its messages is its owners' business."""
        check_topic(topic, partitions, retention_ms)
        there = self._cluster.topics([topic]).get(topic)
        if there is not None and there.partitions >= partitions:
            return there
        if there is None:
            self._cluster.create(topic, partitions, retention_ms)
        else:
            self._cluster.add_partitions(topic, partitions)
        self._let_go()
        return self.create(topic, partitions, retention_ms)

    def remove(self, topic: str) -> None:
        """Returns once nobody can see it any more."""
        self._cluster.remove(topic)
        self._let_go()

    def append(self, topic: str, messages: Sequence[Outgoing]) -> list[Position]:
        """Kafka's own choice of the partition, which for messages without a key is any."""
        check_messages(topic, messages)
        positions: dict[int, Position] = {}
        errors: list[KafkaError] = []

        def done(number: int, error: KafkaError | None, message: KafkaMessage) -> None:
            if error is None:
                positions[number] = Position(message.partition() or 0, message.offset() or 0)
            else:
                errors.append(error)

        try:
            producer = self._open()
            for number, (key, value, headers) in enumerate(messages):
                producer.produce(topic, value, key, on_delivery=partial(done, number), headers=list(headers) or None)
            producer.flush()
        except (KafkaException, BufferError) as error:
            self._let_go()
            raise self._cluster.failure(error.args[0]) from error
        if len(positions) < len(messages):
            # What it knows of the topic may be of another one that had its name.
            self._let_go()
            code = errors[0].code()
            if code in UNKNOWN:
                raise LogError("unknown_topic", f"{topic} is not in Kafka. Create it")
            raise self._cluster.failure(errors[0])
        return [positions[number] for number in range(len(messages))]

    def watermarks(self, topic: str) -> dict[Partition, Watermarks]:
        """As they are now."""
        return self._cluster.watermarks(
            [
                Partition(NAME, topic, each.topic_id, number)
                for each in self._cluster.topics([topic]).values()
                for number in range(each.partitions)
            ]
        )

    def trim(self, partition: Partition, before: int) -> None:
        """Kafka removes whole files of them, in its own time; nobody can read them from now on."""
        marks = self.watermarks(partition.topic).get(partition)
        if marks is not None and before > marks.low:
            self._cluster.trim(partition, min(before, marks.high))

    def reader(self, topics: Iterable[str], begin: Begin, *, shared: bool = False) -> KafkaReader:
        """Those that share are the group's members."""
        group = self._group if shared else None
        return KafkaReader(self._cluster, topics, begin, group, look_s=self._look_s, session_s=self._session_s)

    def close(self) -> None:
        """May be opened again by another call."""
        self._let_go()
        self._cluster.close()

    def _open(self) -> Producer:
        if self._producer is None:
            timeout_ms = int(self._cluster.timeout_s * 1000)
            self._producer = Producer({**self._cluster.config, **_CONFIG, "delivery.timeout.ms": timeout_ms})
        return self._producer

    def _let_go(self) -> None:
        """Of what is on its way, if anything is."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None
