"""The feed's look at the run: made up for when it failed, and never in the way of changes."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from app.cache.feed import Feed
from app.errors import RunDamaged, StoreError
from app.store.protocol import Changes, RunInfo
from tests.cache.fakes import BROKEN, Clock, CountingMeters, FakeStore, make_tiers
from tests.kit.records import run_info


class PatchyStore(FakeStore):
    """A store whose info about the run, or whose position, can fail while all else answers."""

    def __init__(self) -> None:
        super().__init__("A", "B")
        self.run_failure: StoreError | None = None
        self.position_failure: StoreError | None = None
        self.waits_s: list[float] = []

    async def run_info(self) -> RunInfo | None:
        """As it was set, or the failure."""
        if self.run_failure is not None:
            raise self.run_failure
        return await super().run_info()

    async def feed_position(self) -> str:
        """As it was set, or the failure."""
        if self.position_failure is not None:
            raise self.position_failure
        return await super().feed_position()

    async def changes(self, after: str, wait_s: float) -> Changes:
        """The next of ``feed``, or nothing; notes how long it was to wait."""
        self.waits_s.append(wait_s)
        await asyncio.sleep(0)
        if not self.feed:
            self.feed = [Changes(after, (), lost=False)]
        return await super().changes(after, wait_s)


class House:
    """A feed over a patchy store."""

    def __init__(self, on_run: Callable[[RunInfo], None] | None = None) -> None:
        self.store = PatchyStore()
        self.clock = Clock()
        self.meters = CountingMeters()
        self.tiers = make_tiers(self.store, self.meters, self.clock)
        self.runs: list[str] = []
        self.pauses = 0
        self.feed = Feed(
            self.store,
            self.tiers,
            self.meters,
            wait_s=7.0,
            lease_s=1e9,
            clock=self.clock,
            now_ms=lambda: 1_000_500,
            rng=random.Random(1),
            sleep=self._sleep,
            on_run=on_run or (lambda info: self.runs.append(info.run)),
        )

    async def _sleep(self, seconds: float) -> None:
        del seconds
        self.pauses += 1
        await asyncio.sleep(0)

    async def fill(self) -> None:
        """Both symbols into L1."""
        await self.tiers.fetch_many(["A", "B"], 30.0)

    def fresh(self) -> list[str]:
        """Which symbols L1 would answer for."""
        return [symbol for symbol in ("A", "B") if self.tiers.hit(symbol, self.clock()) is not None]


def _run(work: Callable[[House], Awaitable[None]]) -> None:
    async def made() -> None:
        await work(House())

    asyncio.run(made())


def test_a_failed_first_look_at_the_run_is_made_up_for() -> None:
    """The server becomes ready once the store answers, without waiting for another publication."""

    async def work(house: House) -> None:
        house.store.info = run_info("r1")
        house.store.run_failure = BROKEN
        assert not await house.feed.step()
        assert (house.feed.connected, house.feed.run_info) == (False, None)
        house.store.run_failure = None
        assert await house.feed.step()
        assert (house.feed.connected, house.feed.run_info, house.runs) == (True, run_info("r1"), ["r1"])
        assert await house.feed.step()
        assert house.runs == ["r1"]
        assert house.store.waits_s == [0.0, 7.0]

    _run(work)


def test_a_failed_look_after_a_change_is_made_up_for_and_the_change_not_repeated() -> None:
    """The change itself was applied: the feed goes on behind it, and only the run is asked for again."""

    async def work(house: House) -> None:
        house.store.info = run_info("r1")
        await house.feed.step()
        await house.fill()
        house.store.feed = [Changes("1", ("A",), lost=False)]
        house.store.info, house.store.run_failure = run_info("r2"), BROKEN
        assert not await house.feed.step()
        assert (house.fresh(), house.runs, house.feed.connected) == (["B"], ["r1"], False)
        house.store.run_failure = None
        assert await house.feed.step()
        assert (house.runs, house.meters.runs, house.feed.connected) == (["r1", "r2"], ["r1", "r2"], True)
        assert house.store.asked_after == ["0", "1"]
        assert house.meters.counts["feed symbols"] == 1

    _run(work)


def test_a_damaged_run_keeps_no_feed_from_going_on_and_is_looked_at_again_after_the_next_change() -> None:
    """Records may be whole: something is published, and what is wrong with its run is known until the next one."""

    async def work(house: House) -> None:
        house.store.run_failure = RunDamaged("it is none")
        assert await house.feed.step()
        assert (house.feed.connected, house.feed.published, house.feed.run_info, house.runs) == (True, True, None, [])
        assert house.feed.run_fault == "l2_error: it is none"
        house.store.info, house.store.run_failure = run_info("r2"), None
        house.store.feed = [Changes("1", ("A",), lost=False)]
        assert await house.feed.step()
        assert (house.runs, vars(house.feed)["run_fault"]) == (["r2"], None)

    _run(work)


def test_changes_are_applied_while_the_run_cannot_be_read() -> None:
    """A damaged info about the run does not leave old evidence in L1."""

    async def work(house: House) -> None:
        house.store.run_failure = BROKEN
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
    """A store that is down at the start is asked for its newest entry again, and only then everything turns stale."""

    async def work(house: House) -> None:
        house.store.position_failure = BROKEN
        await house.fill()
        assert not await house.feed.step()
        assert (house.fresh(), house.store.asked_after) == (["A", "B"], [])
        house.store.position_failure = None
        assert await house.feed.step()
        assert (house.fresh(), house.feed.connected) == ([], True)

    _run(work)


def test_a_store_nothing_was_published_to_is_connected_and_has_no_run() -> None:
    """Its first publication is seen like any other."""

    async def work(house: House) -> None:
        assert await house.feed.step()
        assert await house.feed.step()
        assert (house.feed.connected, house.feed.run_info, house.runs, house.meters.runs) == (True, None, [], [])
        assert house.store.waits_s == [7.0]
        house.store.info = run_info("first")
        house.store.feed = [Changes("1", ("A",), lost=False)]
        assert await house.feed.step()
        assert (house.feed.run_info, house.runs) == (run_info("first"), ["first"])

    _run(work)


def test_a_listener_that_fails_does_not_end_the_feed() -> None:
    """Its fault is reported once for each run it was told of, and the feed starts over."""
    reported: list[str] = []
    told: list[str] = []
    heard = asyncio.Event()

    def listen(info: RunInfo) -> None:
        told.append(info.run)
        if len(told) == 1:
            raise RuntimeError("no ear for it")
        heard.set()

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
        house = House(listen)
        house.store.info = run_info("r1")
        running = asyncio.create_task(house.feed.run())
        await heard.wait()
        assert (house.pauses, house.feed.connected, house.feed.run_info) == (1, True, run_info("r1"))
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(work())
    assert (reported, told) == (["no ear for it"], ["r1", "r1"])
