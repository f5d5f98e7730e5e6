"""Waiting that takes no time."""

import threading

_SECOND_US = 1_000_000


class Time(threading.Event):
    """Waiting takes none, and the clock goes on by it until it is set, at ``until_s``."""

    def __init__(self, until_s: float) -> None:
        super().__init__()
        self.now_us, self._until_us = 0, int(until_s * _SECOND_US)

    def wait(self, timeout: float | None = None) -> bool:
        """Have the clock go on."""
        assert timeout is not None
        self.now_us += max(1, round(timeout * _SECOND_US))
        return self.is_set()

    def is_set(self) -> bool:
        """By whoever does it, or by the clock."""
        return super().is_set() or self.now_us >= self._until_us

    def clock(self) -> int:
        """Epoch microseconds."""
        return self.now_us
