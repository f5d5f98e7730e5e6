"""The embedded market store for servers: reads in threads of its own, each with a connection, so that a slow disk delays its
callers up to their deadline and never the event loop.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from app.domain.intervals import INTERVALS
from app.domain.trades import Trade
from app.errors import MarketError
from app.market import sqlite_gaps, sqlite_queries
from app.market.calendar import zone_named
from app.market.protocol import LIMIT_MAX, CandlePage, CandlesWanted, Close, Details, Gap, Pool, TradePage, TradesWanted
from app.market.sqlite_opening import connect, file_at, now_us
from app.market.sqlite_queries import Calendars

T = TypeVar("T")

_STEPS = 5_000
"""Of SQLite's machine between two looks at the clock: some tenths of a millisecond."""
_GRACE_S = 0.25
"""How long a read that is past its deadline may take to notice, before its caller leaves it."""


class EmbeddedReader:
    """An `app.market.protocol.Reader` on a SQLite file.

    Args:
        path: of the file; it is made and migrated at the first read, if ``migrates``.
        sources: of given bars, the best first.
        deadline_s: how long a read may take.
        threads: how many reads there are at once.
        waiting_max: how many may wait for one of these; who comes then is refused at once.
        waited: is told how many seconds a read waited for its thread; in that thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        sources: Sequence[str] = (),
        deadline_s: float = 2.0,
        threads: int = 2,
        waiting_max: int = 64,
        migrates: bool = True,
        waited: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self._path, self._sources, self._deadline_s, self._migrates = path, tuple(sources), deadline_s, migrates
        self._clock, self._clock_us = clock, clock_us
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decide-market")
        self._under_way, self._size, self._most = 0, threads, threads + waiting_max
        self._waited = waited
        self._idle: list[tuple[sqlite3.Connection, tuple[int, int] | None]] = []
        self._calendars = Calendars()

    @property
    def pool(self) -> Pool:
        """A thread has a connection."""
        in_use = min(self._under_way, self._size)
        return Pool(self._size, in_use, self._under_way - in_use)

    async def candles(self, wanted: CandlesWanted) -> CandlePage:
        """Read row by row, until the page is full."""
        if wanted.interval not in INTERVALS:
            raise ValueError(f"interval is {wanted.interval[:20]!r}; allowed: {', '.join(INTERVALS)}")
        _check(limit=wanted.limit, offset=wanted.offset)
        if wanted.zone != "UTC":
            zone_named(wanted.zone)
        return await self._read(
            lambda connection: sqlite_queries.candles(connection, wanted, self._calendars, self._sources, self._clock_us())
        )

    async def trades(self, wanted: TradesWanted) -> TradePage:
        """Each venue's by its index."""
        _check(limit=wanted.limit)
        return await self._read(lambda connection: sqlite_queries.trades(connection, wanted))

    async def last_trades(self, symbols: Sequence[str]) -> dict[str, Trade]:
        """One search for each venue."""

        def read(connection: sqlite3.Connection) -> dict[str, Trade]:
            found = {symbol: sqlite_queries.last_trade(connection, symbol) for symbol in symbols}
            return {symbol: trade for symbol, trade in found.items() if trade is not None}

        return await self._read(read)

    async def last_closes(self, symbols: Sequence[str]) -> dict[str, Close]:
        """One search for each interval and source."""

        def read(connection: sqlite3.Connection) -> dict[str, Close]:
            found = {symbol: sqlite_queries.last_close(connection, symbol, self._calendars, self._sources) for symbol in symbols}
            return {symbol: close for symbol, close in found.items() if close is not None}

        return await self._read(read)

    async def symbols(self, limit: int, after: str = "") -> list[Details]:
        """The volume is a sum over the hours of a day, and the minutes of two."""
        _check(limit=limit)
        return await self._read(
            lambda connection: sqlite_queries.details(connection, limit, after, self._sources, self._clock_us())
        )

    async def names(self) -> list[str]:
        """By their index."""
        return await self._read(sqlite_queries.names)

    async def gaps(self, symbol: str, from_us: int, to_us: int) -> list[Gap]:
        """By their ends."""
        return await self._read(lambda connection: sqlite_gaps.touching(connection, symbol, from_us, to_us))

    async def ping(self) -> None:
        """Reads one row."""
        await self._read(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        """Once what is under way has ended, which its deadline sees to."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._under_way >= self._most:
            raise MarketError("market_busy", f"SQLite at {self._path}: {self._under_way} reads are under way or waiting")
        began = self._clock()
        self._under_way += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._worked, work, began)
        future.add_done_callback(self._ended)
        await asyncio.wait((future,), timeout=self._deadline_s + _GRACE_S)
        if not future.done():
            raise self._timeout()
        return future.result()

    def _ended(self, future: "asyncio.Future[T]") -> None:
        self._under_way -= 1
        if not future.cancelled():
            # Whoever asked may have left: nobody else hears of it.
            future.exception()

    def _worked(self, work: Callable[[sqlite3.Connection], T], began: float) -> T:
        """In a thread: one transaction, which sees one moment."""
        deadline, now = began + self._deadline_s, self._clock()
        self._waited(now - began)
        if now > deadline:
            raise self._timeout()
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
            raise MarketError("market_error", f"SQLite at {self._path}: {error}") from error
        except (OSError, ArithmeticError) as error:
            raise MarketError("market_error", f"SQLite at {self._path}: {error!r}") from error

    def _connection(self) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
        """One that is of the file that there is now."""
        file = file_at(self._path)
        while self._idle:
            connection, of = self._idle.pop()
            if of == file:
                return connection, of
            connection.close()
        connection = connect(self._path, self._deadline_s, migrates=self._migrates)
        connection.execute("PRAGMA query_only = ON")
        return connection, file_at(self._path)

    def _timeout(self) -> MarketError:
        return MarketError("market_timeout", f"SQLite at {self._path}: no answer within {self._deadline_s:g} s")


def _check(*, limit: int, offset: int = 0) -> None:
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit is {limit}; allowed: 1 to {LIMIT_MAX}")
    if offset < 0:
        raise ValueError(f"offset is {offset}; allowed: 0 and above")
