"""The change feed: from publication to stale L1, through errors and losses."""

import asyncio
import contextlib

from app.store.protocol import Changes
from tests.kit.house import House
from tests.kit.records import AS_OF_MS, row, run_info
from tests.kit.settle import until
from tests.kit.store import down


def _house(lease_s: float = 1e9) -> House:
    """Nothing is known of the run that its store holds."""
    house = House("A", "B", wait_s=1.0, lease_s=lease_s)
    house.store.info = None
    return house


def test_the_feed_starts_at_the_newest_entry_with_everything_stale() -> None:
    """What L1 read before the position was known may have changed since."""

    async def work() -> None:
        house = _house()
        house.store.position = "7"
        await house.fill()
        house.store.info = run_info("r1")
        assert await house.feed.step()
        assert (house.fresh(), house.feed.connected, house.runs) == ([], True, ["r1"])
        house.store.feed = [Changes("7", (), lost=False)]
        assert await house.feed.step()
        assert house.store.asked_after == ["7"]

    asyncio.run(work())


def test_a_change_makes_its_symbols_stale_and_no_others() -> None:
    async def work() -> None:
        house = _house()
        await house.feed.step()
        assert (house.feed.run_info, house.runs) == (None, [])
        await house.fill()
        house.store.info = run_info("r2")
        house.store.put(row("A", AS_OF_MS + 1, "r2"))
        house.store.feed = [Changes("1", ("A", "C"), lost=False), Changes("1", (), lost=False)]
        assert await house.feed.step()
        assert (house.fresh(), house.runs, house.meters.runs) == (["B"], ["r2"], ["r2"])
        assert house.feed.run_info == run_info("r2")
        await house.feed.step()
        assert (house.store.asked_after, house.runs) == (["0", "1"], ["r2"])
        assert house.meters.counts["feed symbols"] == 2

    asyncio.run(work())


def test_a_read_that_may_have_ended_early_proves_nothing_of_what_it_does_not_name() -> None:
    """Lease and lag stay until the end of the feed is reached; the rest is read at once, before anything else is asked."""

    async def work() -> None:
        house = _house(lease_s=5.0)
        await house.feed.step()
        await house.fill()
        house.clock.now += 4.0
        house.store.info = run_info("r2")
        house.store.feed = [Changes("100", ("C",), lost=False, more=True), Changes("150", ("B",), lost=False)]
        assert await house.feed.step()
        assert (house.feed.lag_s(), house.fresh(), house.runs) == (4.0, ["A", "B"], [])
        house.clock.now += 1.0
        assert house.fresh() == []
        assert await house.feed.step()
        assert (house.feed.lag_s(), house.fresh(), house.runs) == (0.0, ["A"], ["r2"])
        assert house.store.asked_after == ["0", "100"]

    asyncio.run(work())


def test_lost_entries_make_everything_stale() -> None:
    """What was missed cannot be known."""

    async def work() -> None:
        house = _house()
        await house.feed.step()
        await house.fill()
        house.store.feed = [Changes("9", (), lost=True)]
        await house.feed.step()
        assert (house.fresh(), house.meters.counts["feed lost"]) == ([], 1)

    asyncio.run(work())


def test_after_an_error_the_feed_resumes_where_it_was() -> None:
    """Entries stay fresh meanwhile."""

    async def work() -> None:
        house = _house()
        await house.feed.step()
        await house.fill()
        house.store.feed = [down(), Changes("3", ("B",), lost=False)]
        assert not await house.feed.step()
        assert (house.feed.connected, house.fresh(), house.meters.counts["feed failed"]) == (False, ["A", "B"], 1)
        assert await house.feed.step()
        assert (house.feed.connected, house.fresh(), house.store.asked_after) == (True, ["A"], ["0", "0"])

    asyncio.run(work())


def test_pauses_between_tries_grow_to_a_bound_and_start_over_after_a_success() -> None:
    """Each pause is drawn at random below a bound that doubles up to one second."""

    async def work() -> None:
        house = _house()
        house.store.fault = down()
        running = asyncio.create_task(house.feed.run())
        await until(lambda: len(house.pauses_s) >= 12)
        bounds = [min(1.0, 0.05 * 2**number) for number in range(12)]
        assert all(bound / 2 <= pause <= bound for pause, bound in zip(house.pauses_s, bounds, strict=False))
        house.store.fault = None
        house.store.feed = [down()]
        tries = len(house.pauses_s)
        await until(lambda: len(house.pauses_s) > tries and not house.store.feed)
        assert house.pauses_s[-1] <= 0.05
        await end(running)

    asyncio.run(work())


def test_what_nobody_foresaw_does_not_end_the_feed() -> None:
    """It is reported, everything turns stale, and the feed starts over from the newest entry."""
    reported: list[str] = []

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
        house = _house()
        await house.feed.step()
        await house.fill()
        house.store.feed = [ValueError("no entry of ours")]
        running = asyncio.create_task(house.feed.run())
        await until(lambda: bool(house.pauses_s))
        assert (house.fresh(), house.feed.connected, house.meters.counts["feed failed"]) == ([], False, 1)
        house.store.position = "42"
        await until(lambda: len(house.store.asked_after) >= 2)
        assert house.store.asked_after[-1] == "42"
        assert house.feed.connected
        await end(running)

    asyncio.run(work())
    assert reported == ["no entry of ours"]


def test_whoever_else_must_know_hears_of_changes_when_l1_has() -> None:
    """Of the position at the start as of a loss, of changes and losses in order, and of nothing where nothing came."""
    heard: list[tuple[Changes, list[str]]] = []

    class Listening(House):
        def on_changes(self, changes: Changes) -> None:
            heard.append((changes, self.fresh()))

    async def work() -> None:
        house = Listening("A", "B")
        house.store.position = "7"
        await house.fill()
        await house.feed.step()
        await house.fill()
        changed, lost = Changes("8", ("A",), lost=False), Changes("9", (), lost=True)
        house.store.feed = [changed, Changes("8", (), lost=False), lost]
        for _ in range(3):
            await house.feed.step()
        assert heard == [(Changes("7", (), lost=True), []), (changed, ["B"]), (lost, [])]

    asyncio.run(work())


async def end(running: "asyncio.Task[None]") -> None:
    """The feed ends by cancellation and by nothing else."""
    assert not running.done()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
