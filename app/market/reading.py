"""What a market store's reader does, whichever database it is in: it reads in threads of its own, so that a slow database delays
its callers up to their deadline and never the event loop; nor does the making of long bars.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypedDict, TypeVar

from app.domain.averages import Average
from app.domain.intervals import INTERVALS
from app.domain.nearest import Neighbours
from app.domain.trades import Trade
from app.errors import MarketError
from app.market import averages, gaps, queries
from app.market.calendar import zone_named
from app.market.connection import Connection
from app.market.details import details
from app.market.migrating import now_us
from app.market.protocol import LIMIT_MAX, CandlePage, CandlesWanted, Details, Gap, Names, Pool, TradePage, TradesWanted
from app.market.queries import Calendars, Census

T = TypeVar("T")

DEADLINE_S, WAITING_MAX = 2.0, 64
_GRACE_S = 0.25
"""How long a read that is past its deadline may take to notice, before its caller leaves it."""


class Read:
    """One that was asked for, to be answered by ``deadline`` (of the reader's clock). ``has_begun``: it has got its thread;
    ``is_connecting``: it waits for a connection; ``is_given_up``: it was counted as a failure before its end.
    """

    __slots__ = ("deadline", "has_begun", "is_connecting", "is_given_up", "is_ping", "is_probe")

    def __init__(self, deadline: float, *, is_ping: bool) -> None:
        self.deadline, self.is_ping = deadline, is_ping
        self.has_begun = self.is_connecting = self.is_given_up = self.is_probe = False


class ReaderOptions(TypedDict, total=False):
    """What a reader of any store may be told.

    ``sources``: of given bars, the best first. ``deadline_s``: how long a read may take. ``threads``: how many reads there are at
    once, each with a connection. ``waiting_max``: how many may wait for one of these; who comes then is refused at once.
    ``waited`` is told how many seconds a read waited for its thread; in that thread. ``clock``: monotonic seconds. ``clock_us``:
    epoch microseconds.
    """

    sources: Sequence[str]
    deadline_s: float
    threads: int
    waiting_max: int
    waited: Callable[[float], None]
    clock: Callable[[], float]
    clock_us: Callable[[], int]


class ThreadedReader(ABC):
    """The part of a `app.market.protocol.Reader` that every store has. ``place``: what the store is and where, for people;
    the rest is of `ReaderOptions`.
    """

    def __init__(
        self,
        place: str,
        *,
        threads: int,
        sources: Sequence[str] = (),
        deadline_s: float = DEADLINE_S,
        waiting_max: int = WAITING_MAX,
        waited: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self._place, self._sources, self._deadline_s = place, tuple(sources), deadline_s
        self._clock, self._clock_us = clock, clock_us
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decide-market")
        self._pings = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decide-market-ping")
        self._under_way, self._size, self._most = 0, threads, threads + waiting_max
        self._waited = waited
        self._calendars, self._census = Calendars(), Census()

    @property
    def pool(self) -> Pool:
        """A thread has a connection."""
        in_use = min(self._under_way, self._size)
        return Pool(self._size, in_use, self._under_way - in_use)

    @abstractmethod
    def _worked(self, work: Callable[[Connection], T], read: Read) -> T:
        """In a thread: ``work`` in one transaction, which sees one moment."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close all connections; no read is under way."""

    async def candles(self, wanted: CandlesWanted) -> CandlePage:
        """Read row by row, until the page is full."""
        if wanted.interval not in INTERVALS:
            raise ValueError(f"interval is {wanted.interval[:20]!r}; allowed: {', '.join(INTERVALS)}")
        _check(limit=wanted.limit, offset=wanted.offset)
        if wanted.zone != "UTC":
            zone_named(wanted.zone)
        return await self._read(
            lambda connection: queries.candles(connection, wanted, self._calendars, self._sources, self._clock_us())
        )

    async def trades(self, wanted: TradesWanted) -> TradePage:
        """Each venue's by its index."""
        _check(limit=wanted.limit)
        return await self._read(lambda connection: queries.trades(connection, wanted))

    async def last_trades(self, symbols: Sequence[str], until_us: int | None = None) -> dict[str, Trade]:
        """One search for each venue."""

        def read(connection: Connection) -> dict[str, Trade]:
            found = {symbol: queries.last_trade(connection, symbol, until_us) for symbol in symbols}
            return {symbol: trade for symbol, trade in found.items() if trade is not None}

        return await self._read(read)

    async def symbols(self, limit: int, after: str = "") -> list[Details]:
        """The volume is a sum over the hours of a day, and the minutes of two. Some statements, however many symbols."""
        _check(limit=limit)
        return await self._read(lambda connection: details(connection, limit, after, self._sources, self._clock_us()))

    async def names(self, limit: int, after: str, others: Sequence[str]) -> Names:
        """By their index; others are counted anew where a symbol has come since."""
        _check(limit=limit)
        return await self._read(
            lambda connection: Names(queries.names(connection, limit, after), self._census.beside(connection, others))
        )

    async def neighbours(self, wanted: Neighbours) -> list[str]:
        """By their index, too."""
        return await self._read(lambda connection: queries.neighbours(connection, wanted))

    async def gaps(self, symbol: str, from_us: int, to_us: int) -> list[Gap]:
        """By their beginnings."""
        return await self._read(lambda connection: gaps.touching(connection, symbol, from_us, to_us))

    async def averages(self, symbol: str, limit: int, provider: str = "") -> list[Average]:
        """By their times."""
        _check(limit=limit)
        return await self._read(lambda connection: averages.averages(connection, symbol, limit, provider))

    async def ping(self) -> None:
        """Reads one row, in a thread of its own: that others wait for theirs does not mean that the store is away."""
        await self._read(lambda connection: connection.execute("SELECT 1").fetchone(), is_ping=True)

    async def close(self) -> None:
        """Once what is under way has ended, which its deadline sees to."""
        for threads in (self._threads, self._pings):
            await asyncio.to_thread(threads.shutdown)
        self._disconnect()

    async def _read(self, work: Callable[[Connection], T], *, is_ping: bool = False) -> T:
        read = Read(self._clock() + self._deadline_s, is_ping=is_ping)
        self._admit(read)
        self._under_way += not is_ping
        threads = self._pings if is_ping else self._threads
        future = asyncio.get_running_loop().run_in_executor(threads, self._begun, work, read)
        future.add_done_callback(partial(self._ended, read))
        await asyncio.wait((future,), timeout=self._deadline_s + _GRACE_S)
        if not future.done():
            self._leave(read)
            raise self._timeout()
        return future.result()

    def _begun(self, work: Callable[[Connection], T], read: Read) -> T:
        """In a thread."""
        late_s = self._clock() - read.deadline
        if not read.is_ping:
            self._waited(late_s + self._deadline_s)
        if late_s > 0:
            raise self._timeout()
        read.has_begun = True
        return self._worked(work, read)

    def _admit(self, read: Read) -> None:
        """Raises where a read may not begin."""
        if not read.is_ping and self._under_way >= self._most:
            raise MarketError("market_busy", f"{self._place}: {self._under_way} reads are under way or waiting")

    def _leave(self, read: Read) -> None:  # noqa: B027 - not every store has something to do then
        """Its caller waits no longer for a read, which goes on."""

    def _ended(self, read: Read, future: "asyncio.Future[T]") -> None:
        self._under_way -= not read.is_ping
        if not future.cancelled():
            # Whoever asked may have left: nobody else hears of it.
            future.exception()

    def _timeout(self) -> MarketError:
        return MarketError("market_timeout", f"{self._place}: no answer within {self._deadline_s:g} s")


def _check(*, limit: int, offset: int = 0) -> None:
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit is {limit}; allowed: 1 to {LIMIT_MAX}")
    if offset < 0:
        raise ValueError(f"offset is {offset}; allowed: 0 and above")
