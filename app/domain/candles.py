"""Candles as a function of the set of trades: any order, split or repetition of the same trades gives the same candle.

High and low are extremes, open and close go by the trades' keys, and sums are exact. What cannot be merged, realised variance and
covered seconds, is computed anew from the trades of the minute (`realised`).
"""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from app.domain.prices import EXACT
from app.domain.trades import Trade

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
_SECONDS = 60


class Candle(msgspec.Struct, gc=False):
    """From ``open`` to ``close``. ``notional`` is the sum of price times size: divided by ``volume`` it is the VWAP. The keys,
    (time_us, key), are those of the trades that opened and closed it.
    """

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal
    trades: int
    open_key: tuple[int, str]
    close_key: tuple[int, str]

    def merge(self, other: "Candle") -> None:
        """Take in ``other``, of other trades of the same bar. The order of merging does not matter."""
        if other.open_key < self.open_key:
            self.open, self.open_key = other.open, other.open_key
        if other.close_key > self.close_key:
            self.close, self.close_key = other.close, other.close_key
        self.high = max(self.high, other.high)
        self.low = min(self.low, other.low)
        self.volume = EXACT.add(self.volume, other.volume)
        self.notional = EXACT.add(self.notional, other.notional)
        self.trades += other.trades

    @property
    def vwap(self) -> Decimal:
        """Volume-weighted average price, to 18 significant digits."""
        return _VWAP.divide(self.notional, self.volume)


_VWAP = EXACT.copy()
_VWAP.prec = 18
_VWAP.clear_traps()


def candle_of(trade: Trade) -> Candle:
    """That of one trade, whose size is above 0."""
    key = (trade.time_us, trade.key)
    price = trade.price
    return Candle(price, price, price, price, trade.size, EXACT.multiply(price, trade.size), 1, key, key)


def candles_of(trades: Iterable[Trade], interval_us: int = MINUTE_US) -> dict[tuple[str, str, int], Candle]:
    """The candles of ``trades``, none twice, by venue, symbol and start. Trades of size 0 move none."""
    found: dict[tuple[str, str, int], Candle] = {}
    multiply, add = EXACT.multiply, EXACT.add
    for trade in trades:
        size = trade.size
        if not size:
            continue
        time_us, price = trade.time_us, trade.price
        at = (trade.venue, trade.symbol, time_us - time_us % interval_us)
        candle = found.get(at)
        if candle is None:
            found[at] = candle_of(trade)
            continue
        key = (time_us, trade.key)
        if key < candle.open_key:
            candle.open, candle.open_key = price, key
        if key > candle.close_key:
            candle.close, candle.close_key = price, key
        if price > candle.high:
            candle.high = price
        elif price < candle.low:
            candle.low = price
        candle.volume = add(candle.volume, size)
        candle.notional = add(candle.notional, multiply(price, size))
        candle.trades += 1
    return found


def realised(start_us: int, trades: Sequence[tuple[int, float]], before: float | None) -> tuple[float, int]:
    """Realised variance of a minute, and the seconds of it that it covers.

    The last price of each second makes a grid, on which a second without a trade keeps the price before it. The variance is the
    sum of the squared log returns from one second of the grid to the next (Andersen and Bollerslev, 1998).

    Args:
        start_us: when the minute begins.
        trades: times and prices of its trades, in the order of their keys.
        before: the last price of the minute before; None where that has no trade, and the grid begins with the first trade.
    """
    grid: dict[int, float] = {}
    for time_us, price in trades:
        grid[(time_us - start_us) // SECOND_US] = price
    if not grid:
        return 0.0, 0 if before is None else _SECONDS
    seconds = sorted(grid)
    covered = _SECONDS if before is not None else _SECONDS - seconds[0]
    last, squares = before, []
    for second in seconds:
        price = grid[second]
        if last is not None:
            squares.append(math.log(price / last) ** 2)
        last = price
    return math.fsum(squares), covered
