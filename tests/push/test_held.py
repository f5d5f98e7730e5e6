"""Decisions come at most once in their follower's interval: the newest, and ids that still reach as far as they say."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.push.held import _ENTRIES
from tests.kit.hub import HubHouse, SlowStore, queued, run, told
from tests.kit.records import AS_OF_MS, row
from tests.kit.settle import settle
from tests.kit.store import UNIVERSE, FakeStore

INTERVAL_S = 0.25


def _run(work: Callable[[HubHouse], Any], store: FakeStore | None = None) -> None:
    async def whole(house: HubHouse) -> None:
        await house.settled()
        await work(house)

    run(whole, store)


async def _pass(house: HubHouse, seconds: float = INTERVAL_S) -> None:
    house.clock.now += seconds
    house.hub._wake.set()
    await settle()


async def _publish(house: HubHouse, number: int, *symbols: str) -> None:
    house.publish(number, *symbols)
    await house.settled()


def test_within_an_interval_the_newest_decision_alone_is_told_at_its_end() -> None:
    async def work(house: HubHouse) -> None:
        subscriber, eager = await house.follow("AAPL", interval_s=INTERVAL_S), await house.follow("AAPL")
        assert told(subscriber) == [("AAPL", "1", "run-1")]
        for number in (2, 3, 4):
            await _publish(house, number, "AAPL")
        assert told(subscriber) == []
        assert [run for _, _, run in told(eager)] == ["run-1", "run-2", "run-3", "run-4"]
        await _pass(house, INTERVAL_S - 0.001)
        assert told(subscriber) == []
        await _pass(house, 0.001)
        assert told(subscriber) == [("AAPL", "4", "run-4")]
        assert house.meters._conflated.labels("sse")._value.get() == 2
        await _pass(house)
        await _publish(house, 5, "AAPL")
        assert told(subscriber) == [("AAPL", "5", "run-5")]

    _run(work)


def test_no_id_reaches_beyond_what_waits() -> None:
    """Neither with another symbol's decision, nor with a sign of life; with the last that waited, it does."""

    async def work(house: HubHouse) -> None:
        subscriber = await house.follow("AAPL", "IBM", "MSFT", interval_s=INTERVAL_S)
        queued(subscriber)
        await _pass(house)
        await _publish(house, 2, "AAPL")
        assert told(subscriber) == [("AAPL", "2", "run-2")]
        await _publish(house, 3, "AAPL", "IBM")
        assert told(subscriber) == [("IBM", None, "run-3")]
        house.hub._beat(subscriber, house.hub._settled)
        assert list(subscriber._queue) == [b":\n\n"]
        queued(subscriber)
        await _pass(house)
        assert told(subscriber) == [("AAPL", "3", "run-3")]

    _run(work)


def test_that_a_symbol_is_gone_waits_for_nothing() -> None:
    async def work(house: HubHouse) -> None:
        subscriber = await house.follow("AAPL", interval_s=INTERVAL_S)
        queued(subscriber)
        await _publish(house, 2, "AAPL")
        del house.store.rows["AAPL"]
        house.change("AAPL")
        await house.settled()
        assert told(subscriber) == [("AAPL", "3", "gone")]
        await _pass(house)
        assert told(subscriber) == []

    _run(work)


@pytest.mark.parametrize("how", ["withdrawn", "lost"])
def test_what_was_taken_back_while_it_waited_is_never_told(how: str) -> None:
    store = SlowStore(*UNIVERSE)

    async def work(house: HubHouse) -> None:
        subscriber = await house.follow("AAPL", interval_s=INTERVAL_S)
        queued(subscriber)
        await _publish(house, 2, "AAPL")
        store.turns = 200
        house.store.put(row("AAPL", AS_OF_MS - 5, "run-0"))
        house.clock.now += INTERVAL_S
        house.change("AAPL", **{how: True})
        await house.settled()
        assert [run for _, _, run in told(subscriber)] == ["run-0"]

    _run(work, store)


def test_what_came_back_to_what_was_told_is_no_change() -> None:
    async def work(house: HubHouse) -> None:
        subscriber = await house.follow("AAPL", interval_s=INTERVAL_S)
        queued(subscriber)
        house.store.put(row("AAPL", AS_OF_MS + 1, "run-2"))
        house.change("AAPL")
        await house.settled()
        house.store.put(row("AAPL", AS_OF_MS, "run-3"))
        house.change("AAPL", withdrawn=True)
        await house.settled()
        await _pass(house)
        assert told(subscriber) == []

    _run(work)


def test_who_asks_again_is_told_at_once_and_what_waited_is_forgotten() -> None:
    async def work(house: HubHouse) -> None:
        subscriber = await house.follow("AAPL", interval_s=INTERVAL_S)
        queued(subscriber)
        await _publish(house, 2, "AAPL")
        await house.hub.join(subscriber, {"AAPL": "aapl"}, None)
        assert told(subscriber) == [("AAPL", "2", "run-2")]
        await _publish(house, 3, "AAPL")
        house.hub.forget(subscriber, ["AAPL"])
        await _pass(house)
        assert told(subscriber) == []

    _run(work)


def test_what_nobody_waits_for_any_more_does_not_pile_up() -> None:
    async def work(house: HubHouse) -> None:
        subscriber = await house.follow("AAPL", interval_s=60.0)
        for number in range(2, 2 + 2 * _ENTRIES):
            house.publish(number, "AAPL")
            await settle()
            house.hub.forget(subscriber, ["AAPL"])
            await house.hub.join(subscriber, {"AAPL": "AAPL"}, None)
            queued(subscriber)
        assert len(house.hub._held) <= _ENTRIES

    _run(work)


_STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "pass", "leave"]), st.sampled_from(["AAPL", "IBM"]), st.integers(1, 400)), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(_STEPS)
def test_whoever_comes_back_with_any_id_misses_nothing(steps: list[tuple[str, str, int]]) -> None:
    """Whatever changed when: what it was told, before and after, ends with the newest of each."""

    async def work(house: HubHouse) -> None:
        known: dict[str, str] = {}
        newest = dict.fromkeys(("AAPL", "IBM"), "run-1")
        last_id: str | None = None
        subscriber = await house.follow("AAPL", "IBM", interval_s=INTERVAL_S)

        def read() -> None:
            nonlocal last_id
            while subscriber._queue:
                frame = subscriber._queue.popleft()
                subscriber._queue.appendleft(frame)
                if b"event" not in bytes(frame):  # type: ignore[arg-type]
                    last_id = frame.decode().split("id: ")[1].strip() if b"id: " in bytes(frame) else last_id  # type: ignore[union-attr, arg-type]
                    subscriber._queue.popleft()
                    continue
                rest = list(subscriber._queue)[1:]
                subscriber._queue.clear()
                subscriber._queue.append(frame)
                for symbol, event_id, run_id in told(subscriber):
                    known[symbol] = run_id
                    last_id = event_id or last_id
                subscriber._queue.extend(rest)

        read()
        for number, (what, symbol, amount) in enumerate([*steps, ("leave", "", 0), ("pass", "", 1000)], 2):
            if what == "publish":
                newest[symbol] = f"run-{number}"
                await _publish(house, number, symbol)
            elif what == "pass":
                await _pass(house, amount / 1000)
            else:
                house.hub.leave(subscriber)
                subscriber = await house.follow("AAPL", "IBM", after=last_id, interval_s=INTERVAL_S)
            read()
        assert known == newest

    _run(work)
