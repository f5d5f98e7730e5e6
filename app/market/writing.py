"""What a market store's writer does, whichever database it is in: one transaction a call.

Where a statement is another one in each database, or a connection is opened, a store's own writer says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from itertools import groupby
from typing import Generic, TypeVar

from app.domain.candles import by_minute
from app.domain.intervals import DAY_S
from app.domain.staleness import SKEW_MS
from app.domain.trades import SIMULATED, Trade, refusal
from app.errors import OffsetMoved
from app.market import averages, blocks, closes, dead_letters, exports, gaps
from app.market.candles import NEWEST, MinuteTable
from app.market.connection import Connection
from app.market.following import Known, Then
from app.market.marks import DeadMark, Settled
from app.market.minutes import Changed, Minutes
from app.market.protocol import (
    TIME_MAX_US,
    TRADES,
    Applied,
    Batch,
    Export,
    Gap,
    Minute,
    Move,
    Partition,
    Put,
    Session,
    Span,
    Symbol,
)
from app.market.queries import last_trade
from app.market.trades import Names, Series, by_series, cancel, cancelled_among, know_symbol
from app.market.windows import Moment

C = TypeVar("C", bound=Connection)

_DAY_US = DAY_S * 1_000_000
_MIXED = "{} is {} in this market store, and these are {}; keep simulated trades in a market store of their own (MARKET_PATH)"
_REMOVED_AT_ONCE = 20_000
"""Trades of one transaction, so that nobody waits for long to write."""
_REMOVE = """
DELETE FROM trades WHERE series = ? AND trade_key IN (
    SELECT trade_key FROM trades INDEXED BY trades_by_time WHERE series = ? AND time_us < ? LIMIT ?
)
"""
_RETAIN = """
INSERT INTO marks VALUES ('retained_from_us', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE excluded.value > marks.value
"""
_PUT_SYMBOL = """
INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol) DO UPDATE SET
name = coalesce(nullif(excluded.name, ''), symbols.name), market = excluded.market,
currency = coalesce(nullif(excluded.currency, ''), symbols.currency),
price_scale = coalesce(excluded.price_scale, symbols.price_scale),
source = coalesce(nullif(excluded.source, ''), symbols.source)
"""


class _Duplicates(Exception):
    """Some trades of the batch were there: the transaction is begun again."""


class StoreWriter(ABC, Generic[C]):
    """The part of a `app.market.protocol.Writer` that every store has. For one thread at a time.

    ``grids``: of how many minutes the last prices are kept, beside what is stored.
    """

    def __init__(self, *, clock_us: Callable[[], int], grids: int) -> None:
        self._clock_us = clock_us
        self._names: Names = {}
        self._heard = set[tuple[str, str]]()
        self._minutes, self._closes = Minutes(grids), closes.Closes()
        self._has_duplicates = False

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[C]:
        """One that nobody else writes beside. Whoever wrote since the last one is found out, and what was kept is forgotten."""

    @abstractmethod
    def _insert(self, connection: C, series: Series, cancelled: set[tuple[int, str]], *, which: bool) -> list[Trade] | None:
        """Write trades that are not there, by their series; the new ones. Unless asked ``which`` these are, which costs more,
        None where they are not all of them: the transaction is then begun again.
        """

    def _table(self, connection: C, known: Mapping[str, Sequence[int]]) -> MinuteTable:
        """The bars of trades, with the closes that are ``known``."""
        return MinuteTable(connection, known, self._clock_us())

    def _marks(self, connection: C) -> tuple[int, Mapping[str, Sequence[int]]]:
        """Of when the oldest trades may be, and when sessions close."""
        marks = dict(connection.execute("SELECT name, value FROM marks").fetchall())
        return marks.get("retained_from_us", 0), self._closes.at(marks.get("calendar", 0), connection)

    def _forget(self) -> None:
        """What is kept of the store beside it."""
        self._names.clear()
        self._heard.clear()
        self._minutes.forget()
        self._closes.forget()

    def apply(self, batch: Batch, then: Then | None = None) -> Applied:
        """Trades that are sent again are found out by their number first, and only then which they are."""
        _check(batch)
        try:
            return self._apply(batch, then, which=self._has_duplicates)
        except _Duplicates:
            return self._apply(batch, then, which=True)

    def put_bars(self, export: Export) -> Put:
        """One export."""
        if (why := exports.refusal(export)) is not None:
            raise ValueError(f"{export.symbol}: {why}")
        if not export.bars:
            return Put(counts=False)
        with self._transaction() as connection:
            know_symbol(connection, export.symbol, self._clock_us())
            return exports.put(connection, export, self._clock_us())

    def put_symbols(self, symbols: Sequence[Symbol]) -> None:
        """Bars of a symbol whose market is another one now are brought up to date. None becomes simulated, or real."""
        with self._transaction() as connection:
            anew = set[Minute]()
            described = {symbol: rest for symbol, *rest in connection.execute("SELECT symbol, market, source FROM symbols")}
            known: dict[str, list[int]] = {}
            for each in symbols:
                before, source = described.get(each.symbol, ("", ""))
                if source and (before == SIMULATED) != (each.market == SIMULATED):
                    here, there = ("simulated", "real") if before == SIMULATED else ("real", "simulated")
                    raise ValueError(_MIXED.format(each.symbol, here, there))
                now = before if each.is_guess and source else each.market
                seen_us = each.first_seen_us or self._clock_us()
                connection.execute(_PUT_SYMBOL, each._replace(market=now, first_seen_us=seen_us)[:-1])
                if before != now:
                    closes.changed(connection)
                    for market in filter(None, (before, now)):
                        if market not in known:
                            known[market] = closes.closes_of(connection, market)
                        anew |= closes.concerned(connection, each.symbol, known[market])
            self._update(connection, {}, anew, *self._marks(connection))

    def put_sessions(self, market: str, sessions: Sequence[Session]) -> None:
        """Bars at closes that are others now are brought up to date."""
        if not market or not sessions:
            raise ValueError(f"market is {market!r} with {len(sessions)} sessions; allowed: a name, and at least one")
        with self._transaction() as connection:
            changed = closes.put_sessions(connection, market, sessions)
            anew = set[Minute]()
            for (symbol,) in connection.execute("SELECT symbol FROM symbols WHERE market = ?", (market,)).fetchall():
                anew |= closes.concerned(connection, symbol, changed)
            self._update(connection, {}, anew, *self._marks(connection))

    def retain(self, days: int, now_us: int) -> int:
        """First the mark, so that none is taken that is about to go; then trades, some at a time."""
        if days <= 0:
            return 0
        before_us = (now_us // _DAY_US - days) * _DAY_US
        with self._transaction() as connection:
            connection.execute(_RETAIN, (before_us,))
            numbers = [number for (number,) in connection.execute("SELECT series FROM series")]
        removed = 0
        for number in numbers:
            row = number, number, before_us, _REMOVED_AT_ONCE
            gone = _REMOVED_AT_ONCE
            while gone == _REMOVED_AT_ONCE:
                with self._transaction() as connection:
                    gone = connection.execute(_REMOVE, row).rowcount
                removed += gone
        return removed

    def offsets(self, log: str) -> Mapping[Partition, int]:
        """All of a log."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT log, topic, topic_id, partition, next FROM offsets WHERE log = ?", (log,))
            return {Partition(*partition): following for *partition, following in rows}

    @contextmanager
    def moment(self) -> Iterator[Moment]:
        """As any other."""
        with self._transaction() as connection:
            yield Moment(connection)

    def known(self, symbols: Sequence[str] | None = None) -> dict[str, Known]:
        """One by one. A trade ahead of the clock that no message told of is not the last one, or it would be that until then."""
        now_us = self._clock_us() + SKEW_MS * 1000
        with self._transaction() as connection:
            if symbols is None:
                rows = connection.execute("SELECT DISTINCT symbol FROM heard ORDER BY symbol")
                symbols = [symbol for (symbol,) in rows.fetchall()]
            found = {}
            for symbol in symbols:
                heard = gaps.heard_of(connection, symbol)
                last = last_trade(connection, symbol, max([now_us, *(each.at_us for each in heard)]))
                found[symbol] = Known(last, heard, gaps.lacking(connection, symbol))
            return found

    def dead_letters(self) -> Mapping[DeadMark, Settled | None]:
        """All."""
        with self._transaction() as connection:
            return dead_letters.marks(connection)

    def settle(self, marks: Sequence[DeadMark], how: Settled) -> None:
        """In one transaction."""
        with self._transaction() as connection:
            dead_letters.settle(connection, marks, how, self._clock_us())

    def _apply(self, batch: Batch, then: Then | None, *, which: bool) -> Applied:
        with self._transaction() as connection:
            at_us = self._clock_us()
            _move(connection, batch.moves)
            retained_us, known = self._marks(connection)
            trades = [each for each in batch.trades if each.time_us >= retained_us] if retained_us else batch.trades
            series = by_series(connection, self._names, trades, at_us)
            cancelled = cancelled_among(connection, series)
            new = self._insert(connection, series, cancelled, which=which)
            if new is None:
                raise _Duplicates
            self._has_duplicates = len(new) < len(trades)
            anew = cancel(connection, self._names, batch.cancels, known, at_us)
            if cancelled:
                new_ones = [each for each in new if (self._names[each.venue, each.symbol], each.key) not in cancelled]
            else:
                new_ones = new
            gaps.record(connection, batch.gaps)
            gaps.fill(connection, batch.filled, at_us)
            gaps.hear(connection, batch.heard, self._heard)
            dead = dead_letters.mark(connection, batch.dead, at_us)
            averages.put(connection, batch.prices, at_us)
            changed = self._update(connection, by_minute(new_ones, known), anew, retained_us, known)
            if then is not None:
                then(Moment(connection), new_ones)
        too_old, void = len(batch.trades) - len(trades), len(new) - len(new_ones)
        return Applied(len(new), len(trades) - len(new), too_old, changed.touched, changed.revised, void, dead)

    def _update(
        self,
        connection: C,
        new: Mapping[tuple[str, int], Sequence[Trade]],
        anew: set[Minute],
        retained_us: int,
        known: Mapping[str, Sequence[int]],
    ) -> Changed:
        table = self._table(connection, known)
        # Of older bars the trades are gone, so they stay as they are.
        minutes = {Minute(*at): trades for at, trades in new.items() if at[1] >= retained_us}
        changed = self._minutes.update(table, minutes, {each for each in anew if each.start_us >= retained_us})
        gone = {each.symbol for each in changed.removed}
        for symbol, some in groupby(changed.touched, lambda each: each.symbol):
            starts, before_us = [each.start_us for each in some], changed.newest.get(symbol)
            if symbol in gone:
                (now_us,) = connection.execute(NEWEST, (symbol, "1m", TRADES)).fetchone()
            else:
                now_us = starts[-1] if before_us is None else max(before_us, starts[-1])
            blocks.refresh(connection, symbol, TRADES, starts, before_us, now_us)
        return changed


