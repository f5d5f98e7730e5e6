"""The market store on PostgreSQL, for jobs: one transaction a call.

One transaction writes at a time: each first counts itself in ``marks``, and whoever comes then waits for it to end. So bars are
merged with what is really there, and a writer knows by the count whether another one has written since.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

import msgspec
import psycopg

from app.domain.prices import plain
from app.domain.trades import Trade
from app.errors import MarketError
from app.market.candles import READ, MinuteTable, kept_of, runs
from app.market.following import Then
from app.market.migrating import now_us
from app.market.minutes import GRIDS, Kept
from app.market.postgres_opening import CONNECT_S, STATEMENT_S, Link, PostgresConnection, connect, target_of
from app.market.protocol import TRADES, Applied, Batch, Minute
from app.market.trades import COLUMNS, Series, written_ones
from app.market.writing import StoreWriter

_BUSY_S, _IDLE_S = 10.0, 60.0
"""How long a call waits for other writers, and how long a transaction whose writer hangs stays open."""
_AGAIN = 3
"""Attempts of a batch that was certainly not written."""
_COUNT = "UPDATE marks SET value = value + 1 WHERE name = 'writes' RETURNING value"
_COLUMNS = f"series, {COLUMNS}, cancelled"
_NULL = "\x01"
_COPY = f"COPY {{}} ({_COLUMNS}) FROM STDIN (NULL '{_NULL}')"
_INCOMING = "CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE trades) ON COMMIT DELETE ROWS"
_INSERT = f"""
INSERT INTO trades ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming ON CONFLICT DO NOTHING RETURNING series, trade_key
"""  # noqa: S608 - columns of ours
_BARS = f"""
SELECT symbol, {READ} FROM unnest(?::text[], ?::bigint[], ?::bigint[]) AS run (of, first_us, last_us)
JOIN candles ON symbol = of AND interval = '1m' AND source = '{TRADES}' AND start_us BETWEEN first_us AND last_us
"""  # noqa: S608 - as above
_NEWEST = f"""
SELECT of, (SELECT max(start_us) FROM candles WHERE symbol = of AND interval = '1m' AND source = '{TRADES}')
FROM unnest(?::text[]) AS of
"""  # noqa: S608 - as above


class _NotWritten(MarketError):
    """The connection was lost before the transaction's end was asked for, or the server broke it off: it may be begun again."""


