"""The consumer: what the log says is in the market store once, with the offsets, and the last price of each symbol in L2."""

from collections.abc import Callable
from typing import Any

import pytest

from app.domain.ticks import tick_of
from app.domain.trades import SIMULATED
from app.errors import OffsetMoved
from app.market.following import StreamWriter, Then
from app.market.protocol import Batch, CandlesWanted, Move, Symbol
from tests.market.places import NOON_US
from tests.stream.places import TOPIC
from tests.stream.rig import SECOND_US, SYMBOL, Rig, cancel, gap, heartbeat, trade
from warm.stream.log import partition_of


def _seen(rig: Rig) -> tuple[str, float, str]:
    """Of the tick: price, seconds after noon as of which it is, coverage."""
    tick = rig.tick()
    assert tick is not None
    return tick.price, (tick.as_of_ms * 1000 + tick.sequence - NOON_US) / SECOND_US, tick.coverage


def test_trades_are_stored_with_the_offsets_and_the_last_one_is_published(rig: Rig) -> None:
    messages = [trade(number) for number in (1, 2, 3)]
    rig.append(*messages)
    rig.consume(batch_max=2)
    assert rig.ids() == ["1", "2", "3"]
    assert rig.market.rows("SELECT topic, next FROM offsets") == [(TOPIC, 3)]
    last = tick_of(messages[-1].trade(), loaded_at_ms=0, currency="USD")
    assert rig.tick() == last
    assert (rig.counted("messages_total"), rig.counted("trades_total")) == (3, 3)


def test_a_consumer_goes_on_where_the_last_one_ended(rig: Rig) -> None:
    rig.append(trade(1))
    rig.consume()
    rig.append(trade(2), trade(2))
    rig.consume()
    assert rig.ids() == ["1", "2"]
    assert rig.counted("duplicates_total") == 1


def test_the_last_price_is_of_the_newest_trade_and_as_of_the_newest_message(rig: Rig) -> None:
    rig.append(trade(1), trade(3), trade(2))
    rig.consume()
    assert _seen(rig) == ("103", 3.0, "complete")
    rig.append(heartbeat(8, 3))
    rig.consume()
    assert _seen(rig) == ("103", 8.0, "quiet")


def test_a_cancelled_trade_is_taken_back(rig: Rig) -> None:
    """Also one that comes after its cancel, and once more."""
    rig.append(trade(1), trade(2))
    rig.consume()
    rig.append(cancel(2, 5), cancel(4, 5), trade(3, 2.5), trade(4), trade(2))
    rig.consume()
    assert rig.ids() == ["1", "3"]
    assert _seen(rig) == ("103", 5.0, "quiet")


def _described(rig: Rig) -> list[tuple[Any, ...]]:
    return rig.market.rows("SELECT symbol, market, source FROM symbols ORDER BY symbol")


def test_a_symbol_that_is_heard_for_the_first_time_has_the_sessions_of_its_market(rig: Rig) -> None:
    """Its day ends with them at once."""
    opens_s, closes_s = 2.5 * 3600, 9 * 3600
    rig.append(trade(1, opens_s + 60, symbol="AAPL", venue="nasdaq"), trade(1), trade(1, symbol="X", venue=SIMULATED))
    rig.consume()
    assert _described(rig) == [
        ("AAPL", "XNYS", "nasdaq"), ("BTC-USD", "", "coinbase"), ("X", "simulated", "simulated"),
    ]  # fmt: skip
    (bar,) = rig.market.read(lambda reader: reader.candles(CandlesWanted("AAPL", "1d", 10))).bars
    assert [(each - NOON_US) / SECOND_US for each in (bar.start_us, bar.end_us)] == [opens_s, closes_s]


