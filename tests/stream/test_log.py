"""What every log does, whichever it is in."""

import threading

import pytest

from app.market.protocol import Partition
from tests.stream.places import TOPIC, Place, drain, offsets_of, values
from warm.stream.log import (
    BYTES_MAX,
    DEAD_LETTER_BYTES,
    MESSAGE_BYTES_MAX,
    MESSAGES_MAX,
    LogError,
    OffsetOutOfRange,
    Outgoing,
    Position,
    Watermarks,
    partition_of,
)

_LONG_S = 100.0


def _in_two_partitions() -> tuple[bytes, bytes]:
    """Keys of which one is in each."""
    return b"A", next(key for key in (b"B", b"C", b"D", b"E") if partition_of(key, 2) != partition_of(b"A", 2))


def test_messages_come_out_as_they_went_in(place: Place) -> None:
    """With whatever may be missing; and where `append` said they stand."""
    log, reader = place.log(), place.reader()
    topic = log.create(TOPIC, 1)
    given = [
        Outgoing(b"A", b'{"a":1}', (("source", b"x"), ("traceparent", b"\xff\x00"), ("source", b""))),
        Outgoing(None, None),
        Outgoing(b"", b"", (("\u20ac", b"1"),)),
    ]
    assert log.append(TOPIC, given[:2]) == [Position(0, 0), Position(0, 1)]
    assert log.append(TOPIC, given[2:]) == [Position(0, 2)]
    assert log.append(TOPIC, []) == []
    found = reader.poll(10, 0)
    assert [Outgoing(each.key, each.value, each.headers) for each in found] == given
    assert [each.offset for each in found] == [0, 1, 2]
    assert {each.partition for each in found} == {Partition(log.name, TOPIC, topic.topic_id, 0)}
    assert 0 < found[0].timestamp_ms <= found[2].timestamp_ms


def test_a_key_has_one_partition_and_its_messages_stay_in_order(place: Place) -> None:
    """In whatever order keys come, and by whatever writer."""
    place.log().create(TOPIC, 3)
    keys = [f"S{number}".encode() for number in range(12)]
    for writer in (place.log(), place.log()):
        for number in range(3):
            given = [Outgoing(key, f"{number}".encode()) for key in keys]
            assert [each.partition for each in writer.append(TOPIC, given)] == [partition_of(key, 3) for key in keys]
    found = place.reader().poll(1_000, 0)
    assert {each.partition.partition for each in found} == {0, 1, 2}
    for key in keys:
        assert [each.value for each in found if each.key == key] == [b"0", b"1", b"2"] * 2
        assert len({each.partition for each in found if each.key == key}) == 1


def test_a_poll_has_as_many_as_are_asked_for_and_every_partition_has_its_turn(place: Place) -> None:
    log, reader = place.log(), place.reader()
    log.create(TOPIC, 2)
    keys = _in_two_partitions()
    for key in keys:
        log.append(TOPIC, values(*range(700), key=key))
    polls = [reader.poll(300, 0) for _ in range(2)]
    assert [len(each) for each in polls] == [300, 300]
    assert not place.takes_turns or {polls[0][0].key, polls[1][0].key} == set(keys)
    assert len(drain(reader)) == 800
    for most in (0, MESSAGES_MAX + 1):
        with pytest.raises(ValueError, match=f"a poll is for {most} messages; allowed: 1 to"):
            reader.poll(most, 0)


def test_a_poll_ends_at_so_many_bytes(place: Place) -> None:
    """Of one partition, and of all."""
    log, reader = place.log(), place.reader()
    log.create(TOPIC, 2)
    for key in _in_two_partitions():
        for _ in range(3):
            log.append(TOPIC, [Outgoing(key, bytes(MESSAGE_BYTES_MAX - 1))] * 12)
    first = reader.poll(1_000, 0)
    assert BYTES_MAX <= sum(len(each.value or b"") for each in first) < 2 * BYTES_MAX
    assert len(first) + len(drain(reader)) == 72


def test_a_reader_that_waits_is_woken(place: Place) -> None:
    """By a topic that is made, and by what is appended; without anything it gets none in the end."""
    log, reader = place.log(), place.reader()
    assert reader.poll(10, 0.05) == []
    assert reader.positions == {}

    def write() -> None:
        writer = place.log()
        writer.create(TOPIC, 1)
        writer.append(TOPIC, values(1))

    thread = threading.Thread(target=write)
    thread.start()
    assert [each.value for each in reader.poll(10, _LONG_S)] == [b"1"]
    thread.join()
    log.append(TOPIC, values(2))
    assert [each.value for each in reader.poll(10, _LONG_S)] == [b"2"]
    assert reader.poll(10, 0) == []


