"""What a file's name says: ``BTC_USDT-5m.feather``, ``BTCUSDT-1h-2024-01.zip``, ``aapl.csv``, ``run_20240308_161500.json``."""

import fnmatch
import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from app.domain.symbols import COINS, FIAT, canonical_symbol, never_closes
from app.domain.vector import SYMBOL_RULE, is_symbol
from warm.errors import InputRefused
from warm.files import Source
from warm.intervals import BY_SECONDS, interval_named

_NOISE = frozenset({
    "prices", "price", "bars", "bar", "ohlcv", "ohlc", "candles", "candle", "candlesticks", "klines", "kline", "data",
    "history", "candlestick", "historical", "quotes", "stock", "stocks", "market", "trade", "trades", "futures", "spot",
    "linear", "inverse", "index", "coinbase", "binance", "binanceus", "kraken", "bybit", "okx", "okex", "bitstamp", "bitfinex",
    "gemini", "kucoin", "huobi", "htx", "gateio", "mexc", "bitget", "deribit", "bitmex", "poloniex", "upbit", "bithumb",
    "hyperliquid", "dydx", "ftx", "coinmarketcap", "coingecko", "cryptodatadownload", "oanda", "dukascopy", "fxcm", "histdata",
    "dat", "ascii", "mt", "mt4", "mt5", "nt", "metatrader", "ninjatrader", "tradingview", "alpaca", "polygon", "yfinance",
    "yfin", "yf", "yahoo", "yahoofinance", "alphavantage", "alpha", "vantage", "av", "tiingo", "eodhd", "eod", "stooq",
    "investing", "com", "twelvedata", "twelve", "fmp", "finnhub", "quandl", "marketstack", "akshare", "tushare", "baostock",
    "finrl", "freqtrade", "ccxt", "currency", "currencies", "digital", "forex", "full", "compact", "adjusted", "adj",
    "unadjusted", "adjsplit", "adjsplitdiv", "usa", "us", "equity", "crypto", "export", "download", "sample", "test", "train",
    "table", "long", "wide", "all", "part", "file", "daily", "day", "hourly", "hour", "minute", "second", "weekly", "monthly",
    "intraday", "max", "from", "to", "until", "since", "latest", "final", "clean", "cleaned", "raw", "new", "old", "copy",
    "bid", "ask", "mid", "last", "utc", "gmt", "est", "d", "w", "m",
})  # fmt: skip
_WORDS = frozenset(word for word in _NOISE if len(word) > 3)  # noqa: PLR2004
"""Those that a number may stand behind: prices2024."""

_VENUES = {
    **dict.fromkeys(("nasdaq", "nyse", "amex", "arca", "nysearca", "bats", "otc", "cboe", "fx", "idc", "tvc", "sp", "dj"), ""),
    "xetr": ".DE", "fwb": ".F", "lse": ".L", "tse": ".T", "hkex": ".HK", "sse": ".SH", "szse": ".SZ", "nse": ".NS", "bse": ".BO",
    "asx": ".AX", "tsx": ".TO", "krx": ".KS", "mil": ".MI", "bme": ".MC", "six": ".SW", "twse": ".TW", "sgx": ".SI",
    "bmfbovespa": ".SA", "omxsto": ".ST", "omxcop": ".CO", "omxhex": ".HE", "gpw": ".WA", "bist": ".IS", "jse": ".JO",
}  # fmt: skip
"""Exchanges as TradingView puts them before a symbol, with the suffix that says the same."""

_NAMES = {"bitcoin": "BTC", "ethereum": "ETH", "litecoin": "LTC", "solana": "SOL", "dogecoin": "DOGE", "cardano": "ADA"}
_PERPETUAL = frozenset({"perp", "perpetual", "swap"})
_DATE = "@"
"""What stands for a date in a name that is taken apart."""

