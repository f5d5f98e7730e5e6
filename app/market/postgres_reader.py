"""The market store on PostgreSQL, for servers: a connection for each thread that reads, and nobody waits for a database that is
away.
"""

import random
import time
from asyncio import Future
from collections.abc import Callable
from typing import TypeVar, Unpack

import psycopg

from app.breaker import Breaker
from app.errors import MarketError
from app.market.connection import Connection
from app.market.postgres_opening import CANCEL_S, PostgresConnection, connect, target_of
from app.market.reading import Read, ReaderOptions, ThreadedReader

T = TypeVar("T")

THREADS = 8
"""Most of a read is waiting."""
_FAILURES, _FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5, 0.5, 10.0

_BROKEN = ("53", "57P", "58", "XX001", "XX002")
"""Beginnings of the SQLSTATEs by which a server says that it has no room, shuts down, or cannot use its disk."""
_CONFLICT = "40001"
"""Of a replica that must change what the statement reads. It may end the connection, too."""
_CANCELLED = "57014"
_PASSING = _CONFLICT, _CANCELLED


class _Away(MarketError):
    """The database did not answer, or said that it is broken: the breaker counts it."""


class PostgresReader(ThreadedReader):
    """An `app.market.protocol.Reader` on the PostgreSQL at ``url``, which may be a replica.

    It is connected to as reads need it, and migrated if ``migrates``. A read whose connection turns out to be dead, or that was
    in a replica's way, begins again, once, within its deadline. Where the database was away some times in a row, reads are
    refused at once (``market_open``), but for one now and then that looks whether it is back; that a read is slow is no such
    failure. Others are as `app.market.reading.ReaderOptions` has them.
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
        self.breaker = breaker or Breaker(
            failures=_FAILURES,
            first_pause_s=_FIRST_PAUSE_S,
            longest_pause_s=_LONGEST_PAUSE_S,
            clock=self._clock,
            rng=random.Random(),
        )

    def _admit(self, read: Read) -> None:
        super()._admit(read)
        if not self.breaker.allows():
            raise MarketError("market_open", f"{self._place}: it did not answer, and is asked again in a while")
        read.is_probe = self.breaker.state == "half_open"

    def _leave(self, read: Read) -> None:
        # To connect may take longer than anybody waits; all else has its own end.
        if read.is_connecting:
            read.is_given_up = True
            self.breaker.failed()

    def _ended(self, read: Read, future: "Future[T]") -> None:
        super()._ended(read, future)
        error = None if future.cancelled() else future.exception()
        if isinstance(error, _Away):
            if not read.is_given_up:
                self.breaker.failed()
        elif read.has_begun and isinstance(error, MarketError | None) and not future.cancelled():
            self.breaker.succeeded()
        elif read.is_probe:
            self.breaker.unasked()

    def _disconnect(self) -> None:
        while (connection := self._taken()) is not None:
            connection.link.close()

    def _taken(self) -> PostgresConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _worked(self, work: Callable[[Connection], T], read: Read) -> T:
        is_again = False
        while True:
            connection = self._taken()
            was_idle = connection is not None
            try:
                connection = connection or self._connected(read)
                return self._answer(connection, work, read)
            except psycopg.Error as error:
                is_lost = connection is None or connection.link.closed
                if is_lost:
                    # Others that were idle as long are no better.
                    self._disconnect()
                is_passing = error.sqlstate in _PASSING or (was_idle and is_lost)
                if is_again or not is_passing or self._clock() >= read.deadline:
                    raise self._said(error, read, is_lost=is_lost) from error
            except (ArithmeticError, ValueError) as error:
                raise MarketError("market_error", f"{self._place}: {error!r}") from error
            is_again = True

    def _said(self, error: psycopg.Error, read: Read, *, is_lost: bool) -> MarketError:
        """What a failure means to the caller, and to the breaker."""
        code = error.sqlstate or ""
        kind = _Away if code.startswith(_BROKEN) or (is_lost and code not in _PASSING) else MarketError
        if code == _CANCELLED or (is_lost and self._clock() >= read.deadline):
            return kind("market_timeout", f"{self._place}: no answer within {self._deadline_s:g} s")
        return kind("market_busy" if code == _CONFLICT else "market_error", f"{self._place}: {error!r}")

    def _answer(self, connection: PostgresConnection, work: Callable[[Connection], T], read: Read) -> T:
        link = connection.link
        link.deadline, end = time.monotonic() + read.deadline - self._clock(), link.rollback
        try:
            found = work(connection)
            # After a rollback the driver would have the server forget the plans of all statements.
            end = link.commit
            return found
        finally:
            link.deadline = time.monotonic() + CANCEL_S
            try:
                end()
                self._idle.append(connection)
            except psycopg.Error:
                # In the middle of a statement, or lost.
                link.close()

    def _connected(self, read: Read) -> PostgresConnection:
        read.is_connecting = True
        try:
            connection = connect(
                self._target,
                migrates=self._migrates,
                within_s=max(0.0, read.deadline - self._clock()),
                statement_s=self._deadline_s,
                waits=False,
                # All that is read is found by keys, whatever they are; to plan a page anew takes as long as to find its rows.
                plan_cache_mode="force_generic_plan",
            )
        finally:
            read.is_connecting = False
        connection.link.isolation_level, connection.link.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        return connection
