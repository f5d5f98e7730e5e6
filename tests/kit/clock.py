"""Time that a test decides on."""


class Clock:
    """Monotonic seconds that pass only when told to: set ``now``."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Now."""
        return self.now
