"""Answers of exchanges that wrap arrays: Bybit, OKX, Kraken. All are stamped by when a bar begins, in UTC.

* Bybit (https://bybit-exchange.github.io/docs/v5/market/kline): ``{"result": {"category": …, "symbol": "BTCUSDT", "list":
  [[start, open, high, low, close, volume, turnover]]}}``, start in ms, newest first; ``linear`` and ``inverse`` are perpetuals.
* OKX (https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks): ``{"code": "0", "data": [[ts, o, h, l, c,
  vol, volCcy, volCcyQuote, confirm]]}``, ts in ms; the file's name tells the symbol, and a candle of ``confirm`` 0 is not over.
* Kraken (https://docs.kraken.com/api/docs/rest-api/get-ohlc-data): ``{"result": {"XXBTZUSD": [[time in s, open, high, low, close,
  **vwap**, volume, count]], "last": …}}``.
"""

from collections.abc import Sequence

from app.domain.symbols import canonical_symbol
from warm.files.names import name_of, saying
from warm.files.prices.headless import check_order
from warm.files.prices.reading import BAR, Reading, Says, from_lists
from warm.files.read import Source

_BYBIT_LENGTH = 7
_OKX_LENGTHS = (8, 9)
_KRAKEN_LENGTH = 8


def _lists(value: object, *lengths: int) -> bool:
    """Whether ``value`` is a list of lists, the first of one of ``lengths``."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list) and len(value[0]) in lengths


def is_bybit(document: object) -> bool:
    """Whether a document is Bybit's answer."""
    result = document.get("result") if isinstance(document, dict) else None
    return isinstance(result, dict) and "symbol" in result and _lists(result.get("list"), _BYBIT_LENGTH)


def is_okx(document: object) -> bool:
    """Whether a document is OKX's answer."""
    return isinstance(document, dict) and "code" in document and _lists(document.get("data"), *_OKX_LENGTHS)


def is_kraken(document: object) -> bool:
    """Whether a document is Kraken's answer."""
    result = document.get("result") if isinstance(document, dict) else None
    return isinstance(result, dict) and any(_lists(each, _KRAKEN_LENGTH) for each in result.values())


def read_bybit(source: Source) -> Reading:
    """Klines.

    Raises:
        InputRefused: another shape.
    """
    if not is_bybit(source.json):
        raise source.refuse("no 'result' with a symbol and a list of arrays of 7 in it")
    result = source.json["result"]
    symbol = canonical_symbol(str(result["symbol"]))
    if result.get("category") in ("linear", "inverse"):
        symbol = canonical_symbol(f"{symbol}-PERP")
    return _read(source, result["list"], BAR, symbol, "result")


def read_okx(source: Source) -> Reading:
    """Candles.

    Raises:
        InputRefused: another shape, or the file's name tells no symbol.
    """
    if not is_okx(source.json):
        raise source.refuse("no 'data' with arrays of 9 in it")
    over = [
        row for row in source.json["data"] if not (isinstance(row, list) and len(row) == max(_OKX_LENGTHS) and row[-1] == "0")
    ]
    return _read(source, over, BAR, None, "file name")


def read_kraken(source: Source) -> Reading:
    """Candles, whose volume stands behind a mean price.

    Raises:
        InputRefused: another shape, or several symbols in one file.
    """
    result = source.json.get("result") if is_kraken(source.json) else {}
    found = [(symbol, rows) for symbol, rows in result.items() if isinstance(rows, list)]
    if len(found) != 1:
        raise source.refuse("no 'result' with the candles of one symbol in it")
    ((symbol, rows),) = found
    return _read(source, rows, (*BAR[:5], "vwap", "volume"), canonical_symbol(symbol), "result")


def _read(source: Source, rows: Sequence[Sequence[object]], names: Sequence[str], symbol: str | None, by: str) -> Reading:
    named = name_of(source)
    symbol = symbol or named.symbol
    if symbol is None:
        raise source.refuse(f"nothing in it tells the symbol, nor does its name; {saying(source, 'BTC-USDT')}")
    says = Says(named.interval, "open", "UTC", True, symbol, by, named.hint)  # noqa: FBT003
    columns = {f"[{at}]": name for at, name in enumerate(names) if name in BAR}
    reading = from_lists(source, rows, names, says, columns, "row")
    check_order(source, reading.frame)
    return reading
