"""The loaded universe, sorted and kept in memory: a page of it costs neither a read of L2 nor a sort.

It is read when somebody asks for it, and again after the change feed has named a change: any change may have brought a symbol or
taken one. Without word from the feed it is read each time, as everything else in memory is.
"""

import asyncio
from collections.abc import Callable

from app.cache.store import Store


class Universe:
    """One a worker. Belongs to one event loop. ``is_proven`` tells whether the feed was heard lately."""

    def __init__(self, store: Store, is_proven: Callable[[], bool]) -> None:
        self._store = store
        self._is_proven = is_proven
        self._held: list[str] | None = None
        self.reading: asyncio.Task[list[str]] | None = None
        """The reading that is under way."""
        self.last: list[str] | None = None
        """What the last reading brought, whatever has changed since. Not to be changed."""

    def held(self) -> list[str] | None:
        """The symbols, if nothing says that they have changed. Not to be changed."""
        return self._held if self._is_proven() else None

    def changed(self) -> None:
        """What was read, or is being read, may be out of date."""
        self._held = self.reading = None

    async def read(self) -> list[str]:
        """The symbols from L2; whoever asks meanwhile gets them from the same read.

        Raises:
            StoreError: L2 does not answer.
        """
        # Who goes away takes the read from nobody.
        return await asyncio.shield(self.begin())

    def begin(self) -> asyncio.Task[list[str]]:
        """The reading that is under way, begun if there was none; awaits nothing."""
        if self.reading is None:
            self.reading = asyncio.get_running_loop().create_task(self._store.symbols())
            self.reading.add_done_callback(self._keep)
        return self.reading

    def _keep(self, reading: asyncio.Task[list[str]]) -> None:
        failed = reading.cancelled() or reading.exception() is not None
        self.last = self.last if failed else reading.result()
        if reading is self.reading:
            self.reading = None
            self._held = None if failed else reading.result()