_date = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?:T?\d{4}(?:\d\d)?Z?)?"
    r"|[0-3]?\d([-_.])[0-3]?\d\2(?:19|20)\d\d|(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])|(?:19|20)\d\d(?:[-_ ]?[QH][1-4])?"
    r"|1\d{9}(?:\d{3})?)(?![A-Za-z0-9])"
)
_clock = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?Z?|\d{1,2}").fullmatch
_again = re.compile(r" ?\(\d{1,3}\)| - Copy|\.(?i:last)$")
_span = re.compile(r"\d{1,3}(y|yr|yrs|year|years|mo|days)").fullmatch
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = rf"(?P<name>{'|'.join(_MONTHS)})[a-z]{{0,6}}"
_days = tuple(
    re.compile(rf"(?<!\d){each}", re.IGNORECASE)
    for each in (
        r"(?P<y>(?:19|20)\d{2})([-_.]?)(?P<m>\d{2})\2(?P<d>\d{2})(?=\D|$|[0-2]\d[0-5]\d(?:[0-5]\d)?(?!\d))",
        r"(?P<y>(?:19|20)\d{2})(?:([-_])(?P<m>\d{1,2})\2|年(?P<m_>\d{1,2})月)(?P<d>\d{1,2})(?!\d)",
        rf"(?P<d>\d{{1,2}})[-_. ]?{_MONTH}[-_. ]?(?P<y>(?:19|20)\d{{2}})(?!\d)",
        rf"(?<![a-z]){_MONTH}[-_. ]?(?P<d>\d{{1,2}})[-_, ]{{1,2}}(?P<y>(?:19|20)\d{{2}})(?!\d)",
    )
)
"""Days as 2024-03-08 or 20240308, 2024-3-8 or 2024年3月8日, 08Mar2024, and March 8, 2024."""
_day_or_month = re.compile(r"(?<!\d)(\d{1,2})([-_.])(\d{1,2})\2((?:19|20)\d{2})(?!\d)")
_part = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=&]{0,19}").fullmatch
_length = re.compile(
    r"(?<![A-Za-z0-9])(\d{1,2})[_ -](?=(?:sec|second|min|minute|hour|day|week|month)s?(?![A-Za-z]))", re.IGNORECASE
)
_metatrader = re.compile(r"(MN|[MHDW])(\d{0,2})").fullmatch
_METATRADER_S = {"M": 60, "H": 3600, "D": 86_400, "W": 604_800}
_minutes = re.compile(r"([A-Za-z]{6})(?:[a-z]|[.#][A-Za-z]{1,5})?(\d{1,5})").fullmatch
_of_broker = re.compile(r"([A-Za-z]{6})(?:[a-z]|[.#][A-Za-z]{1,5}|\.)").fullmatch
_PARTS_MAX = 3
_DIGITS_MIN = 5
_WORD_MAX = 6


class Named(NamedTuple):
    """The canonical symbol and the interval that a name tells; None where it does not. ``hint`` is an interval that a name only
    suggests, as MetaTrader's (``H1``) and numbers of minutes do: the rows count.
    """

    symbol: str | None
    interval: str | None
    hint: str | None = None


class SymbolChoice(NamedTuple):
    """One ``--symbol FILE=SYMBOL``: files whose label, name or path fits the pattern are of the symbol."""

    pattern: str
    symbol: str

    def fits(self, label: str, path: str = "") -> bool:
        """Whether a file is meant."""
        return any(fnmatch.fnmatch(each, self.pattern) for each in (label, label.rpartition("/")[2], path) if each)


def parse_symbol(text: str) -> SymbolChoice:
    """``text`` of ``--symbol``.

    Raises:
        InputRefused: no file before the =, or no symbol behind it.
    """
    pattern, _, symbol = text.rpartition("=")
    if symbol in ("X", "F") and "=" in pattern:
        # Yahoo's names of currencies and futures end so.
        pattern, _, head = pattern.rpartition("=")
        symbol = f"{head}={symbol}"
    symbol = canonical_symbol(symbol)
    if not (pattern and symbol.isascii() and is_symbol(symbol)):
        raise InputRefused(f"--symbol {text[:80]!r} is no FILE=SYMBOL; allowed symbols: {SYMBOL_RULE}")
    return SymbolChoice(pattern, symbol)


def said_symbol(source: Source, choices: Sequence[SymbolChoice]) -> str | None:
    """The symbol that ``--symbol`` says of a file; of several the last."""
    fitting = [each.symbol for each in choices if each.fits(source.label, str(source.path))]
    return fitting[-1] if fitting else None


def saying(source: Source, symbol: str = "AAPL") -> str:
    """How ``--symbol`` says a file's symbol."""
    return f"--symbol '{source.label.rpartition('/')[2]}={symbol}' says it"


def name_of(source: Source) -> Named:
    """What a file's name tells, with the symbol that ``--symbol`` says."""
    named = read_name(source.stem)
    return named if source.symbol is None else named._replace(symbol=source.symbol)


def day_named(name: str, today: date) -> date | None:
    """The day that ``name`` tells (`_days`), with or without a time of day, whose zone nothing tells.

    Of several it is the latest that is not after ``today``, as in a name with the first and the last day of a window: what was
    said is then never taken for older than it is.

    Raises:
        ValueError: it tells one that can have the day or the month first, and no other; the message is that day.
    """
    days = []
    for each in (found for pattern in _days for found in pattern.finditer(name)):
        parts = each.groupdict()
        month = parts.get("m") or parts.get("m_") or _MONTHS.index(parts["name"].lower()) + 1
        days += _dates(parts["y"], month, parts["d"])
    for each in () if days else _day_or_month.finditer(name):
        either = {*_dates(each[4], each[1], each[3]), *_dates(each[4], each[3], each[1])}
        if len(either) > 1:
            raise ValueError(each[0])
        days += either
    return max((each for each in days if each <= today), default=min(days, default=None))


