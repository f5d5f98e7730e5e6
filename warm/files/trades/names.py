"""Which venue and symbol the trades of a file are of, where its rows do not say it."""

import re
from typing import NamedTuple
from zoneinfo import ZoneInfo

from app.domain.symbols import canonical_symbol, never_closes
from app.domain.vector import is_symbol
from warm.calendar.exchanges import exchange, exchange_of
from warm.errors import InputRefused
from warm.files.names import name_of, saying
from warm.files.read import Source

_dated = re.compile(r"[-_]|[FGHJKMNQUVXZ]\d{2}$").search


class Options(NamedTuple):
    """What a caller says where a file does not: the venue, and the zone of times without one."""

    venue: str | None = None
    zone: ZoneInfo | None = None


class Unnamed(InputRefused):
    """A file of trades, and nothing tells their symbol."""


def named_by_file(source: Source, pattern: re.Pattern[str] | None = None) -> str:
    """The symbol that a file's name tells, its first group where it fits ``pattern``, as it is written there.

    Raises:
        Unnamed: it tells none.
    """
    fitting = pattern.match(source.stem) if pattern is not None and source.symbol is None else None
    symbol = fitting[1] if fitting else name_of(source).symbol
    if symbol is None or not is_symbol(canonical_symbol(symbol)):
        refusal = source.refuse(f"nothing in it tells the symbol, nor does its name; {saying(source, 'BTC-USD')}")
        raise Unnamed(str(refusal))
    return symbol


def told_by_file(source: Source, pattern: re.Pattern[str] | None = None) -> str | None:
    """The same, or None."""
    try:
        return named_by_file(source, pattern)
    except Unnamed:
        return None


def perpetual(symbol: str) -> str:
    """The name of a perpetual that a venue calls as it calls the pair (``BTCUSDT``). One with a date, or that is named otherwise
    already, stays what it is.
    """
    text = symbol.strip().upper()
    return text if _dated(text) else f"{text}-PERP"


def clock_of(symbol: str) -> ZoneInfo:
    """The zone of times without one: UTC for what never closes, else the exchange's."""
    return ZoneInfo("UTC") if never_closes(symbol) else exchange(exchange_of(symbol)).zone
