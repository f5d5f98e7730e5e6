"""Bybit's trades (https://public.bybit.com, https://bybit-exchange.github.io/docs/v5). Sides are the taker's.

* Archive of contracts: ``timestamp,symbol,side,size,price,tickDirection,trdMatchID,…``, in s with decimals.
* Archive of spot: ``id,timestamp,price,volume,side`` and maybe ``rpi``, in ms; its ids number a file's rows and are no ids. The
  file's name tells the symbol (``BTCUSDT_2022-11-10.csv.gz``).
* v5 REST: ``{"result": {"category", "list": [{execId, symbol, price, size, side, time}, …]}}``; WebSocket: topics
  ``publicTrade.BTCUSDT`` with ``data`` of ``T,s,S,v,p,L,i``, where only contracts have ``L``.

Of contracts ``BTCUSDT`` is ``BTC-USDT:USDT``, ``BTCUSD`` ``BTC-USD:BTC`` and ``BTCPERP`` ``BTC-USDC:USDC``; those with a date
keep their names.
"""

import re
from collections.abc import Sequence
from typing import Any

from warm.files.read import Source
from warm.files.trades.building import Meaning, Named, Row, spelled
from warm.files.trades.names import Options, named_by_file, perpetual
from warm.files.trades.tables import Layout, found, short

VENUE = "bybit"
_CONTRACTS = {
    "time": ("timestamp",), "symbol": ("symbol",), "side": ("side",), "size": ("size",), "price": ("price",),
    "trade_id": ("trdmatchid",), "tick": ("tickdirection",),
}  # fmt: skip
_SPOT = ["id", "timestamp", "price", "volume", "side"]
_file = re.compile(r"([A-Z0-9]+?)[-_]?(?=20\d\d-\d\d)")
_usdc = re.compile(r"([A-Z0-9]+)PERP$").fullmatch
_CATEGORIES = ("linear", "inverse")


def layout(source: Source, header: Sequence[str], first: Sequence[str], options: Options) -> Layout | None:
    """How its rows are read, if ``header`` is Bybit's; ``first`` is the row below it."""
    del options
    at = found(header, _CONTRACTS)
    if len(at) == len(_CONTRACTS):
        # BitMEX has these columns too, and times in ISO 8601.
        if first and not first[at["time"]].replace(".", "").isdigit():
            return None
        del at["tick"]
        return Layout(Meaning(VENUE, lambda _, symbol: Named(VENUE, spelled(contract(symbol)))), at, len(header), {})
    plain = [short(each) for each in header]
    told = plain[5:] == ["rpi"] or first[:1] == ["1"] or VENUE in str(source.path).lower()
    if plain[:5] != _SPOT or len(plain) > len(_SPOT) + 1 or not told:
        return None
    symbol = named_by_file(source, _file)
    named = Named(VENUE, spelled(symbol))
    at = {"time": 1, "price": 2, "size": 3, "side": 4}
    return Layout(Meaning(VENUE, lambda *_: named), at, len(header), {"symbol": symbol})


def contract(symbol: Any) -> Any:  # noqa: ANN401
    """A contract's name with what tells it from the pair."""
    if not isinstance(symbol, str):
        return symbol
    if found := _usdc(symbol.strip().upper()):
        return f"{found[1]}USDC-PERP"
    return perpetual(symbol)


def meaning(source: Source, options: Options) -> Meaning:
    """What rows of messages mean."""
    del source, options
    return Meaning(VENUE, lambda _, symbol: Named(VENUE, spelled(symbol)))


def rows(message: Any) -> list[Row] | None:  # noqa: ANN401
    """The trades of a message, None if it is none of Bybit's."""
    if not isinstance(message, dict):
        return None
    topic = message.get("topic")
    if isinstance(topic, str) and isinstance(message.get("data"), list | dict):
        if not topic.startswith("publicTrade."):
            return []
        return [
            Row(contract(each.get("s")) if "L" in each else each.get("s"), each.get("T"), each.get("p"), each.get("v"),
                each.get("S"), each.get("i"))
            for each in message["data"]
            if isinstance(each, dict)
        ]  # fmt: skip
    result = message.get("result")
    if isinstance(result, dict) and isinstance(result.get("list"), list) and "category" in result:
        trades = [each for each in result["list"] if isinstance(each, dict) and "execId" in each]
        if not trades:
            return None
        contracts = result["category"] in _CATEGORIES
        return [
            Row(contract(each.get("symbol")) if contracts else each.get("symbol"), each.get("time"), each.get("price"),
                each.get("size"), each.get("side"), each["execId"])
            for each in trades
        ]  # fmt: skip
    return None
