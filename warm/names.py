"""What a file's name says: ``BTC_USDT-5m.feather``, ``BTCUSDT-1h-2024-01.zip``, ``aapl.csv``, ``run_20240308_161500.json``."""

import re
from datetime import date
from typing import NamedTuple

from app.domain.symbols import COINS, FIAT, canonical_symbol
from app.domain.vector import is_symbol
from warm.intervals import interval_named

_NOISE = frozenset({
    "prices", "price", "bars", "bar", "ohlcv", "ohlc", "candles", "candle", "klines", "kline", "data", "history",
    "historical", "quotes", "stock", "stocks", "market", "trade", "trades", "futures", "spot",
    "coinbase", "binance", "kraken", "alpaca", "polygon", "yfinance", "yahoo", "alphavantage", "freqtrade", "full",
    "adjusted", "adj", "usa", "us", "equity", "crypto", "export", "download", "sample", "test", "table", "long", "wide",
    "all", "part", "file", "daily", "day", "hourly", "hour", "minute", "second", "weekly", "monthly", "intraday", "max",
    "d", "w", "m",
})  # fmt: skip
_date = re.compile(r"(19|20)\d{2}|(19|20)\d{2}(0[1-9]|1[0-2])|(19|20)\d{6}").fullmatch
_span = re.compile(r"\d{1,3}(y|yr|yrs|year|years|mo|days)").fullmatch
_part = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=]{0,19}").fullmatch
_day = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_.]?)(\d{2})\2(\d{2})(?=\D|$|[0-2]\d[0-5]\d(?:[0-5]\d)?(?!\d))")
_PARTS_MAX = 3
_DIGITS_MIN = 5


class Named(NamedTuple):
    """The canonical symbol and the interval that a name tells; None where it does not."""

    symbol: str | None
    interval: str | None


def day_named(name: str, today: date) -> date | None:
    """The day that ``name`` tells, as 2024-03-08 or 20240308, with or without a time of day, whose zone nothing tells.

    Of several it is the latest that is not after ``today``, as in a name with the first and the last day of a window: what was
    said is then never taken for older than it is.
    """
    days = []
    for year, _, month, day in _day.findall(name):
        try:
            days.append(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return max((each for each in days if each <= today), default=min(days, default=None))


def read_name(stem: str) -> Named:
    """What ``stem`` (a file's name without endings) tells. Words that name no symbol (prices, daily, 2024-01) are passed over."""
    interval: str | None = None
    parts: list[str] = []
    dated = perpetual = False
    for token in re.split(r"[-_ ]+", stem):
        told = interval_named(token)
        if told is not None:
            interval = interval or told
        elif _date(token) or (dated and token.isdigit()):
            dated = True
        elif token.lower() in ("perp", "swap"):
            perpetual = True
        elif token.lower() not in _NOISE and not _span(token.lower()) and token:
            parts.append(token)
    return Named(_symbol(stem, parts, perpetual=perpetual), interval)


def _symbol(stem: str, parts: list[str], *, perpetual: bool) -> str | None:
    """The symbol that what is left of a name spells: one word, a pair and maybe what settles it, or a class of shares. A lone
    number is one only if it is long, as in China.
    """
    if not 1 <= len(parts) <= _PARTS_MAX or not all(_part(each) for each in parts):
        return None
    if len(parts) == 1:
        if parts[0].isdigit() and len(parts[0]) < _DIGITS_MIN:
            return None
        found = canonical_symbol(parts[0])
    elif parts[1].upper() in FIAT | COINS and all(each.upper() in FIAT | COINS | {parts[0].upper()} for each in parts[2:]):
        found = canonical_symbol("_".join(parts))
    elif len(parts) == 2 and re.fullmatch(r"[A-Z]", parts[1]) and f"{parts[0]}-{parts[1]}" in stem:  # noqa: PLR2004
        found = canonical_symbol("-".join(parts))
    else:
        return None
    base, dash, quote = found.partition("-")
    if perpetual and ":" not in found:
        # What settles a perpetual is what it is quoted in, but for dollars, which no coin-margined one is settled in.
        found = f"{found}:{base if quote == 'USD' else quote}" if dash else found
    return found if is_symbol(found) else None