def test_what_is_known_of_a_symbol_stays_whatever_venue_brings_more_of_it(rig: Rig) -> None:
    rig.market.writer().put_symbols([Symbol("BTC-USD", "Bitcoin", "X", "EUR", source="table")])
    rig.append(trade(1), trade(1, venue=SIMULATED))
    rig.consume()
    assert rig.counted("trades_total") == 2
    assert rig.market.rows("SELECT name, market FROM symbols") == [("Bitcoin", "X")]


@pytest.mark.parametrize("batch_max", [1, 2, 100])
def test_missing_ids_are_a_gap_until_they_come(rig: Rig, batch_max: int) -> None:
    rig.append(trade(1), trade(5))
    rig.consume(batch_max=batch_max)
    assert rig.spans() == [(1.0, 5.0)]
    assert _seen(rig) == ("105", 5.0, "gap")
    rig.append(trade(3))
    rig.consume(batch_max=batch_max)
    assert rig.spans() == [(1.0, 5.0)]
    rig.append(trade(2))
    rig.consume(batch_max=batch_max)
    assert rig.spans() == [(3.0, 5.0)]
    rig.append(trade(4))
    rig.consume(batch_max=batch_max)
    assert rig.spans() == []
    assert _seen(rig) == ("105", 5.0, "complete")


def test_a_heartbeat_ahead_of_what_came_is_a_gap_until_that_comes(rig: Rig) -> None:
    rig.append(trade(1), heartbeat(4, 2), heartbeat(6, 2))
    rig.consume()
    assert rig.spans() == [(1.0, 4.0)]
    assert _seen(rig) == ("101", 6.0, "gap")
    rig.append(trade(2))
    rig.consume()
    assert rig.spans() == []
    assert _seen(rig) == ("102", 6.0, "quiet")


def test_ids_that_are_not_counted_by_one_show_no_gap(rig: Rig) -> None:
    rig.append(trade(1, sequential=False), trade(9, sequential=False))
    rig.consume()
    assert rig.spans() == []


@pytest.mark.parametrize("batch_max", [1, 100])
def test_a_source_may_say_that_there_is_a_gap_and_that_it_was_filled(rig: Rig, batch_max: int) -> None:
    """In this order: one that it finds in what was filled is another one."""
    rig.append(trade(1), gap(2, 4), gap(2, 3, filled=True, second=5))
    rig.consume(batch_max=batch_max)
    assert rig.spans() == [(3.0, 4.0)]
    rig.append(gap(3, 9, filled=True), gap(5, 8, second=10))
    rig.consume(batch_max=batch_max)
    assert rig.spans() == [(5.0, 8.0)]
    assert _seen(rig) == ("101", 10.0, "gap")


def test_a_gap_that_nobody_fills_is_not_told_of_later_prices_for_ever(rig: Rig) -> None:
    rig.append(trade(1), trade(3), trade(4, 3602))
    rig.consume()
    assert _seen(rig)[2] == "gap"
    rig.append(trade(5, 3604))
    rig.consume()
    assert _seen(rig)[2] == "complete"
    assert rig.spans() == [(1.0, 3.0)]


def test_late_trades_are_stored_and_counted(rig: Rig) -> None:
    rig.append(trade(1), trade(2, 9), trade(3, 6.9), trade(4, 7.1))
    rig.consume()
    assert rig.ids() == ["1", "2", "3", "4"]
    assert rig.counted("late_trades_total") == 1


def test_messages_that_the_log_removed_are_counted_and_a_gap_where_no_ids_tell(rig: Rig) -> None:
    others = [trade(number, symbol="ETH-USD", sequential=False) for number in range(5)]
    rig.append(trade(1), others[0], others[1], trade(2))
    rig.consume()
    rig.append(trade(3), others[2], others[3], trade(4))
    (partition,) = rig.log.watermarks(TOPIC)
    rig.log.trim(partition, 7)
    rig.append(others[4])
    rig.consume()
    assert rig.open_gaps() == [(SYMBOL, "coinbase", 2.0, 4.0), ("ETH-USD", "coinbase", 1.0, 4.0)]
    assert rig.counted("lost_messages_total") == 3
    assert [event for event, _ in rig.told] == ["messages_gone"]


