"""Property: whatever is traded when and however slowly it is read, prices come in order, not too often, the last one too."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.hub import HubHouse, queued, run
from tests.kit.records import AS_OF_MS, tick
from tests.kit.settle import settle

_SYMBOLS = ("AAPL", "IBM")
_STEPS = st.one_of(
    st.tuples(st.just("trade"), st.sampled_from(_SYMBOLS), st.integers(1, 5)),
    st.tuples(st.just("pass"), st.just(""), st.integers(1, 700)),
    st.tuples(st.just("read"), st.just(""), st.just(0)),
)
_Step = tuple[str, str, int]


async def _conflated(house: HubHouse, interval_ms: int, steps: Sequence[_Step]) -> None:
    await house.settled()
    subscriber = house.hub.enter("sse")
    house.prices.join(subscriber, {each: each for each in _SYMBOLS}, interval_ms / 1000)
    newest = dict.fromkeys(_SYMBOLS, 100.0)
    told: list[tuple[str, int, dict[str, Any]]] = []

    async def read() -> None:
        await settle()
        reading = asyncio.ensure_future(subscriber.next())
        await settle()
        if not reading.done():
            reading.cancel()
            return
        subscriber._queue.extend(reading.result())
        told.extend((data["symbol"], round(house.clock.now * 1000), data) for _, _, data in queued(subscriber))
        await read()

    await read()
    for number, (what, symbol, amount) in enumerate([*steps, ("pass", "", 1000), ("read", "", 0)], 1):
        if what == "trade":
            newest[symbol] = 100.0 + amount
            house.trade(tick(symbol, AS_OF_MS + number, str(100 + amount)))
        elif what == "pass":
            house.clock.now += amount / 1000
            house.prices._wake.set()
        else:
            await read()
        await settle()
        assert len(subscriber._queue) + len(subscriber._latest) <= len(_SYMBOLS)
        assert house.prices.waiting <= len(_SYMBOLS)
    for each in _SYMBOLS:
        mine = [(at_ms, data) for symbol, at_ms, data in told if symbol == each]
        assert all(later - earlier >= interval_ms for (earlier, _), (later, _) in itertools.pairwise(mine))
        sequences = [data["sequence"] for _, data in mine]
        assert sequences == sorted(sequences)
        assert mine[-1][1]["price"] == newest[each]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0, 1, 250, 1000]), st.lists(_STEPS, max_size=30))
def test_prices_are_conflated_and_the_newest_always_comes(interval_ms: int, steps: list[_Step]) -> None:
    run(lambda house: _conflated(house, interval_ms, steps))
