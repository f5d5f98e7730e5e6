"""Many names in slices, so that whatever else comes waits for one slice of them and not for all."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

SLICE = 500
"""Names at once: what is done with one of them takes at most 4 µs."""
_CHARACTERS = 16_384
"""Text at once: of names as they usually are, about 2,000."""
_PAUSE_S = 0.001
"""Between two slices. Not nothing: the server's own threads need the interpreter's lock, and a loop that is never idle gives it
away only after the switch interval (5 ms in CPython).
"""


async def in_slices(names: Sequence[T], at_once: int = SLICE) -> AsyncIterator[tuple[T, ...]]:
    """All of ``names``, in order; others get their turn between two slices."""
    for first in range(0, len(names), at_once):
        if first:
            await asyncio.sleep(_PAUSE_S)
        yield tuple(names[first : first + at_once])


def shares(costs: Iterable[int], most: int) -> Iterator[range]:
    """What costs so much each, in shares that cost little more than ``most``: the places of each share."""
    first = at = spent = 0
    for at, cost in enumerate(costs, 1):
        spent += cost
        if spent >= most:
            yield range(first, at)
            first, spent = at, 0
    if first < at:
        yield range(first, at)


async def names_on_lines(texts: Iterable[bytes]) -> tuple[str, ...]:
    """The names on the lines of ``texts``, in order and without repeats; others get their turn in between.

    Raises:
        UnicodeDecodeError: one of them is no text.
    """
    found: dict[str, None] = {}
    read = 0
    for encoded in texts:
        text, first = encoded.decode(), 0
        while first < len(text):
            if read >= _CHARACTERS:
                await asyncio.sleep(_PAUSE_S)
                read = 0
            last = text.find("\n", first + _CHARACTERS)
            last = len(text) if last < 0 else last
            found.update(dict.fromkeys(text[first:last].split("\n")))
            read += last - first
            first = last + 1
    found.pop("", None)
    return tuple(found)
