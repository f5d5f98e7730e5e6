"""Waiting inside an event loop, by its turns."""

import asyncio
from collections.abc import Callable


async def settle() -> None:
    """Let everything that can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(reached: Callable[[], bool], pause_s: float = 0.0) -> None:
    """Let things happen until ``reached``; ``pause_s`` for those that take time."""
    for _ in range(10_000):
        if reached():
            return
        await asyncio.sleep(pause_s)
    raise AssertionError("it did not get there")
