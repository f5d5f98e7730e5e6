"""Coinbase's trades, in every dialect (https://docs.cdp.coinbase.com): JSON messages, also recorded.

* Exchange WebSocket: ``match`` and ``last_match``, whose side is the maker's; ``ticker``, whose side is the taker's and whose
  size is ``last_size``. A ticker without ``trade_id`` (Advanced Trade's) is a quote.
* Exchange REST: arrays of ``trade_id,side,size,price,time``, the side is the maker's; the file's name tells the symbol.
* Advanced Trade: WebSocket ``market_trades`` (events of trades) and REST ``{"trades": […]}``, the side is the maker's.

Symbols are spelled as ours: ``BTC-USD``. ``match`` and ``ticker`` of one trade have one id, so they are one trade.
"""

from typing import Any

from warm.files.read import Source
from warm.files.trades.building import Meaning, Named, Row, spelled
from warm.files.trades.names import Options, told_by_file

VENUE = "coinbase"
_TAKER = {"buy": "sell", "sell": "buy", "BUY": "sell", "SELL": "buy"}
_MATCHES = ("match", "last_match")
_TYPES = (
    "subscriptions", "heartbeat", "ticker", "snapshot", "l2update", "received", "open", "done", "change", "activate", "status",
    "auction", "error",
)  # fmt: skip
_CHANNELS = (
    "market_trades", "ticker", "ticker_batch", "heartbeats", "l2_data", "candles", "subscriptions", "status", "user",
)  # fmt: skip
_REST = frozenset(("trade_id", "side", "size", "price", "time"))
_OTHERS = frozenset(("symbol", "ticker", "instrument", "pair", "venue"))
"""Keys of somebody else's trades that are named as Coinbase's are."""


def meaning(source: Source, options: Options) -> Meaning:
    """What rows of messages mean."""
    del options
    own = told_by_file(source)

    def named(_: Any, symbol: Any) -> Named:  # noqa: ANN401
        return Named(VENUE, spelled(own if symbol is None else symbol))

    return Meaning(VENUE, named)


def rows(message: Any) -> list[Row] | None:  # noqa: ANN401
    """The trades of a message, None if it is none of Coinbase's."""
    if not isinstance(message, dict):
        return None
    kind = message.get("type")
    if kind in _MATCHES and "trade_id" in message:
        return [_made(message)]
    if kind == "ticker" and "product_id" in message:
        return [] if "trade_id" not in message else [
            Row(
                message["product_id"], message.get("time"), message.get("price"), message.get("last_size"), message.get("side"),
                message["trade_id"],
            )
        ]  # fmt: skip
    if message.get("channel") in _CHANNELS and isinstance(message.get("events"), list):
        if message["channel"] != "market_trades":
            return []
        events = [each.get("trades") for each in message["events"] if isinstance(each, dict)]
        return [_made(trade) for trades in events if isinstance(trades, list) for trade in trades if isinstance(trade, dict)]
    if isinstance(message.get("trades"), list) and "best_bid" in message:
        return [_made(each) for each in message["trades"] if isinstance(each, dict)]
    if message.keys() >= _REST and not _OTHERS & message.keys():
        return [_made(message)]
    return [] if kind in _TYPES and ("product_id" in message or "channels" in message or kind == "error") else None


def _made(trade: dict[str, Any]) -> Row:
    """A trade whose side is the maker's."""
    side = trade.get("side")
    taker = _TAKER.get(side, side) if isinstance(side, str) else side
    return Row(trade.get("product_id"), trade.get("time"), trade.get("price"), trade.get("size"), taker, trade.get("trade_id"))
