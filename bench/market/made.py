"""Market data that is made up: the same for the same numbers, so that every store and every peer has the same.

Nothing is drawn: prices and sizes stand in tables whose lengths share no factor, and who asks says which bar or trade.
"""

import functools
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

MINUTE_US = 60_000_000
FIRST_US = 1_699_999_980_000_000
"""When the first bar begins and the first trade was made: a whole minute."""
TRADE_US = 100
"""From one trade to the next, of all symbols together: 10,000 a second."""
VENUE = "bench"
BARS_OF_A_SYMBOL = 1_000_000
"""Nearly two years of minutes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEED = 21


def _walk(count: int) -> tuple[Decimal, ...]:
    """Prices that move as prices do, and end where they began."""
    rng = random.Random(_SEED)
    steps = [rng.gauss(0.0, 0.0006) for _ in range(count)]
    drift = sum(steps) / count
    logs = itertools.accumulate(step - drift for step in steps)
    return tuple(Decimal(f"{100 * math.exp(each):.2f}") for each in logs)


def _sizes(count: int) -> tuple[Decimal, ...]:
    rng = random.Random(_SEED + 1)
    return tuple(Decimal(f"{rng.lognormvariate(-2.0, 1.5):.8f}") + Decimal("0.00000001") for _ in range(count))


_PRICES, _SIZES = _walk(10_007), _sizes(10_009)
_TICK = Decimal("0.03")


class MadeBar(NamedTuple):
    """A minute."""

    start_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class MadeTrade(NamedTuple):
    """A trade; ``number`` is its id."""

    symbol: str
    number: int
    time_us: int
    price: Decimal
    size: Decimal
    side: str


def symbols_of(count: int, letter: str) -> list[str]:
    """So many names that begin with ``letter``."""
    return [f"{letter}{number:04d}-USD" for number in range(count)]


def symbols_for(bars: int) -> list[str]:
    """Those among which so many bars are shared out: whole symbols as long as there are enough bars for one."""
    return symbols_of(max(1, bars // BARS_OF_A_SYMBOL), "C")


def bars(symbol: str, first: int, count: int) -> Iterator[MadeBar]:
    """Those from number ``first`` on, one each minute."""
    shift = int(symbol[1:5]) * 37
    for number in range(first, first + count):
        at = (number + shift) % len(_PRICES)
        opened, closed = _PRICES[at], _PRICES[(at + 1) % len(_PRICES)]
        high, low = (opened, closed) if opened > closed else (closed, opened)
        volume = _SIZES[(number * 7 + shift) % len(_SIZES)]
        yield MadeBar(FIRST_US + number * MINUTE_US, opened, high + _TICK, low - _TICK, closed, volume)


def trades(symbols: Sequence[str], first: int, count: int) -> Iterator[MadeTrade]:
    """Those from number ``first`` on, of all symbols as they come: the k-th has a share of 1/k, as on most venues."""
    chosen = _shares(len(symbols))
    for number in range(first, first + count):
        of = chosen[number % len(chosen)]
        price = _PRICES[(number // 500 + of * 37) % len(_PRICES)]
        size = _SIZES[number % len(_SIZES)]
        side = "buy" if number * 7919 % 13 < 7 else "sell"  # noqa: PLR2004 - slightly more of the one
        yield MadeTrade(symbols[of], number + 1, FIRST_US + number * TRADE_US, price, size, side)


@functools.cache
def _shares(count: int) -> list[int]:
    rng = random.Random(_SEED + 2)
    return rng.choices(range(count), [1 / (rank + 1) for rank in range(count)], k=65_537)


def iso(time_us: int) -> str:
    """As ISO 8601, in UTC, exactly."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def copied_bar(symbol: str, bar: MadeBar) -> str:
    """A line for the peer's table."""
    start_us, *numbers = bar
    values = "\t".join(map(str, numbers))
    return f"{symbol}\t1m\t{values}\t{iso(start_us)}\t{iso(start_us + MINUTE_US)}\n"


def copied_trade(trade: MadeTrade) -> str:
    """A line for the peer's table."""
    symbol, number, time_us, price, size, side = trade
    return f"{symbol}\t{number}\t{iso(time_us)}\t{price}\t{size}\t{side}\t{VENUE}\t{VENUE}\n"
