"""What every source does with its messages, while the log is there and while it is not. Time is the test's."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from app.errors import MarketError, OffsetMoved, StoreError
from tests.stream.waiting import Time
from warm.stream.ingesting import LONGEST_PAUSE_S, Begun, Ingesting, LogAnew, Target, persistently
from warm.stream.lease import Lease
from warm.stream.log import LogError, Outgoing, Topic
from warm.stream.metrics import IngestMeters
from warm.stream.sqlite_log import EmbeddedLog

_SECOND_US = 1_000_000
_TOPIC = "decide.trades"


class _Log:
    """Keeps what it is given, unless ``is_away``; without its topic until that is made."""

    def __init__(self, time: Time, is_away: Callable[[float], bool], *, has_topic: bool = True) -> None:
        self._time, self._is_away, self.has_topic = time, is_away, has_topic
        self._topic_id, self.kept = "first", list[bytes | None]()
        self.tries: list[float] = []

    def create(self, *_: object) -> Topic:
        self._look()
        if not self.has_topic:
            self.has_topic, self._topic_id = True, "second"
        return Topic(_TOPIC, self._topic_id, 1)

    def append(self, _: str, messages: Sequence[Outgoing]) -> None:
        self._look()
        if not self.has_topic:
            raise LogError("unknown_topic", _TOPIC)
        self.kept += [each.value for each in messages]

    def _look(self) -> None:
        self.tries.append(self._time.now_us / _SECOND_US)
        if self._is_away(self.tries[-1]):
            raise LogError("log_error", "away")


class _EachSecond:
    """A source of two messages a second."""

    def __init__(self) -> None:
        self.made = 0

    def next_us(self, _: int) -> int:
        return self.made // 2 * _SECOND_US

    def make(self, now_us: int) -> list[Outgoing]:
        if now_us < self.next_us(now_us):
            return []
        self.made += 2
        return [Outgoing(b"A", str(number).encode()) for number in range(self.made - 2, self.made)]


class _Run:
    """One of ``until_s`` seconds."""

    def __init__(self, until_s: float, is_away: Callable[[float], bool], *, buffer_max: int = 1_000, **log: bool) -> None:
        time, self.source = Time(until_s), _EachSecond()
        self.log, self.told = _Log(time, is_away, **log), list[tuple[str, dict[str, Any]]]()
        # As much of a log as is used.
        target = Target(cast("Any", self.log), _TOPIC, 1)
        self.meters = IngestMeters("seconds")
        made = Ingesting(Begun(self.source, "first"), target, self._say, time, time.clock, self.meters, buffer_max=buffer_max)
        self.left = made.run()

    def _say(self, event: str, **facts: object) -> None:
        self.told.append((event, facts))

    def counted(self, name: str, **labels: str) -> float | None:
        """By its metrics."""
        return self.meters.registry.get_sample_value(f"decide_ingest_{name}", labels)

    @property
    def events(self) -> list[str]:
        """What it told of."""
        return [event for event, _ in self.told]

    @property
    def is_whole(self) -> bool:
        """Whether the log has all that was made, once and in order."""
        return self.log.kept == [str(number).encode() for number in range(self.source.made)]


def test_each_message_is_in_the_log_once_and_in_order() -> None:
    run = _Run(60, lambda _: False)
    assert (run.is_whole, run.source.made, run.left, run.told) == (True, 120, 0, [])
    assert run.counted("messages_total", source="seconds") == 120
    assert (run.counted("append_failures_total"), run.counted("waiting_messages")) == (0, 0)


def test_what_is_made_while_the_log_is_away_is_there_when_it_is_back() -> None:
    run = _Run(120, lambda at_s: 10 <= at_s < 70)
    assert (run.is_whole, run.source.made, run.left) == (True, 240, 0)
    assert run.events == ["log_away", "log_back"]


def test_the_log_is_tried_later_each_time_and_at_last_every_ten_seconds() -> None:
    run = _Run(200, lambda _: True)
    pauses = [round(after - before, 1) for before, after in pairwise(run.log.tries)]
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
    assert set(pauses[7:-1]) == {LONGEST_PAUSE_S}
    assert run.left == run.source.made == 400
    assert run.counted("append_failures_total") == len(run.log.tries)
    assert (run.counted("waiting_messages"), run.counted("messages_total", source="seconds")) == (400, 0)


def test_no_more_is_made_than_there_is_room_for_and_none_is_lost() -> None:
    run = _Run(600, lambda at_s: 10 <= at_s < 300, buffer_max=40)
    assert run.events == ["log_away", "waiting_for_log", "log_back"]
    assert run.told[1][1] == {"messages": 40}
    assert (run.is_whole, run.left) == (True, 0)


def test_another_topic_in_the_place_of_the_first_ends_it_since_nobody_knows_where_to_go_on() -> None:
    with pytest.raises(LogAnew, match="is another topic now"):
        _Run(10, lambda _: False, has_topic=False)


def test_what_waits_when_it_is_to_stop_is_put_there_or_counted() -> None:
    assert _Run(0.5, lambda at_s: 0.05 < at_s < 0.4).left == 0
    away = _Run(5, lambda at_s: at_s >= 2)
    assert away.left > 0
    assert len(away.log.kept) + away.left == away.source.made


class _SetBack(Time):
    """Its clock is set back by a day at the first wait."""

    def wait(self, timeout: float | None = None) -> bool:
        self.now_us -= 86_400 * _SECOND_US
        self.wait = super().wait  # type: ignore[method-assign]
        return super().wait(timeout)


def test_a_clock_that_is_set_back_holds_up_no_try() -> None:
    time = _SetBack(100_100)
    time.now_us = 100_000 * _SECOND_US
    log, source = _Log(time, lambda at_s: at_s >= 100_000), _EachSecond()
    told: list[str] = []
    target, meters = Target(cast("Any", log), _TOPIC, 1), IngestMeters("seconds")
    Ingesting(Begun(source, "first"), target, lambda event, **_: told.append(event), time, time.clock, meters).run()
    assert told == ["log_away", "log_back", "log_away"]
    assert log.tries[1] < 100_000 - 86_000


@pytest.mark.parametrize(
    "error", [LogError("log_error", "x"), MarketError("market_error", "x"), StoreError("unreachable", "x"), OffsetMoved("x")]
)
def test_whatever_is_away_at_the_start_is_tried_again_until_it_is_there(error: Exception) -> None:
    time, told = Time(100), list[dict[str, Any]]()

    def do() -> str:
        if time.now_us < 30 * _SECOND_US:
            raise error
        return "done"

    assert persistently(do, lambda _, **facts: told.append(facts), time) == "done"
    pauses = [each["again_in_s"] for each in told]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.1, LONGEST_PAUSE_S)
    assert all(each["error"] == str(error) for each in told)
    time.set()
    assert persistently(do, lambda *_, **__: None, time) is None


def test_one_of_a_name_is_active_and_the_next_takes_over_when_it_ends(tmp_path: Path) -> None:
    log, time = tmp_path / "folder" / "log.sqlite3", Time(10)
    first, second, other = Lease(log, "synthetic"), Lease(log, "synthetic"), Lease(log, "coinbase")
    assert first.take()
    assert not second.take()
    assert other.take()
    told: list[str] = []
    second.wait(lambda event, **_: told.append(event), time)
    assert (told, time.is_set()) == (["another_is_active"], True)
    first.release()
    second.wait(lambda event, **_: told.append(event), threading.Event())
    assert told == ["another_is_active"]
    assert not first.take()
    for each in (second, other):
        each.release()


def test_a_lease_that_cannot_be_is_an_error_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LogError, match="the lease at"):
        Lease(tmp_path / "file" / "log.sqlite3", "synthetic").take()


def test_the_lease_is_beside_the_log_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite3"
    lease, log = Lease(path, "synthetic"), EmbeddedLog(path)
    assert lease.take()
    log.create(_TOPIC, 1)
    log.close()
    assert path.with_name("log.sqlite3-synthetic-lease").stat().st_mode & 0o777 == 0o600
    lease.release()
