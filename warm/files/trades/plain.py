"""Plain tables and objects of trades: a time, a price and a size, maybe symbol, side, id and venue, in many spellings.

Times are in ISO 8601 (day and time of day maybe in two columns), or s, ms, µs or ns since 1970. Without a zone they are in UTC
for what never closes, else on the exchange's clock, unless the caller says which. The venue is its column's (or the caller's),
else the one that the file's name or folder tells, else ``unknown``. Symbols are spelled as everywhere (``btc/usdt`` is
``BTC-USDT``); without a column the file's name tells it. A side is taken for the taker's, but for columns that say they are the
maker's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.trades import Side
from warm.files.read import Source
from warm.files.trades.batches import BadRow
from warm.files.trades.building import BUYER_MADE, MAKERS, TAKERS, Meaning, Named, Row, spelled
from warm.files.trades.names import Options, clock_of, named_by_file, told_by_file
from warm.files.trades.numbers import in_utc, missing, moments, price_of, size_of
from warm.files.trades.tables import Layout, found, short

_NAMES: Mapping[str, Sequence[str]] = {
    "time": (
        "timestamp", "time", "datetime", "timestampus", "timestampms", "timestampns", "timems", "timeus", "timens", "ts",
        "tradetime", "tradetimestamp", "exectime", "executedat", "createdat", "createdtime", "eventtime", "exchangetime",
        "exchangetimestamp", "transacttime", "tstevent", "tsevent", "dateutc", "timeutc", "utctime", "timestamputc", "unix",
        "unixtime", "unixtimestamp", "epoch", "date", "t", "participanttimestamp", "siptimestamp", "时间", "成交时间",
    ),
    "price": ("price", "tradeprice", "px", "execprice", "lastprice", "rate", "p", "last", "成交价", "价格"),
    "size": (
        "size", "quantity", "qty", "tradesize", "tradevolume", "lastsize", "lastqty", "sz", "execqty", "execsize", "baseqty",
        "basesize", "basevolume", "shares", "volume", "vol", "amount", "q", "v", "成交量", "数量",
    ),
    "symbol": (
        "symbol", "ticker", "instrument", "instrumentname", "instid", "instrumentid", "productid", "product", "pair",
        "currencypair", "sym", "contract", "security", "market", "asset", "s", "交易对", "代码",
    ),
    "trade_id": (
        "tradeid", "id", "tid", "execid", "executionid", "matchid", "trdmatchid", "transactionid", "uuid", "i", "交易id",
    ),
    "venue": ("exchange", "venue", "exch", "交易所"),
}  # fmt: skip
_SIDES: Sequence[tuple[Sequence[str], Mapping[str, Side]]] = (
    (("isbuyermaker", "buyermaker", "isbuyerthemaker", "m"), BUYER_MADE),
    (("sell", "takersell"), BUYER_MADE),
    (("makerside",), MAKERS),
    (("takerside", "aggressorside", "aggressor", "side", "tradeside", "buysell", "方向"), TAKERS),
)
_PERHAPS = ("type", "direction", "tradetype")
"""Names of a side that stand for other things too."""
_ALL_SIDES: Mapping[str, Side] = {
    **TAKERS, "long": "buy", "short": "sell", "1": "buy", "-1": "sell", "bid": "unknown", "ask": "unknown", "买": "buy",
    "卖": "sell",
}  # fmt: skip
_BARS = frozenset(("open", "high", "low", "close"))
_OTHERS = frozenset((
    "agent", "signal", "action", "view", "confidence", "reasoning", "orderid", "clientorderid", "ordertxid", "fee", "fees",
    "commission", "pnl", "profit", "strategy", "cash", "position", "balance", "bid", "ask", "bidprice", "askprice", "bestbid",
    "bestask", "strike",
))  # fmt: skip
"""Columns of what is no market's trades: quotes, options, and what somebody decided, ordered or paid."""
_VENUES = frozenset((
    "binance", "coinbase", "kraken", "bybit", "okx", "bitstamp", "bitfinex", "gemini", "kucoin", "huobi", "htx", "deribit",
    "bitmex", "ftx", "bitget", "mexc", "upbit", "bithumb", "poloniex", "bitflyer", "hyperliquid", "dydx", "nasdaq", "nyse",
    "arca", "bats", "iex", "cboe", "cme",
))  # fmt: skip
_clock = re.compile(r"\d{1,2}:?\d{2}(:?\d{2}([.,]\d+)?)?").fullmatch
_SAME = {"gdax": "coinbase", "coinbase-pro": "coinbase", "coinbasepro": "coinbase", "okex": "okx"}


