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

from warm.bars.reading import Reading, Says, from_lists
from warm.files import Source
from warm.names import read_name
from warm.rules import NUMBERS
from warm.tables import Table, choose_columns, first_fields, open_table, read_table, read_text

BINANCE = ("date", "open", "high", "low", "close", "volume")
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
        return from_lists(source, _rows(source), BINANCE, says, _numbered(BINANCE), "row")
    if not first_fields(source, 1)[0][0].strip().isdigit():
        table = open_table(source)
        aliases = {"open_time": "date", "open time": "date"}
        columns = choose_columns(source, table.header, aliases, BINANCE, ())
    else:
        table = Table(source, [f"column_{number}" for number in range(1, BINANCE_LENGTH + 1)], headless=True)
        columns = dict(zip(table.header, BINANCE, strict=False))
    frame = read_table(table, columns, dict.fromkeys(NUMBERS, pl.Float64()))
    return Reading(frame, lambda rows: read_text(table, columns, rows), says, columns)


def read_coinbase(source: Source) -> Reading:
    """Candles: low and high before open and close.

    Raises:
        InputRefused: another shape, another order of prices, or the file's name tells no symbol.
    """
    reading = from_lists(source, _rows(source), COINBASE, _says(source), _numbered(COINBASE), "row")
    between = pl.all_horizontal(pl.col(name).is_between("low", "high") for name in ("open", "close"))
    if 2 * reading.frame.filter(between).height < reading.frame.height:
        raise source.refuse(
            "most rows have an open or close beyond low and high: not Coinbase's (time, low, high, open, close, volume)"
        )
    return reading


def read_freqtrade(source: Source) -> Reading:
    """Freqtrade's and ccxt's rows, as JSON arrays or as a table with a column ``date``.

    Raises:
        InputRefused: another shape, or the file's name tells no symbol.
    """
    says = _says(source)
    if source.kind == "json":
        return from_lists(source, _rows(source), BINANCE, says, _numbered(BINANCE), "row")
    table = open_table(source)
    columns = choose_columns(source, table.header, {}, BINANCE, ())
    frame = read_table(table, columns, dict.fromkeys(NUMBERS, pl.Float64()))
    return Reading(frame, lambda rows: read_text(table, columns, rows), says, columns, "row")


def _says(source: Source) -> Says:
    named = read_name(source.stem)
    if named.symbol is None:
        raise source.refuse("the file's name tells no symbol, and nothing in it does (BTC_USDT-1h.json would)")
    symbol = named.symbol
    base, _, quote = symbol.partition("-")
    if "futures" in source.folders and ":" not in symbol and quote:
        # Binance's archive has the same names for spot and for both kinds of futures.
        symbol += f":{quote}" if "um" in source.folders else f":{base}" if "cm" in source.folders else ""
    return Says(named.interval, "open", "UTC", True, symbol, "file name")  # noqa: FBT003


_NO_TRADES = re.compile(r"(?:^|[-_])(?:mark|index|premium|funding_rate|funding)(?:[-_]|$|price)").search


def no_trades(source: Source) -> bool:
    """Whether a file's name says that it has marks, an index or funding rates in place of trades, as futures' do."""
    return _NO_TRADES(source.stem.lower()) is not None


def _rows(source: Source) -> Sequence[Sequence[object]]:
    document = source.json
    if not isinstance(document, list):
        raise source.refuse("not an array of arrays")
    return document


def _numbered(names: Sequence[str]) -> dict[str, str]:
    return {f"[{at}]": name for at, name in enumerate(names)}
