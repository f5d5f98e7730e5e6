"""Dead letters: messages that cannot be used, kept in a topic of their own with why and whence.

A dead letter has the key, the value and the headers of its message, and behind these the headers of Kafka Streams' KIP-1034
(`__streams.errors.…`, as text) and some of Decide's own: the id of the topic that it came from and, where its value is cut, the
value's length and hash. Whoever dies between writing a dead letter and going on writes it again: `Origin` tells that.
"""

import hashlib
from typing import NamedTuple

from warm.stream.log import DEAD_LETTERS, Headers, Message, Outgoing, message_bytes_max, size_of

_STREAMS, _OURS = "__streams.errors.", "__decide.errors."
EXCEPTION, MESSAGE = f"{_STREAMS}exception", f"{_STREAMS}message"
TOPIC, PARTITION, OFFSET = f"{_STREAMS}topic", f"{_STREAMS}partition", f"{_STREAMS}offset"
TOPIC_ID, LENGTH, SHA256 = f"{_OURS}topic_id", f"{_OURS}length", f"{_OURS}sha256"
_REASON_MAX = 2_000
"""Characters."""


class Origin(NamedTuple):
    """Where a message stood that a dead letter is of."""

    topic: str
    topic_id: str
    partition: int
    offset: int

    @property
    def identity(self) -> tuple[str, int, int]:
        """The same for a dead letter that was written twice."""
        return self.topic_id, self.partition, self.offset


class DeadLetter(NamedTuple):
    """``exception`` is a class's name, ``reason`` says what is wrong. ``message`` may be appended to the origin's topic again.
    ``length`` (bytes) and ``sha256`` are of the value as it was, before it may have been cut.
    """

    origin: Origin
    exception: str
    reason: str
    message: Outgoing
    length: int
    sha256: str

    @property
    def is_cut(self) -> bool:
        """Whether a part of the value is lost, so that it cannot be replayed."""
        return self.length > len(self.message.value or b"")


def topic_of_dead_letters(topic: str) -> str:
    """Where those of ``topic`` are."""
    return topic + DEAD_LETTERS


def dead_letter(message: Message, error: Exception, bytes_max: int | None = None) -> Outgoing:
    """``message`` as a dead letter, because of ``error``, of up to ``bytes_max`` (by default what the log takes). Of a longer
    one the end of the value is cut; where that is not enough, its own headers are left out too. The key stays.
    """
    log, topic, topic_id, partition = message.partition
    del log
    if bytes_max is None:
        bytes_max = message_bytes_max(topic_of_dead_letters(topic))
    why = _headers(
        {
            EXCEPTION: type(error).__name__,
            MESSAGE: str(error)[:_REASON_MAX],
            TOPIC: topic,
            PARTITION: str(partition),
            OFFSET: str(message.offset),
            TOPIC_ID: topic_id,
        }
    )
    headers = _without_ours(message.headers)
    whole = Outgoing(message.key, message.value, headers + why)
    if size_of(whole) <= bytes_max:
        return whole
    value = message.value or b""
    why += _headers({LENGTH: str(len(value)), SHA256: hashlib.sha256(value).hexdigest()})
    if (room := bytes_max - size_of(Outgoing(message.key, None, headers + why))) < 0:
        headers = ()
        room = bytes_max - size_of(Outgoing(message.key, None, why))
    return Outgoing(message.key, value[: max(room, 0)], headers + why)


def read_dead_letter(message: Message) -> DeadLetter | None:
    """What a message of a topic of dead letters says; None where it does not say whence it came."""
    told = {name: value.decode("utf-8", "replace") for name, value in message.headers if name.startswith((_STREAMS, _OURS))}
    partition, offset = (told.get(name, "") for name in (PARTITION, OFFSET))
    if TOPIC not in told or not _is_number(partition) or not _is_number(offset):
        return None
    value = message.value or b""
    length, sha256 = told.get(LENGTH, ""), told.get(SHA256)
    return DeadLetter(
        Origin(told[TOPIC], told.get(TOPIC_ID, ""), int(partition), int(offset)),
        told.get(EXCEPTION, ""),
        told.get(MESSAGE, ""),
        Outgoing(message.key, message.value, _without_ours(message.headers)),
        int(length) if _is_number(length) else len(value),
        hashlib.sha256(value).hexdigest() if sha256 is None else sha256,
    )


def _headers(told: dict[str, str]) -> Headers:
    return tuple((name, value.encode("utf-8", "replace")) for name, value in told.items())


def _without_ours(headers: Headers) -> Headers:
    """What a dead letter adds stands there once: one that is replayed and fails again tells of its last failure."""
    return tuple(each for each in headers if not each[0].startswith((_STREAMS, _OURS)))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20  # noqa: PLR2004 - what 64 bits hold
