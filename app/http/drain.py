"""Draining: what a worker does between the signal to stop and its stop.

``/readyz`` answers 503, so that whoever shares requests out sends no new ones, and every answer carries ``Connection: close``,
so that those who hold connections open them elsewhere. Requests are answered as ever. Last of all the worker goes deaf: new
connections are not taken any more while those it has are served. Without that, the stop would find connections in the kernel's
queue, or just taken, and end them unanswered. A Unix socket is deaf once its file is gone, for which the main process sees.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

DRAIN_SIGNAL = getattr(signal, "SIGUSR1", None)
"""What the main process sends its workers: once to drain, once more to go deaf. None where there is no such signal (Windows)."""
DEAF_S = 0.5
"""How long a worker is deaf before its stop: enough for the requests that it has taken, and for a packet to be sent again."""

CLOSE = (b"connection", b"close")

_PR_SET_PDEATHSIG = 1
_LEAST_HOPS = ((socket.IPPROTO_IP, 21), (socket.IPPROTO_IPV6, 73))
"""Linux's IP_MINTTL and IPV6_MINHOPCOUNT: packets whose remaining hops are fewer are dropped."""
_NOBODY, _EVERYBODY = 255, 0
_PARENT_LOOK_S = 1.0
_LISTEN_AGAIN_S = (0.02, 0.1, 0.25)
_STOP_LOOK_S = 0.1


class Drain:
    """One a worker; ``on`` is looked at for every answer."""

    __slots__ = ("listeners", "on")

    def __init__(self) -> None:
        self.on = False
        self.listeners: list[Callable[[], None]] = []
        """Called once, when it begins: answers that have no end of their own must be ended."""

    def signalled(self) -> None:
        """The main process told this worker that the end is near, or nearer. Called in the event loop."""
        if self.on:
            go_deaf()
            for delay_s in _LISTEN_AGAIN_S:
                asyncio.get_running_loop().call_later(delay_s, hear_those_taken)
            return
        self.on = True
        for listener in self.listeners:
            listener()


def end_with_parent(parent: int, grace_s: float) -> None:
    """Have the kernel stop this worker when process ``parent``, which would stop it, is gone without having done so (SIGKILL, out
    of memory). It would serve on, with nobody to stop it and its port taken. What does not stop within ``grace_s`` is killed, as
    the parent would have. Only Linux has this.
    """
    if sys.platform != "linux":
        return
    threading.Thread(target=_outlive, args=(parent, grace_s), daemon=True).start()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        # Gone before.
        signal.raise_signal(signal.SIGTERM)


def _outlive(parent: int, grace_s: float) -> None:
    """By a thread: the loop may be what does not stop."""
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOK_S)
    time.sleep(grace_s)
    os.kill(os.getpid(), signal.SIGKILL)


def hold_stop() -> None:
    """Have SIGTERM wait in the kernel until `hear_stop` looks. To be called by the main thread, before it starts others.

    uvloop forgets a signal that comes while its loop does not run, as between a worker's start and its service. A second SIGTERM
    right after the first deadlocks: Granian's handler has the GIL and waits for a lock, whose holder waits for the GIL.
    The kernel sends one for each thread of a main process that is killed, but those that wait count as one.
    """
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


async def hear_stop() -> None:
    """Look for the SIGTERM that waits, and hand it on once, to whoever has a handler for it."""
    if sys.platform == "win32":
        return
    while True:
        # First: the start of a worker and its service are two runs of the loop, and time passes between them.
        await asyncio.sleep(_STOP_LOOK_S)
        if signal.SIGTERM in signal.sigpending():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            return


def go_deaf() -> int:
    """Have the kernel drop whatever would begin a connection to this process's listening sockets; how many there are.

    The server's socket belongs to Granian, which offers no way to stop listening but to stop. Asking for more hops than packets
    have left needs no hold of it and no privilege. The kernel looks at it for a connection's first packet and not for the second,
    so a connection that was half made is still taken. Callers' attempts are dropped, not refused: they try again a second later
    by themselves, and meet whoever listens then. Only Linux has this; elsewhere nothing happens.
    """
    return sum(_ask_for_hops(each, _NOBODY) for each in _sockets() if _is_listening(each))


def is_listening() -> bool:
    """Whether this process can be connected to; where only Linux could tell, it is believed."""
    return sys.platform != "linux" or any(_is_listening(each) for each in _sockets())


def hear_those_taken() -> None:
    """A connection that was half made when its listener went deaf has inherited that: take it off again."""
    for each in _sockets():
        if not _is_listening(each):
            _ask_for_hops(each, _EVERYBODY)


def _sockets() -> Iterator[socket.socket]:
    """This process's internet sockets, each lent for the moment: it belongs to someone else, and is not closed here."""
    if sys.platform != "linux":
        return
    for path in tuple(Path("/proc/self/fd").iterdir()):
        try:
            found = socket.socket(fileno=int(path.name))
        except OSError:
            continue
        try:
            if found.family in (socket.AF_INET, socket.AF_INET6):
                yield found
        finally:
            found.detach()


def _is_listening(each: socket.socket) -> bool:
    try:
        return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _ask_for_hops(each: socket.socket, hops: int) -> bool:
    done = False
    for level, option in _LEAST_HOPS:
        try:
            each.setsockopt(level, option, hops)
            done = True
        except OSError:
            # The one of the other family, or closed meanwhile.
            continue
    return done
