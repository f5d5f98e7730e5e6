"""Waiting for L2 without cancelling it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from app.errors import StoreError

T = TypeVar("T")

_TURN_S = 0.001


async def wait_for_store(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """The result of ``work`` if it comes within ``timeout_s``. What takes longer goes on unattended: cancelling a command would
    leave its reply on a shared connection for the next caller.

    The time in which the event loop was busy with something else does not count: the reply may have come in it, unread.

    Raises:
        StoreError: ``l2_timeout``, or what ``work`` raised.
    """
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    await asyncio.wait({task}, timeout=timeout_s)
    if not task.done():
        # As much time again as the loop came late, and a turn of it at least. uvloop runs timers before it reads from sockets.
        await asyncio.wait({task}, timeout=min(timeout_s, max(_TURN_S, loop.time() - deadline)))
    if not task.done():
        # Whatever becomes of it has been told already.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise StoreError("l2_timeout")
    return task.result()


class Waiting:
    """A caller who waits for ``left`` loads; the loads are never cancelled with it. As `asyncio.wait`, at a third of its cost."""

    __slots__ = ("_future", "left")

    def __init__(self, left: int, future: "asyncio.Future[None]") -> None:
        self.left = left
        self._future = future

    def one_less(self) -> None:
        """One of them is here."""
        self.left -= 1
        if self.left == 0:
            self.end()

    def end(self) -> None:
        """All are here, or the time is up. A caller who has left is nobody's business."""
        if not self._future.done():
            self._future.set_result(None)
