"""A Kafka cluster: how to reach it, what it says of topics, and what is done to them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic, OffsetSpec

from app.market.protocol import Partition
from warm.stream.log import LogError, Topic, Watermarks, message_bytes_max

NAME = "kafka"
"""The log's in `Partition`: topics' ids tell clusters apart."""
UNKNOWN = frozenset(
    {
        *(KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID),
        *(KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION),  # noqa: SLF001 - so the library names its own codes
    }
)
"""Codes of errors that say that there is no such topic, or no such partition."""
_LEADERLESS = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
"""Of a topic that was just made, or whose leader moves: over in a moment."""
OVERHEAD_BYTES = 65_536
"""What Kafka's form of a message may have beside key, value and headers."""
METADATA_MS = 5_000
"""How old may be what clients know of topics."""
_LOOK_S = 0.02
_ABOUT_ALL = {
    "client.id": "decide",
    # What goes wrong is told by the errors of calls, and as `error_cb` hears it; not on standard error besides.
    "log_level": 0,
    # Back soon after a broker is.
    "reconnect.backoff.max.ms": 1_000,
    "topic.metadata.refresh.interval.ms": METADATA_MS,
}
T = TypeVar("T")


def code_of(error: KafkaException) -> int:
    """Kafka's number of it."""
    return int(error.args[0].code())


def text_of(error: object) -> str:
    """What it says, for people."""
    return error.str() if isinstance(error, KafkaError) else str(error)


class Cluster:
    """One that ``config`` tells how to reach, in librdkafka's words; an answer may take ``timeout_s``."""

    def __init__(self, config: Mapping[str, str], timeout_s: float) -> None:
        self.config: dict[str, Any] = {**_ABOUT_ALL, "error_cb": self._hear, **config}
        self.timeout_s = timeout_s
        self._said = ""
        self._opened: AdminClient | None = None

    def open(self) -> AdminClient:
        """What asks it; returns at once, whether it can be reached or not.

        Raises:
            KafkaException: the configuration cannot be.
        """
        if self._opened is None:
            self._opened = AdminClient(self.config)
        return self._opened

    def close(self) -> None:
        """May be opened again."""
        self._opened = None

    def _hear(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - as above
            self._said = error.str()

    def failure(self, error: object) -> LogError:
        """``error`` as the log's, with what was heard last: why nothing answers is told apart from what was not answered."""
        if self._opened is not None:
            self._opened.poll(0)
        said, self._said = self._said, ""
        return LogError("log_error", f"Kafka at {self.config['bootstrap.servers']}: {text_of(error)}{said and f' ({said})'}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Whatever Kafka refuses is a `LogError`."""
        try:
            yield
        except KafkaException as error:
            raise self.failure(error.args[0]) from error

    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Those of ``names`` that are there."""
        asked = list(names)
        with self.errors():
            answers = self.open().describe_topics(TopicCollection(asked), request_timeout=self.timeout_s) if asked else {}
            found = _known(answers)
        return {name: Topic(name, str(each.topic_id), len(each.partitions)) for name, each in found.items()}

    def watermarks(self, partitions: Sequence[Partition]) -> dict[Partition, Watermarks]:
        """Of those that are there."""
        asked = {TopicPartition(each.topic, each.partition): each for each in partitions}
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                lows, highs = (self._offsets(asked, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
            except KafkaException as error:
                if code_of(error) not in _LEADERLESS or time.monotonic() > deadline:
                    raise self.failure(error.args[0]) from error
                time.sleep(_LOOK_S)
            else:
                return {
                    each: Watermarks(lows[place], highs[place])
                    for place, each in asked.items()
                    if place in lows and place in highs
                }

    def _offsets(self, places: Iterable[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
        asked = dict.fromkeys(places, spec)
        answers = self.open().list_offsets(asked, request_timeout=self.timeout_s) if asked else {}
        return {place: each.offset for place, each in _known(answers).items()}

    def create(self, topic: str, partitions: int, retention_ms: int | None) -> None:
        """Make a topic, unless somebody else did meanwhile; returns once it can be seen."""
        config = {
            "retention.ms": str(-1 if retention_ms is None else retention_ms),
            "max.message.bytes": str(message_bytes_max(topic) + OVERHEAD_BYTES),
            # Nobody else can say when a message was appended.
            "message.timestamp.type": "LogAppendTime",
        }
        made = NewTopic(topic, num_partitions=partitions, replication_factor=-1, config=config)
        self._do(self.open().create_topics([made], request_timeout=self.timeout_s), but=KafkaError.TOPIC_ALREADY_EXISTS)
        self._await(lambda: topic in self.topics([topic]))

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Until there are so many."""
        added = [NewPartitions(topic, partitions)]
        self._do(self.open().create_partitions(added, request_timeout=self.timeout_s), but=KafkaError.INVALID_PARTITIONS)
        self._await(lambda: (there := self.topics([topic]).get(topic)) is None or there.partitions >= partitions)

    def remove(self, topic: str) -> None:
        """Returns once it cannot be seen any more."""
        removed = self.open().delete_topics([topic], request_timeout=self.timeout_s)
        self._do(removed, but=KafkaError.UNKNOWN_TOPIC_OR_PART)
        self._await(lambda: topic not in self.topics([topic]))

    def trim(self, partition: Partition, before: int) -> None:
        """Remove the messages before an offset that the partition has."""
        place = TopicPartition(partition.topic, partition.partition, before)
        self._do(self.open().delete_records([place], request_timeout=self.timeout_s), but=KafkaError.UNKNOWN_TOPIC_OR_PART)

    def _do(self, answers: Mapping[Any, "Future[Any]"], *, but: int) -> None:
        """Done, or refused because of ``but``, which says that there is nothing left to do."""
        for answer in answers.values():
            try:
                answer.result()
            except KafkaException as error:
                if code_of(error) != but:
                    raise self.failure(error.args[0]) from error

    def _await(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.timeout_s
        while not is_so():
            if time.monotonic() > deadline:
                raise self.failure("what was done to a topic cannot be seen")
            time.sleep(_LOOK_S)


def _known(answers: Mapping[T, "Future[Any]"]) -> dict[T, Any]:
    """What was answered of those that are there."""
    found = {}
    for key, answer in answers.items():
        try:
            found[key] = answer.result()
        except KafkaException as error:
            if code_of(error) not in UNKNOWN:
                raise
    return found
