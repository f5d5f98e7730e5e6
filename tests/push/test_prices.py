"""Prices as they change: at most one in an interval, the newest, to whom it concerns."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import Problem
from app.push.subscriber import Subscriber
from tests.kit.hub import HubHouse, queued, run
from tests.kit.records import AS_OF_MS, replaced, row, tick
from tests.kit.settle import settle, until
from tests.kit.store import FakeStore, down

INTERVAL_S = 0.25


class Reader:
    """A subscriber of prices, and what it read."""

    def __init__(self, house: HubHouse, *symbols: str, interval_s: float = INTERVAL_S, everything: bool = False) -> None:
        self.house = house
        self.subscriber: Subscriber = house.hub.enter("sse")
        asked = {each.upper(): each for each in symbols}
        house.prices.join(self.subscriber, asked, interval_s, everything=everything)

    async def read(self) -> list[tuple[str, str | None, dict[str, Any]]]:
        """All that it is sent by now, as `queued`."""
        await settle()
        while self.subscriber._queue or self.subscriber._latest:
            frames = asyncio.ensure_future(self.subscriber.next())
            await settle()
            if not frames.done():
                frames.cancel()
                break
            self.subscriber._queue.extend(each for each in frames.result() if b"event" in bytes(each))  # type: ignore[arg-type]
            found = queued(self.subscriber)
            if found:
                return [*found, *await self.read()]
        return []

    async def prices(self) -> list[float]:
        """The prices among that; there is nothing else."""
        found = await self.read()
        assert {(name, event_id) for name, event_id, _ in found} <= {("price", None)}
        return [data["price"] for _, _, data in found]


async def _pass(house: HubHouse, seconds: float) -> None:
    house.clock.now += seconds
    house.prices._wake.set()
    await settle()


def _trade(house: HubHouse, number: int, price: str, symbol: str = "AAPL", **facts: Any) -> None:  # noqa: ANN401 - of a tick
    house.trade(tick(symbol, AS_OF_MS + number, price, **facts))


async def _settled(house: HubHouse, work: Callable[[HubHouse], Any]) -> None:
    await house.settled()
    await work(house)


def _run(work: Callable[[HubHouse], Any], store: FakeStore | None = None, **settings: object) -> None:
    run(lambda house: _settled(house, work), store, **settings)


def test_a_price_is_told_at_first_as_price_latest_tells_it_and_then_as_it_changes() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, "aapl")
        ((name, event_id, first),) = await reader.read()
        assert (name, event_id, first["symbol"], first["requested"]) == ("price", None, "AAPL", "aapl")
        assert (first["price"], first["source"], first["sequence"]) == (100, "close", AS_OF_MS * 1000)
        await _pass(house, 1.0)
        _trade(house, 500, "101.2500", micros=7, currency="USD")
        ((_, _, told),) = await reader.read()
        assert (told["price"], told["currency"], told["timestamp"]) == (101.25, "USD", "2013-03-01T21:00:00.500007Z")
        assert (told["source"], told["coverage"], told["stale"], told["age_s"]) == ("a-file", "complete", False, 0.5)
        assert told["sequence"] == AS_OF_MS * 1000 + 500_007
        assert told["cache"]["run"] == "run-1"

    _run(work)


def test_within_an_interval_the_newest_price_alone_is_told_at_its_end() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL")
        assert await reader.prices() == [100]
        for number in range(1, 5):
            _trade(house, number, f"10{number}")
            assert await reader.prices() == []
        await _pass(house, INTERVAL_S - 0.001)
        assert await reader.prices() == []
        await _pass(house, 0.001)
        assert await reader.prices() == [104]
        await _pass(house, 10 * INTERVAL_S)
        assert await reader.prices() == []
        _trade(house, 5, "105")
        assert await reader.prices() == [105]
        assert house.meters._conflated.labels("sse")._value.get() == 3

    _run(work)


def test_with_an_interval_of_0_each_price_is_told_that_is_read_in_time() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL", interval_s=0.0)
        await reader.prices()
        told = []
        for number in range(1, 4):
            _trade(house, number, f"10{number}")
            told += await reader.prices()
        assert told == [101, 102, 103]

    _run(work)


def test_who_does_not_read_is_told_the_newest_and_nothing_piles_up_for_it() -> None:
    async def work(house: HubHouse) -> None:
        reader, other = Reader(house, "AAPL", "IBM", interval_s=0.0), Reader(house, "AAPL", interval_s=0.0)
        await other.prices()
        for number in range(1, 500):
            _trade(house, number, f"{100 + number}")
            _trade(house, number, f"{200 + number}", "IBM")
            await _pass(house, 0.001)
            assert len(await other.prices()) == 1
        assert (len(reader.subscriber._latest), len(reader.subscriber._queue), house.prices.waiting) == (2, 0, 0)
        assert sorted(await reader.prices()) == [599, 699]
        assert reader.subscriber.reason is None

    _run(work, stream_queue=3)


def test_the_age_of_a_price_is_that_at_which_it_is_sent() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL")
        await reader.prices()
        await _pass(house, 1.0)
        _trade(house, 1000, "101")
        await settle()
        house.clock.now += 70.0
        ((_, _, told),) = await reader.read()
        assert (told["age_s"], told["stale"], told["cache"]["age_ms"]) == (70.0, True, 71_000.0)

    _run(work)


def test_what_says_nothing_new_is_no_event() -> None:
    """The same trade again, other views, a price that came back within the interval."""

    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL")
        await reader.prices()
        await _pass(house, 1.0)
        _trade(house, 1, "101")
        assert await reader.prices() == [101]
        await _pass(house, 1.0)
        _trade(house, 1, "101")
        trade_us = (AS_OF_MS + 1) * 1000
        _trade(house, 1, "101", as_of_us=trade_us + 5000, coverage="quiet")
        house.change("AAPL")
        assert await reader.prices() == []
        _trade(house, 1, "101", as_of_us=trade_us + 6000, coverage="gap")
        ((_, _, told),) = await reader.read()
        assert (told["coverage"], told["sequence"]) == ("gap", trade_us + 6000)
        _trade(house, 1, "101", as_of_us=trade_us + 7000)
        _trade(house, 1, "101", as_of_us=trade_us + 8000, coverage="gap")
        await _pass(house, 1.0)
        assert await reader.prices() == []

    _run(work)


def test_a_price_is_encoded_once_for_all_who_spell_it_so() -> None:
    async def work(house: HubHouse) -> None:
        readers = [Reader(house, each) for each in ("AAPL", "AAPL", "aapl")]
        await settle()
        one, same, other = [(await each.subscriber.next())[0] for each in readers]
        assert one is same
        assert other is not one

    _run(work)


def test_no_price_goes_back_and_what_is_withdrawn_counts_no_more() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL", interval_s=0.0)
        await reader.prices()
        _trade(house, 9, "109")
        assert await reader.prices() == [109]
        _trade(house, 3, "103")
        assert await reader.prices() == []
        house.store.put(row("AAPL", AS_OF_MS - 5, "run-2"))
        house.change("AAPL", withdrawn=True)
        assert await reader.prices() == [100]

    _run(work)


def test_a_symbol_that_goes_or_has_no_price_is_told_so_and_its_price_once_it_comes() -> None:
    async def work(house: HubHouse) -> None:
        house.store.put(replaced(row("VIEWS"), price=None, history=None))
        house.change("VIEWS")
        reader = Reader(house, "AAPL", "NOPE", "VIEWS", interval_s=0.0)
        found = {data["symbol"]: (name, data) for name, _, data in await reader.read()}
        assert [found[each][0] for each in ("AAPL", "NOPE", "VIEWS")] == ["price", "gone", "gone"]
        problems = [found[each][1]["problem"] for each in ("NOPE", "VIEWS")]
        assert [each["type"].rpartition(":")[2] for each in problems] == ["unknown-symbol", "price-missing"]
        assert {each["field"] for each in problems} == {"prices"}
        assert found["NOPE"][1]["previous"] is None
        house.publish(2, "NOPE")
        _trade(house, 1, "7", "VIEWS")
        assert sorted(await reader.prices()) == [7, 100]
        del house.store.rows["AAPL"]
        house.change("AAPL", withdrawn=True)
        ((name, _, gone),) = await reader.read()
        assert (name, gone["symbol"]) == ("gone", "AAPL")

    _run(work)


def test_a_price_that_cannot_be_confirmed_is_stale_until_it_can() -> None:
    """Nothing at all is known of a symbol that was never read: that is told too."""

    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL", interval_s=0.0)
        assert [data["stale"] for _, _, data in await reader.read()] == [False]
        house.store.fault = down()
        house.change("AAPL")
        await settle()
        newcomer = Reader(house, "IBM", interval_s=0.0)
        ((_, _, stale),) = await reader.read()
        ((name, _, unread),) = await newcomer.read()
        assert (stale["price"], stale["stale"], stale["reason"]) == (100, True, "l2_error")
        assert (name, unread["problem"]["type"]) == ("gone", "urn:decide:problem:store-unavailable")
        house.store.fault = None
        house.parts.tiers.breaker.heard()
        house.prices._wake.set()
        ((_, _, fresh),) = await reader.read()
        assert (fresh["stale"], fresh["reason"]) == (False, None)
        assert await newcomer.prices() == [100]

    _run(work)


def test_who_follows_the_prices_of_everything_is_told_of_what_comes_and_goes() -> None:
    """Of what comes and goes unseen, nothing; of what there is no room for, that."""

    async def work(house: HubHouse) -> None:
        reader = Reader(house, *await house.hub.everything("prices"), interval_s=0.0, everything=True)
        assert len(await reader.prices()) == 3
        house.change("NEVER")
        assert await reader.read() == []
        house.publish(2, "NEW")
        assert [data["symbol"] for _, _, data in await reader.read()] == ["NEW"]
        house.store.put(row("LATE", AS_OF_MS, "run-3"))
        house.change(lost=True)
        ((name, _, data),) = await reader.read()
        assert (name, data["symbol"], data["problem"]["field"]) == ("gone", "LATE", "prices")
        assert "4 symbols are; allowed: no more" in data["problem"]["detail"]
        with pytest.raises(Problem, match="prices is"):
            await house.hub.everything("prices")

    _run(work, stream_max_symbols=4)


def test_the_universe_is_listed_again_until_l2_says_it() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, everything=True)
        house.store.put(row("NEW", AS_OF_MS, "run-2"))
        house.store.fault = down()
        house.change(lost=True)
        await settle()
        house.store.fault = None
        house.parts.tiers.breaker.heard()
        house.prices._wake.set()
        await until(lambda: "NEW" in reader.subscriber.prices)

    _run(work)


def test_who_follows_prices_alone_is_not_idle_and_has_signs_of_life() -> None:
    async def work(house: HubHouse) -> None:
        some, everything = Reader(house, "AAPL"), Reader(house, everything=True)
        await some.read()
        house.clock.now += 60.0
        await until(lambda: bool(some.subscriber._queue and everything.subscriber._queue))
        assert some.subscriber._queue[0] == b":\nid: 1\n\n"
        assert house.prices.forget(some.subscriber, ["AAPL", "IBM"]) == ["AAPL"]
        house.clock.now += 60.0
        await until(lambda: some.subscriber.reason == "idle")
        assert everything.subscriber.reason is None

    _run(work)


def test_what_is_not_followed_any_more_is_neither_told_nor_waited_for() -> None:
    async def work(house: HubHouse) -> None:
        reader, other = Reader(house, "AAPL", "IBM"), Reader(house, "AAPL")
        assert len(await reader.prices()) == 2
        await other.prices()
        for symbol in ("AAPL", "IBM"):
            _trade(house, 1, "101", symbol)
        await settle()
        assert house.prices.waiting == 3
        house.prices.forget(reader.subscriber, ["AAPL"])
        await _pass(house, 1.0)
        assert [data["symbol"] for _, _, data in await reader.read()] == ["IBM"]
        assert await other.prices() == [101]
        for _ in range(50):
            _trade(house, 1 + _, f"{200 + _}")
            house.prices.join(other.subscriber, {"AAPL": "AAPL"}, INTERVAL_S)
            await settle()
            await other.prices()
            house.prices.forget(other.subscriber, ["AAPL"])
        assert house.prices.waiting <= 1
        house.hub.leave(reader.subscriber)
        house.hub.leave(other.subscriber)
        assert (house.prices.symbols, house.prices.waiting) == (0, 0)

    _run(work)


def test_a_symbol_asked_for_again_is_told_again_by_its_new_interval() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL", interval_s=60.0)
        assert await reader.prices() == [100]
        _trade(house, 1, "101")
        assert await reader.prices() == []
        house.prices.join(reader.subscriber, {"AAPL": "aapl"}, 0.0)
        ((_, _, told),) = await reader.read()
        assert (told["price"], told["requested"]) == (101, "aapl")
        _trade(house, 2, "102")
        assert await reader.prices() == [102]
        await _pass(house, 61.0)
        assert await reader.prices() == []

    _run(work)


def test_a_fault_is_reported_and_the_prices_go_on() -> None:
    async def work(house: HubHouse) -> None:
        reader = Reader(house, "AAPL", interval_s=0.0)
        assert await reader.prices() == [100]
        house.decider.fault = "fetch_many"
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        _trade(house, 1, "101")
        await until(lambda: bool(reported and reader.subscriber._latest))
        assert await reader.prices() == [101]

    _run(work)
