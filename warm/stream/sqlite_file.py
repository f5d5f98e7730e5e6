"""The SQLite file of a log: opened when it is wanted, and again where its path names another one."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.errors import MigrationRefused
from app.market.sqlite_opening import connect, file_at
from warm.stream.log import LogError

BUSY_S = 10.0
"""How long a connection waits for others' locks, if nothing else is said."""
MIGRATIONS = Path(__file__).parent / "migrations"


class LogFile:
    """``busy_s`` is how long a connection waits for others that write."""

    def __init__(self, path: Path, busy_s: float) -> None:
        self.path, self._busy_s = path, busy_s
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether the path still names the file that is open."""
        return self._connection is not None and file_at(self.path) == self._file

    def connection(self) -> sqlite3.Connection:
        """To the file that the path names, which is made if there is none."""
        if self._connection is None or not self.is_there:
            self.close()
            # One that takes its place meanwhile is another one at the next look.
            before = file_at(self.path)
            self._connection = connect(self.path, self._busy_s, folder=MIGRATIONS)
            self._file = before or file_at(self.path)
        return self._connection

    def close(self) -> None:
        """May be opened again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Whatever goes wrong with the file is a `LogError`."""
        try:
            yield
        except sqlite3.Error as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            raise LogError("log_busy" if is_busy else "log_error", f"SQLite at {self.path}: {error}") from error
        except (OSError, MigrationRefused, msgspec.MsgspecError) as error:
            raise LogError("log_error", f"SQLite at {self.path}: {error}") from error
