"""Rendering the metrics for many: how often it is done, by a clock that a test moves."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from app.observe.exposition import Exposition, with_cost
from tests.kit.clock import Clock


class _World:
    """Renderings that cost 10 ms each, and last for ``lasts_s``; ``go_on`` holds them up."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.lasts_s = 0.01
        self.rendered: list[bool] = []
        self.at_once = 0
        self.fault: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.exposition = Exposition(self._render, self.clock)

    async def _render(self, open_metrics: bool) -> tuple[bytes, float]:  # noqa: FBT001 - as it is called
        self.at_once += 1
        assert self.at_once == 1
        await self.go_on.wait()
        await asyncio.sleep(0)
        self.clock.now += self.lasts_s
        self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        self.rendered.append(open_metrics)
        return b"%d of %d" % (open_metrics, len(self.rendered)), 0.01

    async def get(self, *, open_metrics: bool = False) -> bytes:
        """One."""
        return await self.exposition.get(open_metrics=open_metrics)


def _run(work: Callable[[_World], Awaitable[None]]) -> None:
    async def main() -> None:
        await work(_World())

    asyncio.run(main())


def test_all_who_wait_share_one_rendering() -> None:
    async def work(world: _World) -> None:
        asked = [world.get(open_metrics=number % 2 == 1) for number in range(600)]
        got = await asyncio.gather(*asked)
        assert world.rendered == [False, True]
        assert set(got) == {b"0 of 1", b"1 of 2"}

    _run(work)


def test_who_scrapes_now_and_then_always_gets_a_new_one() -> None:
    async def work(world: _World) -> None:
        for number in range(1, 50):
            assert await world.get() == b"0 of %d" % number
            world.clock.now += 1.0
        world.clock.now += 10.0
        before = len(world.rendered)
        assert [await world.get() for _ in range(5)] == [b"0 of %d" % (before + number) for number in range(1, 6)]

    _run(work)


def test_under_a_flood_renderings_take_a_twentieth_of_the_time() -> None:
    """What was rendered last is given out meanwhile, and is never older than a fifth of a second here."""

    async def work(world: _World) -> None:
        oldest, last, rendered = 0.0, 0.0, 0
        while world.clock.now < 100.0:
            await world.get(open_metrics=len(world.rendered) % 2 == 1)
            if len(world.rendered) > rendered:
                oldest, last, rendered = max(oldest, world.clock.now - last), world.clock.now, len(world.rendered)
            world.clock.now += 0.001
        # In 100 s; and what may be spent at once besides.
        assert 480 <= len(world.rendered) <= 510
        assert oldest < 0.22

    _run(work)


def test_who_leaves_ends_the_rendering_for_nobody_else() -> None:
    async def work(world: _World) -> None:
        world.go_on.clear()
        first, second = asyncio.create_task(world.get()), asyncio.create_task(world.get())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        world.go_on.set()
        assert await second == b"0 of 1"
        assert first.cancelled()
        assert world.rendered == [False]

    _run(work)


def test_a_rendering_that_fails_is_told_to_those_who_waited_and_tried_again_by_the_next() -> None:
    async def work(world: _World) -> None:
        world.fault = OSError("no file")
        asked = [asyncio.create_task(world.get()) for _ in range(3)]
        await asyncio.wait(asked)
        assert [str(each.exception()) for each in asked] == ["no file"] * 3
        with pytest.raises(OSError, match="no file"):
            await world.get()
        world.fault = None
        assert await world.get() == b"0 of 1"

    _run(work)


def test_a_rendering_that_a_busy_machine_holds_up_is_charged_what_it_cost() -> None:
    """Else a few scrapes in a row would be answered with what was rendered before."""

    async def work(world: _World) -> None:
        world.lasts_s = 0.5
        got = [await world.get() for _ in range(5)]
        assert got == [b"0 of %d" % number for number in range(1, 6)]

    _run(work)


def test_the_cost_is_the_threads_own_time() -> None:
    def render() -> bytes:
        time.sleep(0.05)
        return b"x"

    text, cost_s = with_cost(render)
    assert text == b"x"
    assert 0 <= cost_s < 0.05
