"""The hub: who is told what, in which order, with which ids, and what becomes of those who do not read."""

import asyncio

import pytest

from app.errors import Problem
from app.push import hub as hub_module
from app.push.hub import SILENT_S
from app.push.recent import PAGES_MAX
from app.store.protocol import Changes
from tests.kit.hub import HubHouse, queued, run, told
from tests.kit.records import AS_OF_MS, row
from tests.kit.settle import until
from tests.kit.store import UNIVERSE, FakeStore, down


def test_a_new_subscriber_is_told_all_it_follows_with_the_id_at_the_last() -> None:
    """The id is a point to resume from, so it comes when everything up to there was told."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("aapl", "IBM")
        assert told(subscriber) == [("AAPL", None, "run-1"), ("IBM", "1", "run-1")]
        assert (len(house.hub), house.hub.symbols) == (1, 2)
        house.hub.leave(subscriber)
        assert (len(house.hub), house.hub.symbols, subscriber.follows) == (0, 0, {})

    run(work)


def test_a_change_is_decided_once_and_given_as_the_same_bytes_to_all() -> None:
    """However many follow the symbol; who spells it otherwise gets its own spelling, and who does not follow it nothing."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        same = [await house.follow("AAPL") for _ in range(12)]
        other, ibm = await house.follow("aapl"), await house.follow("IBM")
        for each in (*same, other, ibm):
            queued(each)
        before = house.parts.meters.misses
        house.publish(2, "AAPL", "MSFT")
        await house.settled()
        assert house.parts.meters.misses == before + 1
        assert len({id(each._queue[0]) for each in same}) == 1
        ((name, event_id, data),) = queued(other)
        assert (name, event_id, data["requested"], data["symbol"]) == ("decision", "2", "aapl", "AAPL")
        assert told(same[0]) == [("AAPL", "2", "run-2")]
        assert told(ibm) == []

    run(work)


def test_of_many_changes_at_once_the_last_for_a_subscriber_has_the_id() -> None:
    """Who is disconnected before it resumes from the position before, and loses none."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        both, one = await house.follow("AAPL", "IBM"), await house.follow("IBM")
        queued(both), queued(one)
        house.publish(2, "IBM", "AAPL")
        await house.settled()
        assert told(both) == [("IBM", None, "run-2"), ("AAPL", "2", "run-2")]
        assert told(one) == [("IBM", "2", "run-2")]

    run(work)


def test_changes_that_come_faster_than_they_are_told_are_told_once() -> None:
    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL")
        queued(subscriber)
        for number in range(2, 6):
            house.publish(number, "AAPL")
        await house.settled()
        assert told(subscriber) == [("AAPL", "5", "run-5")]

    run(work)


def test_a_symbol_that_left_the_universe_is_told_and_may_come_back() -> None:
    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("aapl")
        queued(subscriber)
        del house.store.rows["AAPL"]
        house.change("AAPL")
        await house.settled()
        ((name, event_id, data),) = queued(subscriber)
        assert (name, event_id, data["symbol"], data["requested"]) == ("gone", "2", "AAPL", "aapl")
        assert (data["problem"]["status"], data["problem"]["type"]) == (404, "urn:decide:problem:unknown-symbol")
        house.publish(-5, "AAPL")
        await house.settled()
        assert told(subscriber) == [("AAPL", "3", "run--5")]

    run(work)


def test_a_loss_of_the_feed_decides_everything_anew() -> None:
    """What was missed cannot be known; what is as it was is no news."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL", "IBM")
        queued(subscriber)
        house.store.put(row("IBM", AS_OF_MS + 7, "run-7"))
        house.change(lost=True)
        await house.settled()
        assert told(subscriber) == [("IBM", "2", "run-7")]

    run(work)


