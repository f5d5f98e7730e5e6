"""What is a change, what it changed, and who follows everything."""

import asyncio

import pytest

from app.errors import Problem
from app.store.codec import encode
from app.store.protocol import Row, Written
from tests.kit.hub import HubHouse, queued, run, told
from tests.kit.records import AS_OF_MS, agent_record, agent_view, replaced, row, tick
from tests.kit.serving import Served, problem_of
from tests.kit.settle import until
from tests.kit.store import FakeStore, down


def _turn(house: HubHouse, view: float, number: int = 0) -> None:
    """AAPL has one agent, of this view."""
    record = agent_record("AAPL", AS_OF_MS + number, f"run-{number}", (agent_view("agent_a", view, AS_OF_MS + number),))
    house.store.put(replaced(row("AAPL"), agents=encode(record)))
    house.change("AAPL")


def test_the_same_records_published_again_are_no_change() -> None:
    """Whichever run brings them, alone or beside others; a correction without a newer time is one."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL", "IBM")
        queued(subscriber)
        for number in range(2, 5):
            house.store.put(row("AAPL", AS_OF_MS, f"run-{number}"))
            house.change("AAPL")
            await house.settled()
        assert list(subscriber._queue) == []
        _turn(house, -1.0)
        await house.settled()
        assert told(subscriber) == [("AAPL", "5", "run-1")]

    run(work)


def test_a_last_trade_that_carries_the_price_on_is_a_change() -> None:
    """Whichever way it comes; the same one again is none, and one of the same price lasts longer."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL")
        first = queued(subscriber)[0][2]
        scores = [first["score"]]
        for number, price in enumerate(("104.5", "104.5", "96"), 1):
            for _ in range(2):
                house.trade(tick("AAPL", AS_OF_MS + number, price))
                await house.settled()
            ((_, _, data),) = queued(subscriber)
            assert (data["inputs"]["tick"]["price"], data["inputs"]["tick"]["status"]) == (float(price), "present")
            scores.append(data["score"])
        assert len(set(scores)) == 3
        records = row("AAPL").records
        house.store.put(Row("AAPL", {**records, "tick": Written(AS_OF_MS + 4, tick("AAPL", AS_OF_MS + 4, "99").value)}))
        house.change("AAPL")
        await house.settled()
        assert [data["inputs"]["tick"]["price"] for _, _, data in queued(subscriber)] == [99]

    run(work)


def test_a_last_trade_that_no_decision_rests_on_is_no_change() -> None:
    """But that it is there now. One before the end of the last bar, or of a night, moves nothing; a gap behind one is told."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL", "IBM")
        queued(subscriber)
        for number in range(3):
            house.trade(tick("AAPL", AS_OF_MS - 9 + number, f"{104 + number}"))
            house.trade(tick("IBM", AS_OF_MS + number, f"{104 + number}", closed_ms=(AS_OF_MS, AS_OF_MS + 10**9)))
            await house.settled()
        unused = [(data["symbol"], data["inputs"]["tick"]["unused"]) for _, _, data in queued(subscriber)]
        assert unused == [("AAPL", "older_than_bars"), ("IBM", "market_closed")]
        house.trade(tick("AAPL", AS_OF_MS, "107"), tick("AAPL", AS_OF_MS, "107", micros=1, coverage="gap"))
        await house.settled()
        assert [data["fallback"]["reason"] for _, _, data in queued(subscriber)] == ["tick_gap"]

    run(work)


def test_that_a_source_was_heard_and_said_nothing_is_no_change() -> None:
    """Nor that it was heard again; that trades are missing is one."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL")
        house.trade(tick("AAPL", AS_OF_MS + 1, "104.5"))
        await house.settled()
        queued(subscriber)
        trade_us = (AS_OF_MS + 1) * 1000
        for after_us, coverage in ((5000, "quiet"), (9000, "quiet"), (9500, "complete")):
            house.trade(tick("AAPL", AS_OF_MS + 1, "104.5", as_of_us=trade_us + after_us, coverage=coverage))
            await house.settled()
        assert queued(subscriber) == []
        house.trade(tick("AAPL", AS_OF_MS + 1, "104.5", as_of_us=trade_us + 9900, coverage="gap"))
        await house.settled()
        assert [data["fallback"]["reason"] for _, _, data in queued(subscriber)] == ["tick_gap"]

    run(work)


def test_where_the_last_of_several_is_no_change_the_id_comes_all_the_same() -> None:
    """As a sign of life, so that who is told nothing more goes on from there."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL", "IBM")
        queued(subscriber)
        house.store.put(row("AAPL", AS_OF_MS + 2, "run-2"))
        house.store.put(row("IBM", AS_OF_MS, "run-2"))
        house.change("AAPL", "IBM")
        await house.settled()
        assert list(subscriber._queue)[1:] == [b":\nid: 2\n\n"]
        assert told(subscriber) == [("AAPL", None, "run-2")]

    run(work)


def test_who_came_first_is_told_what_a_later_one_was_told_already() -> None:
    """A change that a newcomer has seen before the hub came to it is none for the newcomer alone."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        first = await house.follow("AAPL")
        queued(first)
        house.store.put(row("AAPL", AS_OF_MS + 2, "run-2"))
        house.parts.tiers.invalidate(["AAPL"])
        second = await house.follow("AAPL")
        assert told(second) == [("AAPL", "1", "run-2")]
        house.change("AAPL")
        await house.settled()
        assert told(first) == [("AAPL", "2", "run-2")]
        assert told(second) == []

    run(work)