def layout(source: Source, header: Sequence[str], first: Sequence[Sequence[Any]], options: Options) -> Layout | None:
    """How its rows are read, if ``header`` is one of trades and some row of ``first`` below it is one.

    Raises:
        InputRefused: nothing tells the symbol.
    """
    told = _columns(header, first)
    if told is None:
        return None
    at, sides = told
    rows_of_width = [list(row) for row in first if len(row) == len(header)]
    prepare = None
    if (joining := _joining(header, rows_of_width)) is not None:
        at["time"], prepare = joining
        for row in rows_of_width:
            prepare(row)
    if not any(_is_trade(row, at) for row in rows_of_width):
        return None
    fixed = {} if "symbol" in at else {"symbol": named_by_file(source)}
    return Layout(meaning(source, options, sides), at, len(header), fixed, prepare)


def _joining(header: Sequence[str], first: Sequence[Sequence[Any]]) -> tuple[int, Callable[[list[Any]], None]] | None:
    """The column of times of day and what puts the date before each, where they are two columns."""
    at = found(header, {"time": ("time", "tradetime"), "date": ("date", "tradedate", "day", "日期")})
    if len({*at.values()}) < 2 or not any(_clock(str(row[at["time"]])) for row in first):  # noqa: PLR2004
        return None
    time, date = at["time"], at["date"]

    def join(fields: list[Any]) -> None:
        fields[time] = f"{fields[date]} {fields[time]}"

    return time, join


def _columns(header: Sequence[str], first: Sequence[Sequence[Any]]) -> tuple[dict[str, int], Mapping[str, Side]] | None:
    plain = {short(each) for each in header}
    at = found(header, _NAMES)
    if not {"time", "price", "size"} <= at.keys() or len(plain & _BARS) > 1 or plain & _OTHERS:
        return None
    for names, sides in _SIDES:
        if side := found(header, {"side": names}):
            return at | side, _ALL_SIDES if sides is TAKERS else sides
    if perhaps := found(header, {"side": _PERHAPS}):
        values = {str(row[perhaps["side"]]).strip().lower() for row in first if len(row) == len(header)}
        if values and values <= _ALL_SIDES.keys():
            return at | perhaps, _ALL_SIDES
    return at, _ALL_SIDES


def _is_trade(row: Sequence[Any], at: Mapping[str, int]) -> bool:
    try:
        in_utc(row[at["time"]])
        price_of(row[at["price"]])
        size_of(row[at["size"]])
    except (BadRow, TypeError):
        return False
    return True


_moments = lru_cache(moments)


def meaning(source: Source, options: Options, sides: Mapping[str, Side] = _ALL_SIDES) -> Meaning:
    """What its rows mean."""
    own = told_by_file(source)
    words = re.split(r"[^a-z0-9]+", source.label.lower())
    told = options.venue or next((_SAME.get(each, each) for each in words if each in _VENUES or each in _SAME), "unknown")

    def named(venue: Any, symbol: Any) -> Named:  # noqa: ANN401
        canonical = spelled(own if symbol is None else symbol)
        where = told if missing(venue) or options.venue else re.sub(r"[\s_]+", "-", str(venue).strip().lower())
        zone: ZoneInfo = options.zone or clock_of(canonical)
        return Named(_SAME.get(where, where), canonical, _moments(zone))

    return Meaning("table", named, sides)


@lru_cache(1000)
def _keys(keys: tuple[str, ...]) -> tuple[dict[str, str], Mapping[str, Side]] | None:
    """Which key of an object is which of ours."""
    told = _columns(keys, ())
    return None if told is None else ({own: keys[at] for own, at in told[0].items()}, told[1])


def rows(message: Any) -> list[Row] | None:  # noqa: ANN401
    """The trade that an object is, None if it is none."""
    told = _keys(tuple(message)) if isinstance(message, dict) else None
    if told is None:
        return None
    keys, sides = told
    side = message.get(keys["side"]) if "side" in keys else None
    if sides is BUYER_MADE or sides is MAKERS:
        text = str(side).strip().lower()
        side = side if missing(side) else sides.get(text, side)

    def value(own: str) -> Any:  # noqa: ANN401
        return message[keys[own]] if own in keys else None

    return [Row(value("symbol"), value("time"), value("price"), value("size"), side, value("trade_id"), value("venue"))]
