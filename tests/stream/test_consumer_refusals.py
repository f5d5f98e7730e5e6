"""What cannot be used stops nothing and is lost nowhere: it is among the dead letters before the consumer goes on."""

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from app.errors import MarketError
from app.market.following import Then
from app.market.protocol import Batch
from tests.market.places import NOON_US
from tests.stream.places import TOPIC
from tests.stream.rig import RULES, SECOND_US, Rig, heartbeat, trade
from warm.stream.dead_letters import DeadLetter, read_dead_letter, topic_of_dead_letters
from warm.stream.log import LogError, Outgoing
from warm.stream.sifting import Rules

_DEAD = topic_of_dead_letters(TOPIC)
_DAY_S = 86_400


def _letters(rig: Rig) -> list[DeadLetter]:
    with closing(rig.log.reader([_DEAD], lambda _: None)) as reader:
        found = [read_dead_letter(each) for each in reader.poll(1_000, 0)]
    return [each for each in found if each is not None]


class _Wrapped:
    """A log or a writer of which the test does a part."""

    def __init__(self, log: Any) -> None:  # noqa: ANN401 - either of them
        self._log = log

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the log's own
        return getattr(self._log, name)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_message_that_cannot_be_used_is_a_dead_letter_and_the_others_are_used(rig: Rig, place: int) -> None:
    """The first one, one in the middle, the last one; in one batch and in several."""
    messages: list[Any] = [trade(1), trade(2)]
    messages[place:place] = [b"no json", None]
    rig.append(*messages)
    rig.consume(batch_max=1)
    rig.append(trade(3), b"{}", trade(4))
    rig.consume()
    assert rig.ids() == ["1", "2", "3", "4"]
    letters = _letters(rig)
    assert [(each.origin.topic, each.origin.offset) for each in letters] == [(TOPIC, place), (TOPIC, place + 1), (TOPIC, 5)]
    assert [each.message.value for each in letters] == [b"no json", None, b"{}"]
    assert rig.counted("dead_letters_total") == 3
    assert rig.market.rows("SELECT message_offset FROM dead_letters ORDER BY 1") == [(place,), (place + 1,), (5,)]


def test_while_dead_letters_cannot_be_written_nothing_is_passed_over(rig: Rig) -> None:
    """And once they can, one that was written without being acknowledged is written again, and counts once."""
    rig.append(trade(1), b"no json", trade(2))
    failures = [False, True, False]

    class Failing(_Wrapped):
        def append(self, topic: str, messages: Sequence[Outgoing]) -> Any:  # noqa: ANN401 - its own
            assert rig.ids() == []
            if failures:
                if failures.pop():
                    self._log.append(topic, messages)
                raise LogError("log_error", "no room")
            return self._log.append(topic, messages)

    rig.consume(log=Failing)
    assert rig.ids() == ["1", "2"]
    assert [event for event, _ in rig.told] == ["failed", "failed", "failed", "dead_letters"]
    assert [each.origin.offset for each in _letters(rig)] == [1, 1]
    assert rig.counted("dead_letters_total") == 1


def test_while_the_market_store_is_away_the_consumer_waits_and_says_so(rig: Rig) -> None:
    """What it made of messages that were not written counts for nothing: it begins anew with what is stored."""
    rig.append(trade(1))
    rig.consume()
    rig.append(trade(4), b"no json")
    failures = [1, 2]

    class Failing(_Wrapped):
        def apply(self, batch: Batch, then: Then | None = None) -> Any:  # noqa: ANN401 - its own
            if failures:
                failures.pop()
                raise MarketError("market_busy", "others write")
            return self._log.apply(batch, then)

    rig.consume(writer=Failing)
    assert rig.ids() == ["1", "4"]
    assert rig.spans() == [(1.0, 4.0)]
    assert [facts.get("again_in_s") for event, facts in rig.told if event == "failed"] == [0.1, 0.2]
    assert rig.meters.registry.get_sample_value("decide_stream_failures_total", {"reason": "market_busy"}) == 2


def test_a_live_message_ahead_of_the_clock_is_a_dead_letter(rig: Rig) -> None:
    """It would hold the price where it is until then. Of a replay times are as they were recorded."""
    rig.now_us = NOON_US + 10 * SECOND_US
    rig.append(trade(1, 15), trade(2, 15.001), heartbeat(16))
    rig.consume()
    assert rig.ids() == ["1"]
    assert [each.reason for each in _letters(rig)] == [
        f"time_us is {NOON_US + ms * 1000}; allowed of a live source: 0 to {NOON_US + 15 * SECOND_US}" for ms in (15_001, 16_000)
    ]
    rig.append(trade(2, 15.001), source="replay")
    rig.consume()
    assert rig.ids() == ["1", "2"]


def test_how_long_it_took_to_read_a_message_makes_no_clock_wrong_or_right(rig: Rig) -> None:
    """What counts is when the log took it: one that is read again later is refused again."""
    rig.now_us = NOON_US
    rig.append(trade(1, 9))
    rig.now_us = NOON_US + 100 * SECOND_US
    rig.consume()
    assert rig.ids() == []


def test_a_live_trade_older_than_the_retention_is_a_dead_letter(rig: Rig) -> None:
    rig.now_us = NOON_US + 2 * _DAY_S * SECOND_US
    rig.append(trade(1, -_DAY_S / 2), trade(2, -_DAY_S / 2 - 1))
    rig.append(trade(3, -_DAY_S / 2 - 1), source="replay")
    rig.consume(rules=Rules(RULES.skew_us, retention_days=2))
    assert rig.ids() == ["1", "3"]
    assert len(_letters(rig)) == 1


def test_trades_that_the_market_store_takes_no_more_make_no_price(rig: Rig) -> None:
    rig.market.writer().retain(1, NOON_US + _DAY_S * SECOND_US)
    rig.append(trade(1, -_DAY_S))
    rig.consume()
    assert rig.tick() is None
    assert rig.counted("too_old_trades_total") == 1
    rig.append(trade(2, 1))
    rig.consume()
    assert rig.ids() == ["2"]


def test_the_consumer_ends_between_two_batches_when_it_is_told_to(rig: Rig) -> None:
    rig.append(trade(1), trade(2))
    stop = threading.Event()

    class Stopping(_Wrapped):
        def apply(self, batch: Batch, then: Then | None = None) -> Any:  # noqa: ANN401 - its own
            stop.set()
            return self._log.apply(batch, then)

    rig.consume(batch_max=1, stop=stop, writer=Stopping)
    assert rig.ids() == ["1"]
    tick = rig.tick()
    assert tick is not None
    assert tick.price == "101"
