"""Changes of so many symbols that the feed tells of them in parts, and the hub goes through them in slices."""

import asyncio

from app.slices import SLICE
from app.store.protocol import Changes
from tests.kit.hub import HubHouse, queued, run, told
from tests.kit.records import AS_OF_MS, row
from tests.kit.settle import until
from tests.kit.store import FakeStore


def test_a_part_of_a_change_is_told_at_once_and_without_the_id() -> None:
    """The id says that everything up to there was told: it comes with the last part, for all."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber, other = await house.follow("AAPL", "IBM"), await house.follow("MSFT")
        queued(subscriber), queued(other)
        house.store.put(row("AAPL", AS_OF_MS + 2, "run-2"))
        house.parts.tiers.invalidate(["AAPL"])
        house.hub.on_changes(Changes("", ("AAPL",), lost=False))
        await until(lambda: bool(subscriber._queue))
        assert told(subscriber) == [("AAPL", "1", "run-2")]
        returned = await house.follow("AAPL", "IBM", after="1")
        assert [symbol for symbol, _, _ in told(returned)] == ["AAPL"]
        house.publish(2, "IBM")
        await house.settled()
        assert told(subscriber) == [("IBM", "2", "run-2")]
        assert told(other) == []

    run(work)


def test_many_due_symbols_are_gone_through_in_slices() -> None:
    """Before the first of them is decided, others have had their turns: after a loss of the feed as after a change."""
    symbols = [f"S{number}" for number in range(3 * SLICE)]

    async def work(house: HubHouse) -> None:
        await house.settled()
        joining = asyncio.create_task(house.follow(*symbols))
        while not joining.done():
            for each in tuple(house.hub._subscribers):
                queued(each)
            await asyncio.sleep(0)
        for lost in (False, True):
            reads = len(house.store.reads)
            house.change(*(() if lost else symbols), lost=lost)
            turns = 0
            while len(house.store.reads) == reads:
                await asyncio.sleep(0)
                turns += 1
            assert turns >= 3 + 2
            await house.settled()

    run(work, FakeStore(*symbols), stream_max_symbols=len(symbols), l2_max_pending=len(symbols), l1_max_entries=1)