def test_every_reader_reads_all_of_its_topics(place: Place) -> None:
    log = place.log()
    for topic in (TOPIC, "b", "c"):
        log.create(topic, 2)
        log.append(topic, values(topic))
    assert drain(place.reader()) == [b"decide.trades"]
    assert sorted(drain(place.reader("b", "c")), key=str) == [b"b", b"c"]
    assert drain(place.reader()) == [b"decide.trades"]


def test_reading_goes_on_where_the_caller_says(place: Place) -> None:
    """When a reader begins, and by seeking."""
    log = place.log()
    topic = log.create(TOPIC, 1)
    log.append(TOPIC, values(*range(600)))
    asked: list[Partition] = []

    def begin(partition: Partition) -> int:
        asked.append(partition)
        return 598

    reader = place.reader(begin=begin)
    assert drain(reader) == [b"598", b"599"]
    partition = Partition(log.name, TOPIC, topic.topic_id, 0)
    assert asked == [partition]
    assert reader.positions == {partition: 600}
    reader.seek(partition, 300)
    assert reader.positions == {partition: 300}
    assert drain(reader, 7) == [str(each).encode() for each in range(300, 600)]
    with pytest.raises(LogError, match="b 0 is not read here") as caught:
        reader.seek(partition._replace(topic="b"), 0)
    assert caught.value.reason == "unknown_partition"
    assert asked == [partition]


def test_the_lag_is_exact(place: Place) -> None:
    log, reader = place.log(), place.reader()
    assert log.watermarks(TOPIC) == {}
    log.create(TOPIC, 1)
    log.append(TOPIC, values(*range(10)))
    (partition,) = log.watermarks(TOPIC)
    assert log.watermarks(TOPIC) == {partition: Watermarks(0, 10)}
    reader.poll(3, 0)
    assert log.watermarks(TOPIC)[partition].high - reader.positions[partition] == 7


def test_what_is_trimmed_is_gone_and_offsets_go_on(place: Place) -> None:
    log = place.log()
    log.create(TOPIC, 1)
    log.append(TOPIC, values(*range(10)))
    (partition,) = log.watermarks(TOPIC)
    log.trim(partition, 4)
    log.trim(partition, 2)
    log.trim(partition._replace(topic_id="of another"), 9)
    assert log.watermarks(TOPIC) == {partition: Watermarks(4, 10)}
    assert drain(place.reader()) == [b"4", b"5", b"6", b"7", b"8", b"9"]
    log.trim(partition, 99)
    assert log.watermarks(TOPIC) == {partition: Watermarks(10, 10)}
    assert drain(place.reader()) == []
    assert log.append(TOPIC, values(10)) == [Position(0, 10)]
    assert drain(place.reader()) == [b"10"]


@pytest.mark.parametrize(("stored", "mark"), [(1, 4), (11, 10)], ids=["removed", "never there"])
def test_an_offset_that_is_not_there_is_said_until_the_caller_seeks(place: Place, stored: int, mark: int) -> None:
    """Nothing of other partitions is lost meanwhile."""
    log = place.log()
    log.create(TOPIC, 2)
    for count, key in zip((10, 3), _in_two_partitions(), strict=True):
        log.append(TOPIC, values(*range(count), key=key))
    partition = next(each for each, marks in log.watermarks(TOPIC).items() if marks.high == 10)
    log.trim(partition, 4)
    reader = place.reader(begin=lambda each: stored if each == partition else None)
    for _ in range(2):
        with pytest.raises(OffsetOutOfRange, match=f"is read at {stored}; allowed: 4 to 10") as caught:
            reader.poll(100, 0)
    assert (caught.value.partition, caught.value.offset, caught.value.watermarks) == (partition, stored, Watermarks(4, 10))
    reader.seek(partition, mark)
    assert len(drain(reader)) == 3 + 10 - mark


def test_a_reader_that_trimming_overtakes_is_told(place: Place) -> None:
    log, reader = place.log(), place.reader()
    log.create(TOPIC, 1)
    log.append(TOPIC, values(*range(10)))
    reader.poll(3, 0)
    (partition,) = reader.positions
    log.trim(partition, 5)
    # What it may have fetched before is given up.
    reader.seek(partition, 3)
    with pytest.raises(OffsetOutOfRange) as caught:
        reader.poll(10, 0)
    assert caught.value.watermarks.low - caught.value.offset == 2


