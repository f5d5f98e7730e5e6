"""Tick records on their way to L2: of each symbol the newest one, at most once in a while."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Protocol

from app.domain.records import TICK
from app.errors import StoreError
from app.store.codec import encode
from app.store.protocol import Record, RunInfo, Upserting
from warm.stream.following import State
from warm.stream.metrics import ConsumerMeters

_AT_ONCE = 500
"""Records of one write."""
_RETRY_S = 1.0


class TickStore(Upserting, Protocol):
    """L2, as far as it is needed; raises as `app.store.protocol.Store` does."""

    async def run_info(self) -> RunInfo | None:
        """As `Store`."""
        ...


class Ticks:
    """``every_s``: a symbol's records are written no more often. ``say`` is told of what fails: an event and its facts."""

    def __init__(
        self,
        store: TickStore,
        every_s: float,
        meters: ConsumerMeters,
        say: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store, self._every_s, self._meters, self._say = store, every_s, meters, say
        self._clock, self._now_us = clock, now_us
        self._runner = asyncio.Runner()
        self._waiting: dict[str, int | None] = {}
        self._resting: dict[str, float] = {}
        self._again = 0.0
        self._is_away = False

    def add(self, symbols: Iterable[str], since_us: int | None = None) -> None:
        """Their records changed, by messages of which the first came to its source at ``since_us``."""
        for symbol in symbols:
            before_us = self._waiting.get(symbol)
            self._waiting[symbol] = since_us if before_us is None else before_us

    def wait_s(self, longest_s: float) -> float:
        """How long nothing is to be done here."""
        due = max(self._again, min((self._resting.get(each, 0.0) for each in self._waiting), default=math.inf))
        return min(longest_s, max(0.0, due - self._clock()))

    def publish(self, state: State, *, now: bool = False) -> None:
        """Write what waits, if it is time for it, or ``now``. Where L2 is away it waits on."""
        if self._clock() < self._again and not now:
            return
        due = list(self._waiting) if now else self._due()
        if not due:
            return
        now_us = self._now_us()
        known = [state.symbols[symbol] for symbol in due if symbol in state.symbols]
        made = [each.tick(now_us // 1000) for each in known]
        records = [Record(TICK.name, each.symbol, encode(each)) for each in made if each is not None]
        until = self._clock() + self._every_s
        try:
            for first in range(0, len(records), _AT_ONCE):
                written = self._runner.run(self._store.upsert(records[first : first + _AT_ONCE])).written
                self._meters.ticks.inc(written)
        except (StoreError, OSError) as error:
            self._again = self._clock() + _RETRY_S
            if not self._is_away:
                self._say("l2_away", error=str(error))
            self._is_away = True
            return
        if self._is_away:
            self._say("l2_back")
        self._is_away = False
        since_us = [each for each in map(self._waiting.pop, due) if each is not None]
        if since_us:
            self._meters.to_record.observe(max(0, self._now_us() - min(since_us)) / 1e6)
        self._resting.update(dict.fromkeys(due, until))

    def _due(self) -> list[str]:
        """Those that wait and were not written a moment ago."""
        now = self._clock()
        while self._resting and (first := next(iter(self._resting.items())))[1] <= now:
            del self._resting[first[0]]
        return [symbol for symbol in self._waiting if symbol not in self._resting]

    def tell(self, status: Record) -> None:
        """Write how the consumer is, where L2 has anything: a status alone is nothing to be served. A failure to tell is told by
        the silence.
        """
        with suppress(StoreError, OSError):
            self._runner.run(self._write(status))

    async def _write(self, status: Record) -> None:
        if await self._store.run_info() is not None:
            await self._store.upsert([status])

    def close(self, close_store: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Close the store, in the loop that it was used in."""
        self._runner.run(close_store())
        self._runner.close()