def _dates(year: str, month: str | int, day: str) -> list[date]:
    """The day, if there is such a one."""
    try:
        return [date(int(year), int(month), int(day))]
    except ValueError:
        return []


def read_name(stem: str) -> Named:
    """What ``stem`` (a file's name without endings) tells. Words that name no symbol (prices, daily, 2024-01) are passed over."""
    interval = hint = None
    parts: list[str] = []
    dated = perpetual = False
    stem = _again.sub("", stem)
    stem = re.sub(r"^(SH|SZ|BJ)#(?=\d{6}$)", r"\1", stem)
    for token in re.split(r"[-_ ,()\[\]]+", _length.sub(r"\1", _date.sub(f" {_DATE} ", stem))):
        told, suggested = interval_named(token), _suggested(token, behind=bool(parts))
        if told is not None:
            interval = interval or told
        elif token == _DATE or (dated and _clock(token)):
            dated = True
        elif suggested is not None:
            hint = hint or suggested
        elif token.lower() in _PERPETUAL:
            perpetual = True
        elif (
            token.lower() not in _NOISE
            and token.lower().rstrip("0123456789") not in _WORDS
            and not _span(token.lower())
            and token
        ):
            parts.append(token)
    if len(parts) == 1 and (found := _minutes(parts[0])) and (length := _of_minutes(found[2])) and _is_pair(found[1]):
        parts, hint = [found[1]], length
    return Named(_symbol(stem, parts, perpetual=perpetual), interval, hint)


def _suggested(token: str, *, behind: bool) -> str | None:
    """MetaTrader's word for an interval, or a number of minutes ``behind`` a symbol."""
    if found := _metatrader(token):
        unit, count = found.groups()
        if unit == "MN":
            return "1M" if count in ("", "1") else None
        return BY_SECONDS.get(int(count) * _METATRADER_S[unit]) if count else None
    return _of_minutes(token) if behind and token.isdigit() else None


def _of_minutes(digits: str) -> str | None:
    return "1M" if digits == "43200" else BY_SECONDS.get(int(digits) * 60) if len(digits) <= _DIGITS_MIN else None


def _is_pair(word: str) -> bool:
    return never_closes(canonical_symbol(word))


def _symbol(stem: str, parts: list[str], *, perpetual: bool) -> str | None:
    """The symbol that what is left of a name spells: one word, a pair and maybe what settles it, or a class of shares. A lone
    number is one only if it is long, as in China, and a long word only in capitals.
    """
    suffix = ""
    while len(parts) > 1 and parts[0].lower() in _VENUES:
        suffix, parts = _VENUES[parts[0].lower()], parts[1:]
    if not 1 <= len(parts) <= _PARTS_MAX or not all(_part(each) for each in parts):
        return None
    if len(parts) == 1:
        found = _of_one(parts[0], suffix)
    elif parts[1].upper() in FIAT | COINS and _alike(parts) and parts[-1].upper() in {each.upper() for each in parts[:2]}:
        found = canonical_symbol("_".join(parts))
    elif len(parts) == 2 and re.fullmatch(r"[A-Z]", parts[1]) and f"{parts[0]}-{parts[1]}" in stem:  # noqa: PLR2004
        found = canonical_symbol("-".join(parts))
    else:
        # A pair in one word is told beside any other.
        pairs = [each for each in parts if _is_pair(each)]
        if len(pairs) != 1 or not "".join(parts).isalpha() or "".join(parts).islower():
            return None
        found = canonical_symbol(pairs[0])
    if found is not None and perpetual and ":" not in found:
        found = canonical_symbol(f"{found}-{'PERPETUAL' if '-perpetual' in stem.lower() else 'PERP'}")
    return found if found is not None and is_symbol(found) else None


def _of_one(word: str, suffix: str) -> str | None:
    if suffix and not _is_pair(word) and "." not in word:
        return f"{word.zfill(4) if suffix == '.HK' and word.isdigit() else word}{suffix}".upper()
    if word.isdigit() and len(word) < _DIGITS_MIN:
        return None
    if word.lower() in _NAMES:
        return f"{_NAMES[word.lower()]}-USD"
    # What brokers add to a pair: EURUSDm, EURUSD.pro.
    if not _is_pair(word) and (found := _of_broker(word)) and _is_pair(found[1]):
        return canonical_symbol(found[1])
    found_symbol = canonical_symbol(word)
    lone = word.isalpha() and not word.isupper() and len(word) > _WORD_MAX
    return None if lone and not never_closes(found_symbol) else found_symbol


def _alike(parts: list[str]) -> bool:
    """Whether all are written in capitals, or all without: a word before a coin's name is no currency."""
    return "".join(parts).isupper() or "".join(parts).islower()
