"""Long computations in turns, so that whatever else comes waits for a slice of them and not for their end.

Two things make others wait. The event loop runs one callback after the other: so the work is cut into slices, and of all that
is under way one slice runs in a turn of the loop. And the interpreter's lock: the server's own threads, which read requests and
write answers, get it from a busy loop only after the switch interval (5 ms in CPython), several times a request. A loop that is
never idle thus makes a request wait for tens of milliseconds, and many at once for hundreds. So the interval is short while there
is such work, and as ever otherwise: a short one takes an eighth of the throughput of hits.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator

SWITCH_INTERVAL_S = 100e-6


class Turns:
    """One a process. Work enters `under_way` for as long as it lasts, and does each slice in a `slice`."""

    def __init__(
        self,
        get_switch_interval: Callable[[], float] = sys.getswitchinterval,
        set_switch_interval: Callable[[float], None] = sys.setswitchinterval,
    ) -> None:
        self._usual_s = get_switch_interval()
        self._set_switch_interval = set_switch_interval
        self._under_way = 0
        self._lock = asyncio.Lock()

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """There is such work."""
        if self._under_way == 0:
            self._set_switch_interval(SWITCH_INTERVAL_S)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._set_switch_interval(self._usual_s)

    @contextlib.asynccontextmanager
    async def slice(self) -> AsyncIterator[None]:
        """The caller's turn: it must not await anything. Afterwards everybody else has theirs."""
        # The lock is held until the loop has turned: else all slices that are due would run in one turn. It is fair: who has just
        # had a slice waits behind all others that have work to do.
        async with self._lock:
            yield
            await asyncio.sleep(0)
