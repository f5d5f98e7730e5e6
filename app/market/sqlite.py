"""The embedded market store for jobs: one SQLite file, one transaction a call.

WAL mode lets readers (`app.market.sqlite_reader`) go on meanwhile. A transaction is wholly there or not at all, whenever the job
is killed; the disk's own loss of power may take the last ones, and with them their offsets.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import msgspec

from app.domain.candles import by_minute
from app.domain.intervals import DAY_S
from app.domain.trades import Trade, refusal
from app.errors import MarketError, OffsetMoved
from app.market import sqlite_bars, sqlite_blocks, sqlite_closes, sqlite_gaps
from app.market.minutes import GRIDS, Changed, Minutes
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
from app.market.sqlite_candles import MinuteTable
from app.market.sqlite_opening import connect, file_at, now_us
from app.market.sqlite_trades import Names, by_series, cancel, cancelled_among, insert, know_symbol

_BUSY_S = 10.0
_DAY_US = DAY_S * 1_000_000
_REMOVED_AT_ONCE = 20_000
"""Trades of one transaction, so that nobody waits for long to write."""
_FOR_WRITING = ("PRAGMA cache_size = -65536", "PRAGMA wal_autocheckpoint = 4000")
"""Trades of many symbols lie on many pages: all of them are kept, and written back once in many transactions (KB, pages)."""
_REMOVE = """
DELETE FROM trades WHERE series = :series AND trade_key IN (
    SELECT trade_key FROM trades INDEXED BY trades_by_time WHERE series = :series AND time_us < :before LIMIT :at_once
)
"""
_RETAIN = """
INSERT INTO marks VALUES ('retained_from_us', ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""
_PUT_SYMBOL = """
INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol) DO UPDATE SET
name = coalesce(nullif(excluded.name, ''), name), market = excluded.market,
currency = coalesce(nullif(excluded.currency, ''), currency), price_scale = coalesce(excluded.price_scale, price_scale),
source = coalesce(nullif(excluded.source, ''), source)
"""


class _Duplicates(Exception):
    """Some trades of the batch were there: the transaction is begun again."""


class EmbeddedWriter:
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
        self._path, self._busy_s, self._clock_us, self._migrates = path, busy_s, clock_us, migrates
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version: int | None = None
        self._names: Names = {}
        self._minutes, self._closes = Minutes(grids), sqlite_closes.Closes()
        self._has_duplicates = False

    def apply(self, batch: Batch) -> Applied:
        """Trades that are sent again are found out by their number first, and only then which they are."""
        _check(batch)
        try:
            return self._apply(batch, which=self._has_duplicates)
        except _Duplicates:
            return self._apply(batch, which=True)

    def put_bars(self, export: Export) -> Put:
        """One export."""
        if (why := sqlite_bars.refusal(export)) is not None:
            raise ValueError(f"{export.symbol}: {why}")
        if not export.bars:
            return Put(counts=False)
        with self._transaction() as connection:
            know_symbol(connection, export.symbol, self._clock_us())
            return sqlite_bars.put(connection, export, self._clock_us())

    def put_symbols(self, symbols: Sequence[Symbol]) -> None:
        """Bars of a symbol whose market is another one now are brought up to date."""
        with self._transaction() as connection:
            anew = set[Minute]()
            markets = dict(connection.execute("SELECT symbol, market FROM symbols").fetchall())
            for each in symbols:
                seen_us = each.first_seen_us or self._clock_us()
                connection.execute(_PUT_SYMBOL, each._replace(first_seen_us=seen_us))
                before = markets.get(each.symbol, "")
                if before != each.market:
                    sqlite_closes.changed(connection)
                    for market in filter(None, (before, each.market)):
                        anew |= sqlite_closes.concerned(connection, each.symbol, sqlite_closes.closes_of(connection, market))
            self._update(connection, {}, anew)

    def put_sessions(self, market: str, sessions: Sequence[Session]) -> None:
        """Bars at closes that are others now are brought up to date."""
        if not market or not sessions:
            raise ValueError(f"market is {market!r} with {len(sessions)} sessions; allowed: a name, and at least one")
        with self._transaction() as connection:
            closes = sqlite_closes.put_sessions(connection, market, sessions)
            anew = set[Minute]()
            for (symbol,) in connection.execute("SELECT symbol FROM symbols WHERE market = ?", (market,)).fetchall():
                anew |= sqlite_closes.concerned(connection, symbol, closes)
            self._update(connection, {}, anew)

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
            row = {"series": number, "before": before_us, "at_once": _REMOVED_AT_ONCE}
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

    def close(self) -> None:
        """May be opened again by another call."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._version = None, None
        self._forget()

    def _apply(self, batch: Batch, *, which: bool) -> Applied:
        with self._transaction() as connection:
            at_us = self._clock_us()
            _move(connection, batch.moves)
            retained_us = _retained_us(connection)
            trades = [each for each in batch.trades if each.time_us >= retained_us] if retained_us else batch.trades
            series = by_series(connection, self._names, trades, at_us)
            cancelled = cancelled_among(connection, series)
            new = insert(connection, series, cancelled, which=which)
            if new is None:
                raise _Duplicates
            self._has_duplicates = len(new) < len(trades)
            closes = self._closes.now(connection)
            anew = cancel(connection, self._names, batch.cancels, closes, at_us)
            if cancelled:
                new_ones = [each for each in new if (self._names[each.venue, each.symbol], each.key) not in cancelled]
            else:
                new_ones = new
            sqlite_gaps.record(connection, batch.gaps)
            sqlite_gaps.fill(connection, batch.filled, at_us)
            sqlite_gaps.hear(connection, batch.heard)
            changed = self._update(connection, by_minute(new_ones, closes), anew)
        too_old = len(batch.trades) - len(trades)
        return Applied(len(new), len(trades) - len(new), too_old, changed.touched, changed.revised)

    def _update(
        self,
        connection: sqlite3.Connection,
        new: Mapping[tuple[str, int], Sequence[Trade]],
        anew: set[Minute],
    ) -> Changed:
        table = MinuteTable(connection, self._closes.now(connection), self._clock_us())
        # Of older bars the trades are gone, so they stay as they are.
        retained_us = _retained_us(connection)
        minutes = {Minute(*at): trades for at, trades in new.items() if at[1] >= retained_us}
        changed = self._minutes.update(table, minutes, {each for each in anew if each.start_us >= retained_us})
        for symbol, some in groupby(changed.touched, lambda each: each.symbol):
            starts = [each.start_us for each in some]
            sqlite_blocks.refresh(connection, symbol, TRADES, starts, changed.newest.get(symbol))
        return changed

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

    def _forget(self) -> None:
        self._names.clear()
        self._minutes.forget()
        self._closes.forget()


def _check(batch: Batch) -> None:
    for trade in batch.trades:
        if trade.price <= 0 or trade.size < 0 or not 0 <= trade.time_us < TIME_MAX_US:
            why = refusal(trade.price, trade.size) or f"time_us is {trade.time_us}; allowed: from 0, before the year 9000"
            raise ValueError(f"trade {trade.trade_id!r} of {trade.symbol} at {trade.venue}: {why}")
    for each in batch.heard:
        if not 0 < each.at_us < TIME_MAX_US:
            raise ValueError(f"{each.symbol} at {each.venue} was heard at {each.at_us}; allowed: above 0, before the year 9000")
    spans: list[Gap | Span] = [*batch.gaps, *batch.filled]
    for span in spans:
        if not 0 <= span.from_us < span.to_us < TIME_MAX_US:
            where = f"gap of {span.symbol} at {span.venue}"
            raise ValueError(f"{where}: from {span.from_us} to {span.to_us}; allowed: ascending, from 0")


def _retained_us(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM marks WHERE name = 'retained_from_us'").fetchone()
    return 0 if row is None else int(row[0])


def _move(connection: sqlite3.Connection, moves: Sequence[Move]) -> None:
    for partition, expected, following in moves:
        if expected is None:
            moved = connection.execute("INSERT OR IGNORE INTO offsets VALUES (?, ?, ?, ?, ?)", (*partition, following))
        else:
            statement = "UPDATE offsets SET next = ? WHERE (log, topic, topic_id, partition) = (?, ?, ?, ?) AND next = ?"
            moved = connection.execute(statement, (following, *partition, expected))
        if moved.rowcount != 1:
            raise OffsetMoved(f"{partition.topic} {partition.partition}: its offset is not {expected}, another consumer moved it")
