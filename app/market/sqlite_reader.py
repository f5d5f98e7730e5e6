"""The embedded market store for servers: one SQLite file."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, Unpack

from app.errors import MarketError
from app.market.connection import Connection
from app.market.queries import Calendars, Census
from app.market.reading import Read, ReaderOptions, ThreadedReader
from app.market.sqlite_opening import connect, empty, file_at

T = TypeVar("T")

THREADS = 2
"""Reads of one file are work of this process, and it has one interpreter."""
_STEPS = 5_000
"""Of SQLite's machine between two looks at the clock: some tenths of a millisecond."""


class EmbeddedReader(ThreadedReader):
    """An `app.market.protocol.Reader` on a SQLite file.

    It is migrated at the first read, if ``migrates``. A file that is not there yet is an empty store, and none is made: jobs
    do that. One that is gone later is an error. Others are as `app.market.reading.ReaderOptions` has them.
    """

    def __init__(self, path: Path, *, migrates: bool = True, **options: Unpack[ReaderOptions]) -> None:
        options.setdefault("threads", THREADS)
        super().__init__(f"SQLite at {path}", **options)
        self._path, self._migrates = path, migrates
        self._file: tuple[int, int] | None = None
        self._idle: list[tuple[sqlite3.Connection, tuple[int, int] | None]] = []

    def _disconnect(self) -> None:
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()

    def _worked(self, work: Callable[[Connection], T], read: Read) -> T:
        """In a thread: one transaction, which sees one moment."""
        try:
            connection, file = self._connection()
            try:
                connection.set_progress_handler(lambda: self._clock() > read.deadline, _STEPS)
                connection.execute("BEGIN")
                return work(connection)
            finally:
                connection.set_progress_handler(None, 0)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle.append((connection, file))
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_INTERRUPT:
                raise self._timeout() from error
            reason = "market_busy" if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else "market_error"
            raise MarketError(reason, f"{self._place}: {error}") from error
        except (OSError, ArithmeticError, ValueError) as error:
            raise MarketError("market_error", f"{self._place}: {error!r}") from error

    def _connection(self) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
        """One that is of the file that there is now."""
        file = file_at(self._path)
        with suppress(IndexError):  # another thread may take the last one
            while True:
                connection, of = self._idle.pop()
                if of == file:
                    return connection, of
                connection.close()
        if file is None and self._file is not None:
            raise MarketError("market_error", f"{self._place}: the file is gone")
        if file is None and self._migrates:
            return empty(), None
        connection = connect(self._path, self._deadline_s, migrates=self._migrates and self._file is None)
        connection.execute("PRAGMA query_only = ON")
        file = file_at(self._path)
        if file != self._file:
            # What was counted in the one before says nothing of this one.
            self._file, self._calendars, self._census = file, Calendars(), Census()
        return connection, file
