"""What makes prices up: a process, whose every number follows from a seed, the symbol and its own state.

There is no clock and no other source of chance in it. So a run that is repeated, or split into pieces, is the same to the byte,
and no symbol's trades depend on which others there are. Prices are whole hundredths, sizes whole numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from heapq import merge
from random import Random
from statistics import NormalDist
from typing import NamedTuple, Protocol, TypeVar

from app.domain.candles import MINUTE_US
from app.domain.trades import SIMULATED, Side, Trade, trade_key

SYMBOLS: Mapping[str, str] = {
    "AAPL": "Apple",
    "GOOGL": "Alphabet",
    "MSFT": "Microsoft",
    "TSLA": "Tesla",
    "AMZN": "Amazon",
}
"""The default symbols, with their names."""

TICK = Decimal("0.01")
_FIRST_LEAST, _FIRST_MOST = 102_00, 490_00
"""What a symbol begins with. A step further its first trade still lies within 100 to 500."""
_TURN = 10
"""From so many times the first price, and from that part of it, a price is turned back."""

S = TypeVar("S")
_normal = NormalDist().inv_cdf
_LEAST = 2.0**-54


class Made(NamedTuple):
    """A trade: ``price`` in hundredths; ``number`` counts those of its symbol."""

    time_us: int
    symbol: str
    number: int
    price: int
    size: int
    side: Side


class Leap(NamedTuple):
    """What many trades did together: extremes and the last price in hundredths, how many they were and their sizes' sum."""

    high: int
    low: int
    close: int
    trades: int
    volume: int


class Process(Protocol[S]):
    """A way of making prices; ``S`` is what its next trade depends on, of one symbol."""

    def begin(self, symbol: str) -> S:
        """Before the first trade."""
        ...

    def resume(self, symbol: str, price: Decimal, number: int) -> S:
        """Behind a trade of that price and number: all that is known of what was."""
        ...

    def minute(self, symbol: str, state: S, start_us: int) -> tuple[list[Made], S]:
        """The trades of the minute that begins then, in order, and the state behind them."""
        ...

    def leap(self, symbol: str, state: S, minutes: int, random: Random) -> tuple[Leap, S]:
        """What so many minutes do together, without their trades, which are numbered as if there had been none."""
        ...


def first_price(seed: int, symbol: str) -> int:
    """In hundredths."""
    return _FIRST_LEAST + int(Random(f"{seed}/{symbol}").random() * (_FIRST_MOST - _FIRST_LEAST + 1))


def bounds(first: int) -> tuple[float, float]:
    """Where prices of a symbol that began with ``first`` are turned back."""
    return first / _TURN, first * _TURN


def normal(random: Random) -> float:
    """A standard normal number. `Random.random` alone is the same in every version of Python."""
    return _normal(random.random() or _LEAST)


def trades(process: Process[S], states: dict[str, S], start_us: int, minutes: int) -> Iterator[Sequence[Made]]:
    """All trades of ``minutes`` from the one that begins at ``start_us``, minute by minute, in order of time; ``states`` are the
    symbols', and go along.
    """
    for at_us in range(start_us, start_us + minutes * MINUTE_US, MINUTE_US):
        parts = []
        for symbol, state in states.items():
            made, states[symbol] = process.minute(symbol, state, at_us)
            parts.append(made)
        yield parts[0] if len(parts) == 1 else list(merge(*parts))


def trade_of(made: Made) -> Trade:
    """As the market store takes it."""
    number = str(made.number)
    return Trade(
        venue=SIMULATED,
        symbol=made.symbol,
        key=trade_key(number),
        time_us=made.time_us,
        price=made.price * TICK,
        size=Decimal(made.size),
        trade_id=number,
        side=made.side,
        source=SIMULATED,
    )