def _check(batch: Batch) -> None:
    for trade in batch.trades:
        if trade.price <= 0 or trade.size < 0 or not 0 <= trade.time_us < TIME_MAX_US:
            why = refusal(trade.price, trade.size) or f"time_us is {trade.time_us}; allowed: from 0, before the year 9000"
            raise ValueError(f"trade {trade.trade_id!r} of {trade.symbol} at {trade.venue}: {why}")
    for price in batch.prices:
        if price.price <= 0 or not 0 <= price.time_us < TIME_MAX_US:
            why = refusal(price.price, Decimal(0)) or f"time_us is {price.time_us}; allowed: from 0, before the year 9000"
            raise ValueError(f"price of {price.symbol} by {price.provider}: {why}")
    for each in batch.heard:
        if not 0 < each.at_us < TIME_MAX_US:
            raise ValueError(f"{each.symbol} at {each.venue} was heard at {each.at_us}; allowed: above 0, before the year 9000")
    spans: list[Gap | Span] = [*batch.gaps, *batch.filled]
    for span in spans:
        if not 0 <= span.from_us < span.to_us < TIME_MAX_US:
            where = f"gap of {span.symbol} at {span.venue}"
            raise ValueError(f"{where}: from {span.from_us} to {span.to_us}; allowed: ascending, from 0")


def _move(connection: Connection, moves: Sequence[Move]) -> None:
    for partition, expected, following in moves:
        if expected is None:
            moved = connection.execute(
                "INSERT INTO offsets VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (*partition, following)
            )
        else:
            statement = "UPDATE offsets SET next = ? WHERE (log, topic, topic_id, partition) = (?, ?, ?, ?) AND next = ?"
            moved = connection.execute(statement, (following, *partition, expected))
        if moved.rowcount != 1:
            raise OffsetMoved(f"{partition.topic} {partition.partition}: its offset is not {expected}, another consumer moved it")
