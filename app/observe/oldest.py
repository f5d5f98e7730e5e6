"""How old the inputs are that decisions rest on: the worst of it, for an alert."""

import math
from collections.abc import Callable

_NOTHING = (math.inf, math.inf)


class OldestServed:
    """The oldest ``as_of`` that decisions used, over the current and the last minute. Costs two comparisons a decision."""

    def __init__(self, now_ms: Callable[[], int], window_ms: int = 60_000) -> None:
        self._now_ms = now_ms
        self._window_ms = window_ms
        self._window_ends_ms = 0
        self._price_ms, self._agents_ms = _NOTHING
        self._last: tuple[float, float] = _NOTHING

    def served(self, price_ms: int | None, agents_ms: int | None) -> None:
        """A decision used inputs of these times; None if it did not use one."""
        if price_ms is not None and price_ms < self._price_ms:
            self._price_ms = price_ms
        if agents_ms is not None and agents_ms < self._agents_ms:
            self._agents_ms = agents_ms

    def ages_s(self) -> dict[str, float]:
        """Age of the oldest used input by name; 0 where nothing was used."""
        now_ms = self._now_ms()
        # Also if the clock was set back, as the replay clock is at its start: the window would otherwise last for years.
        if not self._window_ends_ms - self._window_ms <= now_ms < self._window_ends_ms:
            current = self._price_ms, self._agents_ms
            self._last = current if now_ms < self._window_ends_ms + self._window_ms else _NOTHING
            self._price_ms, self._agents_ms = _NOTHING
            self._window_ends_ms = now_ms + self._window_ms
        price_ms = min(self._price_ms, self._last[0])
        agents_ms = min(self._agents_ms, self._last[1])
        # Nothing is infinitely new.
        return {"price": max(0.0, (now_ms - price_ms) / 1000.0), "agents": max(0.0, (now_ms - agents_ms) / 1000.0)}
