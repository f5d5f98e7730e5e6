"""Moving averages of the prices that providers give: means of the last ones, by the times that they are of."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import reduce
from typing import NamedTuple

from app.domain.prices import EXACT

WINDOW = 5
"""Of so many prices at most."""
_ROUNDED = Context(prec=12, rounding=ROUND_HALF_EVEN)


class Price(NamedTuple):
    """What a provider gave for ``time_us``. Of two for one time the one that was ``told_us`` later counts, of equals the higher;
    0: nobody says when it was told.
    """

    symbol: str
    provider: str
    time_us: int
    price: Decimal
    currency: str = ""
    told_us: int = 0


class Average(NamedTuple):
    """The mean of the ``prices`` from ``first_us`` to ``time_us``: the last `WINDOW` of a provider in one currency, or as many as
    there are.
    """

    symbol: str
    provider: str
    currency: str
    time_us: int
    average: Decimal
    prices: int
    first_us: int


def mean(prices: Sequence[Decimal]) -> Decimal:
    """Their exact sum over their number, rounded once, to 12 significant digits, half to even."""
    return _ROUNDED.divide(reduce(EXACT.add, prices), Decimal(len(prices)))
