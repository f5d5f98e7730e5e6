"""What belongs to the store's file: that nobody else may read it, and a reserve of room beside it.

Whoever can read the file can also hold a lock on it for as long as they like. The reserve is room on the disk. It is given up
when a key must be revoked and there is no other: SQLite needs some for any change.
"""

import contextlib
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
            _logger.warning("%s is open to other users of this machine and holds more than the store: left as it is", folder)
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
    known = {name + end for end in _BESIDE}
    return all(entry.name in known for entry in folder.iterdir())


def _close(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except PermissionError:
        _logger.warning("%s is open to other users of this machine and belongs to one of them: chmod %o it", path, mode)
    else:
        _logger.warning("%s was open to other users of this machine: it is its owner's alone now (mode %o)", path, mode)


def keep_reserve(path: Path) -> None:
    """Have the reserve beside the store's file; a disk without room for it has none, until there is some."""
    reserve = path.with_name(path.name + _RESERVE)
    with contextlib.suppress(FileNotFoundError):
        if reserve.stat().st_size >= _RESERVE_BYTES:
            return
    try:
        # Written, since a file system may keep no room for what is only claimed.
        with os.fdopen(os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(os.urandom(_RESERVE_BYTES))
    except OSError:
        with contextlib.suppress(OSError):
            reserve.unlink()


def give_up_reserve(path: Path) -> bool:
    """Make room; whether there was any to be made."""
    try:
        path.with_name(path.name + _RESERVE).unlink()
    except OSError:
        return False
    return True
