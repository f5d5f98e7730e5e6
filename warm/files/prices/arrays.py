"""Arrays without names, whose order is the format: Binance's klines, Coinbase's candles, freqtrade's (and ccxt's) OHLCV.

* Binance (https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#klinestick-data): 12 values,
  prices as text: open time, open, high, low, close, volume, close time, and five more; in ms, since 2025 in µs in its archive
  of CSV files (with a header in that of futures).
* Coinbase Exchange (https://docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproductcandles): time in s, **low, high,
  open, close**, volume, newest first.
* freqtrade (https://www.freqtrade.io/en/stable/data-download/) and ccxt: time in ms, open, high, low, close, volume.

All are stamped by when a bar begins, in UTC, of markets that never close; the file's name tells the symbol and maybe the
interval.
"""

import re
from collections.abc import Sequence

import polars as pl

from warm.files.names import name_of, saying
from warm.files.prices.headless import check_order
from warm.files.prices.reading import BAR, Reading, Says, from_lists, from_table
from warm.files.read import Source
from warm.files.tables import choose_columns, first_fields, headless_table, open_table

COINBASE = ("date", "low", "high", "open", "close", "volume")
BINANCE_LENGTH = 12
OTHERS_LENGTH = 6
_SECONDS_BELOW = 1e11
"""A time since 1970 below this is in seconds: in milliseconds it would be 1973."""


def of_arrays(document: object) -> str | None:
    """The format of a JSON document that is an array of arrays, by their length and the unit of their times."""
    if not (isinstance(document, list) and document and isinstance(document[0], list)):
        return None
    first = document[0]
    if len(first) == BINANCE_LENGTH:
        return "binance"
    if len(first) == OTHERS_LENGTH and isinstance(first[0], int | float):
        return "coinbase" if first[0] < _SECONDS_BELOW else "freqtrade"
    return None


def of_lines(fields: list[list[str]]) -> bool:
    """Whether a CSV file's first lines are Binance's: 12 fields, in the first line or under a header with both times."""
    first = fields[0]
    if len(first) != BINANCE_LENGTH:
        return False
    plain = [each.strip().lower().replace(" ", "_") for each in first]
    return plain[0].isdigit() or {"open_time", "close_time"} <= set(plain)


def read_binance(source: Source) -> Reading:
    """Klines, as JSON or CSV.

    Raises:
        InputRefused: another shape, or the file's name tells no symbol.
    """
    says = _says(source)
    if source.kind == "json":
        return _read_arrays(source, BAR, says)
    if first_fields(source, 1)[0][0].strip().isdigit():
        table = headless_table(source, BINANCE_LENGTH)
        return from_table(table, dict(zip(table.header, BAR, strict=False)), says)
    table = open_table(source)
    return from_table(table, choose_columns(source, table.header, _OPEN_TIME, BAR, ()), says)


_OPEN_TIME = {"open_time": "date", "open time": "date"}


def read_coinbase(source: Source) -> Reading:
    """Candles: low and high before open and close.

    Raises:
        InputRefused: another shape, another order of prices, or the file's name tells no symbol.
    """
    reading = _read_arrays(source, COINBASE, _says(source))
    between = pl.all_horizontal(pl.col(name).is_between("low", "high") for name in ("open", "close"))
    if 2 * reading.frame.filter(between).height < reading.frame.height:
        raise source.refuse(
            "most rows have an open or close beyond low and high: not Coinbase's (time, low, high, open, close, volume)"
        )
    return reading


def read_freqtrade(source: Source) -> Reading:
    """Freqtrade's and ccxt's rows, as JSON arrays or as a table with a column ``date``. pandas writes any table so: only a symbol
    that is a pair is of a market that never closes.

    Raises:
        InputRefused: another shape or order, or the file's name tells no symbol.
    """
    says = _says(source, never_closes=None)
    if source.kind == "json":
        reading = _read_arrays(source, BAR, says)
        check_order(source, reading.frame)
        return reading
    table = open_table(source)
    return from_table(table, choose_columns(source, table.header, {}, BAR, ()), says, "row")


def _says(source: Source, *, never_closes: bool | None = True) -> Says:
    named = name_of(source)
    if named.symbol is None:
        raise source.refuse(
            f"the file's name tells no symbol, and nothing in it does (BTC_USDT-1h.json would); {saying(source, 'BTC-USDT')}"
        )
    symbol = named.symbol
    base, _, quote = symbol.partition("-")
    if "futures" in source.folders and ":" not in symbol and quote:
        # Binance's archive has the same names for spot and for both kinds of futures.
        symbol += f":{quote}" if "um" in source.folders else f":{base}" if "cm" in source.folders else ""
    return Says(named.interval, "open", "UTC", never_closes, symbol, "file name", named.hint)


_NO_TRADES = re.compile(r"(?:^|[-_])(?:mark|index|premium|funding_rate|funding)(?:[-_]|$|price)").search


def no_trades(source: Source) -> bool:
    """Whether a file's name says that it has marks, an index or funding rates in place of trades, as futures' do."""
    return _NO_TRADES(source.stem.lower()) is not None


def _read_arrays(source: Source, names: Sequence[str], says: Says) -> Reading:
    document = source.json
    if not isinstance(document, list):
        raise source.refuse("not an array of arrays")
    return from_lists(source, document, names, says, {f"[{at}]": name for at, name in enumerate(names)}, "row")
