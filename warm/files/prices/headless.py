"""Tables without a line of names: a date, maybe a time of day, open, high, low, close, and mostly a volume.

* Kraken's archive (https://support.kraken.com/articles/360047124832): ``XBTUSD_60.csv``, seconds since 1970, and trades at last.
* MetaTrader's exports: ``EURUSD60.csv``, ``2024.03.06,19:00,…``, on the broker's clock. Bybit's archive for MetaTrader has the
  two in one field.
* HistData (https://www.histdata.com/f-a-q/): ``DAT_ASCII_EURUSD_M1_2024.csv`` and the same for NinjaTrader and MetaTrader, on New
  York's winter time all year.
* NinjaTrader (https://ninjatrader.com/support/helpguides/nt8/importing.htm): ``AAPL.Last.txt``, ``yyyyMMdd HHmmss;…`` or
  ``yyyyMMdd;…``. What it exports is in UTC and stamped by when a bar ends; what it imports may be of any clock.
* Rows of ccxt and freqtrade, written as CSV.
"""

import re

import polars as pl

from warm.files.names import name_of, saying
from warm.files.prices.reading import BAR, Reading, Says, from_table
from warm.files.prices.rules import PRICES
from warm.files.read import Source
from warm.files.tables import first_fields, headless_table

_stamp = re.compile(
    r"\d{4}[./-]?\d{2}[./-]?\d{2}([ T]?\d{2}:?\d{2}(:?\d{2}(\.\d+)?)?Z?)?|\d{1,2}[./]\d{1,2}[./]\d{4}.*|\d{9,19}"
).fullmatch
_clock = re.compile(r"\d{1,2}:\d{2}(:\d{2})?").fullmatch
_number = re.compile(r"[$€£]?-?\d[\d.,' ]*([eE][-+]?\d+)?").fullmatch
_dotted = re.compile(r"\d{4}\.\d{2}\.\d{2}").match
_histdata = re.compile(r"dat_(ascii|nt|mt|ms|xlsx)_", re.IGNORECASE).match
_WINTER = "Etc/GMT+5"
_FIELDS_MAX = 9


def of_lines(fields: list[list[str]]) -> bool:
    """Whether a file's first line is a bar: a stamp, maybe a time of day, and numbers."""
    first = [each.strip() for each in fields[0]]
    if not (len(PRICES) < len(first) <= _FIELDS_MAX and _stamp(first[0])):
        return False
    rest = first[2:] if _clock(first[1]) else first[1:]
    return len(rest) >= len(PRICES) and all(_number(each) for each in rest)


def read(source: Source) -> Reading:
    """The bars.

    Raises:
        InputRefused: another shape, nothing tells the symbol, or the order of prices is another.
    """
    first = [each.strip() for each in first_fields(source, 1)[0]]
    table = headless_table(source, len(first))
    clocked = len(first) > 1 and _clock(first[1]) is not None
    own = (BAR[0], "clock", *BAR[1:]) if clocked else BAR
    if len(first) < len(own) - 1:
        raise source.refuse(f"no table of {', '.join(own)}")
    named = name_of(source)
    if named.symbol is None:
        raise source.refuse(f"no line of names in it, and the file's name tells no symbol; {saying(source)}")
    columns = dict(zip(table.header, own, strict=False))
    beside = {theirs: name for theirs, name in columns.items() if name == "clock"}
    says = _says(source, first, Says(named.interval, symbol=named.symbol, named_by="file name", hint=named.hint))
    reading = from_table(table, {theirs: name for theirs, name in columns.items() if name != "clock"}, says, "line", beside)
    frame = reading.frame
    if clocked:
        moment = pl.concat_str(pl.col("date").str.strip_chars(), pl.col("clock").str.strip_chars(), separator=" ")
        days = (pl.col("clock").str.strip_chars().str.contains(r"^0?0:00(:00)?$")).all()
        frame = frame.with_columns(pl.when(days).then("date").otherwise(moment).alias("date")).drop("clock")
    check_order(source, frame)
    return reading._replace(frame=frame, says=says)


def _says(source: Source, first: list[str], says: Says) -> Says:
    if _histdata(source.stem):
        # The name says M1 whatever the rows are.
        return says._replace(stamps="open", zone=_WINTER)
    if _dotted(first[0]):
        return says._replace(stamps="open", unknown_clock="a MetaTrader broker's")
    if re.fullmatch(r"\d{8} \d{6}", first[0]):
        if source.stem.lower().endswith(".last"):
            return says._replace(stamps="close", zone="UTC")
        return says._replace(unknown_clock="whatever its maker chose, and so is whether they end bars, which --stamps says")
    return says


def check_order(source: Source, frame: pl.DataFrame) -> None:
    """See that prices without names are in the usual order.

    Raises:
        InputRefused: most rows have an open or close beyond low and high.
    """
    priced = frame.drop_nulls(PRICES)
    between = pl.all_horizontal(pl.col(name).is_between("low", "high") for name in ("open", "close"))
    if 2 * priced.filter(between).height < priced.height:
        raise source.refuse("most rows have an open or close beyond low and high: their order is not open, high, low, close")
