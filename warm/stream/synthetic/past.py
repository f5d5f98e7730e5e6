"""What a simulated market did before anybody looked: bars of days, and of minutes for the last day, of the same process.

The minutes are those of trades. What lies before them is made in leaps of an hour. Days are sums of these parts, so bars nest:
that of a day is what its leaps and minutes make.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import NamedTuple, TypeVar

from app.domain.candles import MINUTE_US
from app.domain.intervals import DAY_S
from app.market.protocol import GivenBar
from warm.stream.synthetic.process import TICK, Process

S = TypeVar("S")

DAY_US = DAY_S * 1_000_000
_HOUR_US = 60 * MINUTE_US


class Part(NamedTuple):
    """A bar, in hundredths; ``notional`` is the sum of price times size, None if no trades were made."""

    start_us: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    notional: int | None


class Past(NamedTuple):
    """``days`` that were over, in UTC; and ``minutes``, of those that had a trade."""

    days: list[GivenBar]
    minutes: list[GivenBar]


def past(process: Process[S], symbol: str, seed: int, until_us: int, days: int = 150) -> tuple[Past, S]:
    """The past of ``symbol`` up to the minute that ``until_us`` is in, which is left out, and the state to go on from there.
    ``days`` were over by then.
    """
    until_us -= until_us % MINUTE_US
    begin_us, minutes_us = until_us - until_us % DAY_US - days * DAY_US, until_us - DAY_US
    random, state, price = Random(f"{seed}/{symbol}/past"), process.begin(symbol), 0
    parts: list[Part] = []
    for start_us in range(begin_us, minutes_us, _HOUR_US):
        length = (min(start_us + _HOUR_US, minutes_us) - start_us) // MINUTE_US
        leap, after = process.leap(symbol, state, length, random)
        opened = price or leap.close
        high, low = max(leap.high, opened), min(leap.low, opened)
        parts.append(Part(start_us, opened, high, low, leap.close, leap.volume, leap.trades, None))
        state, price = after, leap.close
    minutes: list[Part] = []
    for start_us in range(minutes_us, until_us, MINUTE_US):
        made, state = process.minute(symbol, state, start_us)
        if made:
            prices = [each.price for each in made]
            volume, notional = sum(each.size for each in made), sum(each.price * each.size for each in made)
            minutes.append(Part(start_us, prices[0], max(prices), min(prices), prices[-1], volume, len(made), notional))
    parts += minutes
    over = [list(group) for day, group in groupby(parts, lambda part: part.start_us // DAY_US) if day < until_us // DAY_US]
    return Past([_bar(_day(each)) for each in over], [_bar(each) for each in minutes]), state


def _day(parts: Sequence[Part]) -> Part:
    """The bar of the day that ``parts``, in order, are of."""
    notionals = [each.notional for each in parts]
    return Part(
        parts[0].start_us // DAY_US * DAY_US,
        parts[0].open,
        max(each.high for each in parts),
        min(each.low for each in parts),
        parts[-1].close,
        sum(each.volume for each in parts),
        sum(each.trades for each in parts),
        None if None in notionals else sum(each for each in notionals if each is not None),
    )


def _bar(part: Part) -> GivenBar:
    opened, high, low, close = (each * TICK for each in (part.open, part.high, part.low, part.close))
    notional = None if part.notional is None else part.notional * TICK
    return GivenBar(part.start_us, opened, high, low, close, Decimal(part.volume), notional, part.trades)
