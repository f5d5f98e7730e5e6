"""Candles as a function of the set of trades: any order, split or repetition of the same trades gives the same candle.

High and low are extremes, open and close go by the trades' order, and sums are exact. What cannot be merged, realised variance
and covered seconds, is computed anew from the last price of each second (`realised`); those grids can be merged.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from operator import attrgetter, mul
from typing import Literal

import msgspec

from app.domain.prices import EXACT
from app.domain.trades import Order, Trade

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
CLOSING_US = 15 * MINUTE_US
"""How long after the close a print that is marked as the closing one may come."""
_SECONDS = 60

Coverage = Literal["complete", "backfilled", "open", "partial", "gap"]
"""From the best to the worst. ``backfilled``: what was lost has been filled in; ``open``: not over; ``partial``: heard only a
part of it; ``gap``: something is lost.
"""

Grid = dict[int, tuple[Order, float]]
"""Of a minute, the last price of each of its seconds that has a trade, with where that trade stands."""

_order = attrgetter("time_us", "venue", "key")


class Candle(msgspec.Struct, gc=False):
    """From ``open`` to ``close``. ``notional`` is the sum of price times size: divided by ``volume`` it is the VWAP. ``first``
    and ``last`` are where the trades stand that opened and closed it.
    """

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal
    trades: int
    first: Order
    last: Order

    def merge(self, other: "Candle") -> None:
        """Take in ``other``, of other trades of the same bar. The order of merging does not matter."""
        if other.first < self.first:
            self.open, self.first = other.open, other.first
        if other.last > self.last:
            self.close, self.last = other.close, other.last
        self.high = max(self.high, other.high)
        self.low = min(self.low, other.low)
        self.volume = EXACT.add(self.volume, other.volume)
        self.notional = EXACT.add(self.notional, other.notional)
        self.trades += other.trades


_VWAP = EXACT.copy()
_VWAP.prec = 18
_VWAP.clear_traps()


def vwap(notional: Decimal, volume: Decimal) -> Decimal:
    """Volume-weighted average price, to 18 significant digits."""
    return _VWAP.divide(notional, volume)


def minute_of(time_us: int, closes: Sequence[int] = (), *, closing: bool = False) -> int:
    """When the minute begins to whose bar a trade belongs: the session's last one for a trade in the second of the close, or
    ``closing`` within 15 minutes of it. ``closes``: when sessions close, ascending.
    """
    if closes:
        before = bisect_right(closes, time_us) - 1
        if before >= 0 and time_us - closes[before] < (CLOSING_US if closing else SECOND_US):
            time_us = closes[before] - 1
    return time_us - time_us % MINUTE_US


def by_minute(trades: Iterable[Trade], closes: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], list[Trade]]:
    """``trades``, none twice, by symbol and the minute whose bar they belong to, each minute's in order. Trades of size 0 move
    none and are left out. ``closes``, by symbol, as `minute_of` has it.
    """
    found: dict[tuple[str, int], list[Trade]] = {}
    for trade in trades:
        if not trade.size:
            continue
        symbol, time_us = trade.symbol, trade.time_us
        start_us = time_us - time_us % MINUTE_US
        if symbol in closes:
            start_us = minute_of(time_us, closes[symbol], closing=trade.closing)
        at = symbol, start_us
        if at in found:
            found[at].append(trade)
        else:
            found[at] = [trade]
    for group in found.values():
        group.sort(key=_order)
    return found


def candle_of(trades: Sequence[Trade]) -> Candle:
    """That of ``trades`` of one bar, at least one, in order, each with a size above 0."""
    prices, sizes = [each.price for each in trades], [each.size for each in trades]
    with localcontext(EXACT):
        volume, notional = sum(sizes, Decimal(0)), sum(map(mul, prices, sizes), Decimal(0))
    first, last = trades[0], trades[-1]
    return Candle(prices[0], max(prices), min(prices), prices[-1], volume, notional, len(trades), first.order, last.order)


def grid_of(start_us: int, trades: Sequence[Trade]) -> Grid:
    """That of ``trades`` of the minute that begins at ``start_us``, in order. What is later than it counts to its last second."""
    last: dict[int, Trade] = {}
    for trade in trades:
        last[(trade.time_us - start_us) // SECOND_US] = trade
    grid: Grid = {}
    for second in sorted(last):
        grid[min(second, _SECONDS - 1)] = _order(last[second]), float(last[second].price)
    return grid


def merge_grid(grid: Grid, other: Grid) -> None:
    """Take ``other``, of other trades of the same minute, into ``grid``. The order of merging does not matter."""
    for second, entry in other.items():
        if second not in grid or entry[0] > grid[second][0]:
            grid[second] = entry


def squares_of(grid: Grid, before: float | None) -> dict[int, float]:
    """Of a minute's seconds with a trade the squared log return from the last price before, ascending. A second without a trade
    keeps that price. ``before`` as `realised` has it; without it the first second has no return.
    """
    last, squares = before, {}
    for second in sorted(grid):
        price = grid[second][1]
        if last is not None:
            squares[second] = math.log(price / last) ** 2
        last = price
    return squares


def realised(grid: Grid, before: float | None) -> tuple[float, int]:
    """Realised variance of a minute that has trades, and the seconds of it that it covers.

    A second without a trade keeps the price before it. The variance is the sum of the squared log returns from one second to the
    next (Andersen and Bollerslev, 1998).

    Args:
        grid: at least one second.
        before: the close of the minute before; None where that has no trade, and the grid begins with the first trade.
    """
    covered = _SECONDS if before is not None else _SECONDS - min(grid)
    return math.fsum(squares_of(grid, before).values()), covered
