"""The mean of prices is exact until it is rounded, once."""

from decimal import Decimal

import pytest

from app.domain.averages import mean


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        (["101.50"], "101.5"),
        (["1", "2"], "1.5"),
        (["1", "1", "2"], "1.33333333333"),
        (["2", "2", "1"], "1.66666666667"),
        (["0.1", "0.2", "0.3", "0.4", "0.5"], "0.3"),
        (["100000000000", "100000000001"], "100000000000"),
        (["100000000001", "100000000002"], "100000000002"),
        (["1000000000000000000000000000001", "1"], "500000000000000000000000000000"),
        (["0.000000000000000000000000000001", "0.000000000000000000000000000002"], "0.0000000000000000000000000000015"),
    ],
)
def test_a_mean_has_12_digits_and_a_half_goes_to_the_even_one(prices: list[str], expected: str) -> None:
    assert mean([Decimal(each) for each in prices]) == Decimal(expected)
