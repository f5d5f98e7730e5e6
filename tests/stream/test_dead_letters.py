"""Dead letters: nothing of a message is lost, and why and whence stand beside it."""

import hashlib

import pytest

from app.market.protocol import Partition
from tests.stream.places import Place
from warm.stream.dead_letters import DeadLetter, Origin, dead_letter, read_dead_letter, topic_of_dead_letters
from warm.stream.log import MESSAGE_BYTES_MAX, Headers, Message, Outgoing, size_of
from warm.stream.messages import MessageRefused, decode

_TOPIC = "decide.trades"
_DEAD = topic_of_dead_letters(_TOPIC)


def _message(value: bytes | None, key: bytes | None = b"A", headers: Headers = (("source", b"x"),)) -> Message:
    return Message(Partition("sqlite", _TOPIC, "id-1", 2), 17, 5, key, value, headers)


def _refusal(value: bytes | None) -> MessageRefused:
    with pytest.raises(MessageRefused) as caught:
        decode(value)
    return caught.value


def _read(letter: Outgoing) -> DeadLetter:
    found = read_dead_letter(Message(Partition("sqlite", _DEAD, "id-2", 0), 0, 6, *letter))
    assert found is not None
    return found


@pytest.mark.parametrize("value", [None, b"", b"no json", b"\xff\x00"])
@pytest.mark.parametrize("key", [None, b"A"])
def test_a_dead_letter_has_all_of_its_message_and_why_and_whence(place: Place, key: bytes | None, value: bytes | None) -> None:
    """By the names of KIP-1034, through a log and back."""
    letter = dead_letter(_message(value, key), _refusal(value))
    assert letter.key == key
    assert letter.value == value
    headers = dict(letter.headers)
    assert headers["__streams.errors.exception"] == b"MessageRefused"
    assert headers["__streams.errors.message"] == str(_refusal(value)).encode()
    assert headers["__streams.errors.topic"] == b"decide.trades"
    assert (headers["__streams.errors.partition"], headers["__streams.errors.offset"]) == (b"2", b"17")
    log = place.log()
    log.create(_DEAD, 1)
    log.append(_DEAD, [letter])
    (stored,) = place.reader(_DEAD).poll(10, 0)
    found = read_dead_letter(stored)
    assert found is not None
    assert found.origin == Origin(_TOPIC, "id-1", 2, 17)
    assert (found.exception, found.reason) == ("MessageRefused", str(_refusal(value)))
    assert found.message == Outgoing(key, value, (("source", b"x"),))
    assert (found.length, found.sha256, found.is_cut) == (len(value or b""), hashlib.sha256(value or b"").hexdigest(), False)


def test_a_dead_letter_that_is_written_twice_is_told_by_where_its_message_stood() -> None:
    first, second = (_read(dead_letter(_message(b"x"), error)) for error in (ValueError("a"), ValueError("b")))
    assert first.origin.identity == second.origin.identity == ("id-1", 2, 17)


def test_a_message_that_fails_again_tells_of_its_last_failure_alone() -> None:
    """One that was replayed with the headers that it had as a dead letter."""
    first = dead_letter(_message(b"x"), ValueError("first"))
    second = dead_letter(_message(b"x", headers=first.headers), ValueError("second"))
    assert [name for name, _ in second.headers] == [name for name, _ in first.headers]
    found = _read(second)
    assert found.reason == "second"
    assert found.message.headers == (("source", b"x"),)


def test_the_longest_message_fits_whole_into_the_topic_of_its_dead_letters(place: Place) -> None:
    value = bytes(MESSAGE_BYTES_MAX - 1 - len("source") - 1)
    letter = dead_letter(_message(value), ValueError("\u20ac" * 100_000))
    assert letter.value == value
    log = place.log()
    log.create(_DEAD, 1)
    log.append(_DEAD, [letter])


@pytest.mark.parametrize("bytes_max", [600, 1_000, 5_000])
def test_one_that_is_too_long_is_kept_cut_with_its_length_and_hash(bytes_max: int) -> None:
    """And with its key and its headers."""
    value = bytes(range(256)) * 40
    letter = dead_letter(_message(value), ValueError("why"), bytes_max)
    assert size_of(letter) == bytes_max
    found = _read(letter)
    assert found.is_cut
    assert (found.length, found.sha256) == (len(value), hashlib.sha256(value).hexdigest())
    assert found.message.key == b"A"
    assert value.startswith(found.message.value or b"-")
    assert found.message.headers == (("source", b"x"),)
    assert found.reason == "why"


def test_where_headers_are_too_long_the_key_stays() -> None:
    letter = dead_letter(_message(b"value", headers=(("big", bytes(10_000)),)), ValueError("why"), 1_000)
    found = _read(letter)
    assert size_of(letter) < 1_000
    assert found.message == Outgoing(b"A", b"value", ())
    assert not found.is_cut


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("__streams.errors.topic", b"a"), ("__streams.errors.partition", b"0")),
        (("__streams.errors.topic", b"a"), ("__streams.errors.partition", b"0"), ("__streams.errors.offset", b"-1")),
        (("__streams.errors.topic", b"a"), ("__streams.errors.partition", b"9" * 30), ("__streams.errors.offset", b"1")),
    ],
)
def test_what_does_not_say_whence_it_came_is_no_dead_letter(headers: Headers) -> None:
    assert read_dead_letter(_message(b"x", headers=headers)) is None


def test_a_dead_letter_of_kafka_streams_is_read() -> None:
    """It names no topic's id, length or hash."""
    headers = (
        ("__streams.errors.exception", b"org.apache.kafka.SerializationException"),
        ("__streams.errors.topic", b"a"),
        ("__streams.errors.partition", b"0"),
        ("__streams.errors.offset", b"5"),
    )
    found = read_dead_letter(_message(b"x", headers=headers))
    assert found is not None
    assert found.origin == Origin("a", "", 0, 5)
    assert found.message == Outgoing(b"A", b"x", ())
    assert not found.is_cut
