"""The market store, as routes ask it: opened when somebody first does, counted, and its failures told to callers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeVar

from app.answering.suggestions import Suggestions, meant
from app.domain.nearest import found_in, nearest, neighbours_of
from app.errors import MarketError, Problem
from app.market.protocol import Reader
from app.observe.market import MarketMeters, Read
from app.payloads import DatabaseState

T = TypeVar("T")
Kind = Literal["sqlite", "postgresql"]

RETRY_AFTER_S = 1
LOOK_S = 0.5
"""How long whoever asks how the store is waits for it."""


class Market:
    """One a worker. ``open_reader`` opens no file: the reader does, at its first read. ``is_there`` tells, in a thread, whether
    there is a store, or ought to be. ``tell`` hears of each answer, and why there is none.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        meters: MarketMeters,
        suggestions: Suggestions,
        clock: Callable[[], float],
        *,
        kind: Kind,
        is_there: Callable[[], bool],
        tell: Callable[[MarketError | None], None],
    ) -> None:
        self._tell = tell
        self._open, self._kind, self._is_there = open_reader, kind, is_there
        self._looking: asyncio.Task[DatabaseState] | None = None
        self._reader: Reader | None = None
        self._meters, self._suggestions, self._clock = meters, suggestions, clock

    async def read(self, kind: Read, work: Callable[[Reader], Awaitable[T]]) -> T:
        """What ``work`` reads.

        Raises:
            Problem: 503 with Retry-After if the store does not answer in time.
        """
        try:
            return await self.asked(kind, work)
        except MarketError as error:
            raise unavailable(error.reason) from error

    async def asked(self, kind: Read, work: Callable[[Reader], Awaitable[T]]) -> T:
        """The same.

        Raises:
            MarketError: the store does not answer in time.
        """
        if self._reader is None:
            self._reader = self._open()
        began, reason = self._clock(), ""
        try:
            found = await work(self._reader)
        except MarketError as error:
            reason = error.reason
            self._tell(error)
            raise
        else:
            self._tell(None)
            return found
        finally:
            self._meters.read(kind, self._clock() - began, reason)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """What was read is made ready for callers.

        Raises:
            Problem: 503, where it is nothing that the store was ever given.
        """
        try:
            yield
        except (ArithmeticError, ValueError) as error:
            damaged = MarketError("market_error", f"a stored value is none: {error!r}")
            self._tell(damaged)
            raise unavailable(damaged.reason) from error

    async def unknown(self, symbol: str) -> Problem:
        """404: neither the store nor L2 has ``symbol``; with those that may be meant, of both."""
        wanted = neighbours_of(symbol)
        near = list[str]()
        # Nobody waits for an error in the place of an answer that is there.
        with suppress(MarketError):
            near = await self.asked("names", lambda reader: reader.neighbours(wanted))
        await self._suggestions.ready()
        found = nearest(symbol, sorted({*near, *found_in(self._suggestions.last(), wanted)}))
        detail = f"symbol {symbol} is neither in the market store nor in the loaded universe{meant(found)}"
        return Problem(404, "unknown-symbol", "Unknown symbol", detail, "symbol")

    async def state(self) -> DatabaseState:
        """How the store is. All who ask meanwhile share one look; what takes longer than they wait goes on for the next."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        looking = self._looking
        await asyncio.wait({looking}, timeout=LOOK_S)
        return looking.result() if looking.done() else DatabaseState(self._kind, "unreachable", detail="market_timeout")

    async def _look(self) -> DatabaseState:
        # A store that nobody uses is not made by who asks how it is.
        if self._reader is None and not await asyncio.to_thread(self._is_there):
            return DatabaseState(self._kind, "unused")
        began = self._clock()
        try:
            await self.asked("ping", lambda reader: reader.ping())
        except MarketError as error:
            return DatabaseState(self._kind, "unreachable", detail=error.reason)
        return DatabaseState(self._kind, "ok", round((self._clock() - began) * 1000.0, 3))

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        if self._reader is not None:
            self._meters.refresh(self._reader.pool)

    async def close(self) -> None:
        """Give the reader back."""
        if self._looking is not None:
            self._looking.cancel()
        if self._reader is not None:
            await self._reader.close()


def unavailable(reason: str) -> Problem:
    """503: the market store, which alone has what was asked for, did not answer."""
    return Problem(
        503,
        "market-unavailable",
        "Market store unavailable",
        f"the market store did not answer ({reason}); try again in {RETRY_AFTER_S} s",
        headers=(("Retry-After", str(RETRY_AFTER_S)),),
    )
