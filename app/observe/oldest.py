"""How old the inputs are that decisions rest on, and how long ago they turned stale: the worst of it, for an alert."""

import math
from collections.abc import Callable, Sequence

from app.domain.used import Used


class OldestServed:
    """The oldest ``as_of`` that decisions used of each input, and the first moment at which one turned stale, over the current
    and the last minute. Costs two comparisons an input. ``names`` are the inputs', in their order. ``window`` is another one each
    minute: who tells of the same inputs again within one need not.
    """

    def __init__(self, now_ms: Callable[[], int], names: Sequence[str], window_ms: int = 60_000) -> None:
        self._now_ms = now_ms
        self._names = tuple(names)
        self._window_ms = window_ms
        self._window_ends_ms = 0
        self.window = 0
        self._oldest_ms, self._stale_ms = self._last = self._nothing()

    def _nothing(self) -> tuple[list[float], list[float]]:
        return [math.inf] * len(self._names), [math.inf] * len(self._names)

    def served(self, used: Sequence[Used]) -> None:
        """A decision rests on these inputs."""
        oldest_ms, first_stale_ms = self._oldest_ms, self._stale_ms
        for place, as_of_ms, life_ms in used:
            if as_of_ms < oldest_ms[place]:  # noqa: PLR1730 - calls of min would cost more than all of this
                oldest_ms[place] = as_of_ms
            if as_of_ms + life_ms < first_stale_ms[place]:  # noqa: PLR1730 - as above
                first_stale_ms[place] = as_of_ms + life_ms

    def look(self) -> tuple[dict[str, float], dict[str, float]]:
        """By input, in seconds: the age of the oldest that was used, and for how long one has been stale; 0 if none."""
        now_ms = self._now_ms()
        # Also if the clock was set back, as the replay clock is at its start: the window would otherwise last for years.
        if not self._window_ends_ms - self._window_ms <= now_ms < self._window_ends_ms:
            current = self._oldest_ms, self._stale_ms
            self._last = current if now_ms < self._window_ends_ms + self._window_ms else self._nothing()
            self._oldest_ms, self._stale_ms = self._nothing()
            self.window += 1
            self._window_ends_ms = now_ms + self._window_ms

        def since(now: list[float], before: list[float]) -> dict[str, float]:
            # Nothing is infinitely new.
            moments = map(min, now, before)
            return {name: max(0.0, (now_ms - moment) / 1000.0) for name, moment in zip(self._names, moments, strict=True)}

        return since(self._oldest_ms, self._last[0]), since(self._stale_ms, self._last[1])