def test_an_outage_and_its_end_are_changes() -> None:
    """Another fallback is another decision, though the records are the same."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL")
        queued(subscriber)
        house.store.fault = down()
        house.change("AAPL")
        await until(lambda: bool(subscriber._queue))
        ((_, _, stale),) = queued(subscriber)
        house.store.fault = None
        house.hub._wake.set()
        await until(lambda: bool(subscriber._queue))
        ((_, event_id, fresh),) = queued(subscriber)
        assert (stale["fallback"]["level"], fresh["fallback"]["level"], event_id) == ("stale", "none", "2")

    run(work)


def test_an_event_says_the_action_that_its_subscriber_was_told_before() -> None:
    """None at first, and after the symbol was away; the same bytes for all who were told the same."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber, same = await house.follow("AAPL"), await house.follow("AAPL")
        ((_, _, first),) = queued(subscriber)
        queued(same)
        assert (first["action"], first["previous"]) == ("buy", None)
        _turn(house, -1.0)
        await house.settled()
        assert subscriber._queue[0] is same._queue[0]
        ((_, _, second),) = queued(subscriber)
        assert second["action"] != "buy"
        assert second["previous"] == "buy"
        late = await house.follow("AAPL")
        del house.store.rows["AAPL"]
        house.change("AAPL")
        await house.settled()
        ((name, _, gone),) = queued(subscriber)
        assert (name, gone["previous"]) == ("gone", second["action"])
        assert [data["previous"] for _, _, data in queued(late)] == [None, second["action"]]
        _turn(house, 1.0, 7)
        await house.settled()
        assert [data["previous"] for _, _, data in queued(subscriber)] == [None]

    run(work)


def test_an_unknown_symbol_is_an_event_and_comes_once_it_is_loaded() -> None:
    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL", "NOPE")
        assert told(subscriber) == [("AAPL", None, "run-1"), ("NOPE", "1", "gone")]
        house.publish(2, "NOPE")
        await house.settled()
        assert told(subscriber) == [("NOPE", "2", "run-2")]

    run(work)


def test_who_follows_everything_is_told_of_what_comes_and_goes() -> None:
    """Also of symbols that nobody has heard of before; of one that comes and goes unseen, nothing."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow_everything()
        assert [symbol for symbol, _, _ in told(subscriber)] == ["AAPL", "IBM", "MSFT"]
        house.change("NEVER")
        house.publish(2, "NEW")
        await house.settled()
        assert told(subscriber) == [("NEW", "3", "run-2")]
        house.publish(4, "NEVER")
        await house.settled()
        assert told(subscriber) == [("NEVER", "4", "run-4")]
        del house.store.rows["IBM"]
        house.change("IBM")
        await house.settled()
        assert told(subscriber) == [("IBM", "5", "gone")]

    run(work)


def test_who_follows_everything_hears_what_the_feed_lost() -> None:
    """The universe is listed anew, again and again until L2 says it."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow_everything()
        queued(subscriber)
        house.store.put(row("NEW", AS_OF_MS, "run-2"))
        house.store.fault = down()
        house.change(lost=True)
        await until(lambda: bool(subscriber._queue))
        queued(subscriber)
        house.store.fault = None
        house.hub._wake.set()
        await until(lambda: "NEW" in subscriber.follows)
        await until(lambda: any(symbol == "NEW" for symbol, _, _ in told(subscriber)))

    run(work)


def test_who_follows_everything_comes_back_to_what_came_and_went_meanwhile() -> None:
    async def work(house: HubHouse) -> None:
        await house.settled()
        house.publish(2, "NEW")
        del house.store.rows["IBM"]
        house.change("IBM")
        await house.settled()
        assert told(await house.follow_everything(after="1")) == [("NEW", None, "run-2"), ("IBM", "3", "gone")]
        assert told(await house.follow_everything(after="3")) == []

    run(work)


def test_what_comes_beyond_the_limit_is_told_and_not_followed() -> None:
    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow_everything()
        queued(subscriber)
        for number in (2, 3):
            house.publish(number, "NEW")
            await house.settled()
        ((name, event_id, data),) = queued(subscriber)
        assert (name, event_id, data["symbol"]) == ("gone", None, "NEW")
        assert data["problem"]["type"] == "urn:decide:problem:invalid-request"
        assert "3 symbols are; allowed: no more" in data["problem"]["detail"]
        assert house.hub.forget(subscriber, ["IBM"]) == ["IBM"]
        house.publish(4, "IBM", "OTHER")
        await house.settled()
        assert told(subscriber) == [("OTHER", "4", "run-4")]
        with pytest.raises(Problem, match="5 symbols are loaded"):
            await house.hub.everything("symbols")

    run(work, stream_max_symbols=3)


def test_who_follows_everything_of_nothing_is_not_idle() -> None:
    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow_everything()
        house.clock.now += 60.0
        await asyncio.sleep(0.05)
        assert subscriber.reason is None
        house.publish(2, "AAPL")
        await house.settled()
        assert told(subscriber) == [("AAPL", "2", "run-2")]

    run(work, FakeStore())


def test_more_symbols_than_a_stream_may_follow_are_no_stream_of_all_of_them() -> None:
    with Served(stream_max_symbols=2) as served:
        problem = problem_of(served.get("/stream?symbols=*"), 422, "invalid-request", "symbols")
        assert "3 symbols are loaded; allowed: up to 2 (STREAM_MAX_SYMBOLS)" in problem.detail