def test_what_is_gone_is_told_with_the_offset_behind_it_and_not_later(make_rig: Callable[..., Rig]) -> None:
    """While messages of another partition are written, the offset stays before what is gone."""
    rig = make_rig(partitions=2)
    symbols = {partition_of(each.encode(), 2): each for each in ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")}
    first, second = symbols[0], symbols[1]
    rig.append(trade(1, symbol=first, sequential=False), trade(1, symbol=second, sequential=False))
    rig.consume()
    rig.append(*(trade(number, symbol=each, sequential=False) for number in (2, 3) for each in (first, second)))
    partition = min(rig.log.watermarks(TOPIC))
    rig.log.trim(partition, 2)
    moved = list[tuple[bool, int]]()

    class Watched:
        def __init__(self, writer: StreamWriter) -> None:
            self._writer = writer

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - its own
            return getattr(self._writer, name)

        def apply(self, batch: Batch, then: Then | None = None) -> Any:  # noqa: ANN401 - its own
            moved.append((any(each.partition == partition for each in batch.moves), len(batch.gaps)))
            return self._writer.apply(batch, then)

    rig.consume(batch_max=1, writer=Watched)
    assert moved == [(False, 0), (True, 1), (False, 0)]
    assert rig.open_gaps() == [(first, "coinbase", 1.0, 3.0)]


def test_a_log_that_went_back_is_read_again(rig: Rig) -> None:
    rig.append(trade(1), trade(2))
    rig.consume()
    (partition,) = rig.log.watermarks(TOPIC)
    writer = rig.market.writer()
    writer.apply(Batch(moves=[Move(partition, 2, 9)]))
    rig.append(trade(3))
    rig.consume()
    assert rig.ids() == ["1", "2", "3"]
    assert [event for event, _ in rig.told] == ["log_went_back"]


def test_a_topic_that_is_made_anew_is_read_from_its_beginning(rig: Rig) -> None:
    rig.append(trade(1))
    rig.consume()
    rig.log.remove(TOPIC)
    rig.log.create(TOPIC, 1)
    rig.append(trade(2), trade(3))
    rig.consume()
    assert rig.ids() == ["1", "2", "3"]
    assert [event for event, _ in rig.told] == ["topic_anew"]


def test_a_consumer_whose_offset_another_moved_lets_go_and_writes_nothing_of_it(rig: Rig) -> None:
    rig.append(trade(1), trade(2))
    (partition,) = rig.log.watermarks(TOPIC)
    other = rig.market.writer()

    class Overtaken:
        """Another one is quicker, once."""

        def __init__(self, writer: object) -> None:
            self._writer, self.refused = writer, 0

        def __getattr__(self, name: str) -> object:
            return getattr(self._writer, name)

        def apply(self, batch: Batch) -> object:
            if not self.refused:
                other.apply(Batch(trades=[trade(1).trade()], moves=[Move(partition, None, 1)]))
            try:
                return self._writer.apply(batch)  # type: ignore[attr-defined]
            except OffsetMoved:
                self.refused += 1
                assert rig.ids() == ["1"]
                raise

    rig.consume(writer=Overtaken)  # type: ignore[arg-type]
    assert rig.ids() == ["1", "2"]
    assert [event for event, _ in rig.told] == ["let_go"]
    assert rig.counted("duplicates_total") == 0


def test_a_stored_trade_of_a_time_to_come_is_not_the_last_one(rig: Rig) -> None:
    """Else no trade of now could take its place, until then."""
    later = trade(9, 400 * 365 * 86_400.0)
    rig.market.writer().apply(Batch(trades=[later.trade()]))
    rig.append(trade(1))
    rig.consume()
    assert _seen(rig) == ("101", 1.0, "complete")
