"""What changed lately, for those who come back: kept in memory, bounded, so that a thousand who come back at once ask nobody."""

from collections.abc import Iterable, Sequence

from app.cache.store import Store

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
        self._earlier: dict[str, frozenset[str]] = {}
        self._number = 0
        self.beginning = 0
        """Counts the starts."""

    def start(self, position: str) -> None:
        """Nothing is known of what came before ``position``."""
        self._numbers = {position: 0}
        self._changed = {}
        self._earlier = {}
        self._number = 0
        self.beginning += 1

    def add(self, position: str, symbols: Sequence[str]) -> None:
        """``symbols`` changed on the way to ``position``."""
        if len(self._changed) + len(symbols) > _SYMBOLS_MAX:
            self.start(position)
            return
        self._number += 1
        self._numbers[position] = self._number
        self._changed.update(dict.fromkeys(symbols, self._number))
        if len(self._numbers) > _POSITIONS_MAX:
            del self._numbers[next(iter(self._numbers))]

    def add_earlier(self, position: str, symbols: Iterable[str]) -> None:
        """``symbols`` changed between ``position``, which is from before the start, and some time after the start."""
        self._earlier[position] = frozenset(symbols)
        if len(self._earlier) > _EARLIER_MAX:
            del self._earlier[next(iter(self._earlier))]

    def since(self, position: str, symbols: Iterable[str]) -> list[str] | None:
        """Which of ``symbols`` changed after ``position``; None if that is not known."""
        number = self._numbers.get(position)
        if number is not None:
            return [symbol for symbol in symbols if self._changed.get(symbol, 0) > number]
        earlier = self._earlier.get(position)
        if earlier is None:
            return None
        return [symbol for symbol in symbols if symbol in earlier or symbol in self._changed]


async def look_back(store: Store, after: str) -> set[str] | None:
    """What changed after it by the store's own account; None if that does not reach back, or is too long.

    Raises:
        StoreError: the store does not answer.
    """
    found: set[str] = set()
    position = after
    for _ in range(PAGES_MAX):
        changes = await store.changes_since(position)
        if changes.lost:
            return None
        if not changes.symbols:
            return found
        found.update(changes.symbols)
        position = changes.last_id
    return None
