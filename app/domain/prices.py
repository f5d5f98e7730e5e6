"""Exact prices and sizes: decimal numbers with the digits that their source wrote, and sums that do not depend on order."""

from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

DIGITS_MAX = 38
"""Significant digits of one number."""
PLACES_MAX = 30
"""Digits before the point, and behind it."""
RULE = f"a number of at most {DIGITS_MAX} digits, {PLACES_MAX} before and {PLACES_MAX} behind the point"

EXACT = Context(prec=200, Emax=999, Emin=-999, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped])
"""Sums and products of such numbers have fewer digits than its precision; one that had more would raise, and not be rounded."""

_ZERO = Decimal(0)
_USUAL = Context(prec=31, Emin=0, Emax=29, traps=[Inexact, InvalidOperation, Overflow, Clamped])
"""Keeps numbers of at most 31 digits and of no more places than allowed, for a small part of what counting digits costs."""


def exact(value: Decimal | str | float) -> Decimal:
    """``value`` as it was written, without trailing zeros: equal numbers are equal texts. A float is its shortest decimal.

    Raises:
        ValueError: it is no number, or has more digits than `RULE` allows.
    """
    try:
        found = value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueError(f"{str(value)[:40]!r} is no number; allowed: {RULE}") from None
    if not found.is_finite():
        raise ValueError(f"{str(value)[:40]!r} is no number; allowed: {RULE}")
    if not found:
        return _ZERO
    try:
        return _USUAL.normalize(found)
    except (Inexact, Overflow, Clamped):
        _, digits, exponent = found.as_tuple()
    assert isinstance(exponent, int)
    while digits[-1] == 0:
        digits = digits[:-1]
        exponent += 1
    if len(digits) > DIGITS_MAX or exponent < -PLACES_MAX or len(digits) + exponent > PLACES_MAX:
        raise ValueError(f"{str(value)[:80]!r} has too many digits; allowed: {RULE}")
    return found.normalize(EXACT)


def plain(value: Decimal) -> str:
    """The digits of ``value``, without an exponent and without trailing zeros."""
    text = str(value)
    if text[-1] != "0" and "E" not in text:
        return text
    return format(value.normalize(EXACT), "f") if value else "0"
