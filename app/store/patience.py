"""What commands do about a store that is busy: they wait for their turn. Servers do not: they fall back, and ask again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.errors import StoreBusy

T = TypeVar("T")

_LONGEST_S = 60.0
_PAUSE_S = 0.1

_logger = logging.getLogger("decide.store")


async def patiently(
    work: Callable[[], Awaitable[T]],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """What ``work`` brings, which is tried again for a minute as long as the store is busy and has not begun it. That is logged.

    Raises:
        StoreBusy: it still is.
    """
    latest, told = clock() + _LONGEST_S, False
    while True:
        try:
            return await work()
        except StoreBusy as error:
            if clock() >= latest:
                raise
            if not told:
                _logger.warning("%s; trying again for up to %g s", error, _LONGEST_S)
                told = True
            await sleep(_PAUSE_S)
