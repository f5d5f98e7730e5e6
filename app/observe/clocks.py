"""The domain clock: what time it is where the data lives. Integer milliseconds since the Unix epoch, UTC."""

import time
from collections.abc import Callable


def wall_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


class ReplayClock:
    """Starts at the newest ``as_of`` of the loaded data and runs on from there with the monotonic clock.

    Until `start_at` is called it shows the wall clock. Newer data moves it on. It goes back in one case: when the loaded data no
    longer reaches as far as it did. A time that was wrong, and was taken back, would else be the time until a restart.
    ``beyond_ms`` is of the last record that was read and is later than all that is loaded was said to be, else None.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], int] = wall_ms) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._newest_ms: int | None = None
        self._origin_ms = 0
        self._origin_s = 0.0
        self.beyond_ms: int | None = None

    def start_at(self, newest_as_of_ms: int) -> None:
        """The loaded data reaches to ``newest_as_of_ms``."""
        if self._newest_ms is None or newest_as_of_ms < self._newest_ms or newest_as_of_ms > self():
            self._begin(newest_as_of_ms)
        self._newest_ms, self.beyond_ms = newest_as_of_ms, None

    def read(self, as_of_ms: int) -> None:
        """A record of ``as_of_ms`` was read. It moves the clock on as newer data does, whatever the loaded data was said to reach
        to; but one from after the wall clock is not believed.
        """
        if self._newest_ms is None or as_of_ms <= self._newest_ms:
            return
        self.beyond_ms = as_of_ms
        if as_of_ms <= self._wall():
            if as_of_ms > self():
                self._begin(as_of_ms)
            self._newest_ms = as_of_ms

    def _begin(self, now_ms: int) -> None:
        self._origin_ms, self._origin_s = now_ms, self._monotonic()

    def __call__(self) -> int:
        """Now, in epoch milliseconds."""
        if self._newest_ms is None:
            return self._wall()
        return self._origin_ms + int((self._monotonic() - self._origin_s) * 1000.0)
