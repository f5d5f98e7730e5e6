"""What belongs to the store's file: that nobody else may read it, and a reserve of room beside it.

Whoever can read the file can also hold a lock on it for as long as they like. The reserve is room on the disk. It is given up
when a key must be revoked and there is no other: SQLite needs some for any change.
"""

import contextlib
import functools
import logging
import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OURS = ".decide"
"""The folder of the default STORE_PATH, which Decide makes; the demo has its files there, too."""
_RESERVE = "-reserve"
_BESIDE = ("", "-wal", "-shm", "-journal", _RESERVE)
_RESERVE_BYTES = 262_144
_STEP_BYTES = 65_536
"""A log of some pages, and its index of 32 KB."""

_logger = logging.getLogger("decide.store")


def make_private(path: Path) -> None:
    """Make the file ``path``, if it is not there, for its owner alone, and mend one of an earlier version, with what SQLite keeps
    beside it. Its folder too, where it is made here or nothing else lies in it. What is mended, or left open, is logged.

    SQLite gives what it makes beside the file the file's own permissions.

    Raises:
        OSError: there can be no such file.
    """
    # SQLite puts its own files beside what a link leads to.
    path = path.resolve()
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(0o700, parents=True, exist_ok=True)
    elif _is_open_to_others(folder):
        if folder.name == _OURS or _is_alone_in(folder, path.name):
            _close(folder, 0o700)
        else:
            # Somebody else's files need it as it is. What matters is the file.
            _warn(
                f"other users of this machine can enter {folder}, and it may hold more than the store: its mode is left as it is"
                " (the store itself is closed to them)"
            )
    # A file that is there must not be opened here: closing it takes from the whole process every lock that SQLite has on it. Then
    # the next one to close the store, a warm run say, removes the log under the server, and the server never hears of it again.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600))
    for end in _BESIDE:
        beside = path.with_name(path.name + end)
        with contextlib.suppress(FileNotFoundError):
            if _is_open_to_others(beside):
                _close(beside, 0o600)


def _is_open_to_others(path: Path) -> bool:
    # Windows has no such bits.
    return os.name != "nt" and bool(path.stat().st_mode & _OTHERS)


def _is_alone_in(folder: Path, name: str) -> bool:
    # One with the sticky bit, as /tmp, is everybody's, also where nobody else has put anything there yet.
    if folder.stat().st_mode & stat.S_ISVTX:
        return False
    known = {name + end for end in _BESIDE}
    try:
        return all(entry.name in known for entry in folder.iterdir())
    except PermissionError:
        # Nobody but its owner may list it, and that is not us.
        return False


def _close(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except PermissionError:
        _warn(f"{path} is open to other users of this machine and belongs to one of them: chmod {mode:o} it")
    else:
        _warn(f"{path} was open to other users of this machine: it is its owner's alone now (mode {mode:o})")


@functools.lru_cache(maxsize=64)
def _warn(text: str) -> None:
    """Once, and not at every connection."""
    _logger.warning("%s", text)


def keep_reserve(path: Path) -> None:
    """Have the reserve beside the store's file; on a disk without room for all of it as much as there is room for."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # Whoever may write in the folder may have put a link, or a pipe that nobody reads, in its place.
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    with contextlib.suppress(OSError), os.fdopen(os.open(_reserve(path), flags, 0o600), "ab", buffering=0) as file:
        lacking = _RESERVE_BYTES - os.fstat(file.fileno()).st_size
        while lacking > 0:
            # Written, since a file system may keep no room for what is only claimed.
            lacking -= os.write(file.fileno(), os.urandom(lacking))


def give_up_reserve(path: Path) -> bool:
    """Make some room; whether there was any to be made. Not all of it at once: somebody else may take what is given up, and the
    disk may be as full at the next revocation.
    """
    reserve = _reserve(path)
    try:
        left = reserve.lstat().st_size - _STEP_BYTES
        if left > 0:
            os.truncate(reserve, left)
        else:
            reserve.unlink()
    except OSError:
        return False
    return True


def _reserve(path: Path) -> Path:
    return path.with_name(path.name + _RESERVE)
