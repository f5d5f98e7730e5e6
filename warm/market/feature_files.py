"""Rows of features of stored trades as files, symbol by symbol: whatever there is takes the memory of some thousand rows.

Polars writes them; every number is that of `app.domain.windows`.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl
from polars.io.plugins import register_io_source

from app.domain.feature_rows import Windowed, rows_of
from app.domain.features import HOUR_US, Features
from app.domain.trades import Trade
from app.errors import MarketError
from app.market.contents import Contents
from app.market.opening import open_contents
from app.options import MarketPlace
from warm.market.telling import Teller, Words, open_teller
from warm.report import open_as_usual, whole_file

WRITTEN = 0
NOT_WRITTEN = 1
USAGE = 2
STORE_FAILED = 3
INTERRUPTED = 130
_TYPES: Mapping[Any, type[pl.DataType]] = {str: pl.String, int: pl.Int64, float: pl.Float64}
COLUMNS = {field.name: _TYPES[field.type] for field in msgspec.structs.fields(Features)}
_ROWS = 20_000
_TOLD_TRADES = 10_000
WORDS = Words("features", "Rows of features", ("status", "file", "symbols", "trades", "rows", "bytes", "seconds", "trades_per_s"))
_SINKS: Mapping[str, Callable[[pl.LazyFrame, Path], object]] = {
    ".parquet": pl.LazyFrame.sink_parquet,
    ".csv": pl.LazyFrame.sink_csv,
    ".jsonl": pl.LazyFrame.sink_ndjson,
}


class Wanted(NamedTuple):
    """The rows of ``symbols`` (none: of all) from ``start_us`` to before ``end_us``, of windows of ``size`` trades."""

    out: Path
    start_us: int
    end_us: int
    symbols: Sequence[str]
    size: int


def write_features(wanted: Wanted, place: MarketPlace) -> int:
    """Write them, and tell; the exit code."""
    begun_s = time.monotonic()
    try:
        with open_contents(**place) as contents:
            known = contents.symbols()
    except MarketError as error:
        sys.stderr.write(f"features: the market store failed: {error}\n")
        return STORE_FAILED
    if unknown := [each for each in wanted.symbols if each not in known]:
        sys.stderr.write(f"features: not in the market store: {', '.join(unknown)}\n")
        return USAGE
    rows = _Rows(wanted._replace(symbols=sorted({*wanted.symbols} or known)), place, open_teller(sys.stderr, WORDS))
    code, report = _written(rows, wanted.out)
    seconds = time.monotonic() - begun_s
    report |= {"file": str(wanted.out), "seconds": round(seconds, 3), "exit_code": code}
    rows.teller.close(report | {"trades_per_s": round(rows.trades / seconds) if seconds > 0 else 0})
    return code


def _written(rows: "_Rows", out: Path) -> tuple[int, dict[str, Any]]:
    report: dict[str, Any] = {"symbols": len(rows.wanted.symbols)}
    try:
        with whole_file(out) as part:
            _SINKS[out.suffix.lower()](register_io_source(rows.frames, schema=COLUMNS), part)
            open_as_usual(part)
        counts = {"trades": rows.trades, "rows": rows.count, "bytes": out.stat().st_size}
        return WRITTEN, report | counts | {"status": "written"}
    except KeyboardInterrupt:
        return INTERRUPTED, report | {"status": "interrupted", "error": "interrupted; nothing was written"}
    except (OSError, MarketError, pl.exceptions.PolarsError) as error:
        if rows.failed is not None:
            return STORE_FAILED, report | {"status": "store_failed", "error": f"the market store failed: {rows.failed}"}
        return NOT_WRITTEN, report | {"status": "not_written", "error": f"{out} cannot be written: {error}"}
    except BaseException:
        rows.teller.stop()
        raise


class _Rows:
    """Makes and counts them. ``failed``: how the market store did, whatever Polars makes of that."""

    def __init__(self, wanted: Wanted, place: MarketPlace, teller: Teller) -> None:
        self.wanted, self.teller, self._place = wanted, teller, place
        self.trades = self.count = 0
        self.failed: MarketError | None = None

    def frames(self, *_: object) -> Iterator[pl.DataFrame]:
        """Some rows at a time."""
        rows = self._all()
        while True:
            some = list(islice(rows, _ROWS))
            yield pl.DataFrame({name: [getattr(each, name) for each in some] for name in COLUMNS}, schema=COLUMNS)
            self.count += len(some)
            if len(some) < _ROWS:
                return

    def _all(self) -> Iterator[Features]:
        """Each symbol at one moment of its own: one for all would keep what is written meanwhile from being cleared away."""
        try:
            for symbol in self.wanted.symbols:
                with open_contents(**self._place) as contents:
                    yield from self._of(contents, symbol)
        except MarketError as error:
            self.failed = error
            raise

    def _of(self, contents: Contents, symbol: str) -> Iterator[Features]:
        _, start_us, end_us, _, size = self.wanted
        windowed = Windowed(size)
        windowed.put(symbol, contents.moment.windows(symbol, start_us, size))
        gaps = contents.moment.lacking(symbol)
        first_us, last_us = contents.span(symbol)
        first_us = max(first_us, start_us)
        self.teller.file(symbol, max(0, min(last_us, end_us) - first_us))
        trades = self._counted(contents.trades(symbol, start_us, end_us), first_us)
        for hour, group in groupby(trades, lambda each: each.time_us // HOUR_US):
            # Those that may count in one of its rows.
            recent = [(each.from_us, each.to_us) for each in gaps if (hour - 1) * HOUR_US < each.to_us <= (hour + 1) * HOUR_US]
            yield from rows_of(group, windowed, {symbol: recent})

    def _counted(self, trades: Iterable[Trade], first_us: int) -> Iterator[Trade]:
        for trade in trades:
            self.trades += 1
            if self.trades % _TOLD_TRADES == 0:
                self.teller.read(trade.time_us - first_us, self.trades)
            yield trade
