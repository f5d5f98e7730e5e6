"""Waiting for L2 without cancelling it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from app.errors import StoreError

T = TypeVar("T")

_TURN_S = 0.001
_TURNS_TO_HEAR = 3
"""What was read in one turn wakes a task in the next, which wakes who waits for it in the one after that."""


async def wait_for_store(work: Coroutine[Any, Any, T] | asyncio.Future[T], timeout_s: float) -> T:
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
        await asyncio.wait({task}, timeout=_longer_s(loop, deadline, timeout_s))
    if not task.done():
        # Whatever becomes of it has been told already.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise StoreError("l2_timeout")
    return task.result()


def call_when_over(loop: asyncio.AbstractEventLoop, timeout_s: float, call: Callable[[], object]) -> asyncio.TimerHandle:
    """``call`` when ``timeout_s`` is over, in which the time does not count that `wait_for_store` does not count either. The
    timer can be cancelled until it runs; what it leads to cannot.
    """
    deadline = loop.time() + timeout_s
    return loop.call_at(deadline, lambda: call_when_heard(loop, deadline, timeout_s, call))


def call_when_heard(loop: asyncio.AbstractEventLoop, deadline: float, timeout_s: float, call: Callable[[], object]) -> None:
    """``call`` once the loop, which should have come at ``deadline``, has heard what came while it was busy."""
    loop.call_later(_longer_s(loop, deadline, timeout_s), _call_in, loop, _TURNS_TO_HEAR, call)


def _call_in(loop: asyncio.AbstractEventLoop, turns: int, call: Callable[[], object]) -> None:
    if turns:
        loop.call_soon(_call_in, loop, turns - 1, call)
    else:
        call()


def _longer_s(loop: asyncio.AbstractEventLoop, deadline: float, timeout_s: float) -> float:
    """As much time again as the loop came late, and a turn of it at least. uvloop runs timers before it reads from sockets."""
    return min(timeout_s, max(_TURN_S, loop.time() - deadline))


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


async def wait_for_all(waited_for: Sequence[list[Waiting]], timeout_s: float) -> None:
    """Wait until all loads are here, who tell those on their lists, or ``timeout_s`` is over, as for `call_when_over`."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    waiting = Waiting(len(waited_for), future)
    for each in waited_for:
        each.append(waiting)
    timer = call_when_over(loop, timeout_s, waiting.end)
    try:
        await future
    finally:
        timer.cancel()
