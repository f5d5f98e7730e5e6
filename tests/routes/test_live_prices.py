"""Which live prices are believed, and what is said of others."""

import math
import re

import pytest

from app.answering.live_prices import LivePrices
from app.errors import Problem
from tests.kit.records import AS_OF_MS, price_record

LIVE_PRICES = LivePrices("refuse")


@pytest.mark.parametrize("close", [123.456789, 0.000012345678, 1e-9, 99_999.99, *(10 * math.pi * each for each in range(1, 20))])
def test_the_bounds_that_are_named_are_themselves_allowed(close: float) -> None:
    """They have six digits, and so do not stand where the bounds are; the price that was refused has all of its own."""
    record = price_record(close=close)
    for price in (close / 3, close * 3):
        with pytest.raises(Problem) as refused:
            LIVE_PRICES.checked(price, record, AS_OF_MS, "price")
        told = re.match(r"price is (\S+); allowed: (\S+) to (\S+), ", refused.value.detail)
        assert told is not None
        assert float(told[1]) == pytest.approx(price, rel=1e-14)
        for bound in (float(told[2]), float(told[3])):
            assert LIVE_PRICES.checked(bound, record, AS_OF_MS, "price") == (bound, None)
        assert float(told[2]) == pytest.approx(close / 2, rel=1e-5)
        assert float(told[3]) == pytest.approx(close * 2, rel=1e-5)