def test_a_topic_that_is_made_anew_is_another_one_and_begins_at_its_start(place: Place) -> None:
    """Also where it has come as far."""
    log = place.log()
    first = log.create(TOPIC, 1)
    assert log.create(TOPIC, 1) == first
    log.append(TOPIC, values(1, 2, 3))
    stored = {Partition(log.name, TOPIC, first.topic_id, 0): 2}
    reader = place.reader(begin=stored.get)
    assert drain(reader) == [b"3"]
    log.remove(TOPIC)
    log.remove(TOPIC)
    assert drain(reader) == []
    assert (reader.positions, log.watermarks(TOPIC)) == ({}, {})
    second = log.create(TOPIC, 1)
    assert second.topic_id != first.topic_id
    log.append(TOPIC, values(4, 5, 6, 7))
    assert drain(reader) == [b"4", b"5", b"6", b"7"]
    assert [each.topic_id for each in reader.positions] == [second.topic_id]


def test_partitions_are_added_and_read_from_their_start_and_never_taken_away(place: Place) -> None:
    log, reader = place.log(), place.reader()
    log.create(TOPIC, 1)
    log.append(TOPIC, values(1))
    assert drain(reader) == [b"1"]
    assert log.create(TOPIC, 3).partitions == 3
    assert log.create(TOPIC, 2).partitions == 3
    for number in range(8):
        log.append(TOPIC, values(number, key=str(number).encode()))
    assert sorted(drain(reader), key=str) == [str(number).encode() for number in range(8)]
    assert len(reader.positions) == 3
    assert sum(offsets_of(reader)) == 9


def test_a_topic_that_is_not_there_takes_nothing(place: Place) -> None:
    with pytest.raises(LogError, match=TOPIC) as caught:
        place.log().append(TOPIC, values(1))
    assert caught.value.reason == "unknown_topic"


@pytest.mark.parametrize(
    ("topic", "given", "fault"),
    [
        (TOPIC, [Outgoing(b"A", b"")] * (MESSAGES_MAX + 1), "gets 10001 messages at once; allowed: up to 10000"),
        (TOPIC, [*values(1), Outgoing(b"A", bytes(MESSAGE_BYTES_MAX))], "message 1 .* has 1048577 bytes; allowed: up to 1048576"),
        (TOPIC, [Outgoing(None, None, (("ab", bytes(MESSAGE_BYTES_MAX)),))], "message 0 .* has 1048578 bytes"),
        ("a.dlq", [Outgoing(None, bytes(MESSAGE_BYTES_MAX + DEAD_LETTER_BYTES + 1))], "allowed: up to 1114112"),
        (TOPIC, [Outgoing(None, bytes(1_048_576))] * 17, f"gets 17825792 bytes at once; allowed: up to {BYTES_MAX}"),
    ],
    ids=["messages", "value", "headers", "dead letter", "bytes"],
)
def test_an_append_is_bounded(place: Place, topic: str, given: list[Outgoing], fault: str) -> None:
    """None of it is written."""
    log = place.log()
    log.create(topic, 1)
    with pytest.raises(ValueError, match=fault):
        log.append(topic, given)
    assert list(log.watermarks(topic).values()) == [Watermarks(0, 0)]


def test_a_dead_letter_may_be_longer_than_what_it_is_of(place: Place) -> None:
    log = place.log()
    log.create("a.dlq", 1)
    log.append("a.dlq", [Outgoing(None, bytes(MESSAGE_BYTES_MAX + DEAD_LETTER_BYTES))])
    assert [len(each or b"") for each in drain(place.reader("a.dlq"))] == [MESSAGE_BYTES_MAX + DEAD_LETTER_BYTES]


@pytest.mark.parametrize(
    ("topic", "partitions", "retention_ms", "fault"),
    [
        ("", 1, None, "topic is ''; allowed"),
        ("a/b", 1, None, "topic is 'a/b'; allowed"),
        ("..", 1, None, "topic is '..'; allowed"),
        ("a" * 250, 1, None, "allowed: 1 to 249"),
        ("a", 0, None, "partitions of a are 0; allowed: 1 to 1000"),
        ("a", 1_001, None, "partitions of a are 1001; allowed: 1 to 1000"),
        ("a", 1, 0, "retention_ms of a is 0; allowed: above 0"),
    ],
)
def test_a_topic_that_cannot_be_is_refused(
    place: Place, topic: str, partitions: int, retention_ms: int | None, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        place.log().create(topic, partitions, retention_ms)


def test_what_was_closed_is_opened_again(place: Place) -> None:
    """A reader begins anew then."""
    log, reader = place.log(), place.reader()
    log.create(TOPIC, 1)
    log.append(TOPIC, values(1))
    assert drain(reader) == [b"1"]
    for each in (log, reader, reader):
        each.close()
    log.append(TOPIC, values(2))
    assert drain(reader) == [b"1", b"2"]