def test_what_l2_could_not_say_is_told_by_the_fallback_once_and_made_up_for() -> None:
    """Without an id meanwhile: a server that a client resumes at could not know what this one owes."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL")
        queued(subscriber)
        house.store.fault = down()
        house.publish(2, "AAPL")
        await until(lambda: bool(subscriber._queue))
        ((_, event_id, data),) = queued(subscriber)
        assert (event_id, data["fallback"]["level"], data["cache"]["run"]) == (None, "stale", "run-1")
        house.hub._wake.set()
        await asyncio.sleep(0.05)
        assert queued(subscriber) == []
        late = await house.follow("AAPL")
        assert [event_id for _, event_id, _ in queued(late)] == [None]
        house.store.fault = None
        house.hub._wake.set()
        await until(lambda: bool(subscriber._queue))
        assert told(subscriber) == [("AAPL", "2", "run-2")]
        assert told(late) == [("AAPL", "2", "run-2")]

    run(work)


def test_a_fault_of_ours_is_reported_and_ends_nothing() -> None:
    reported: list[str] = []

    async def work(house: HubHouse) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
        await house.settled()
        subscriber = await house.follow("AAPL", "IBM")
        queued(subscriber)
        house.decider.fault = "AAPL"
        house.publish(2, "AAPL", "IBM")
        await until(lambda: bool(reported))
        house.hub._wake.set()
        await until(lambda: len(subscriber._queue) == 2)
        assert told(subscriber) == [("IBM", None, "run-2"), ("AAPL", "2", "run-2")]

    run(work)
    assert reported == ["told to fail"]


def test_a_hub_that_fails_altogether_starts_over() -> None:
    reported: list[str] = []

    async def work(house: HubHouse) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
        await house.settled()
        subscriber = await house.follow("AAPL")
        queued(subscriber)
        house.decider.fault = "fetch_many"
        house.publish(2, "AAPL")
        await house.settled()
        assert told(subscriber) == [("AAPL", "2", "run-2")]

    run(work)
    assert reported == ["told to fail"]


def test_who_does_not_read_is_dropped_and_nobody_else() -> None:
    async def work(house: HubHouse) -> None:
        await house.settled()
        slow, reader = await house.follow("AAPL"), await house.follow("AAPL")
        for number in range(2, 7):
            house.publish(number, "AAPL")
            await house.settled()
            assert told(reader)[-1] == ("AAPL", str(number), f"run-{number}")
        assert (slow.reason, len(slow._queue)) == ("slow", 0)
        assert b"slow" in slow.last_word()
        assert reader.reason is None

    run(work, stream_queue=4)


def test_what_one_asked_for_itself_waits_for_its_reading_and_drops_nobody() -> None:
    symbols = [f"S{number:03}" for number in range(70)]

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = house.hub.enter("sse")
        joining = asyncio.create_task(house.hub.join(subscriber, {each: each for each in symbols}, None))
        heard: list[str] = []
        while len(heard) < 70:
            assert len(subscriber._queue) <= hub_module.DECIDED_IN_A_ROW
            heard += [symbol for symbol, _, _ in told(subscriber)]
            await asyncio.sleep(0.001)
        await joining
        assert (heard, subscriber.reason) == (symbols, None)

    run(work, FakeStore(*symbols), stream_queue=10)


def test_there_are_only_so_many_and_none_while_the_worker_drains() -> None:
    async def work(house: HubHouse) -> None:
        subscribers = [house.hub.enter("ws") for _ in range(2)]
        with pytest.raises(Problem) as refused:
            house.hub.enter("sse")
        assert (refused.value.status, refused.value.headers) == (503, (("Retry-After", "5"),))
        house.hub.leave(subscribers.pop())
        house.parts.drain.listeners.append(house.hub.drain)
        house.parts.drain.signalled()
        await until(lambda: subscribers[0].reason == "draining")
        with pytest.raises(Problem, match="about to stop"):
            house.hub.enter("sse")
        house.hub.drain()

    run(work, stream_max_clients=2)


def test_the_silent_get_signs_of_life_and_those_who_follow_nothing_are_ended() -> None:
    """A sign has the newest id, so that who comes back need not be told the same again."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber, nothing = await house.follow("AAPL"), house.hub.enter("ws")
        queued(subscriber)
        house.publish(2, "IBM")
        await house.settled()
        house.clock.now += 5.0
        await until(lambda: bool(subscriber._queue))
        assert subscriber._queue.popleft() == b":\nid: 2\n\n"
        house.clock.now += SILENT_S
        await until(lambda: nothing.reason is not None)
        assert (nothing.reason, subscriber.reason) == ("idle", None)

    run(work, stream_heartbeat_s=5.0)


