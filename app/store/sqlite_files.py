"""Which files a SQLite store is in, and how to leave them when somebody has taken its log away.

SQLite keeps a log and the log's index beside the file, and everybody who has the store open has those open too. If they are
removed, whoever opens the store next makes others, and the two never hear of each other again.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

Files = tuple[tuple[int, int] | None, ...]
"""Device and inode of the store's file, its log and the log's index; None where there is none."""

_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""The bytes of the file on which SQLite locks it: all of them to close it as the last one."""


def files_of(path: Path, beside: str) -> Files:
    """Those that ``path`` names now, and those beside ``beside``, where it leads to."""
    return _file(path), _file(f"{beside}-wal"), _file(f"{beside}-shm")


def _file(name: Path | str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - at every read, so as cheap as can be
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def left_as_it_is(path: Path) -> Iterator[None]:
    """Connections that are closed in it write nothing into the file and remove nothing beside it. They must be all that this
    process has: its locks on the file are gone afterwards.

    The last one to close a store carries its log over into the file and removes it by its name. Of a log that was taken away, the
    one would overwrite what is newer, and the other remove the log that others write to. A lock that is not the process' own
    keeps SQLite from both. Only Linux has such locks.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows, where nobody can remove what is open

    lock = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)
    with path.open("rb", buffering=0) as file:
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        yield
