"""Ending a connection whose client does not read.

The server offers no way to it: an application that returns leaves what it has sent to be read by and by, or never. Such an answer
holds its buffers, and holds up the stop of the server. So the connection's socket is found by its peer and shut down. Only Linux
says which sockets a process has; elsewhere the connection ends when its client reads on, or goes.
"""

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

Peer = tuple[str, int]

PEER = "peer"
"""Where a scope says who has its connection, if that is another than its client."""
_COLLECT_S = 0.1
_RESET = struct.pack("ii", 1, 0)


def keep_peer(app: ASGIApp) -> ASGIApp:
    """Outside of what makes a proxy's word the client: has ``scope`` remember who has the connection."""

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER] = scope.get("client")
        await app(scope, receive, send)

    return kept


class HangUps:
    """One a process. Those that are asked for within a moment share one look over all sockets, in a thread of its own."""

    def __init__(self) -> None:
        self._wanted: set[Peer] = set()
        self._task: asyncio.Task[None] | None = None

    def ask(self, scope: Scope) -> None:
        """End the connection that ``scope`` came over, soon."""
        # Behind a proxy that is trusted, the client is somebody else than who has the connection.
        peer = scope.get(PEER, scope.get("client"))
        if peer is None:
            return
        host, port = peer
        # Granian gives the port as text.
        self._wanted.add((_plain(host), int(port)))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._soon())

    async def _soon(self) -> None:
        await asyncio.sleep(_COLLECT_S)
        self._task = None
        wanted, self._wanted = self._wanted, set()
        await asyncio.to_thread(hang_up, wanted)


def hang_up(peers: Iterable[Peer]) -> int:
    """Reset this process's connections to ``peers``; how many there were."""
    if sys.platform != "linux":
        return 0
    wanted = set(peers)
    ended = 0
    for path in tuple(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError), _copy_of(int(path.name)) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and _peer_of(found) in wanted:
                # What was not read yet shall not stay with the kernel either.
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                found.shutdown(socket.SHUT_RDWR)
                ended += 1
    return ended


def _copy_of(number: int) -> socket.socket:
    """A descriptor of our own: the number may mean another connection by the time that it is shut down, its copy may not.

    Raises:
        OSError: it is no socket.
    """
    copy = os.dup(number)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _peer_of(found: socket.socket) -> Peer:
    host, port = found.getpeername()[:2]
    return _plain(host), port


def _plain(host: str) -> str:
    """An IPv4 address as such, also where a socket of both families shows it."""
    return host.removeprefix("::ffff:")
