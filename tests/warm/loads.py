"""Loads of files of trades into a market store of a test's own."""

import io
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from app.market.protocol import Applied, Batch, Export, Partition, Put, Session, Symbol, Writer
from app.market.sqlite import EmbeddedWriter
from warm.market.load import Wanted, run_load
from warm.market.telling import LineTeller


class Killed(BaseException):
    """The process ended here."""


class Mortal:
    """A writer whose process is killed at the ``last`` batch, ``before`` it is written or after."""

    def __init__(self, writer: Writer, last: int, *, before: bool) -> None:
        self._writer, self._left, self._before = writer, last, before

    def apply(self, batch: Batch) -> Applied:
        """Of one or another batch the last."""
        self._left -= 1
        if self._left < 0 and self._before:
            raise Killed
        done = self._writer.apply(batch)
        if self._left < 0:
            raise Killed
        return done

    def put_bars(self, export: Export) -> Put:
        """As it is."""
        return self._writer.put_bars(export)

    def put_symbols(self, symbols: Sequence[Symbol]) -> None:
        """As it is."""
        self._writer.put_symbols(symbols)

    def put_sessions(self, market: str, sessions: Sequence[Session]) -> None:
        """As it is."""
        self._writer.put_sessions(market, sessions)

    def retain(self, days: int, now_us: int) -> int:
        """As it is."""
        return self._writer.retain(days, now_us)

    def offsets(self, log: str) -> Mapping[Partition, int]:
        """As it is."""
        return self._writer.offsets(log)

    def close(self) -> None:
        """As it is."""
        self._writer.close()


class Market:
    """The store in ``folder``; ``told`` is what loads say, and ``published`` whose last trades were published (None: all)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "market.sqlite3"
        self.told = io.StringIO()
        self.published: list[Sequence[str] | None] = []

    def load(
        self,
        *paths: Path,
        writer: Callable[[], Writer] | None = None,
        **wanted: Any,  # noqa: ANN401 - of `Wanted`
    ) -> tuple[int, dict[str, Any]]:
        """Exit code and report of a load."""

        def publish(symbols: Sequence[str] | None) -> int:
            self.published.append(symbols)
            return len(symbols or ())

        asked = Wanted(paths=paths, **wanted)
        return run_load(asked, open_writer=writer or self.writer, publish=publish, teller=LineTeller(self.told))

    def writer(self) -> Writer:
        """One of its own."""
        return EmbeddedWriter(self.path)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(statement).fetchall()

    def holds(self) -> list[list[tuple[Any, ...]]]:
        """Trades and bars, but for what tells of their arrival."""
        bars = "symbol, start_us, open, high, low, close, volume, notional, trades, open_key, close_key, covered_s, rv"
        return [
            self.rows("SELECT * FROM trades_in_full ORDER BY venue, symbol, trade_key"),
            self.rows(f"SELECT {bars} FROM candles ORDER BY symbol, start_us"),  # noqa: S608 - ours
            self.rows("SELECT symbol, name, market, currency, source FROM symbols ORDER BY symbol"),
        ]
