"""Decisions that wait until their follower may be told again: of each symbol the newest."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator

from app.observe.streams import StreamMeters
from app.push.events import Told
from app.push.subscriber import Follow, Subscriber

_ENTRIES = 1024


class Held:
    """Of all subscribers of a hub: which decision waits stands in ``held`` of each, and here until when. ``ring`` is called when
    that is over for one.
    """

    def __init__(self, clock: Callable[[], float], ring: Callable[[], None], meters: StreamMeters) -> None:
        self._clock = clock
        self._ring = ring
        self._meters = meters
        self._numbers = itertools.count()
        self._entries: list[tuple[float, int, Subscriber, Follow, str]] = []
        self._most = _ENTRIES
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def takes(self, subscriber: Subscriber, follow: Follow, told: Told) -> bool:
        """Whether it has to wait, in the place of what waited of its symbol. That a symbol is gone waits for nothing."""
        before = subscriber.held.pop(told.symbol, None)
        if before is not None:
            self._meters.conflated(subscriber.transport)
        if told.is_gone or follow.next_at <= self._clock():
            return False
        if before is None:
            heapq.heappush(self._entries, (follow.next_at, next(self._numbers), subscriber, follow, told.symbol))
            self._tidy()
            self._wait()
        subscriber.held[told.symbol] = told
        return True

    def over(self) -> Iterator[tuple[Subscriber, Follow, Told]]:
        """Those that need not wait any longer."""
        while self._entries and self._entries[0][0] <= self._clock():
            _, _, subscriber, follow, symbol = heapq.heappop(self._entries)
            if subscriber.follows.get(symbol) is follow and symbol in subscriber.held:
                yield subscriber, follow, subscriber.held.pop(symbol)
        self._wait()

    def _tidy(self) -> None:
        """What nobody waits for any more goes, once it is more than the rest."""
        if len(self._entries) > self._most:
            self._entries = [
                each for each in self._entries if each[2].follows.get(each[4]) is each[3] and each[4] in each[2].held
            ]
            heapq.heapify(self._entries)
            self._most = max(_ENTRIES, 2 * len(self._entries))

    def _wait(self) -> None:
        if not self._entries or (self._timer is not None and self._rings_at <= self._entries[0][0]):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._entries[0][0]
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._rings_at - self._clock()), self._over)

    def _over(self) -> None:
        self._timer = None
        self._ring()
