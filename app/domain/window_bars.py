"""Bars of a minute's trades, of one symbol, and what they sum up to, as `app.domain.windows` needs them."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from itertools import groupby
from typing import NamedTuple

import msgspec

from app.domain.candles import Grid, grid_of, merge_grid, squares_of
from app.domain.features import HOUR_US, parkinson
from app.domain.prices import EXACT
from app.domain.trades import Trade

ZERO = Decimal(0)
SECONDS = 60
_COVERED_S = 54
"""What a minute must cover to count in the averages: 90 %."""
_DECAYS = 0.94, 0.99


class Bar(msgspec.Struct, gc=False):
    """A minute of a symbol's trades as windows need it. ``rv``: realised variance, of ``covered_s`` seconds of it; ``parkinson``:
    the variance of its range.
    """

    start_us: int
    close: float
    volume: float
    trades: int
    rv: float
    covered_s: int
    parkinson: float


class Hour(NamedTuple):
    """An hour's complete minutes. ``minutes`` of them count in the averages; ``decayed``: for each decay the sum of their
    variances, of the last one whole and of each before it once more decayed.
    """

    start_us: int
    rv: float
    covered_s: int
    minutes: int
    decayed: tuple[float, ...]


class Span(NamedTuple):
    """Sums of minutes."""

    rv: float
    covered_s: int
    parkinson: float = 0.0
    volume: float = 0.0
    trades: int = 0

    def plus(self, other: "Span") -> "Span":
        """With ``other`` minutes."""
        return Span(
            self.rv + other.rv,
            self.covered_s + other.covered_s,
            self.parkinson + other.parkinson,
            self.volume + other.volume,
            self.trades + other.trades,
        )


class Detail(msgspec.Struct, gc=False):
    """Of a ``bar`` that can still take a trade. ``squares`` are its squared log returns, of ``seconds``, ascending."""

    bar: Bar
    grid: Grid
    high: Decimal
    low: Decimal
    volume: Decimal
    seconds: list[int]
    squares: list[float]

    def add(self, start_us: int, trades: Sequence[Trade]) -> int:
        """Take in ``trades`` of it; the first second that they may change."""
        prices, sizes = [each.price for each in trades], [each.size for each in trades]
        with localcontext(EXACT):
            self.volume += sum(sizes, ZERO)
        high, low = max(prices), min(prices)
        self.high, self.low = max(self.high, high), min(self.low, low)
        self.bar.trades += len(trades)
        grid = grid_of(start_us, trades)
        merge_grid(self.grid, grid)
        return next(iter(grid))

    def refresh(self, second: int, before: float | None) -> None:
        """Bring the bar up to date from ``second`` of it on; ``before`` is the close before it."""
        grid, bar = self.grid, self.bar
        seconds = sorted(grid)
        first = bisect_left(seconds, second)
        squares = squares_of({at: grid[at] for at in seconds[first:]}, grid[seconds[first - 1]][1] if first else before)
        kept = bisect_left(self.seconds, second)
        self.seconds[kept:], self.squares[kept:] = squares.keys(), squares.values()
        bar.rv, bar.covered_s = math.fsum(self.squares), SECONDS if before is not None else SECONDS - seconds[0]
        bar.close, bar.volume = grid[seconds[-1]][1], float(self.volume)
        bar.parkinson = parkinson(float(self.high), float(self.low))


def bar_of(
    start_us: int, high: Decimal, low: Decimal, close: Decimal, volume: Decimal, trades: int, rv: float, covered_s: int
) -> Bar:
    """That of a stored candle of a minute's trades."""
    return Bar(start_us, float(close), float(volume), trades, rv, covered_s, parkinson(float(high), float(low)))


def hour_us(time_us: int) -> int:
    """When its hour begins."""
    return time_us - time_us % HOUR_US


def hours_of(bars: Iterable[Bar]) -> list[Hour]:
    """Of ``bars`` in order."""
    found = []
    for start_us, group in groupby(bars, lambda bar: hour_us(bar.start_us)):
        minutes = list(group)
        values = [bar.rv * SECONDS / bar.covered_s for bar in minutes if bar.covered_s >= _COVERED_S]
        decayed = []
        for decay in _DECAYS:
            total = 0.0
            for value in values:
                total = total * decay + value
            decayed.append(total)
        rv, covered_s = math.fsum([bar.rv for bar in minutes]), sum([bar.covered_s for bar in minutes])
        found.append(Hour(start_us, rv, covered_s, len(values), tuple(decayed)))
    return found


def averages(hours: Sequence[Hour]) -> list[float]:
    """For each decay the root of the weighted mean over ``hours``, in order; 0 where no minute counts."""
    count = sum([hour.minutes for hour in hours])
    found = []
    for place, decay in enumerate(_DECAYS):
        total = 0.0
        for hour in hours:
            total = total * decay**hour.minutes + hour.decayed[place]
        found.append(math.sqrt(total * (1 - decay) / (1 - decay**count)) if count else 0.0)
    return found


def span_of(bars: Sequence[Bar]) -> Span:
    """The sums of ``bars``."""
    return Span(
        math.fsum([bar.rv for bar in bars]),
        sum([bar.covered_s for bar in bars]),
        math.fsum([bar.parkinson for bar in bars]),
        math.fsum([bar.volume for bar in bars]),
        sum([bar.trades for bar in bars]),
    )
