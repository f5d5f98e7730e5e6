"""The feed's look at the run: made up for when it failed, and never in the way of changes."""

import asyncio
from collections.abc import Awaitable, Callable

from app.errors import RunDamaged
from app.store.protocol import Changes, RunInfo
from tests.kit.house import House
from tests.kit.records import run_info
from tests.kit.store import down

_WAIT_S = 0.01


def _run(work: Callable[[House], Awaitable[None]], made: type[House] = House) -> None:
    """In a house whose store was not published to, though it has A and B."""
    house = made("A", "B", wait_s=_WAIT_S)
    house.store.info = None
    house.run(lambda: work(house))


def test_a_failed_first_look_at_the_run_is_made_up_for() -> None:
    """The server becomes ready once the store answers, without waiting for another publication."""

    async def work(house: House) -> None:
        house.store.info = run_info("r1")
        house.store.faults["run_info"] = down()
        assert not await house.feed.step()
        assert (house.feed.connected, house.feed.run_info) == (False, None)
        house.store.faults.clear()
        assert await house.feed.step()
        assert (house.feed.connected, house.feed.run_info, house.runs) == (True, run_info("r1"), ["r1"])
        assert await house.feed.step()
        assert house.runs == ["r1"]
        assert house.store.waits_s == [0.0, _WAIT_S]

    _run(work)


def test_a_failed_look_after_a_change_is_made_up_for_and_the_change_not_repeated() -> None:
    async def work(house: House) -> None:
        house.store.info = run_info("r1")
        await house.feed.step()
        await house.fill()
        house.store.feed = [Changes("1", ("A",), lost=False)]
        house.store.info, house.store.faults["run_info"] = run_info("r2"), down()
        assert not await house.feed.step()
        assert (house.fresh(), house.runs, house.feed.connected) == (["B"], ["r1"], False)
        house.store.faults.clear()
        assert await house.feed.step()
        assert (house.runs, house.meters.runs, house.feed.connected) == (["r1", "r2"], ["r1", "r2"], True)
        assert house.store.asked_after == ["0", "1"]
        assert house.meters.counts["feed symbols"] == 1

    _run(work)


def test_a_damaged_run_keeps_no_feed_from_going_on_and_is_looked_at_again_after_the_next_change() -> None:
    """Records may be whole: something is published, and what is wrong with its run is known until the next one."""

    async def work(house: House) -> None:
        house.store.faults["run_info"] = RunDamaged("it is none")
        assert await house.feed.step()
        assert (house.feed.connected, house.feed.published, house.feed.run_info, house.runs) == (True, True, None, [])
        assert house.feed.run_fault == "l2_error: it is none"
        house.store.info = run_info("r2")
        house.store.faults.clear()
        house.store.feed = [Changes("1", ("A",), lost=False)]
        assert await house.feed.step()
        assert (house.runs, vars(house.feed)["run_fault"]) == (["r2"], None)

    _run(work)


def test_changes_are_applied_while_the_run_cannot_be_read() -> None:
    """A damaged info about the run does not leave old evidence in L1."""

    async def work(house: House) -> None:
        house.store.faults["run_info"] = down()
        await house.feed.step()
        await house.fill()
        house.store.feed = [Changes("1", ("A",), lost=False)]
        assert not await house.feed.step()
        assert house.fresh() == ["B"]
        house.store.feed = [Changes("2", (), lost=True)]
        assert not await house.feed.step()
        assert (house.fresh(), house.feed.run_info) == ([], None)
        assert house.meters.counts["feed failed"] == 3

    _run(work)


def test_until_the_position_is_known_l1_is_left_as_it_is_and_nothing_is_tailed() -> None:
    async def work(house: House) -> None:
        house.store.faults["feed_position"] = down()
        await house.fill()
        assert not await house.feed.step()
        assert (house.fresh(), house.store.asked_after) == (["A", "B"], [])
        house.store.faults.clear()
        assert await house.feed.step()
        assert (house.fresh(), house.feed.connected) == ([], True)

    _run(work)


def test_a_store_nothing_was_published_to_is_connected_and_has_no_run() -> None:
    async def work(house: House) -> None:
        assert await house.feed.step()
        assert await house.feed.step()
        assert (house.feed.connected, house.feed.run_info, house.runs, house.meters.runs) == (True, None, [], [])
        assert house.store.waits_s == [_WAIT_S]
        house.store.info = run_info("first")
        house.store.feed = [Changes("1", ("A",), lost=False)]
        assert await house.feed.step()
        assert (house.feed.run_info, house.runs) == (run_info("first"), ["first"])

    _run(work)


def test_a_listener_that_fails_does_not_end_the_feed() -> None:
    """Its fault is reported once for each run it was told of, and the feed starts over."""
    heard = asyncio.Event()

    class Deaf(House):
        def on_run(self, info: RunInfo) -> None:
            super().on_run(info)
            if len(self.runs) == 1:
                raise RuntimeError("no ear for it")
            heard.set()

    async def work(house: House) -> None:
        house.store.info = run_info("r1")
        running = asyncio.create_task(house.feed.run())
        await heard.wait()
        assert (len(house.pauses_s), house.feed.connected, house.feed.run_info) == (1, True, run_info("r1"))
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert ([str(error) for error in house.unforeseen], house.runs) == (["no ear for it"], ["r1", "r1"])

    _run(work, Deaf)
