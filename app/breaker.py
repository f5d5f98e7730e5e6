"""A circuit breaker in front of a store (L2, the market store): while it does not answer, nobody waits for it.

*Closed*: loads go to the store. After some failures in a row it *opens*: loads are refused at once, so callers fall back without
waiting and the store is left alone. After a pause one load is let through as a probe (*half-open*): if it succeeds the breaker
closes, if it fails the next pause is twice as long, up to a bound. Pauses are shortened at random, so that many workers do not
probe at once. Whoever hears from the store by other ways (L2's change feed, over a connection of its own) says so by `heard`:
then the next load is a probe.
"""

import random
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class Breaker:
    """One a worker; all methods are synchronous.

    ``failures`` in a row open it; pauses run from ``first_pause_s`` to ``longest_pause_s``, each times 0.5 to 1.
    """

    def __init__(
        self,
        *,
        failures: int,
        first_pause_s: float,
        longest_pause_s: float,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._failures = failures
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock
        self._rng = rng
        self._in_a_row = 0
        self._pause_s = first_pause_s
        self._probe_at = 0.0
        self._probing = False
        self._open = False
        self.opened = 0

    @property
    def state(self) -> State:
        """For metrics and people."""
        if not self._open:
            return "closed"
        return "half_open" if self._probing else "open"

    def allows(self) -> bool:
        """Whether a load may start now. If the breaker is open and says yes, that load is its probe."""
        if not self._open:
            return True
        if self._probing or self._clock() < self._probe_at:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The store answered a load."""
        self._in_a_row = 0
        self._open = self._probing = False
        self._pause_s = self._first_pause_s

    def failed(self) -> None:
        """A load failed, or nobody waits for it any more."""
        self._in_a_row += 1
        if self._open:
            if self._probing:
                self._pause()
        elif self._in_a_row >= self._failures:
            self._open = True
            self.opened += 1
            self._pause()

    def unasked(self) -> None:
        """The load that was its probe ended before it asked the store: the next one is the probe."""
        self._probing = False

    def heard(self) -> None:
        """The store was heard of, though not by a load: probe at once."""
        self._probe_at = 0.0

    def _pause(self) -> None:
        self._probing = False
        self._probe_at = self._clock() + self._pause_s * self._rng.uniform(0.5, 1.0)
        self._pause_s = min(self._longest_pause_s, 2 * self._pause_s)
