"""What the server tells systemd (sd_notify): that it is ready, what it does, that it stops. The protocol is one datagram, and no
library for it is still kept.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

LOADS = "systemctl start decide-warm"
"""What loads data where the shipped unit runs the server: the store belongs to a user that only systemd can become."""
_LOOK_S, _LOOK_AT_FIRST_S = 1.0, 0.01


class Supervisor:
    """Whoever listens at ``path``, the file of a Unix socket or an abstract name (``@…``). With an empty one nothing is said. If
    the server is ``a_part`` of a unit, its end is not the unit's.

    It never waits and never fails: a server serves, whether or not somebody hears of it.
    """

    def __init__(self, path: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, *, a_part: bool = False) -> None:
        self.listens = bool(path) and hasattr(socket, "AF_UNIX")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._sleep, self._end = sleep, "" if a_part else "STOPPING=1\n"
        self._said = ""

    async def run(self, is_up: Callable[[], bool], status: Callable[[], str]) -> None:
        """Say once that callers are served, as soon as they are, and from then on what changes of the status, a line to read."""
        # Granian begins to listen when the lifespan has begun, and tells nobody.
        while not is_up():
            await self._sleep(_LOOK_AT_FIRST_S)
        self._said = status()
        self._say(f"READY=1\nSTATUS={self._said}")
        while True:
            await self._sleep(_LOOK_S)
            said, self._said = self._said, status()
            if self._said != said:
                self._say(f"STATUS={self._said}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._said = status
        self._say(f"{self._end}STATUS={status}")

    def _say(self, text: str) -> None:
        if not self.listens:
            return
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0.0)
            sender.sendto(text.encode(), self._address)
