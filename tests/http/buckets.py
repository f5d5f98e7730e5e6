"""Buckets of a test's own."""

import asyncio
import math

from app.errors import StoreError
from app.http.limits import Drawn
from tests.kit.clock import Clock


class ExactBuckets:
    """Exact token buckets. ``callers`` and ``draws`` (of so many tokens) note each draw; ``faults`` says of each draw to come
    whether it fails, ``fault`` of all. ``held`` has what there was when, by caller.
    """

    def __init__(self, clock: Clock, *, burst: int, per_s: float) -> None:
        self._clock, self._burst, self._per_s = clock, burst, per_s
        self.held: dict[str, tuple[float, float]] = {}
        self.fault = False
        self.faults: list[bool] = []
        self.callers: list[str] = []
        self.draws: list[int] = []
        self.closed = False

    async def draw(self, caller: str, tokens: int) -> Drawn:
        """All of them or none."""
        self.callers.append(caller)
        self.draws.append(tokens)
        await asyncio.sleep(0)
        if self.fault or (self.faults and self.faults.pop(0)):
            raise StoreError("limit_error", "down")
        now, burst, per_s = self._clock.now, self._burst, self._per_s
        held, at = self.held.get(caller, (float(burst), now))
        held = min(burst, held + (now - at) * per_s)
        given = tokens <= held
        held -= tokens if given else 0
        self.held[caller] = held, now
        return Drawn(given, math.floor(held), (burst - held) / per_s, 0.0 if given else (tokens - held) / per_s)

    async def close(self) -> None:
        """Noted."""
        self.closed = True
