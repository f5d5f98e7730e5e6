"""The market store on PostgreSQL, for servers: a connection for each thread that reads, and nobody waits for a database that is
away.
"""

import random
import time
from asyncio import Future
from collections.abc import Callable
from typing import Any, TypeVar, Unpack

import psycopg

from app.breaker import Breaker
from app.errors import MarketError
from app.market.connection import Connection
from app.market.postgres_opening import PostgresConnection, connect, target_of
from app.market.reading import ReaderOptions, ThreadedReader

T = TypeVar("T")

THREADS = 8
"""Most of a read is waiting."""
_FAILURES, _FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5, 0.5, 10.0

_LOST = psycopg.OperationalError, psycopg.InterfaceError


class _Away(MarketError):
    """The database did not answer: the breaker counts it."""


class PostgresReader(ThreadedReader):
    """An `app.market.protocol.Reader` on the PostgreSQL at ``url``, which may be a replica.

    It is connected to as reads need it, and migrated if ``migrates``. A read whose connection turns out to be dead begins again
    on a new one, once, within its deadline. After some failures in a row reads are refused at once (``market_open``), but for one
    now and then that looks whether the database is back. Others are as `app.market.reading.ReaderOptions` has them.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str = "",
        migrates: bool = False,
        breaker: Breaker | None = None,
        **options: Unpack[ReaderOptions],
    ) -> None:
        self._target = target_of(url, password)
        options.setdefault("threads", THREADS)
        super().__init__(self._target.place, **options)
        self._migrates = migrates
        self._idle: list[PostgresConnection] = []
        self._left = set[Future[Any]]()
        self.breaker = breaker or Breaker(
            failures=_FAILURES,
            first_pause_s=_FIRST_PAUSE_S,
            longest_pause_s=_LONGEST_PAUSE_S,
            clock=self._clock,
            rng=random.Random(),
        )

    def _admit(self) -> None:
        super()._admit()
        if not self.breaker.allows():
            raise MarketError("market_open", f"{self._place}: it did not answer, and is asked again in a while")

    def _leave(self, future: "Future[T]") -> None:
        self._left.add(future)
        self.breaker.failed()

    def _ended(self, future: "Future[T]") -> None:
        super()._ended(future)
        if future in self._left:
            # It was counted when its caller left.
            self._left.remove(future)
        elif future.cancelled() or isinstance(future.exception(), _Away):
            self.breaker.failed()
        else:
            self.breaker.succeeded()

    def _disconnect(self) -> None:
        while (connection := self._taken()) is not None:
            connection.link.close()

    def _taken(self) -> PostgresConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _worked(self, work: Callable[[Connection], T], deadline: float) -> T:
        try:
            connection = self._taken()
            if connection is not None:
                try:
                    return self._answer(connection, work, deadline)
                except _LOST as error:
                    if isinstance(error, psycopg.errors.QueryCanceled) or self._clock() >= deadline:
                        raise
                    # Others that were idle as long are no better.
                    self._disconnect()
            return self._answer(self._connected(deadline), work, deadline)
        except _LOST as error:
            if isinstance(error, psycopg.errors.QueryCanceled) or self._clock() >= deadline:
                raise _Away("market_timeout", f"{self._place}: no answer within {self._deadline_s:g} s") from error
            raise _Away("market_error", f"{self._place}: {error}") from error
        except (psycopg.Error, ArithmeticError, ValueError) as error:
            raise MarketError("market_error", f"{self._place}: {error!r}") from error

    def _answer(self, connection: PostgresConnection, work: Callable[[Connection], T], deadline: float) -> T:
        link = connection.link
        link.deadline = time.monotonic() + deadline - self._clock()
        try:
            answer = work(connection)
            link.rollback()
        except BaseException:
            # In the middle of a statement nobody knows what comes next.
            link.close()
            raise
        self._idle.append(connection)
        return answer

    def _connected(self, deadline: float) -> PostgresConnection:
        connection = connect(
            self._target,
            migrates=self._migrates,
            within_s=max(0.0, deadline - self._clock()),
            statement_timeout=max(1, round(self._deadline_s * 1000)),
        )
        connection.link.isolation_level, connection.link.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        return connection
