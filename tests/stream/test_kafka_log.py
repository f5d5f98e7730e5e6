"""What is the log in Kafka's own: groups, transactions of others, a broker that dies, and who may call."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.market.protocol import Partition
from app.options import Settings
from app.settings import load_settings
from tests.kit.kafka import PASSWORD, USER, KafkaServer
from tests.kit.servers import free_port, until
from tests.stream.places import TOPIC, KafkaPlace, drain, values
from warm.stream.log import Begin, Log, LogError, OffsetOutOfRange, Outgoing, Reader, Watermarks, partition_of
from warm.stream.opening import open_log
from warm.stream.reading import messages_now

_WITHIN_S = 30.0
_NO_FILE = Path("no.env")


@pytest.fixture
def place(kafka_server: KafkaServer) -> Iterator[KafkaPlace]:
    with closing(KafkaPlace(kafka_server)) as made:
        yield made


class Member:
    """A reader of a group."""

    def __init__(self, log: Log, begin: Begin = lambda _: None) -> None:
        self.asked: list[int] = []
        self.read: list[bytes | None] = []

        def asking(partition: Partition) -> int | None:
            self.asked.append(partition.partition)
            return begin(partition)

        self.reader: Reader = log.reader([TOPIC], asking, shared=True)

    def poll(self) -> list[int]:
        """Read on; the numbers of its partitions."""
        self.read += [each.value for each in self.reader.poll(100, 0.05)]
        return sorted(each.partition for each in self.reader.positions)


def _until_shared(*members: tuple[Member, int]) -> None:
    """Each has so many partitions."""
    until(lambda: [len(member.poll()) for member, _ in members] == [count for _, count in members], _WITHIN_S, "they share", 0.0)


def test_readers_of_a_group_share_partitions_and_begin_where_they_are_told(place: KafkaPlace) -> None:
    """And so does one that takes what another leaves; nobody gets what the other has."""
    log = place.log()
    log.create(TOPIC, 4)
    keys = {partition_of(key, 4): key for key in map(str.encode, map(str, range(100)))}
    for number, key in keys.items():
        log.append(TOPIC, values(f"{number} a", f"{number} b", key=key))
    first, second = Member(place.log(), lambda _: 1), Member(place.log(), lambda _: 1)
    _until_shared((first, 4))
    _until_shared((first, 2), (second, 2))
    until(lambda: (first.poll(), second.poll(), len(first.read) + len(second.read) >= 4)[2], _WITHIN_S, "all is read", 0.0)
    assert {*first.read, *second.read} == {f"{number} b".encode() for number in range(4)}
    assert sorted(first.asked) == [0, 1, 2, 3]
    assert sorted(second.asked) == second.poll()
    first.reader.close()
    _until_shared((second, 4))
    assert sorted(second.asked) == [0, 1, 2, 3]
    second.reader.close()


def test_a_group_reads_partitions_that_are_added_and_a_topic_that_is_made_anew(place: KafkaPlace) -> None:
    """From their beginning."""
    log = place.log()
    log.create(TOPIC, 1)
    log.append(TOPIC, values(1))
    member = Member(place.log())
    _until_shared((member, 1))
    log.create(TOPIC, 2)
    log.append(TOPIC, values(2, 3, key=next(key for key in (b"B", b"C", b"D") if partition_of(key, 2) == 1)))
    _until_shared((member, 2))
    until(lambda: (member.poll(), sorted(member.read, key=str) == [b"1", b"2", b"3"])[1], _WITHIN_S, "all is read", 0.0)
    log.remove(TOPIC)
    anew = log.create(TOPIC, 1)
    log.append(TOPIC, values(*range(10, 20)))
    until(lambda: (member.poll(), b"19" in member.read)[1], _WITHIN_S, "the new one is read", 0.0)
    assert member.read[3:] == [str(each).encode() for each in range(10, 20)]
    assert [each.topic_id for each in member.reader.positions] == [anew.topic_id]
    member.reader.close()


def test_a_reader_of_a_group_is_told_of_messages_that_are_gone(place: KafkaPlace) -> None:
    """And gets none before it says where it goes on."""
    log = place.log()
    log.create(TOPIC, 1)
    log.append(TOPIC, values(0, 1, 2, 3))
    (partition,) = log.watermarks(TOPIC)
    log.trim(partition, 2)
    member = Member(place.log(), lambda _: 1)

    def reads_on() -> bool:
        member.poll()
        return member.read == [b"2", b"3"]

    with pytest.raises(OffsetOutOfRange, match="is read at 1; allowed: 2 to 4"):
        until(reads_on, _WITHIN_S, "it is told", 0.0)
    assert member.read == []
    member.reader.seek(partition, 2)
    until(reads_on, _WITHIN_S, "it goes on", 0.0)
    member.reader.close()


def test_marks_of_transactions_are_no_messages_and_no_lag(place: KafkaPlace) -> None:
    """Nor is what was taken back."""
    from confluent_kafka import Producer  # noqa: PLC0415 - an extra

    log = place.log()
    log.create(TOPIC, 1)
    producer = Producer({"bootstrap.servers": place.url, "transactional.id": "another", "log_level": 0})
    producer.init_transactions(_WITHIN_S)
    for value, ends in ((b"1", producer.commit_transaction), (b"2", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(TOPIC, value)
        producer.flush()
        ends(_WITHIN_S)
    reader = place.reader()
    assert drain(reader) == [b"1"]
    (partition,) = reader.positions
    assert log.watermarks(TOPIC) == {partition: Watermarks(0, 4)}
    assert reader.positions == {partition: 4}
    assert [each.value for some in messages_now(log, TOPIC) for each in some] == [b"1"]


def test_a_topic_is_made_for_what_it_takes_and_one_that_is_there_stays_as_it_is(
    place: KafkaPlace, kafka_server: KafkaServer
) -> None:
    log = place.log()
    log.create(TOPIC, 1, 86_400_000)
    log.create(f"{TOPIC}.dlq", 1)
    log.create(TOPIC, 1, 1_000)
    trades, dead = (kafka_server.config(topic) for topic in (TOPIC, f"{TOPIC}.dlq"))
    assert int(dead["max.message.bytes"]) - int(trades["max.message.bytes"]) == 65_536
    assert (trades["retention.ms"], dead["retention.ms"]) == ("86400000", "-1")
    assert trades["message.timestamp.type"] == "LogAppendTime"
    with pytest.raises(LogError, match="b is not in Kafka"):
        log.append("b", values(1))
    assert sorted(kafka_server.topics()) == [TOPIC, f"{TOPIC}.dlq"]


def test_nothing_that_was_acknowledged_is_lost_when_the_broker_is_killed(place: KafkaPlace, kafka_server: KafkaServer) -> None:
    """Each in the order in which it was appended; what failed may be there, too."""
    log = place.log()
    log.create(TOPIC, 2)
    had, tried, stop = list[str](), list[str](), threading.Event()

    def write() -> None:
        number = 0
        with closing(place.log()) as own:
            while not stop.is_set():
                batch = [f"{number}-{each}" for each in range(20)]
                number += 1
                tried.extend(batch)
                try:
                    own.append(TOPIC, [Outgoing(each[-1].encode(), each.encode()) for each in batch])
                except LogError:
                    continue
                had.extend(batch)

    thread = threading.Thread(target=write)
    thread.start()
    until(lambda: len(had) > 200, _WITHIN_S, "it writes")
    kafka_server.kill()
    before = len(had)
    kafka_server.start()
    until(lambda: len(had) > before + 200, _WITHIN_S, "it writes again")
    stop.set()
    thread.join()
    found = [(each or b"").decode() for each in drain(place.reader())]
    assert set(had) <= set(found) <= set(tried)
    for key in range(10):
        had_of, found_of = ([each for each in some if each.endswith(f"-{key}")] for some in (had, found))
        first_seen = [each for each in dict.fromkeys(found_of) if each in set(had_of)]
        assert first_seen == had_of


def test_a_broker_that_is_not_there_is_an_error_of_the_log_in_time() -> None:
    pytest.importorskip("confluent_kafka")
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": f"localhost:{free_port()}"}, _NO_FILE)
    with closing(open_log(settings, timeout_s=0.5)) as log:
        reader = log.reader([TOPIC], lambda _: None, shared=True)
        asked: list[Callable[[], object]] = [
            lambda: log.append(TOPIC, values(1)),
            lambda: log.watermarks(TOPIC),
            lambda: log.create(TOPIC, 1),
            lambda: reader.poll(1, 0),
        ]
        for ask in asked:
            with pytest.raises(LogError, match=r"Kafka at localhost:\d+: .*") as caught:
                ask()
            assert caught.value.reason == "log_error"


def _settings(server: KafkaServer, **given: str) -> Settings:
    return load_settings({"KAFKA_SSL_CA_LOCATION": str(server.broker_pem), **given}, _NO_FILE)


def _sasl(server: KafkaServer, **given: str) -> Settings:
    who = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD": PASSWORD}
    return _settings(server, **{"KAFKA_BOOTSTRAP_SERVERS": server.sasl_url, **who, **given})


def _tls(server: KafkaServer, **given: str) -> Settings:
    pem = str(server.client_pem)
    ours = {"KAFKA_SSL_CERTIFICATE_LOCATION": pem, "KAFKA_SSL_KEY_LOCATION": pem}
    return _settings(server, **{"KAFKA_BOOTSTRAP_SERVERS": server.ssl_url, "KAFKA_SECURITY_PROTOCOL": "ssl", **ours, **given})


@pytest.mark.parametrize("kind", ["scram-sha-512", "PLAIN", "certificate"])
def test_the_log_is_reached_by_tls_with_a_password_and_with_a_certificate(
    place: KafkaPlace, kafka_server: KafkaServer, kind: str
) -> None:
    settings = _tls(kafka_server) if kind == "certificate" else _sasl(kafka_server, KAFKA_SASL_MECHANISM=kind)
    with closing(open_log(settings)) as log:
        log.create(TOPIC, 1)
        log.append(TOPIC, values(1, 2))
        assert [each.value for some in messages_now(log, TOPIC) for each in some] == [b"1", b"2"]
    assert drain(place.reader()) == [b"1", b"2"]


def test_who_may_not_call_is_told_why_and_shown_no_secret(kafka_server: KafkaServer) -> None:
    """A wrong password; no certificate of ours; one of theirs that nobody has signed whom we trust."""
    for settings, why in (
        (_sasl(kafka_server, KAFKA_SASL_PASSWORD="wrong secret"), "uthentication failed"),
        (_tls(kafka_server, KAFKA_SSL_CERTIFICATE_LOCATION="", KAFKA_SSL_KEY_LOCATION=""), "SSL|certificate|isconnected"),
        (_tls(kafka_server, KAFKA_SSL_CA_LOCATION=str(kafka_server.client_pem)), "certificate verify failed"),
    ):
        with closing(open_log(settings, timeout_s=2.0)) as log:
            began = time.monotonic()
            with pytest.raises(LogError, match=why) as caught:
                log.watermarks(TOPIC)
            assert time.monotonic() - began < _WITHIN_S
            assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    pytest.importorskip("confluent_kafka")
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", "KAFKA_SECURITY_PROTOCOL": "ssl",
        "KAFKA_SSL_CA_LOCATION": str(tmp_path / "none.pem"),
    }  # fmt: skip
    with pytest.raises(SettingsError, match=r"KAFKA_SSL_CA_LOCATION is .*none\.pem"):
        open_log(load_settings(environ, _NO_FILE))
