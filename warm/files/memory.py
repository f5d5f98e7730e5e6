"""How much memory a run may take: looked at before a file is read, while it is, and by a thread all the time.

Files say little of what they become. A kilobyte of gzip unpacks to a megabyte; a row of a constant column takes a bit in Parquet
and eight bytes here. What can be known beforehand is claimed (`MemoryBound.claim`) and refuses the file. What cannot is seen by a
thread, of `MemoryBound.watched`, which ends the run before anything was written; it runs while Polars does. A decoder of JSON
lets no thread run meanwhile: for that the operating system refuses memory beyond the bound (`MemoryBound.held`), which is a
MemoryError in Python's own. For that alone: Polars and msgspec end the process, without a word on the file, if given none.
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
_MACHINE_SHARE = 0.5
"""Of the machine's memory a run takes a half, unless it is told otherwise: others live there."""
_CONTAINER_SHARE = 0.85
"""Of a container's, which is there for the run; the rest is for what the kernel keeps of files."""
_AT_LEAST = 256 * MB
"""What a run may take besides its interpreter, however little is free."""
_LOOK_S = 0.02
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_GROUPS = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Where control groups (versions 2 and 1) are, and what they call limit, use, and what of that is given back when needed."""


def default_bytes(root: Path = Path("/"), used: Callable[[], int] | None = None) -> float:
    """What a run may take unless it is told otherwise: a share of the container's or the machine's memory, whichever is less, and
    no more than is free. Infinite where neither can be known. ``root`` is where ``proc`` and ``sys`` are.
    """
    own = (used or used_bytes)()
    bounds = [each for share, total, free in (*_machine(root), *_containers(root)) for each in (share * total, own + free)]
    return max(min(bounds), own + _AT_LEAST) if bounds else math.inf


def _machine(root: Path) -> Iterator[tuple[float, int, int]]:
    """The machine's share, its memory, and how much of it is free."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        yield _MACHINE_SHARE, kilobytes["MemTotal"] * 1024, kilobytes["MemAvailable"] * 1024
    except (OSError, ValueError, IndexError, KeyError):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            yield _MACHINE_SHARE, total, total


def _containers(root: Path) -> Iterator[tuple[float, int, int]]:
    """The same of each control group above this process that has a limit: a container's, and those of systemd's units."""
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            kind = "memory" if "memory" in kinds.split(",") else kinds
            if kind in _GROUPS:
                mount = root / _GROUPS[kind][0]
                inside = mount / path.lstrip("/")
                for group in (inside, *inside.parents):
                    if group.is_relative_to(mount):
                        yield from _container(group, *_GROUPS[kind][1:])


def _container(group: Path, limit: str, current: str, idle: str) -> Iterator[tuple[float, int, int]]:
    # No such group is seen from in here, or its limit is "max".
    with contextlib.suppress(OSError, ValueError):
        total, taken = (int((group / name).read_text(encoding="ascii")) for name in (limit, current))
        counts = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        yield _CONTAINER_SHARE, total, max(0, total - taken + int(counts.get(idle, 0)))


def used_bytes() -> int:
    """What this process has of memory of its own: not the files that it looks into. 0 where that cannot be known."""
    _, resident, shared, *_ = _pages()
    return (resident - shared) * _PAGE_BYTES


def _pages() -> list[int]:
    """``/proc/self/statm``: size, resident, of that shared with files, code, 0, data. ``status`` says so too, and costs more."""
    with contextlib.suppress(OSError, ValueError):
        return [int(each) for each in Path("/proc/self/statm").read_bytes().split()]
    return [0] * 7


class MemoryBound:
    """``most`` bytes for the process. ``reading`` is the file that is being read, for what is said if it is too large."""

    def __init__(self, most: float, used: Callable[[], int] = used_bytes) -> None:
        self.most = most
        self._used = used
        self.reading: str | None = None

    @classmethod
    def of_machine(cls) -> "MemoryBound":
        """A share of the machine's or container's."""
        return cls(default_bytes())

    @property
    def left(self) -> float:
        """Bytes that may be taken yet."""
        return max(0.0, self.most - self._used())

    def claim(self, size: float, name: str, left: float | None = None) -> None:
        """``size`` bytes will be needed for the file ``name``: more than are taken now, or than when so many were ``left``.

        Raises:
            InputRefused: there are not so many left.
        """
        left = self.left if left is None else left
        if size > left:
            raise InputRefused(
                f"{name}: reading it takes at least {size / MB:,.0f} MB of memory; "
                f"{self._said()}, of which {left / MB:,.0f} are left"
            )

    def over(self) -> str:
        """What to say when the bound is reached."""
        where = "the run" if self.reading is None else f"{self.reading}: reading it"
        return f"{where} takes more memory than it may; {self._said()}"

    def _said(self) -> str:
        return f"the run may take {self.most / MB:,.0f} MB in all (--memory-mb)"

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
            yield
        finally:
            _current.reset(token)
            done.set()
            thread.join()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While one call makes objects and no thread can look: beyond what is left it raises MemoryError. Only Python's own
        code may run meanwhile.
        """
        if math.isinf(self.most):
            yield
            return
        with _refused_beyond(self.left):
            yield


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
    wanted = int(_pages()[5] * _PAGE_BYTES + most)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
