"""Ending a connection whose client does not read.

The server offers no way to it: an application that returns leaves what it has sent to be read by and by, or never. Such an answer
holds its buffers, and holds up the stop of the server. So the connection's socket is found by its peer and shut down. Only Linux
says which sockets a process has; elsewhere the connection ends when its client reads on, or goes.

Over a Unix socket no peer has an address. There those are suspected that were full when it was asked, and those of them are
ended that are as full a second later, if no more are suspected than were asked for. Are there more, it is looked again, a few
times and whenever another is asked for. One that takes something meanwhile, or goes, may be one that was meant: it counts as one,
and nobody is ended in its place. Rather nobody than the wrong one: who is not found ends by its own reading, or with the server.
"""

import array
import asyncio
import contextlib
import errno
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

Peer = tuple[str, int]

PEER = "peer"
"""Where a scope says who has its connection, if that is another than its client."""
NAMELESS = "unix"
"""What TRUSTED_PROXIES calls whoever comes over a Unix socket."""
_COLLECT_S = 0.1
_STALL_S = 1.0
_LOOKS = 10
_RESET = struct.pack("ii", 1, 0)
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_UNIX = (socket.AF_UNIX,) if sys.platform != "win32" else ()


def keep_peer(app: ASGIApp) -> ASGIApp:
    """Outside of what makes a proxy's word the client: has ``scope`` remember who has the connection, and a client without an
    address be called `NAMELESS`, so that it can be trusted by that.
    """

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope[PEER] = scope.get("client")
        if client is not None and not client[0]:
            scope["client"] = (NAMELESS, 0)
        await app(scope, receive, send)

    return kept


class HangUps:
    """One a process. Those that are asked for within a moment share one look over all sockets, in a thread of its own."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._wanted: set[Peer] = set()
        self._nameless = 0
        self._seen: Mapping[int, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def ask(self, scope: Scope) -> None:
        """End the connection that ``scope`` came over, soon."""
        # Behind a proxy that is trusted, the client is somebody else than who has the connection.
        peer = scope.get(PEER, scope.get("client"))
        if peer is None:
            return
        host, port = peer
        if not host:
            self._nameless += 1
            if self._looking is None:
                self._looking = asyncio.get_running_loop().create_task(self._look())
            return
        # Granian gives the port as text.
        self._wanted.add((_plain(host), int(port)))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._soon())

    async def _soon(self) -> None:
        await self._sleep(_COLLECT_S)
        self._task = None
        wanted, self._wanted = self._wanted, set()
        await asyncio.to_thread(hang_up, wanted)

    async def _look(self) -> None:
        try:
            asked = alike = 0
            while self._nameless and alike <= _LOOKS:
                now = await asyncio.to_thread(full_ones)
                # Who has asked since the last look has been looked at once, and waits for the next.
                late = self._nameless > asked
                alike = 0 if late else alike + 1
                stuck = {number: waiting for number, waiting in now.items() if self._seen.get(number) == waiting}
                moved = len(self._seen) - len(stuck)
                self._nameless = max(0, self._nameless - moved)
                # Who is full for the first time may have been so before the last look, and have read in between.
                new = now.keys() - self._seen.keys()
                if not late and len(stuck) + len(new) <= self._nameless:
                    await asyncio.to_thread(shut, stuck)
                    # Those of them that were not found have gone by themselves, or read on: nobody else is ended for them.
                    self._nameless = 0
                    break
                self._seen, asked = now, self._nameless
                await self._sleep(_STALL_S)
        finally:
            if not self._nameless:
                self._seen = {}
            self._looking = None


def hang_up(peers: Iterable[Peer]) -> int:
    """Reset this process's connections to ``peers``; how many there were."""
    wanted = set(peers)

    def reset(found: socket.socket) -> bool:
        if _peer_of(found) not in wanted:
            return False
        # What was not read yet shall not stay with the kernel either.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        found.shutdown(socket.SHUT_RDWR)
        return True

    return _count(_INTERNET, reset)


def full_ones() -> dict[int, int]:
    """Of this process's connections that came over a Unix socket those that take no more now: their inodes' numbers, and how many
    bytes wait to be read.
    """
    full = {}

    def look(found: socket.socket) -> bool:
        waiting = _unread_bytes(found)
        # Only who was accepted bears the name of a listener's file; this process's own connections, to Redis say, have none.
        if not waiting or not found.getsockname() or _takes_more(found):
            return False
        full[os.fstat(found.fileno()).st_ino] = waiting
        return True

    _count(_UNIX, look)
    return full


def shut(stuck: Mapping[int, int]) -> int:
    """End those of `full_ones` that are as they were; how many there were."""

    def end(found: socket.socket) -> bool:
        if stuck.get(os.fstat(found.fileno()).st_ino) != _unread_bytes(found):
            return False
        found.shutdown(socket.SHUT_RDWR)
        return True

    return _count(_UNIX, end)


def _count(families: Iterable[int], is_one: Callable[[socket.socket], bool]) -> int:
    """Of how many of this process's sockets that holds; one that has gone meanwhile is none."""
    if sys.platform != "linux":
        return 0
    count = 0
    for path in tuple(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError), _copy_of(int(path.name)) as found:
            count += found.family in families and is_one(found)
    return count


def _copy_of(number: int) -> socket.socket:
    """A descriptor of our own: the number may mean another connection by the time that it is shut down, its copy may not.

    Raises:
        OSError: it is no socket.
    """
    # What is no socket must not be copied: closing a copy of the store's file takes from the whole process every lock that SQLite
    # has on it. Then the next one to close the store, a warm run say, removes the log under the server, which never hears of it
    # again. If the number has become a file's since it was looked at, the copy stays open.
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    return socket.socket(fileno=os.dup(number))


def _unread_bytes(found: socket.socket) -> int:
    import fcntl  # noqa: PLC0415 - only Linux gets here, and there is none on Windows
    import termios  # noqa: PLC0415 - as fcntl

    waiting = array.array("i", [0])
    fcntl.ioctl(found, termios.TIOCOUTQ, waiting)
    return waiting[0]


def _takes_more(found: socket.socket) -> bool:
    poll = select.poll()
    poll.register(found, select.POLLOUT)
    return bool(poll.poll(0))


def _peer_of(found: socket.socket) -> Peer:
    host, port = found.getpeername()[:2]
    return _plain(host), port


def _plain(host: str) -> str:
    """An IPv4 address as such, also where a socket of both families shows it."""
    return host.removeprefix("::ffff:")
