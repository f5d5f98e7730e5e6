"""tardis.dev's CSV of trades (https://docs.tardis.dev/downloadable-csv-files): ``exchange,symbol,timestamp,local_timestamp,id,
side,price,amount``; times in µs, the side is the taker's, an id may be empty.

Its names of exchanges become those of venues where it has several for one (``binance-futures`` is binance, ``okex-swap`` okx);
the symbol tells the market: what a venue of perpetuals calls ``BTCUSDT`` is ``BTC-USDT:USDT``, spot ``BTC-USDT``. BitMEX's XBT
is BTC.
"""

from collections.abc import Sequence
from typing import Any

from warm.files.read import Source
from warm.files.trades.batches import BadRow
from warm.files.trades.building import Meaning, Named, spelled
from warm.files.trades.names import Options, perpetual
from warm.files.trades.numbers import missing
from warm.files.trades.tables import Layout, found

_NAMES = {
    "venue": ("exchange",), "symbol": ("symbol",), "time": ("timestamp",), "trade_id": ("id",), "side": ("side",),
    "price": ("price",), "size": ("amount",), "local": ("localtimestamp",),
}  # fmt: skip
_VENUES = {
    "binance-futures": "binance", "binance-delivery": "binance", "bybit-spot": "bybit", "okex": "okx", "okex-swap": "okx",
    "okex-futures": "okx", "okex-options": "okx", "okex-spreads": "okx",
}  # fmt: skip
_PERPETUALS = frozenset(("binance-futures", "binance-delivery", "bybit", "bitmex"))
"""Exchanges of tardis whose perpetuals are called as pairs are."""


def layout(source: Source, header: Sequence[str], options: Options) -> Layout | None:
    """How its rows are read, if ``header`` is tardis's."""
    del source, options
    at = found(header, _NAMES)
    if len(at) < len(_NAMES):
        return None
    del at["local"]
    return Layout(Meaning("tardis", _named), at, len(header), {})


def _named(venue: Any, symbol: Any) -> Named:  # noqa: ANN401
    if missing(venue) or missing(symbol):
        raise BadRow("missing_value", "exchange" if missing(venue) else "symbol", None)
    exchange = str(venue).strip().lower()
    return Named(_VENUES.get(exchange, exchange), spelled(perpetual(symbol) if exchange in _PERPETUALS else symbol))
