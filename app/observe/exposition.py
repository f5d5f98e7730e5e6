"""Rendering the metrics, which takes milliseconds: one rendering at a time, and all of them a small share of a worker's time.

A rendering is shared by all who wait for it. Who scrapes now and then always gets a new one. Under a flood renderings take a
twentieth of the time at most, and what was rendered last is given out meanwhile: it is then older by up to twenty times what a
rendering costs, which is 60 ms where that costs 3 ms. The cost is the thread's own time: on a busy machine a rendering lasts
longer, and what others take is not its doing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

_SHARE = 0.05
_AHEAD_S = 1.0
"""So many seconds' share may be spent at once: some fifteen renderings, or two that take long."""


class Exposition:
    """What ``render`` makes, in the text format or, if it is told True, in OpenMetrics, and the seconds that it cost. Belongs to
    one event loop.
    """

    def __init__(self, render: Callable[[bool], Awaitable[tuple[bytes, float]]], clock: Callable[[], float]) -> None:
        self._render = render
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._under_way: dict[bool, asyncio.Task[bytes]] = {}
        self._last: dict[bool, bytes] = {}
        # When as much time will have passed as what was rendered is the share of.
        self._paid_at = clock()

    async def get(self, *, open_metrics: bool) -> bytes:
        """It, as of now, or as of a moment ago where too much was rendered lately."""
        task = self._under_way.get(open_metrics)
        if task is None:
            last = self._last.get(open_metrics)
            if last is not None and self._paid_at - self._clock() > _AHEAD_S:
                return last
            task = self._under_way[open_metrics] = asyncio.ensure_future(self._run(open_metrics))
        # Who leaves does not end it for the others.
        return await asyncio.shield(task)

    async def _run(self, open_metrics: bool) -> bytes:  # noqa: FBT001 - it is a format
        try:
            async with self._one_at_a_time:
                began, cost_s = self._clock(), None
                try:
                    self._last[open_metrics], cost_s = await self._render(open_metrics)
                finally:
                    spent_s = self._clock() - began if cost_s is None else cost_s
                    self._paid_at = max(self._paid_at, began) + spent_s / _SHARE
                return self._last[open_metrics]
        finally:
            del self._under_way[open_metrics]


def with_cost(render: Callable[[], bytes]) -> tuple[bytes, float]:
    """What it makes, and the seconds of this thread's own time that it cost."""
    began = time.thread_time()
    return render(), time.thread_time() - began
