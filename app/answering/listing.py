"""The loaded universe, for /symbols and for those who follow all of it."""

from collections.abc import Awaitable, Callable

from app.answering.decider import Decider
from app.cache.universe import Universe

_LIST_S = 2.0
"""Seconds that L2 may take to list it."""

ListSymbols = Callable[[], Awaitable[list[str]]]


def listing(universe: Universe, decider: Decider) -> ListSymbols:
    """A function that gives the symbols in alphabetical order, from memory where nothing says that they have changed. It raises
    the `Problem` of 503 if L2 does not answer.
    """

    async def symbols() -> list[str]:
        held = universe.held()
        return await decider.from_store(universe.read, _LIST_S) if held is None else held

    return symbols
