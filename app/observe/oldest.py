"""How old the inputs are that decisions rest on, and how long ago they turned stale: the worst of it, for an alert."""

import math
from collections.abc import Callable

_NOTHING = (math.inf, math.inf, math.inf)


class OldestServed:
    """The oldest ``as_of`` that decisions used, and the first moment at which a price turned stale, over the current and the last
    minute. Costs three comparisons a decision. Agents' views are stale past ``agents_life_ms``.
    """

    def __init__(self, now_ms: Callable[[], int], agents_life_ms: float, window_ms: int = 60_000) -> None:
        self._now_ms = now_ms
        self._agents_life_ms = agents_life_ms
        self._window_ms = window_ms
        self._window_ends_ms = 0
        self._price_ms, self._stale_ms, self._agents_ms = _NOTHING
        self._last: tuple[float, float, float] = _NOTHING

    def served(self, price_ms: int | None, stale_ms: float, agents_ms: int | None) -> None:
        """A decision used inputs of these times, None if it did not use one; the price is stale after ``stale_ms``."""
        if price_ms is not None and price_ms < self._price_ms:
            self._price_ms = price_ms
        if price_ms is not None and stale_ms < self._stale_ms:
            self._stale_ms = stale_ms
        if agents_ms is not None and agents_ms < self._agents_ms:
            self._agents_ms = agents_ms

    def look(self) -> tuple[dict[str, float], dict[str, float]]:
        """By input, in seconds: the age of the oldest that was used, and for how long one has been stale; 0 if none."""
        now_ms = self._now_ms()
        # Also if the clock was set back, as the replay clock is at its start: the window would otherwise last for years.
        if not self._window_ends_ms - self._window_ms <= now_ms < self._window_ends_ms:
            current = self._price_ms, self._stale_ms, self._agents_ms
            self._last = current if now_ms < self._window_ends_ms + self._window_ms else _NOTHING
            self._price_ms, self._stale_ms, self._agents_ms = _NOTHING
            self._window_ends_ms = now_ms + self._window_ms
        price_ms, stale_ms = min(self._price_ms, self._last[0]), min(self._stale_ms, self._last[1])
        agents_ms = min(self._agents_ms, self._last[2])

        def since(moment_ms: float) -> float:
            # Nothing is infinitely new.
            return max(0.0, (now_ms - moment_ms) / 1000.0)

        ages_s = {"price": since(price_ms), "agents": since(agents_ms)}
        return ages_s, {"price": since(stale_ms), "agents": since(agents_ms + self._agents_life_ms)}
