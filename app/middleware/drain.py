"""Draining: what a worker does between the signal to stop and its stop.

``/readyz`` answers 503, so that whoever shares requests out sends no new ones, and every answer carries ``Connection: close``,
so that those who hold connections open them elsewhere. Requests are answered as ever.
"""

import signal

DRAIN_SIGNAL = getattr(signal, "SIGUSR1", None)
"""What the main process sends its workers when they are to drain; None where the system has no such signal (Windows)."""

CLOSE = (b"connection", b"close")


class Drain:
    """One a worker; ``on`` is looked at for every answer."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False

    def begin(self) -> None:
        """The main process told this worker that the end is near."""
        self.on = True
