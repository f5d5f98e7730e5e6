"""What is said of a symbol that is not loaded: that, and which it may be meant to be, by the universe as it was last read."""

import asyncio
from collections.abc import Callable, Sequence

from app.cache.loads import Lookup
from app.cache.universe import Universe
from app.domain.nearest import nearest
from app.errors import Problem

_FIRST_S = 0.1
"""How long a refusal may be held up by the first reading of the universe."""
_AGAIN_S = 5.0
"""How often it is read anew, at most, for suggestions alone."""


def cost_of(lookup: Lookup) -> int:
    """Of an answer from ``lookup``, among others: what may be meant by an unknown symbol takes as long as ten decisions."""
    return 10 if lookup.evidence is None else 1


def meant(near: Sequence[str]) -> str:
    """The end of a sentence on an unknown symbol: which of those ``near`` it may be; empty without any."""
    return f"; did you mean {' or '.join(near)}?" if near else ""


def unknown_symbol(symbol: str, field: str = "symbol", near: Sequence[str] = ()) -> Problem:
    """The symbol, which stands at ``field`` of the request, is not in the loaded universe; ``near`` are symbols that are."""
    return Problem(
        404,
        "unknown-symbol",
        "Unknown symbol",
        f"symbol {symbol} is not in the loaded universe (GET /symbols lists it){meant(near)}",
        field,
    )


class Suggestions:
    """One a worker. They cost L2 nothing but a reading now and then; what they know may be a little old."""

    def __init__(self, universe: Universe | None, clock: Callable[[], float]) -> None:
        self._universe = universe
        self._clock = clock
        self._asked_at = -_AGAIN_S

    async def unknown(self, symbol: str) -> Problem:
        """That ``symbol`` is not in the universe, with what may have been meant; reads the universe if nobody has yet."""
        await self.ready()
        return self.unknown_now(symbol)

    def unknown_now(self, symbol: str, field: str = "symbol") -> Problem:
        """The same from what is known of the universe, in the time that a few look-ups take; awaits nothing."""
        self._read()
        known = None if self._universe is None else self._universe.last
        return unknown_symbol(symbol, field, () if known is None else nearest(symbol, known))

    def last(self) -> Sequence[str]:
        """The universe, sorted, as it was last read; empty if it never was."""
        return (self._universe and self._universe.last) or ()

    async def ready(self) -> None:
        """Returns when the universe was read once, or a moment later if it could not be."""
        self._read()
        if self._universe is not None and self._universe.last is None and self._universe.reading is not None:
            await asyncio.wait([self._universe.reading], timeout=_FIRST_S)

    def _read(self) -> None:
        if self._universe is None or self._universe.held() is not None:
            return
        if self._clock() - self._asked_at >= _AGAIN_S:
            self._asked_at = self._clock()
            self._universe.begin()
