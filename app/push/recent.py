"""What changed lately, for those who come back: kept in memory, bounded, so that a thousand who come back at once ask nobody."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

from app.errors import StoreError
from app.slices import SLICE, in_slices
from app.store.protocol import Store

_POSITIONS_MAX = 10_000
_SYMBOLS_MAX = 200_000
_EARLIER_MAX = 64
PAGES_MAX = 10
"""So many reads of the store's changes for one who comes back; who was away for longer is told everything."""


class Recent:
    """The changes since a position of the feed. Positions are only held to be the same or not: stores differ in theirs."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._changed: dict[str, int] = {}
        self._earlier: dict[str, Collection[str]] = {}
        self._looking_back = asyncio.Lock()
        self._forgotten: list[dict[str, int]] = []
        self._number = 0
        self.beginning = 0
        """Counts the starts."""

    def start(self, position: str | None) -> None:
        """Nothing is known of what came before ``position``; if it is None, the next one."""
        self._numbers = {} if position is None else {position: 0}
        self._forgotten.append(self._changed)
        self._changed = {}
        self._earlier = {}
        self._number = 0
        self.beginning += 1

    def add(self, position: str | None, symbols: Sequence[str]) -> None:
        """``symbols`` changed on the way to ``position``; if it is None, on the way to a later one that is not reached yet."""
        if len(self._changed) + len(symbols) > _SYMBOLS_MAX:
            self.start(position)
            return
        self._number += 1
        if position is not None:
            self._numbers[position] = self._number
        self._changed.update(dict.fromkeys(symbols, self._number))
        if len(self._numbers) > _POSITIONS_MAX:
            del self._numbers[next(iter(self._numbers))]

    def add_earlier(self, position: str, symbols: Collection[str]) -> None:
        """``symbols`` changed between ``position``, which is from before the start, and some time after the start.

        The oldest of these are forgotten when there are too many, or too many symbols in them.
        """
        self._earlier[position] = symbols
        while len(self._earlier) > _EARLIER_MAX or sum(map(len, self._earlier.values())) > _SYMBOLS_MAX:
            del self._earlier[next(iter(self._earlier))]

    def since(self, position: str, symbols: Iterable[str] | None) -> list[str] | None:
        """Which of ``symbols``, or of all, changed after ``position``; None if that is not known."""
        number = self._numbers.get(position)
        if number is not None:
            return [symbol for symbol in (self._changed if symbols is None else symbols) if self._changed.get(symbol, 0) > number]
        earlier = self._earlier.get(position)
        if earlier is None:
            return None
        if symbols is None:
            symbols = dict.fromkeys((*earlier, *self._changed))
        return [symbol for symbol in symbols if symbol in earlier or symbol in self._changed]

    async def tidy(self) -> None:
        """Give back, in slices, what was forgotten: to let go of so many symbols at once would take its time."""
        while self._forgotten:
            changed = self._forgotten.pop()
            for count in range(len(changed)):
                changed.popitem()
                if count % SLICE == SLICE - 1:
                    await asyncio.sleep(0)

    async def ask(self, store: Store, position: str, symbols: Iterable[str] | None) -> list[str] | None:
        """`since`, by the store's own account if it is not known without."""
        changed = self.since(position, symbols)
        if changed is not None:
            return changed
        # One at a time: the store is not for them alone. Who waits here often finds that another has just asked the same.
        async with self._looking_back:
            changed = self.since(position, symbols)
            if changed is not None:
                return changed
            beginning = self.beginning
            try:
                earlier = await look_back(store, position)
            except StoreError:
                return None
            if self.beginning != beginning:
                # The feed has lost something meanwhile: what was read may be from before the gap.
                return None
            if earlier is not None:
                self.add_earlier(position, earlier)
            return self.since(position, symbols)


async def look_back(store: Store, after: str) -> set[str] | None:
    """What changed after it by the store's own account; None if that does not reach back, or is too long or too much.

    Raises:
        StoreError: the store does not answer.
    """
    found: set[str] = set()
    position = after
    for _ in range(PAGES_MAX):
        changes = await store.changes_since(position)
        if changes.lost:
            return None
        if not (changes.symbols or changes.values):
            return found
        async for some in in_slices((*changes.symbols, *(each.key for each in changes.values))):
            found.update(some)
        if len(found) > _SYMBOLS_MAX:
            return None
        position = changes.last_id
    return None
