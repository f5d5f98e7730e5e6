"""Prices and sizes as they are written, and when a trade was made, both without a float on the way."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.prices import EXACT, exact, plain
from warm.files.stamps import EPOCHS
from warm.files.trades.batches import BadRow

_REMEMBERED = 65_536
"""Values that are understood once: prices and sizes come again and again."""
MISSING = frozenset(("", "-", "null", "none", "nan", "n/a", "na", "<na>"))
"""What stands where there is no value, in small letters."""

_short = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII).fullmatch
_number = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII).fullmatch
_iso = re.compile(
    r"(\d{4}[-/.]?\d\d[-/.]?\d\d)[T D](\d\d:?\d\d(?::?\d\d)?)(?:[.,](\d{1,12}))? ?(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?", re.ASCII
).fullmatch
_UTC = ZoneInfo("UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=_UTC)
_US = timedelta(microseconds=1)
_MICRO = 6
_LENGTH_MAX = 200
"""Characters of a value; a longer one has too many digits anyway, and each would cost."""


def missing(value: object) -> bool:
    """Whether nothing is said."""
    return value is None or (isinstance(value, str) and value.strip().lower() in MISSING)


def number(value: str | float, column: str) -> Decimal:
    """``value`` with the digits that it is written with, a float's shortest ones.

    Raises:
        BadRow: it is no number, or has more digits than `app.domain.prices.RULE` allows.
    """
    if isinstance(value, str):
        if _short(value):
            return Decimal(value).normalize(EXACT)
        value = value.strip()
        if len(value) > _LENGTH_MAX or not _number(value):
            raise BadRow("missing_value" if missing(value) else "unparsable_value", column, value)
    elif value is None or isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow("missing_value" if value is None else "unparsable_value", column, value)
    try:
        return exact(value) if isinstance(value, float | str) else exact(str(value))
    except (ValueError, ArithmeticError):
        raise BadRow("out_of_range" if isinstance(value, str) else "unparsable_value", column, value) from None


@lru_cache(_REMEMBERED, typed=True)
def price_of(value: str | float) -> Decimal:
    """A price.

    Raises:
        BadRow: it is no number, or not above zero.
    """
    found = number(value, "price")
    if found <= 0:
        raise BadRow("not_positive", "price", value)
    return found


@lru_cache(_REMEMBERED, typed=True)
def size_of(value: str | float) -> Decimal:
    """A size.

    Raises:
        BadRow: it is no number, or below zero.
    """
    found = number(value, "size")
    if found < 0:
        raise BadRow("negative_size", "size", value)
    return found


_UNITS = tuple(
    (int(least), int(greatest), int(ms * 1000) if ms * 1000 >= 1 else 1, max(1, round(1 / (ms * 1000))))
    for least, greatest, ms in EPOCHS
)
"""Least and greatest value of a unit, and what makes microseconds of it: a factor and a divisor."""


def _us_of(value: int, written: object) -> int:
    """A time since 1970 in s, ms, µs or ns, told by its size, in µs, cut from finer."""
    for least, greatest, factor, divisor in _UNITS:
        if least <= value < greatest:
            return value * factor // divisor
    raise BadRow("unparsable_value", "time", written)


def _fraction_us(text: str) -> int:
    """A time since 1970 with decimals."""
    if not _short(text):
        text = plain(number(text, "time"))
    whole, _, rest = text.partition(".")
    us = _us_of(int(whole), text)
    places = len(str(us)) - len(whole.lstrip("0"))
    return us + int(rest[:places].ljust(places, "0")) if places > 0 and rest else us


@lru_cache(_REMEMBERED)
def _second_us(zone: ZoneInfo, day: str, clock: str, offset: str | None) -> int:
    ahead = {"z": "+00:00", "utc": "+00:00"}.get((offset or "").lower(), offset or "")
    digits = re.sub(r"\D", "", day) + "T" + clock.replace(":", "")
    moment = datetime.fromisoformat(digits + ahead.replace(":", ""))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
        if moment.astimezone(_UTC).astimezone(zone).replace(fold=0) != moment:
            raise ValueError("spring leaves it out")
    return (moment - _EPOCH) // _US


def _text_us(zone: ZoneInfo, value: str) -> int:
    text = value.strip()
    if len(text) > _LENGTH_MAX:
        raise BadRow("unparsable_value", "time", text)
    if text.isdigit() and text.isascii():
        return _us_of(int(text), value)
    found = _iso(text)
    if found is None:
        return _fraction_us(text)
    day, clock, rest, offset = found.groups()
    try:
        us = _second_us(zone, day, clock, offset)
    except ValueError:
        raise BadRow("unparsable_value", "time", value) from None
    return us + int(rest[:_MICRO].ljust(_MICRO, "0")) if rest else us


def moments(zone: ZoneInfo) -> Callable[[Any], int]:
    """What makes epoch microseconds, cut from finer, of a time: text in ISO 8601 (in ``zone`` where it names none), or a number
    of s, ms, µs or ns since 1970. It raises BadRow for anything else.
    """

    def moment_us(value: Any) -> int:  # noqa: ANN401
        if isinstance(value, str):
            return _text_us(zone, value)
        if isinstance(value, int) and not isinstance(value, bool):
            return _us_of(value, value)
        raise BadRow("missing_value" if value is None else "unparsable_value", "time", value)

    return moment_us


in_utc = moments(_UTC)
"""`moments` of UTC, which the clocks of venues of coins show."""
