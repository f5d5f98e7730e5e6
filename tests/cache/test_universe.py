"""The listing of all symbols: read once, kept until something changed."""

import asyncio

import pytest

from app.cache.universe import Universe
from app.errors import StoreError
from tests.kit.records import row
from tests.kit.store import FakeStore, down


def test_it_is_read_once_and_again_after_a_change() -> None:
    async def work() -> None:
        store = FakeStore("B", "A")
        universe = Universe(store, lambda: True)
        assert universe.held() is None
        assert await asyncio.gather(*(universe.read() for _ in range(30))) == [["A", "B"]] * 30
        assert (universe.held(), store.calls["symbols"]) == (["A", "B"], 1)
        store.put(row("C"))
        universe.changed()
        assert universe.held() is None
        assert await universe.read() == ["A", "B", "C"]
        assert store.calls["symbols"] == 2

    asyncio.run(work())


def test_a_read_that_a_change_overtook_is_not_kept_and_nobody_joins_it() -> None:
    async def work() -> None:
        store = FakeStore("A")
        universe = Universe(store, lambda: True)
        store.is_holding = True
        early = asyncio.create_task(universe.read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert store.calls["symbols"] == 1
        store.put(row("B"))
        universe.changed()
        late = asyncio.create_task(universe.read())
        await asyncio.sleep(0)
        store.release()
        assert (await early, await late) == (["A"], ["A", "B"])
        assert universe.held() == ["A", "B"]

    asyncio.run(work())


def test_without_word_from_the_feed_it_is_not_what_is_answered() -> None:
    """Nobody would tell of a change."""

    async def work() -> None:
        proven = True
        universe = Universe(FakeStore("A"), lambda: proven)
        await universe.read()
        assert universe.held() == ["A"]
        proven = False
        assert universe.held() is None

    asyncio.run(work())


def test_a_read_that_fails_is_told_to_all_and_tried_again() -> None:
    async def work() -> None:
        store = FakeStore("A")
        store.fault = down()
        universe = Universe(store, lambda: True)
        found = await asyncio.gather(*(universe.read() for _ in range(3)), return_exceptions=True)
        assert all(isinstance(each, StoreError) for each in found)
        store.fault = None
        assert await universe.read() == ["A"]

    asyncio.run(work())


def test_who_goes_away_takes_the_read_from_nobody() -> None:
    async def work() -> None:
        store = FakeStore("A")
        universe = Universe(store, lambda: True)
        store.is_holding = True
        first, second = (asyncio.create_task(universe.read()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        store.release()
        assert await second == ["A"]
        assert store.calls["symbols"] == 1

    asyncio.run(work())
