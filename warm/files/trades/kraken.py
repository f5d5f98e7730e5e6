"""Kraken's trades (https://docs.kraken.com/api). Sides are the taker's, ``XBT`` is BTC and ``XDG`` DOGE.

* REST: ``{"result": {"XXBTZUSD": [[price, volume, time in s, b or s, m or l, misc, id], …], "last": …}}``; older answers have
  no id.
* WebSocket v1: ``[channel, [[price, volume, time, side, type, misc], …], "trade", "XBT/USD"]``, without ids.
* WebSocket v2: ``{"channel": "trade", "data": [{symbol, side, price, qty, ord_type, trade_id, timestamp}, …]}``.
* Archive: ``XBTUSD.csv`` of time in s, price and volume, or with the time last, without a line of names, an id or a side.
"""

import re
from collections.abc import Sequence
from typing import Any

from warm.files.read import Source
from warm.files.trades.building import Meaning, Named, Row, spelled
from warm.files.trades.names import Options, named_by_file
from warm.files.trades.tables import Layout

VENUE = "kraken"
_LENGTHS = (6, 7)
_CSV = 3
_number = re.compile(r"\d+(\.\d+)?", re.ASCII).fullmatch
_seconds = re.compile(r"1[3-9]\d{8}(\.\d+)?|[23]\d{9}(\.\d+)?", re.ASCII).fullmatch
_file = re.compile(r"([A-Z0-9]{5,14})(?:[-_].*)?$")


def headless(source: Source, fields: Sequence[str], options: Options) -> Layout | None:
    """How the archive's rows are read, if ``fields`` are one: three numbers, one of them a time, in a file named as a pair."""
    plain = [each.strip() for each in fields]
    if len(plain) != _CSV or not all(_number(each) for each in plain) or not _file.match(source.stem):
        return None
    if _seconds(plain[0]):
        at = {"time": 0, "price": 1, "size": 2}
    elif _seconds(plain[2]):
        at = {"price": 0, "size": 1, "time": 2}
    else:
        return None
    symbol = named_by_file(source, _file)
    named = Named(options.venue or VENUE, spelled(symbol))
    return Layout(Meaning(VENUE, lambda *_: named), at, _CSV, {"symbol": symbol})


def meaning(source: Source, options: Options) -> Meaning:
    """What rows of messages mean."""
    del source, options
    return Meaning(VENUE, lambda _, symbol: Named(VENUE, spelled(symbol)))


def rows(message: Any) -> list[Row] | None:  # noqa: ANN401
    """The trades of a message, None if it is none of Kraken's."""
    if isinstance(message, list):
        return _of_version_1(message)
    if not isinstance(message, dict):
        return None
    if message.get("channel") == "trade" and isinstance(message.get("data"), list):
        return [
            Row(
                each.get("symbol"),
                each.get("timestamp"),
                each.get("price"),
                each.get("qty"),
                each.get("side"),
                each.get("trade_id"),
            )
            for each in message["data"]
            if isinstance(each, dict)
        ]
    if message.get("channel") in ("heartbeat", "status", "ticker", "book", "ohlc") and "events" not in message:
        return []
    result = message.get("result")
    if isinstance(result, dict) and "last" in result and "error" in message:
        pairs = [(pair, trades) for pair, trades in result.items() if isinstance(trades, list)]
        if all(isinstance(each, list) and len(each) in _LENGTHS for _, trades in pairs for each in trades[:1]):
            return [_of_array(pair, each) for pair, trades in pairs for each in trades]
    return None


def _of_version_1(message: list[Any]) -> list[Row] | None:
    if len(message) < 4 or not isinstance(message[1], list) or "trade" not in message[2:]:  # noqa: PLR2004
        return None
    pair = next((each for each in message[2:] if isinstance(each, str) and "/" in each), None)
    return [_of_array(pair, each) for each in message[1]]


def _of_array(pair: str | None, trade: Any) -> Row:  # noqa: ANN401
    if not isinstance(trade, list) or len(trade) not in _LENGTHS:
        return Row(pair, None, None, None)
    return Row(pair, trade[2], trade[0], trade[1], trade[3], trade[6] if len(trade) == max(_LENGTHS) else None)
