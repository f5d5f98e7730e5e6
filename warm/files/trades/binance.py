"""Binance's trades and aggregate trades (https://github.com/binance/binance-public-data, https://developers.binance.com).

* Archive, trades: ``id,price,qty,quote_qty,time,is_buyer_maker`` and, of spot, ``is_best_match``; aggTrades: ``agg_trade_id,
  price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker`` and, of spot, ``is_best_match``. With or without a
  line of names. Times in ms, of spot in µs since 2025.
* REST: objects of ``id,price,qty,time,isBuyerMaker``, or ``a,p,q,f,l,T,m``. WebSocket: events ``trade`` and ``aggTrade``.

``is_buyer_maker`` says that the buyer was the maker: the taker sold. Aggregates have ids of their own, so their keys end in ``a``
and meet no trade's; whoever loads both has every trade twice. The file's name tells the symbol where rows do not
(``BTCUSDT-trades-2024-01-01``). Of futures (told by the columns that only spot has, by a folder ``futures``, ``um`` or ``cm``,
or by the event) ``BTCUSDT`` is ``BTC-USDT:USDT``, ``BTCUSD_PERP`` ``BTC-USD:BTC``; contracts with a date keep their names.
"""

import re
from collections.abc import Sequence
from typing import Any

from warm.files.read import Source
from warm.files.trades.building import BUYER_MADE, Meaning, Named, Row, spelled
from warm.files.trades.names import Options, named_by_file, perpetual, told_by_file
from warm.files.trades.tables import Layout, found

VENUE = "binance"
_TRADES = {
    "trade_id": ("id", "tradeid"), "price": ("price",), "size": ("qty",), "time": ("time",), "side": ("isbuyermaker",),
}  # fmt: skip
_AGGREGATES = {
    "trade_id": ("aggtradeid", "aggregatetradeid"), "price": ("price",), "size": ("quantity", "qty"),
    "time": ("transacttime", "timestamp", "time"), "side": ("isbuyermaker", "wasthebuyerthemaker"),
    "first": ("firsttradeid",),
}  # fmt: skip
_SPOT = ("isbestmatch", "isbestpricematch", "wasthetradethebestpricematch")
_FLAGS = ("true", "false")
_file = re.compile(r"([A-Za-z0-9]+(?:_[A-Za-z0-9]+)?)-(?:aggTrades|trades)(?:-|$)", re.IGNORECASE)
_FUTURES = frozenset(("futures", "um", "cm"))
# Where headless rows have their flags: of trades and of aggregates, of futures and of spot.
_HEADLESS = {(6, 5): (4, False), (7, 5): (4, False), (7, 6): (5, True), (8, 6): (5, True)}


def layout(source: Source, header: Sequence[str], options: Options) -> Layout | None:
    """How its rows are read, if ``header`` is Binance's."""
    del options
    for names in (_AGGREGATES, _TRADES):
        at = found(header, names)
        if len(at) == len(names):
            at.pop("first", None)
            spot = bool(found(header, {"match": _SPOT}))
            return _layout(source, at, len(header), names is _AGGREGATES, spot)
    return None


def headless(source: Source, fields: Sequence[str], options: Options) -> Layout | None:
    """How its rows are read, if ``fields`` are a row of Binance's without a line of names."""
    del options
    plain = [each.strip().lower() for each in fields]
    flag = next((at for at, each in enumerate(plain) if each in _FLAGS), -1)
    if (len(plain), flag) not in _HEADLESS or not plain[0].isdigit() or any(each not in _FLAGS for each in plain[flag:]):
        return None
    time, aggregate = _HEADLESS[len(plain), flag]
    if not plain[time].isdigit():
        return None
    at = {"trade_id": 0, "price": 1, "size": 2, "time": time, "side": flag}
    return _layout(source, at, len(plain), aggregate, flag < len(plain) - 1)


def _layout(source: Source, at: dict[str, int], width: int, aggregate: bool, spot: bool) -> Layout:  # noqa: FBT001
    symbol = named_by_file(source, _file)
    futures = not spot or bool({each.lower() for each in source.parts[:-1]} & _FUTURES)
    named = Named(VENUE, spelled(perpetual(symbol) if futures and ":" not in symbol else symbol))
    meaning = Meaning(VENUE, lambda *_: named, BUYER_MADE)
    return Layout(meaning, at, width, {"symbol": symbol, "aggregate": aggregate})


def meaning(source: Source, options: Options) -> Meaning:
    """What rows of messages mean."""
    del options
    own = told_by_file(source, _file)

    def named(_: Any, symbol: Any) -> Named:  # noqa: ANN401
        return Named(VENUE, spelled(own if symbol is None else symbol))

    return Meaning(VENUE, named, BUYER_MADE)


def rows(message: Any) -> list[Row] | None:  # noqa: ANN401
    """The trades of a message, None if it is none of Binance's."""
    if not isinstance(message, dict):
        return None
    if "stream" in message and isinstance(message.get("data"), dict):
        message = message["data"]
    event = message.get("e")
    if event in ("trade", "aggTrade") and "p" in message and "q" in message:
        aggregate = event == "aggTrade"
        symbol = message.get("s")
        if "X" in message or ("M" not in message and aggregate):
            # Only futures have the one, and only spot the other.
            symbol = perpetual(symbol) if isinstance(symbol, str) else symbol
        trade_id = message.get("a" if aggregate else "t")
        return [Row(symbol, message.get("T"), message["p"], message["q"], _flag(message.get("m")), trade_id, None, aggregate)]
    if isinstance(event, str):
        return []
    if {"a", "p", "q", "f", "l", "T", "m"} <= message.keys():
        return [Row(None, message["T"], message["p"], message["q"], _flag(message["m"]), message["a"], None, True)]  # noqa: FBT003
    if {"id", "price", "qty", "time", "isBuyerMaker"} <= message.keys():
        symbol = message.get("symbol")
        return [Row(symbol, message["time"], message["price"], message["qty"], _flag(message["isBuyerMaker"]), message["id"])]
    return None


def _flag(value: Any) -> Any:  # noqa: ANN401
    return "true" if value is True else "false" if value is False else value