class PostgresWriter(StoreWriter[PostgresConnection]):
    """An `app.market.protocol.Writer` on the PostgreSQL at ``url``, connected at the first call, and then migrated if
    ``migrates``. For one thread at a time. A statement that takes longer than ``statement_s`` is a ``market_timeout``, also where
    the server hangs or the network swallows what is sent.

    A batch whose connection is lost before its end was asked for is written again over another one. Lost later, the error says
    that nobody knows; the same batch may then come again: its trades are found, and its offsets say whether it was written.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str = "",
        busy_s: float = _BUSY_S,
        clock_us: Callable[[], int] = now_us,
        grids: int = GRIDS,
        migrates: bool = True,
        statement_s: float = STATEMENT_S,
    ) -> None:
        super().__init__(clock_us=clock_us, grids=grids)
        self._target, self._migrates = target_of(url, password), migrates
        self._busy_s, self._statement_s = busy_s, statement_s
        self._connection: PostgresConnection | None = None
        self._count: int | None = None

    def apply(self, batch: Batch, then: Then | None = None) -> Applied:
        """Again, where it was certainly not written, and nobody was told of it."""
        for _ in range(_AGAIN - 1 if then is None else 0):
            try:
                return super().apply(batch)
            except _NotWritten:
                pass
        return super().apply(batch, then)

    def close(self) -> None:
        """May be opened again by another call."""
        if self._connection is not None:
            self._connection.link.close()
        self._connection = None
        self._forget()

    @contextmanager
    def _transaction(self) -> Iterator[PostgresConnection]:
        link, is_ending = None, False
        try:
            connection = self._opened()
            link = connection.link
            link.deadline = math.inf
            (count,) = connection.execute(_COUNT).fetchone() or (None,)
            if count is None:
                raise MarketError("market_error", f"{self._target.place}: the table marks has no row 'writes'. Restore a backup")
            if self._count is None or count != self._count + 1:
                self._forget()
            yield connection
            is_ending = True
            link.commit()
            self._count = count
        except (psycopg.Error, ArithmeticError, msgspec.MsgspecError) as error:
            said = self._error(error, link, is_ending=is_ending)
            self._left(link)
            raise said from error
        except BaseException:
            self._left(link)
            raise

    def _left(self, link: Link | None) -> None:
        """A transaction that did not end well: nothing of it is kept, and a connection that may be no more is closed."""
        self._forget()
        if link is None:
            return
        try:
            link.deadline = time.monotonic() + 1.0
            link.rollback()
        except psycopg.Error:
            link.close()
        if link.closed:
            self._connection = None

    def _error(self, error: Exception, link: Link | None, *, is_ending: bool) -> Exception:
        """What a failure means to the caller; without a ``link`` there was no connection. What the server breaks off at its
        end was not written.
        """
        detail = f"{self._target.place}: {error}"
        if isinstance(error, psycopg.DataError):
            return ValueError(f"PostgreSQL cannot store it: {error}")
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return MarketError("market_busy", detail)
        if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return MarketError("market_error", detail)
        if is_ending and (link is None or link.closed or not error.sqlstate):
            return MarketError("market_error", f"{detail}. Whether the transaction was written is not known")
        if link is not None:
            is_late = isinstance(error, psycopg.errors.QueryCanceled) or not (error.sqlstate or link.closed)
            return MarketError("market_timeout", detail) if is_late else _NotWritten("market_error", detail)
        return MarketError("market_error", detail)

    def _opened(self) -> PostgresConnection:
        if self._connection is None or self._connection.link.closed:
            self._forget()
            self._connection = connect(
                self._target,
                migrates=self._migrates,
                within_s=CONNECT_S,
                statement_s=self._statement_s,
                lock_timeout=round(self._busy_s * 1000),
                idle_in_transaction_session_timeout=round(_IDLE_S * 1000),
            )
            self._connection.execute(_INCOMING)
            self._connection.link.commit()
        return self._connection

    def _table(self, connection: PostgresConnection, known: Mapping[str, Sequence[int]]) -> MinuteTable:
        return _Minutes(connection, known, self._clock_us())

    def _forget(self) -> None:
        super()._forget()
        self._count = None

    def _insert(
        self, connection: PostgresConnection, series: Series, cancelled: set[tuple[int, str]], *, which: bool
    ) -> list[Trade] | None:
        if not series:
            return []
        rows = _rows(series, cancelled)
        with connection.link.cursor() as cursor:
            if not which:
                try:
                    with cursor.copy(_COPY.format("trades")) as copy:
                        copy.write(rows)
                except psycopg.errors.UniqueViolation:
                    return None
                return list(chain.from_iterable(series.values()))
            with cursor.copy(_COPY.format("incoming")) as copy:
                copy.write(rows)
            written = set(cursor.execute(_INSERT).fetchall())
        return written_ones(series, written)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", _NULL: "\\x01"})
"""Of the signs that mean something to COPY."""


def _rows(series: Series, cancelled: set[tuple[int, str]]) -> str:
    """Trades as COPY reads them."""
    rows, nulls = list[str](), 0
    for number, trades in series.items():
        for trade in trades:
            key, trade_id = trade.key, trade.trade_id
            if key.lstrip("0") == trade_id:
                trade_id = _NULL
                nulls += 1
            flags = f"{trade.closing}\t{(number, key) in cancelled}" if cancelled or trade.closing else "f\tf"
            rows.append(
                f"{number}\t{key}\t{trade.time_us}\t{trade_id}\t{plain(trade.price)}\t{plain(trade.size)}\t{trade.side}\t"
                f"{trade.source}\t{flags}\n"
            )
    text = "".join(rows)
    # To look at each text costs more.
    counts = text.count("\t"), text.count("\n"), text.count(_NULL)
    if counts == (9 * len(rows), len(rows), nulls) and "\\" not in text and "\r" not in text:
        return text
    return "".join(_escaped(number, trade, cancelled) for number, trades in series.items() for trade in trades)


def _escaped(number: int, trade: Trade, cancelled: set[tuple[int, str]]) -> str:
    key, trade_id, source = (each.translate(_ESCAPES) for each in (trade.key, trade.trade_id, trade.source))
    if trade.key.lstrip("0") == trade.trade_id:
        trade_id = _NULL
    numbers = plain(trade.price), plain(trade.size)
    row = number, key, trade.time_us, trade_id, *numbers, trade.side, source, trade.closing, (number, trade.key) in cancelled
    return "\t".join(map(str, row)) + "\n"


class _Minutes(MinuteTable):
    """With one statement for all symbols."""

    def bars(self, minutes: Sequence[Minute]) -> dict[Minute, Kept]:
        symbols, firsts, lasts = map(list, zip(*runs(minutes), strict=True))
        rows = self._connection.execute(_BARS, (symbols, firsts, lasts))
        return {Minute(symbol, row[0]): kept_of(row) for symbol, *row in rows}

    def newest(self, symbols: Iterable[str]) -> dict[str, int]:
        rows = self._connection.execute(_NEWEST, (list(symbols),))
        return {symbol: start_us for symbol, start_us in rows if start_us is not None}
