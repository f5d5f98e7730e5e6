"""Waking whoever waits for changes of a file, in any process of the machine, by inotify: it needs no root and no server.

A writer sets the file's times (`ring`) once its transaction counts, and the kernel wakes those that watch the file. What SQLite
itself writes says less: it goes to a log beside the file, before the transaction counts. Where there is no inotify, or none is
left to be had, a wait lasts as long as it may. Then the reader looks again, which it does anyway for a writer that does not ring.
"""

import asyncio
import contextlib
import ctypes
import os
import select
import time
from pathlib import Path
from typing import Any

_IN_ATTRIB = 0x4
_READ_BYTES = 65_536
_NONE = -1
# Windows has no such library by this name.
_LIBC = None if os.name == "nt" else ctypes.CDLL(None)


def ring(path: Path) -> None:
    """Wake those that watch ``path``. Who may write to it may do that."""
    with contextlib.suppress(OSError):
        os.utime(path)


class Ear:
    """Hears `ring`, of one file, from `watch` on. For a thread that may block."""

    def __init__(self, path: Path, libc: Any = _LIBC) -> None:  # noqa: ANN401 - ctypes has no narrower type
        self._path = os.fsencode(path)
        self._libc = libc
        self._watched = _NONE
        self.descriptor = _NONE
        """Can be read when it has rung since `forget`; -1 where nothing is heard."""

    def open(self) -> bool:
        """Be ready to hear, if this machine lets us; whether it is now and was not before."""
        if self.descriptor != _NONE or not hasattr(self._libc, "inotify_init1"):
            return False
        self.descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor == _NONE:
            # Each user may have so many.
            self._libc = None
        return self.descriptor != _NONE

    def watch(self) -> None:
        """Watch the file that the path names now; another may have taken its place. To say it again costs 2 µs."""
        if self.descriptor == _NONE:
            return
        found = self._libc.inotify_add_watch(self.descriptor, self._path, _IN_ATTRIB)
        if self._watched not in (found, _NONE):
            # It fails where the kernel has let go of a file that is no more.
            self._libc.inotify_rm_watch(self.descriptor, self._watched)
        self._watched = found

    def forget(self) -> None:
        """What has rung until now has been heard."""
        if self.descriptor != _NONE:
            with contextlib.suppress(BlockingIOError):
                os.read(self.descriptor, _READ_BYTES)

    def wait(self, longest_s: float) -> None:
        """Until it rings, or has rung since `forget`, and at most so long."""
        if self.descriptor == _NONE:
            time.sleep(longest_s)
        else:
            poll = select.poll()
            poll.register(self.descriptor, select.POLLIN)
            poll.poll(longest_s * 1000)

    def close(self) -> None:
        """Hear nothing any more."""
        if self.descriptor != _NONE:
            os.close(self.descriptor)
            self.descriptor = self._watched = _NONE


class Bell:
    """An `Ear` of an event loop. `watch` may block; the other methods belong to the loop."""

    def __init__(self, path: Path, libc: Any = _LIBC) -> None:  # noqa: ANN401 - as above
        self._ear = Ear(path, libc)
        self._has_rung = asyncio.Event()

    def open(self) -> None:
        """Be ready to hear, if this machine lets us; nothing where that was tried already."""
        if self._ear.open():
            asyncio.get_running_loop().add_reader(self._ear.descriptor, self._heard)

    def watch(self) -> None:
        """As an ear does."""
        self._ear.watch()

    @property
    def has_rung(self) -> bool:
        """Whether it has, since `forget`."""
        return self._has_rung.is_set()

    def forget(self) -> None:
        """What has rung until now has been heard."""
        self._has_rung.clear()

    async def wait(self, longest_s: float) -> None:
        """Until it rings, or has rung since `forget`, and at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._has_rung.wait()

    def close(self) -> None:
        """Hear nothing any more."""
        if self._ear.descriptor != _NONE:
            asyncio.get_running_loop().remove_reader(self._ear.descriptor)
            self._ear.close()

    def _heard(self) -> None:
        # Whatever it says happened, whoever waits looks.
        self._ear.forget()
        self._has_rung.set()
