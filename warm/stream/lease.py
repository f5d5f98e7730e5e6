"""One source of a name is active: the one that has its lease. The system takes it back from a process that ends, however it
ends.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from app.private import make_private
from warm.stream.log import LogError

_LOOK_S = 0.5


class Lease:
    """Of ``name``, in a file of its own beside the log at ``log``: the lock of an empty SQLite file, which every system has."""

    def __init__(self, log: Path, name: str) -> None:
        self._path = log.with_name(f"{log.name}-{name}-lease")
        self._connection: sqlite3.Connection | None = None

    def take(self) -> bool:
        """Whether it is had now; False: another has it.

        Raises:
            LogError: there can be no such file.
        """
        try:
            make_private(self._path)
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            self._connection.execute("BEGIN EXCLUSIVE")
        except (sqlite3.Error, OSError) as error:
            self.release()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise LogError("log_error", f"the lease at {self._path}: {error}") from error
        return True

    def wait(self, say: Callable[..., None], stop: threading.Event) -> None:
        """Returns once it is had, or ``stop`` is set; ``say`` is told that another has it.

        Raises:
            LogError: as of `take`.
        """
        is_told = False
        while not stop.is_set() and not self.take():
            if not is_told:
                say("another_is_active", lease=str(self._path))
            is_told = True
            stop.wait(_LOOK_S)

    def release(self) -> None:
        """Let another have it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
