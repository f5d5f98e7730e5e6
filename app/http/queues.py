"""Fair queues: whoever shows no good key is answered one a turn of the event loop.

What answers strangers costs, and there can be as many of them as connections. All that were due at once would hold the loop
for as long as they take together, and the feed, the keys and bodies would wait behind them. So one of a queue proceeds in a
turn, and everything else that is due has its turn in between. Callers take turns with each other, so that a flood of one does
not hold up another's probe. Waiting costs hardly anything, and who waits for an answer does not ask again.
"""

import asyncio
from collections import OrderedDict, deque
from typing import Literal

from app.errors import Problem

RETRY_AFTER_S = 1

Kind = Literal["probe", "metrics", "other"]
"""Each has a queue: a flood of pages holds up no probe, not even one from the same address, as all behind a proxy are."""


class FairQueue:
    """Lets one proceed a turn, and holds up to ``max_waiting``. Belongs to one event loop."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting = 0
        self._callers: OrderedDict[str, deque[asyncio.Future[bool]]] = OrderedDict()
        """Those who wait, by caller; the first caller is next."""
        self._crowd: deque[asyncio.Future[bool]] = deque()
        """Those of the caller who was the last to have more than one."""
        self._turning = False

    async def turn(self, caller: str) -> None:
        """Return when it is ``caller``'s turn: at once if nobody has had this turn of the loop.

        Raises:
            Problem: 503 if too many wait.
        """
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._next, loop)
            return
        if self._waiting >= self._max_waiting and not self._make_room(caller):
            raise self._refusal()
        future: asyncio.Future[bool] = loop.create_future()
        queue = self._callers.setdefault(caller, deque())
        queue.append(future)
        self._waiting += 1
        if len(queue) > 1:
            self._crowd = queue
        if not await future:
            raise self._refusal()

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._callers:
            caller, queue = self._callers.popitem(last=False)
            future = queue.popleft()
            self._waiting -= 1
            if queue:
                # Behind all others.
                self._callers[caller] = queue
            if not future.done():
                future.set_result(True)
                loop.call_soon(self._next, loop)
                return
        self._turning = False

    def _make_room(self, caller: str) -> bool:
        """Whether one who has nothing waiting gets in, in the place of the last of a crowd."""
        if caller in self._callers or len(self._crowd) < 2:  # noqa: PLR2004 - one and another behind it
            return False
        future = self._crowd.pop()
        self._waiting -= 1
        if not future.done():
            future.set_result(False)
        return True

    def _refusal(self) -> Problem:
        return Problem(
            503,
            "overloaded",
            "Overloaded",
            f"{self._waiting} requests without a key wait, of at most {self._max_waiting}; try again in {RETRY_AFTER_S} s",
            headers=(("Retry-After", str(RETRY_AFTER_S)),),
        )


class Queues:
    """A queue for each kind of request; up to ``max_waiting`` in each."""

    def __init__(self, max_waiting: int) -> None:
        self._queues: dict[Kind, FairQueue] = {kind: FairQueue(max_waiting) for kind in ("probe", "metrics", "other")}

    async def turn(self, kind: Kind, caller: str) -> None:
        """As `FairQueue.turn`."""
        await self._queues[kind].turn(caller)
