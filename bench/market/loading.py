"""``python -m bench.market.loading decide|peer URL PATH CANDLES TRADES``: fill an empty store with made-up candles and trades.

``decide`` writes them by Decide's market store as jobs do: bars as exports of a source, trades in batches. ``peer`` copies them
into the peer's tables. ``URL`` is empty for SQLite at ``PATH``.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from app.market.opening import open_writer
from app.market.protocol import Export, GivenBar, Symbol
from bench.market import made
from bench.market.writing import BATCH, SYMBOLS, batch

_AT_ONCE = 100_000
"""Bars of an export."""


def shares(candles: int) -> Iterator[tuple[str, int]]:
    """Symbols, and how many bars each has."""
    symbols = made.symbols_for(candles)
    for number, symbol in enumerate(symbols):
        yield symbol, candles // len(symbols) + (number < candles % len(symbols))


def _decide(url: str, path: str, candles: int, trades: int) -> None:
    writer = open_writer(url=url, path=Path(path))
    writer.put_symbols([Symbol(symbol, source=made.VENUE) for symbol, _ in shares(candles)])
    for symbol, count in shares(candles):
        for first in range(0, count, _AT_ONCE):
            bars = [GivenBar(*bar) for bar in made.bars(symbol, first, min(_AT_ONCE, count - first))]
            writer.put_bars(Export(symbol, "1m", made.VENUE, bars))
    for first in range(0, trades, BATCH):
        writer.apply(batch(first, min(BATCH, trades - first)))
    writer.close()


def _peer(url: str, _: str, candles: int, trades: int) -> None:
    from bench.peers.servers.market_tables import fill  # noqa: PLC0415 - the store needs no SQLAlchemy

    bars = (made.copied_bar(symbol, bar) for symbol, count in shares(candles) for bar in made.bars(symbol, 0, count))
    fill(url, bars, map(made.copied_trade, made.trades(made.symbols_of(SYMBOLS, "T"), 0, trades)))


WAYS: dict[str, Callable[[str, str, int, int], None]] = {"decide": _decide, "peer": _peer}


if __name__ == "__main__":
    WAYS[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
