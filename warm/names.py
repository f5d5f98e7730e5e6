"""What a price file's name says: ``BTC_USDT-5m.feather``, ``BTCUSDT-1h-2024-01.zip``, ``aapl.csv``, ``BRK-B_1d.csv``."""

import re
from typing import NamedTuple

from app.domain.symbols import COINS, FIAT, canonical_symbol
from app.domain.vector import is_symbol
from warm.intervals import interval_named

_NOISE = frozenset({
    "prices", "price", "bars", "bar", "ohlcv", "ohlc", "candles", "candle", "klines", "kline", "data", "history",
    "historical", "quotes", "stock", "stocks", "market", "trade", "trades", "futures", "spot", "perp", "swap",
    "coinbase", "binance", "kraken", "alpaca", "polygon", "yfinance", "yahoo", "alphavantage", "freqtrade", "full",
    "adjusted", "adj", "usa", "us", "equity", "crypto", "export", "download", "sample", "test", "table", "long", "wide",
    "all", "part", "file", "daily", "day", "hourly", "hour", "minute", "second", "weekly", "monthly", "intraday",
})  # fmt: skip
_date = re.compile(r"(19|20)\d{2}|(19|20)\d{4}|(19|20)\d{6}").fullmatch
_part = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=]{0,19}").fullmatch
_PARTS_MAX = 3


class Named(NamedTuple):
    """The canonical symbol and the interval that a name tells; None where it does not."""

    symbol: str | None
    interval: str | None


def read_name(stem: str) -> Named:
    """What ``stem`` (a file's name without endings) tells. Words that name no symbol (prices, daily, 2024-01) are passed over."""
    interval: str | None = None
    parts: list[str] = []
    dated = False
    for token in re.split(r"[-_ ]+", stem):
        told = interval_named(token)
        if told is not None:
            interval = interval or told
        elif _date(token) or (dated and token.isdigit()):
            dated = True
        elif token.lower() not in _NOISE and token:
            parts.append(token)
    return Named(_symbol(parts), interval)


def _symbol(parts: list[str]) -> str | None:
    if not 1 <= len(parts) <= _PARTS_MAX or not all(_part(each) for each in parts):
        return None
    if len(parts) == 1:
        found = canonical_symbol(parts[0])
    elif parts[1].upper() in FIAT | COINS or (len(parts) == 2 and len(parts[1]) == 1):  # noqa: PLR2004
        found = canonical_symbol("_".join(parts) if len(parts[1]) > 1 else "-".join(parts))
    else:
        return None
    return found if is_symbol(found) else None
