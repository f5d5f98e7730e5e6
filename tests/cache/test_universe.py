"""The listing of all symbols: read once, kept until something changed."""

import asyncio

import pytest

from app.cache.universe import Universe
from app.errors import StoreError
from tests.cache.fakes import BROKEN, FakeStore
from tests.kit.records import row


class _Listed(FakeStore):
    """Counts its listings; each is held back while ``listing`` is cleared."""

    def __init__(self, *symbols: str) -> None:
        super().__init__(*symbols)
        self.listings = 0
        self.listing = asyncio.Event()
        self.listing.set()

    async def symbols(self) -> list[str]:
        """As of the call, once it may end."""
        self.listings += 1
        found = await super().symbols()
        await self.listing.wait()
        self._fail()
        return found


def test_it_is_read_once_and_again_after_a_change() -> None:
    """Whoever asks in between is answered from memory, and those who ask together by one read."""

    async def work() -> None:
        store = _Listed("B", "A")
        universe = Universe(store, lambda: True)
        assert universe.held() is None
        assert await asyncio.gather(*(universe.read() for _ in range(30))) == [["A", "B"]] * 30
        assert (universe.held(), store.listings) == (["A", "B"], 1)
        store.put(row("C"))
        universe.changed()
        assert universe.held() is None
        assert await universe.read() == ["A", "B", "C"]
        assert store.listings == 2

    asyncio.run(work())


def test_a_read_that_a_change_overtook_is_not_kept_and_nobody_joins_it() -> None:
    """Who asks after the change is told of it."""

    async def work() -> None:
        store = _Listed("A")
        universe = Universe(store, lambda: True)
        store.listing.clear()
        early = asyncio.create_task(universe.read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert store.listings == 1
        store.put(row("B"))
        universe.changed()
        late = asyncio.create_task(universe.read())
        await asyncio.sleep(0)
        store.listing.set()
        assert (await early, await late) == (["A"], ["A", "B"])
        assert universe.held() == ["A", "B"]

    asyncio.run(work())


def test_without_word_from_the_feed_it_is_not_what_is_answered() -> None:
    """Nobody would tell of a change."""

    async def work() -> None:
        proven = True
        universe = Universe(_Listed("A"), lambda: proven)
        await universe.read()
        assert universe.held() == ["A"]
        proven = False
        assert universe.held() is None

    asyncio.run(work())


def test_a_read_that_fails_is_told_to_all_and_tried_again() -> None:
    """A failure is not remembered."""

    async def work() -> None:
        store = _Listed("A")
        store.failure = BROKEN
        universe = Universe(store, lambda: True)
        found = await asyncio.gather(*(universe.read() for _ in range(3)), return_exceptions=True)
        assert all(isinstance(each, StoreError) for each in found)
        store.failure = None
        assert await universe.read() == ["A"]

    asyncio.run(work())


def test_who_goes_away_takes_the_read_from_nobody() -> None:
    """Not even the one who began it."""

    async def work() -> None:
        store = _Listed("A")
        universe = Universe(store, lambda: True)
        store.listing.clear()
        first, second = (asyncio.create_task(universe.read()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        store.listing.set()
        assert await second == ["A"]
        assert store.listings == 1

    asyncio.run(work())
