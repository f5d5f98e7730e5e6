"""The embedded market store for servers: one SQLite file."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from app.errors import MarketError
from app.market.connection import Connection
from app.market.migrating import now_us
from app.market.queries import Calendars, Census
from app.market.reading import DEADLINE_S, THREADS, WAITING_MAX, ThreadedReader
from app.market.sqlite_opening import connect, file_at

T = TypeVar("T")

_STEPS = 5_000
"""Of SQLite's machine between two looks at the clock: some tenths of a millisecond."""


class EmbeddedReader(ThreadedReader):
    """An `app.market.protocol.Reader` on a SQLite file.

    It is made and migrated at the first read, if ``migrates``; one that is gone later is not made anew, or nobody would be told
    of it. Others are as `app.market.reading.ThreadedReader` has them.
    """

    def __init__(
        self,
        path: Path,
        *,
        sources: Sequence[str] = (),
        deadline_s: float = DEADLINE_S,
        threads: int = THREADS,
        waiting_max: int = WAITING_MAX,
        migrates: bool = True,
        waited: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        super().__init__(
            f"SQLite at {path}",
            sources=sources,
            deadline_s=deadline_s,
            threads=threads,
            waiting_max=waiting_max,
            waited=waited,
            clock=clock,
            clock_us=clock_us,
        )
        self._path, self._migrates = path, migrates
        self._file: tuple[int, int] | None = None
        self._idle: list[tuple[sqlite3.Connection, tuple[int, int] | None]] = []

    def _disconnect(self) -> None:
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()

    def _worked(self, work: Callable[[Connection], T], deadline: float) -> T:
        """In a thread: one transaction, which sees one moment."""
        try:
            connection, file = self._connection()
            try:
                connection.set_progress_handler(lambda: self._clock() > deadline, _STEPS)
                connection.execute("BEGIN")
                return work(connection)
            finally:
                connection.set_progress_handler(None, 0)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle.append((connection, file))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise self._timeout() from error
            raise MarketError("market_error", f"{self._place}: {error}") from error
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
        if self._file is not None and file is None:
            raise MarketError("market_error", f"{self._place}: the file is gone")
        connection = connect(self._path, self._deadline_s, migrates=self._migrates and self._file is None)
        connection.execute("PRAGMA query_only = ON")
        file = file_at(self._path)
        if file != self._file:
            # What was counted in the one before says nothing of this one.
            self._file, self._calendars, self._census = file, Calendars(), Census()
        return connection, file
