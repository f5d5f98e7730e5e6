"""Waiting inside an event loop, by its turns."""

import asyncio
from collections.abc import Callable


async def settle() -> None:
    """Let everything that can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(reached: Callable[[], bool]) -> None:
    """Let the loop turn until ``reached``."""
    async with asyncio.timeout(30):
        while not reached():  # noqa: ASYNC110 - whatever it waits for knows nothing of it
            await asyncio.sleep(0)
