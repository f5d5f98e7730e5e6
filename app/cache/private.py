"""The store's file is its owner's alone: who can read it can also hold a lock on it for as long as they like."""

import contextlib
import logging
import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_BESIDE = ("", "-wal", "-shm", "-journal")

_logger = logging.getLogger("decide.store")


def make_private(path: Path) -> None:
    """Make the file ``path``, if it is not there, for its owner alone, and mend one of an earlier version, with what SQLite keeps
    beside it. Its folder too, where it is made here or nothing else lies in it. What is mended, or left open, is logged.

    SQLite gives what it makes beside the file the file's own permissions.

    Raises:
        OSError: there can be no such file.
    """
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(0o700, parents=True, exist_ok=True)
    elif _is_open_to_others(folder):
        if _is_alone_in(folder, path.name):
            _close(folder, 0o700)
        else:
            # Somebody else's files need it as it is. What matters is the file.
            _logger.warning("%s is open to other users of this machine and holds more than the store: left as it is", folder)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
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
