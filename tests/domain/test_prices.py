"""Exact decimals: what was written comes out, digit for digit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.prices import DIGITS_MAX, PLACES_MAX, exact, plain


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("0.00000001", "0.00000001"),
        ("123456789.123456789", "123456789.123456789"),
        ("1e-8", "0.00000001"),
        ("0.123456789012345678", "0.123456789012345678"),
        ("7.10", "7.1"),
        ("100", "100"),
        ("1E+2", "100"),
        ("-0.0", "0"),
        (0.1, "0.1"),
        (5e-324 * 0, "0"),
        (12, "12"),
        ("123.4500", "123.45"),
        ("12345678901234567890.1234567890123400", "12345678901234567890.12345678901234"),
    ],
)
def test_digits_come_out_as_they_were_written(written: str | float, digits: str) -> None:
    """Without trailing zeros and exponents."""
    assert plain(exact(written)) == digits


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18, places=18))
def test_equal_numbers_are_equal_texts(number: Decimal) -> None:
    """However they were written; and the text is the number."""
    assert Decimal(plain(exact(number))) == number
    assert plain(exact(str(number))) == plain(exact(f"{number:E}"))


@given(st.integers(1, 10**45), st.integers(-50, 40))
def test_a_number_is_allowed_by_its_digits_and_places(number: int, exponent: int) -> None:
    """Whatever trailing zeros it was written with; up to each of the three bounds, and beyond."""
    digits = str(number).rstrip("0")
    places = exponent + len(str(number)) - len(digits)
    is_allowed = len(digits) <= DIGITS_MAX and -places <= PLACES_MAX and len(digits) + places <= PLACES_MAX
    try:
        found = exact(f"{number}E{exponent}")
    except ValueError:
        assert not is_allowed
    else:
        assert is_allowed
        assert found.as_tuple() == (0, tuple(map(int, digits)), places)


@pytest.mark.parametrize(
    "wrong", ["", "abc", "NaN", "Infinity", "-inf", float("nan"), float("inf"), "1" * 39, "1e-31", "1e30", "1_0x"]
)
def test_what_is_no_such_number_is_refused(wrong: str | float) -> None:
    """With what is allowed."""
    with pytest.raises(ValueError, match="allowed"):
        exact(wrong)
