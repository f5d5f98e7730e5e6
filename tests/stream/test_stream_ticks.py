"""Tick records on their way: the newest one of each symbol, and none too often; while L2 is away they wait."""

from collections.abc import Sequence

import pytest

from app.domain.records import TICK
from app.errors import StoreError
from app.market.protocol import Batch, Heard
from app.store.codec import decode
from app.store.protocol import Record, RunInfo, Upserted
from tests.kit.clock import Clock
from tests.stream.rig import SYMBOL, VENUE, Rig, trade
from warm.stream.following import State
from warm.stream.metrics import ConsumerMeters
from warm.stream.ticks import Ticks

OTHER = "ETH-USD"


class _Published:
    """Keeps what it gets, unless it is away."""

    def __init__(self) -> None:
        self.prices: list[str] = []
        self.symbols: list[str] = []
        self.is_away = False

    async def upsert(self, records: Sequence[Record]) -> Upserted:
        if self.is_away:
            raise StoreError("unreachable", "away")
        self.prices += [decode(TICK, each.value, each.key).price for each in records]
        self.symbols += [each.key for each in records]
        return Upserted(len(records), 0)

    async def run_info(self) -> RunInfo | None:
        return None

    async def close(self) -> None:
        """Nothing."""


@pytest.fixture
def state(rig: Rig) -> State:
    """Of one trade of each of two symbols."""
    first = [trade(1).trade(), trade(1, symbol=OTHER).trade()]
    writer = rig.market.writer()
    writer.apply(Batch(trades=first, heard=[Heard(VENUE, each.symbol, each.time_us) for each in first]))
    return State(writer)


def test_a_symbol_is_published_no_more_often_than_that_and_its_newest_trade_counts(state: State) -> None:
    clock, store, meters = Clock(), _Published(), ConsumerMeters()
    ticks = Ticks(store, 0.0045, meters, lambda *_, **__: None, clock)
    followed = state.symbols[SYMBOL]
    for number in range(2, 12):
        followed.take(made := trade(number).trade())
        followed.newest_us = made.time_us
        ticks.add([SYMBOL], since_us=1)
        ticks.publish(state)
        clock.now += 0.001
    assert store.prices == ["102", "107"]
    assert ticks.wait_s(1.0) == 0.0
    ticks.publish(state)
    assert store.prices == ["102", "107", "111"]
    assert ticks.wait_s(1.0) == 1.0
    assert meters.registry.get_sample_value("decide_stream_tick_to_record_seconds_count") == 3
    ticks.close(store.close)


def test_one_symbol_does_not_wait_since_another_was_written(state: State) -> None:
    clock, store = Clock(), _Published()
    ticks = Ticks(store, 0.005, ConsumerMeters(), lambda *_, **__: None, clock)
    ticks.add([SYMBOL])
    ticks.publish(state)
    clock.now += 0.001
    ticks.add([OTHER])
    assert ticks.wait_s(1.0) == 0.0
    ticks.publish(state)
    assert store.symbols == [SYMBOL, OTHER]
    ticks.add([SYMBOL, OTHER])
    clock.now += 0.004
    ticks.publish(state)
    assert store.symbols == [SYMBOL, OTHER, SYMBOL]
    assert ticks.wait_s(1.0) == pytest.approx(0.001)
    ticks.publish(state, now=True)
    assert store.symbols == [SYMBOL, OTHER, SYMBOL, OTHER]
    ticks.close(store.close)


def test_while_l2_is_away_records_wait_and_it_is_told_once(state: State) -> None:
    clock, store, told = Clock(), _Published(), list[str]()
    ticks = Ticks(store, 0.005, ConsumerMeters(), lambda event, **_: told.append(event), clock)
    store.is_away = True
    for _ in range(3):
        ticks.add([SYMBOL])
        ticks.publish(state)
        clock.now += 2
    assert told == ["l2_away"]
    store.is_away = False
    ticks.publish(state)
    assert (told, store.prices) == (["l2_away", "l2_back"], ["101"])
    ticks.close(store.close)
