"""The embedded market store for jobs: one SQLite file, one transaction a call.

WAL mode lets readers (`app.market.sqlite_reader`) go on meanwhile. A transaction is wholly there or not at all, whenever the job
is killed; the disk's own loss of power may take the last ones, and with them their offsets.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.domain.trades import Trade
from app.errors import MarketError
from app.market.migrating import now_us
from app.market.minutes import GRIDS
from app.market.sqlite_opening import connect, file_at
from app.market.sqlite_trades import insert
from app.market.trades import Series
from app.market.writing import StoreWriter

_BUSY_S = 10.0
_FOR_WRITING = ("PRAGMA cache_size = -65536", "PRAGMA wal_autocheckpoint = 20000")
"""Trades of many symbols lie on many pages: all of them are kept, and written back once in many transactions (KB, pages)."""


class EmbeddedWriter(StoreWriter[sqlite3.Connection]):
    """An `app.market.protocol.Writer` on a SQLite file, which is made at the first call, and migrated if ``migrates``. For one
    thread at a time.

    ``grids``: of how many minutes the last prices are kept, beside what is in the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_s: float = _BUSY_S,
        clock_us: Callable[[], int] = now_us,
        grids: int = GRIDS,
        migrates: bool = True,
    ) -> None:
        super().__init__(clock_us=clock_us, grids=grids)
        self._path, self._busy_s, self._migrates = path, busy_s, migrates
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version: int | None = None

    def close(self) -> None:
        """May be opened again by another call."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._version = None, None
        self._forget()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._look_for_others(connection)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._forget()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            reason = "market_busy" if is_busy else "market_error"
            raise MarketError(reason, f"SQLite at {self._path}: {error}") from error
        except (OSError, ArithmeticError, msgspec.MsgspecError) as error:
            raise MarketError("market_error", f"SQLite at {self._path}: {error!r}") from error

    def _opened(self) -> sqlite3.Connection:
        """The connection; another one if the file is another one now, or none."""
        if self._connection is not None and file_at(self._path) != self._file:
            self.close()
        if self._connection is None:
            connection = connect(self._path, self._busy_s, migrates=self._migrates)
            for pragma in _FOR_WRITING:
                connection.execute(pragma)
            self._connection, self._file = connection, file_at(self._path)
        return self._connection

    def _look_for_others(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._forget()
            self._version = version

    def _insert(
        self, connection: sqlite3.Connection, series: Series, cancelled: set[tuple[int, str]], *, which: bool
    ) -> list[Trade] | None:
        return insert(connection, series, cancelled, which=which)
