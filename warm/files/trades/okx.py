"""OKX's trades (https://www.okx.com/historical-data, https://www.okx.com/docs-v5). Sides are the taker's, times in ms, and sizes
of contracts are numbers of contracts.

* Archive: ``instrument_name,trade_id,side,price,size,created_time`` and maybe ``source``; older files have no column for the
  instrument, which the name tells then (``BTC-USDT-SWAP-trades-2022-03-01``), and Chinese behind a stroke in their names of
  columns. Files of ``aggtrades`` have the same columns.
* REST and WebSocket: ``data`` of ``instId,tradeId,px,sz,side,ts``. The channel ``trades`` puts several into one (``count``).

``BTC-USDT-SWAP`` is ``BTC-USDT:USDT``, ``BTC-USD-SWAP`` ``BTC-USD:BTC``. Aggregates get keys of their own, as Binance's.
"""

import re
from collections.abc import Sequence
from typing import Any

from warm.files.read import Source
from warm.files.trades.building import Meaning, Named, Row, spelled
from warm.files.trades.names import Options, named_by_file
from warm.files.trades.tables import Layout, found

VENUE = "okx"
_NAMES = {
    "trade_id": ("tradeid",), "side": ("side",), "size": ("size",), "price": ("price",), "time": ("createdtime",),
}  # fmt: skip
_file = re.compile(r"([A-Z0-9]+(?:-[A-Z0-9]+)+?)-(?:agg)?trades(?:-|$)", re.IGNORECASE)
_KEYS = {"instId", "tradeId", "px", "sz", "side", "ts"}
_ONE = ("1", 1, None)


def layout(source: Source, header: Sequence[str], options: Options) -> Layout | None:
    """How its rows are read, if ``header`` is OKX's."""
    at = found(header, _NAMES)
    if len(at) < len(_NAMES):
        return None
    instrument = found(header, {"symbol": ("instrumentname", "instid")})
    fixed: dict[str, Any] = {"aggregate": "aggtrades" in source.stem.lower()}
    if not instrument:
        fixed["symbol"] = named_by_file(source, _file)
    return Layout(meaning(source, options), at | instrument, len(header), fixed)


def meaning(source: Source, options: Options) -> Meaning:
    """What its rows mean."""
    del source, options
    return Meaning(VENUE, lambda _, symbol: Named(VENUE, spelled(symbol)))


def rows(message: Any) -> list[Row] | None:  # noqa: ANN401
    """The trades of a message, None if it is none of OKX's."""
    if not isinstance(message, dict) or not ("arg" in message or "code" in message):
        return None
    argument, data = message.get("arg"), message.get("data")
    if isinstance(argument, dict) and "channel" in argument and not str(argument["channel"]).startswith("trades"):
        return []
    if not isinstance(data, list) or not data:
        return [] if isinstance(argument, dict) and "channel" in argument else None
    if not (isinstance(data[0], dict) and data[0].keys() >= _KEYS):
        return None
    return [
        Row(each.get("instId"), each.get("ts"), each.get("px"), each.get("sz"), each.get("side"), each.get("tradeId"), None,
            each.get("count") not in _ONE)
        for each in data
        if isinstance(each, dict)
    ]  # fmt: skip
