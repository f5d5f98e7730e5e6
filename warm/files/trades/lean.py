"""QuantConnect Lean's trade ticks (https://github.com/QuantConnect/Lean/tree/master/Data): CSV without a header, zipped, the
date in its name (``20131007_trade.zip/20131007_ibm_Trade_Tick.csv``, or ``…_btcusd_tick_trade.csv``).

* Equities: ``milliseconds,price times 10,000,size,exchange,condition,suspicious``, since midnight in New York. The venue is the
  exchange, in small letters (``nasdaq``, ``finra``; its letter in older files means the same). A tick marked as suspicious is
  refused, as Lean's own bars leave it out. The condition is a hexadecimal number of flags, of which one is for closing prints.
* Crypto: ``milliseconds,price,size``, since midnight UTC, not scaled; the venue is the folder above ``tick`` (gdax is coinbase).

A tick has no id and no side. The symbol is in the name: ``ibm`` is IBM, ``btcusd`` BTC-USD.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.prices import EXACT
from app.domain.symbols import canonical_symbol
from warm.files.read import Source
from warm.files.trades.batches import BadRow
from warm.files.trades.building import Meaning, Named
from warm.files.trades.names import Options
from warm.files.trades.numbers import missing, number, price_of
from warm.files.trades.tables import Layout

_name = re.compile(r"(\d{8})_(.+?)_(?:trade_tick|tick_trade)", re.IGNORECASE).fullmatch
_ticker = re.compile(r"[a-z0-9.]+", re.IGNORECASE).fullmatch
_number = re.compile(r"\d+(\.\d+)?", re.ASCII).fullmatch
_EQUITY, _CRYPTO = 6, 3
_LETTERS = {
    "A": "nyse-mkt", "B": "nasdaq-bx", "C": "nse", "D": "finra", "I": "ise", "J": "edga", "K": "edgx", "M": "cse", "N": "nyse",
    "P": "arca", "Q": "nasdaq", "S": "siac", "T": "nasdaq", "W": "cboe", "X": "nasdaq-psx", "Y": "bats-y", "Z": "bats",
}  # fmt: skip
_CRYPTO_VENUES = {"gdax": "coinbase", "coinbasepro": "coinbase"}
_NEW_YORK = ZoneInfo("America/New_York")
_UTC = ZoneInfo("UTC")
_flags = re.compile(r"[0-9a-f]{8}", re.IGNORECASE).fullmatch
_CLOSING = 1 << 7
_NOON_US, _DAY_MS = 12 * 3_600_000_000, 24 * 3_600_000


def of_fields(source: Source, fields: Sequence[str]) -> bool:
    """Whether a file without a header has Lean's trade ticks, by its first row and its name."""
    named = _named(source)
    if named is None or len(fields) not in (_EQUITY, _CRYPTO) or not all(_number(each) for each in fields[:3]):
        return False
    return Decimal(fields[0]) < _DAY_MS and (len(fields) == _CRYPTO or not _number(fields[3]) or "tick" in source.stem.lower())


def _named(source: Source) -> tuple[str, str] | None:
    """The day and the ticker of a file of ticks."""
    found = _name(source.stem)
    if found and _ticker(found[2]):
        return found[1], found[2]
    return None


def layout(source: Source, fields: Sequence[str], options: Options) -> Layout | None:
    """How its rows are read, if they are Lean's.

    Raises:
        InputRefused: its name tells no day that there is.
    """
    if not of_fields(source, fields) or (named := _named(source)) is None:
        return None
    symbol = source.symbol or canonical_symbol(named[1])
    equity = len(fields) == _EQUITY
    try:
        midnight = datetime.strptime(named[0], "%Y%m%d").replace(tzinfo=_NEW_YORK if equity else _UTC)
    except ValueError as error:
        raise source.refuse(f"its name tells no day ({named[0]})") from error
    at = {"time": 0, "price": 1, "size": 2}
    since = _since(midnight)
    if equity:
        meaning = Meaning("lean", lambda venue, _: Named(_venue(venue), symbol, since), price=_unscaled, closing=_is_closing)
        return Layout(meaning, at | {"venue": 3, "condition": 4}, _EQUITY, {"symbol": symbol}, _trusted)
    folders = source.folders
    market = folders[folders.index("tick") - 1] if "tick" in folders[1:] else "unknown"
    venue = options.venue or _CRYPTO_VENUES.get(market, market)
    return Layout(Meaning("lean", lambda *_: Named(venue, symbol, since)), at, _CRYPTO, {"symbol": symbol})


def _venue(written: str | None) -> str:
    if written is None or missing(written):
        return "unknown"
    return _LETTERS.get(written.strip().upper(), written.strip().lower().replace(" ", "-"))


def _trusted(fields: Sequence[str]) -> None:
    if fields[5] not in ("0", ""):
        raise BadRow("suspicious", "suspicious", fields[5])


@lru_cache(4096)
def _is_closing(condition: str) -> bool:
    """Whether a tick is the exchange's closing print. Older files have letters there, which no flags are."""
    return bool(_flags(condition) and int(condition, 16) & _CLOSING)


@lru_cache(65_536)
def _unscaled(value: str) -> Decimal:
    price = price_of(value)
    if price % 1:
        # Not times 10,000, then, and a price that is 10,000 times too low would be no error that anybody sees.
        raise BadRow("not_whole", "price", value)
    return price.scaleb(-4, EXACT)


def _since(midnight: datetime) -> Callable[[Any], int]:
    """What makes epoch microseconds of milliseconds on the clock of a day, reckoned from its noon: what puts the clock does so
    at night, when nobody trades.
    """
    start_us = round(midnight.replace(hour=12).timestamp()) * 1_000_000 - _NOON_US

    def moment_us(value: Any) -> int:  # noqa: ANN401
        ms = int(value) if isinstance(value, str) and value.isdigit() else number(value, "time")
        if not 0 <= ms < _DAY_MS:
            raise BadRow("out_of_range", "time", value)
        return start_us + int(ms * 1000)

    return moment_us
