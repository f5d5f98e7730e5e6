"""Time that a test decides on."""


class Clock:
    """Monotonic seconds that pass only when told to: set ``now``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now