def test_who_comes_back_is_told_what_changed_from_memory() -> None:
    """No store is asked for what the hub saw itself."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        house.publish(2, "IBM")
        house.publish(3, "MSFT")
        await house.settled()
        assert told(await house.follow(*UNIVERSE, after="1")) == [("IBM", None, "run-2"), ("MSFT", "3", "run-3")]
        assert told(await house.follow(*UNIVERSE, after="2")) == [("MSFT", "3", "run-3")]
        newest = await house.follow(*UNIVERSE, after="3")
        assert list(newest._queue) == [b":\nid: 3\n\n"]
        assert house.store.looks == []

    run(work)


def test_who_was_away_longer_is_told_by_the_stores_account_which_is_read_once() -> None:
    store = FakeStore(*UNIVERSE)
    store.pages = {
        "a": Changes("b", ("IBM",), lost=False),
        "b": Changes("1", ("NOPE",), lost=False),
        "1": Changes("1", (), lost=False),
    }

    async def work(house: HubHouse) -> None:
        await house.settled()
        found = await asyncio.gather(*(house.follow(*UNIVERSE, after="a") for _ in range(3)))
        assert [told(each) for each in found] == [[("IBM", "1", "run-1")]] * 3
        assert store.looks == ["a", "b", "1"]
        house.publish(2, "MSFT")
        await house.settled()
        assert told(await house.follow(*UNIVERSE, after="a")) == [("IBM", None, "run-1"), ("MSFT", "2", "run-2")]

    run(work, store)


@pytest.mark.parametrize("why", ["lost", "endless", "down"])
def test_where_it_is_not_known_what_changed_everything_is_told(why: str) -> None:
    store = FakeStore(*UNIVERSE)
    if why == "endless":
        store.pages = {str(number): Changes(str(number + 1), ("IBM",), lost=False) for number in range(100, 200)}

    async def work(house: HubHouse) -> None:
        await house.settled()
        await house.follow(*UNIVERSE)
        if why == "down":
            store.fault = down()
        subscriber = await house.follow(*UNIVERSE, after="100")
        assert [symbol for symbol, _, _ in told(subscriber)] == list(UNIVERSE)
        assert len(store.looks) == (PAGES_MAX if why == "endless" else 1)

    run(work, store)


def test_what_changes_while_one_joins_is_told_and_nothing_older_after_it() -> None:
    """The symbol is followed before it is looked up."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        house.store.is_holding = True
        subscriber = house.hub.enter("sse")
        joining = asyncio.create_task(house.hub.join(subscriber, {"AAPL": "AAPL"}, None))
        await until(lambda: bool(house.store.held))
        house.publish(2, "AAPL")
        await asyncio.sleep(0.01)
        house.store.release()
        await joining
        await house.settled()
        runs = [each for _, _, each in told(subscriber)]
        assert runs[-1] == "run-2"
        assert runs == sorted(runs)

    run(work)


def test_too_many_decisions_are_refused_before_anything_is_followed() -> None:
    async def work(house: HubHouse) -> None:
        house.parts.admission.enter(1)
        with pytest.raises(Problem, match="under way"):
            await house.parts.decider.load(["AAPL"], house.clock())
        house.parts.admission.leave(1)
        assert house.hub.symbols == 0

    run(work, max_in_flight=1)
