"""Consumers that share the partitions of a topic in Kafka: what one leaves another takes, and nothing is lost or counts twice."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from app.market.protocol import Batch
from tests.kit.kafka import KafkaServer
from tests.kit.servers import ROOT, until
from tests.market.places import Place as Market
from tests.market.places import PostgresPlace
from tests.stream.places import TOPIC, KafkaPlace
from tests.stream.rig import trade
from warm.stream.log import Outgoing
from warm.stream.messages import TradeMessage, encode

_PARTITIONS, _WITHIN_S = 4, 60.0
_SYMBOLS = [f"S{number}-USD" for number in range(20)]


class Member:
    """A process of `tests.stream.sharing`, and what it has told."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.stream.sharing", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        self.told: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append(json.loads(line))

    def partitions(self, event: str = "reads") -> list[int]:
        """Of the last event of that name."""
        return next((each["partitions"] for each in reversed(self.told) if each["event"] == event), [])

    def has_told(self, event: str) -> bool:
        """Whether there was one."""
        return any(each["event"] == event for each in list(self.told))

    def go_on(self) -> None:
        """One that holds."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, number: int) -> None:
        """By a signal, if it has not ended."""
        self.process.send_signal(number)
        self.process.wait(_WITHIN_S)
        self._thread.join()
        for each in (self.process.stdin, self.process.stdout):
            assert each is not None
            each.close()


class Shared:
    """A topic in Kafka, a market store, and consumers between them."""

    def __init__(self, server: KafkaServer, market: Market, folder: Path) -> None:
        self.server, self.market, self.place = server, market, KafkaPlace(server)
        self.group, self._folder, self._ending = self.place.group, folder, ExitStack()
        self._ending.callback(self.place.close)
        self.log = self.place.log()
        self.log.create(TOPIC, _PARTITIONS)
        self.sent: list[TradeMessage] = []

    def member(self, *how: str) -> Member:
        """A consumer more."""
        place = self.market.url if isinstance(self.market, PostgresPlace) else str(self.market.path)
        made = Member(place, str(self._folder), self.server.url, self.group, *how)
        self._ending.callback(made.end, signal.SIGKILL)
        return made

    def send(self, count: int) -> None:
        """So many trades more, of all symbols in turn."""
        first = len(self.sent)
        new = [trade(number, symbol=_SYMBOLS[number % len(_SYMBOLS)], sequential=False) for number in range(first, first + count)]
        self.log.append(TOPIC, [Outgoing(each.symbol.encode(), encode(each)) for each in new])
        self.sent += new

    def has_all(self) -> bool:
        """Whether the market store has all that was sent, and where it was read to."""
        marks = {each.partition: mark.high for each, mark in self.log.watermarks(TOPIC).items()}
        return dict(self.market.rows("SELECT partition, next FROM offsets")) == marks

    def check(self, quiet: Market) -> None:
        """It has what one has that nothing happened to."""
        with closing(quiet.writer()) as writer:
            writer.apply(Batch(trades=[each.trade() for each in self.sent]))
        statement = "SELECT symbol, trade_id, price FROM trades_in_full ORDER BY 1, 2"
        assert self.market.rows(statement) == quiet.rows(statement)
        assert self.market.bars_of_trades() == quiet.bars_of_trades()

    def close(self) -> None:
        """All of it."""
        self._ending.close()


@contextmanager
def _shared(server: KafkaServer, market: Market, folder: Path) -> Iterator[Shared]:
    with closing(market), closing(market.writer()) as writer, closing(Shared(server, market, folder)) as made:
        # Before several would make its tables.
        writer.offsets("")
        yield made


def test_consumers_share_the_partitions_and_one_takes_what_a_killed_one_had(
    kafka_server: KafkaServer, make_postgres: Callable[[], Market], tmp_path: Path
) -> None:
    """And Kafka's own tool shows that all was read."""
    with _shared(kafka_server, make_postgres(), tmp_path) as shared:
        _share(shared, Market(tmp_path / "quiet.sqlite3"))


def _share(shared: Shared, quiet: Market) -> None:
    first, second = shared.member(), shared.member()
    until(lambda: len(first.partitions()) == len(second.partitions()) == 2, _WITHIN_S, "they share the partitions")
    assert sorted(first.partitions() + second.partitions()) == [0, 1, 2, 3]
    shared.send(200)
    until(shared.has_all, _WITHIN_S, "all is read")
    assert first.has_told("wrote")
    assert second.has_told("wrote")
    shared.send(200)
    first.end(signal.SIGKILL)
    shared.send(200)
    until(shared.has_all, _WITHIN_S, "the other one reads the rest")
    assert second.partitions() == [0, 1, 2, 3]
    shared.check(quiet)

    def lags() -> list[str]:
        said = shared.server.tool("kafka-consumer-groups.sh", "--describe", "--group", shared.group)
        return [line.split()[5] for line in said.splitlines() if TOPIC in line]

    until(lambda: lags() == ["0"] * _PARTITIONS, _WITHIN_S, "Kafka shows no lag")
    second.end(signal.SIGTERM)
    assert second.process.returncode == 0


def test_a_consumer_goes_on_once_a_killed_broker_is_back(kafka_server: KafkaServer, tmp_path: Path) -> None:
    with _shared(kafka_server, Market(tmp_path / "market.sqlite3"), tmp_path) as shared:
        member = shared.member()
        shared.send(100)
        until(shared.has_all, _WITHIN_S, "it reads")
        kafka_server.kill()
        kafka_server.start()
        shared.send(100)
        until(shared.has_all, _WITHIN_S, "it reads on")
        shared.check(Market(tmp_path / "quiet.sqlite3"))
        member.end(signal.SIGTERM)
        assert member.process.returncode == 0


def test_a_consumer_that_lost_its_partitions_cannot_write(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """It was away between reading and writing, and another one has written what it had read."""
    with _shared(kafka_server, Market(tmp_path / "market.sqlite3"), tmp_path) as shared:
        _lose(shared, Market(tmp_path / "quiet.sqlite3"))


def _lose(shared: Shared, quiet: Market) -> None:
    first = shared.member("holds")
    until(lambda: len(first.partitions()) == _PARTITIONS, _WITHIN_S, "it reads")
    shared.send(100)
    until(lambda: first.has_told("writes"), _WITHIN_S, "it is about to write")
    first.process.send_signal(signal.SIGSTOP)
    second = shared.member()
    until(lambda: len(second.partitions()) == _PARTITIONS, _WITHIN_S, "the other one has them")
    until(shared.has_all, _WITHIN_S, "the other one reads")
    first.go_on()
    first.process.send_signal(signal.SIGCONT)
    until(lambda: first.has_told("let_go"), _WITHIN_S, "it lets go")
    assert not first.has_told("wrote")
    shared.send(100)
    until(shared.has_all, _WITHIN_S, "both go on")
    shared.check(quiet)
