"""How much memory a run may take: looked at before a file is read, while it is, and by a thread all the time.

Files say little of what they become. A kilobyte of gzip unpacks to a megabyte; a row of a constant column takes a bit in Parquet
and eight bytes here. What can be known beforehand is claimed (`MemoryBound.claim`) and refuses the file. What cannot is seen by a
thread, of `MemoryBound.watched`, which ends the run before anything was written; it runs while Polars does. The decoder of JSON
lets no thread run meanwhile: for that the operating system refuses memory beyond the bound (RLIMIT_DATA), which is a MemoryError.
"""

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from warm.errors import InputRefused

MB = 1_048_576
_SHARE = 2
"""Of the machine's or container's memory a run takes a half, unless it is told otherwise."""
_LOOK_S = 0.02
_ROOM = 1.5
"""The operating system's bound lies above ours by so much: it counts what was asked for and not used yet, too."""
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_bytes() -> float:
    """The memory of the container, or of the machine; infinite where neither can be known."""
    found = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in _CGROUPS:
        with contextlib.suppress(ValueError, OSError):
            found.append(int(Path(name).read_text(encoding="ascii")))
    return min(found, default=math.inf)


def used_bytes() -> int:
    """What this process has of memory of its own: not the files that it looks into. 0 where that cannot be known."""
    return _status("RssAnon:")


def _status(name: str) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


class MemoryBound:
    """``most`` bytes for the process. ``reading`` is the file that is being read, for what is said if it is too large."""

    def __init__(self, most: float, used: Callable[[], int] = used_bytes) -> None:
        self.most = most
        self._used = used
        self.reading: str | None = None

    @classmethod
    def of_machine(cls) -> "MemoryBound":
        """A share of the machine's or container's."""
        return cls(machine_bytes() / _SHARE)

    @property
    def left(self) -> float:
        """Bytes that may be taken yet."""
        return max(0.0, self.most - self._used())

    def claim(self, size: float, name: str) -> None:
        """``size`` bytes more will be needed for the file ``name``.

        Raises:
            InputRefused: there are not so many left.
        """
        if size > self.left:
            raise InputRefused(f"{name}: reading it takes at least {size / MB:,.0f} MB of memory; {self._said()}")

    def over(self) -> str:
        """What to say when the bound is reached."""
        where = "the run" if self.reading is None else f"{self.reading}: reading it"
        return f"{where} takes more memory than it may; {self._said()}"

    def _said(self) -> str:
        return f"the run may take {self.most / MB:,.0f} MB in all (--memory-mb), of which {self.left / MB:,.0f} are left"

    @contextlib.contextmanager
    def watched(self, end: Callable[[str], None]) -> Iterator[None]:
        """While it lasts ``end`` is called, in a thread, once more than the bound is taken; it must end the process."""
        if math.isinf(self.most):
            yield
            return
        done = threading.Event()

        def look() -> None:
            while not done.wait(_LOOK_S):
                if self._used() > self.most:
                    end(self.over())
                    return

        thread = threading.Thread(target=look, name="memory", daemon=True)
        thread.start()
        token = _current.set(self)
        try:
            with _refused_beyond(self.most * _ROOM):
                yield
        finally:
            _current.reset(token)
            done.set()
            thread.join()


_UNBOUNDED = MemoryBound(math.inf)
_current: ContextVar[MemoryBound] = ContextVar("memory")


def memory() -> MemoryBound:
    """The run's; without one there is no bound."""
    return _current.get(_UNBOUNDED)


@contextlib.contextmanager
def _refused_beyond(most: float) -> Iterator[None]:
    """So many bytes more than there are, and the operating system gives no further ones."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(_status("VmData:") + most)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
