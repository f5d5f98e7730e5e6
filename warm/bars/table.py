"""Long tables: one row a bar, in CSV, Parquet, Feather (Arrow) or JSON lines, under any of the usual column names."""

import polars as pl

from app.domain.symbols import canonical_symbol
from warm.bars.reading import BAR, Reading, Says, from_table
from warm.files import Source
from warm.intervals import interval_named
from warm.names import read_name
from warm.rules import PRICES
from warm.tables import choose_columns, open_table, plain_name

ALIASES = {
    **dict.fromkeys(("ticker", "sym", "code", "instrument", "s"), "symbol"),
    **dict.fromkeys(("timestamp", "datetime", "time", "t", "window_start", "open_time", "open time", "unix"), "date"),
    **{letter: name for name in ("open", "high", "low", "close", "volume") for letter in (name[0],)},
    "vol": "volume",
    **dict.fromkeys(("adj close", "adjclose", "adj. close", "adjusted close", "adjusted_close", "adjusted"), "adj_close"),
}
"""Column names that mean one of ours: those of pandas, yfinance, Alpaca and Polygon (``t o h l c v``; ``n``, their trades, and
``vw``, their mean price, are passed over), stooq, Binance."""

REQUIRED = ("symbol", *BAR)
OPTIONAL = ("adj_close",)


def meanings(header: list[str]) -> set[str]:
    """What the columns of ``header`` mean, of those that a price table has."""
    plain = (plain_name(each) for each in header)
    return {ALIASES.get(each, each) for each in plain} & {*REQUIRED, *OPTIONAL}


def resembles(header: list[str]) -> bool:
    """Whether ``header`` is a price table's, or would be but for a slip: most of the four prices are there."""
    return len(meanings(header) & {*PRICES}) >= len(PRICES) - 1


def hints(header: list[str]) -> bool:
    """Whether ``header`` speaks of a price and of a symbol or a date: too little to be a price table, too much to be none."""
    return bool(meanings(header) & {*PRICES} and meanings(header) & {"symbol", "date"})


def read(source: Source) -> Reading:
    """The file's rows. Without a column for the symbol the file's name tells it.

    Raises:
        InputRefused: the table cannot be read, a column is missing, or nothing tells the symbol.
    """
    table = open_table(source)
    named = read_name(source.stem)
    for folder in source.label.split("/")[:-1]:
        # Partitions, as Hive, Spark and Polars write them.
        key, equals, value = folder.partition("=")
        if equals and ALIASES.get(key.lower(), key.lower()) == "symbol":
            named = named._replace(symbol=canonical_symbol(value))
    says = Says(interval=named.interval)
    header = table.header
    if "date" not in meanings(header) and header and plain_name(header[0]) in ("", "index", "unnamed: 0"):
        # What pandas writes of a frame whose index has no name.
        aliases = {**ALIASES, plain_name(header[0]): "date"}
    else:
        aliases = ALIASES
    clock = next((each for each in header if plain_name(each) == "time"), None)
    if clock is not None and any(plain_name(each) == "date" for each in header):
        header = [each for each in header if each != clock]
    else:
        clock = None
    if "symbol" in meanings(header):
        columns = choose_columns(source, header, aliases, REQUIRED, OPTIONAL)
    else:
        columns = choose_columns(source, header, aliases, BAR, OPTIONAL)
        if named.symbol is None:
            raise source.refuse(
                "column 'symbol' is missing, and the file's name tells none (as AAPL.csv or BTC-USD-1h.csv would)"
            )
        says = says._replace(symbol=named.symbol, named_by="file name")
    period = next((each for each in header if plain_name(each) in PERIODS), None)
    beside = {name: own for name, own in ((clock, "clock"), (period, "period")) if name is not None}
    reading = from_table(table, columns, says, "line" if source.kind == "csv" else "row", beside)
    frame = reading.frame
    if clock is not None:
        frame = frame.with_columns(_joined()).drop("clock")
    if period is not None:
        says, frame = _said(source, says, frame), frame.drop("period")
    return reading._replace(frame=frame, says=says)


PERIODS = ("per", "interval", "timeframe", "bar_interval", "resolution")
"""Columns that name the interval of each row."""


def _said(source: Source, says: Says, frame: pl.DataFrame) -> Says:
    """What the file says, with the interval of its column of intervals, if that is one that is known.

    Raises:
        InputRefused: rows of several intervals.
    """
    periods = frame.get_column("period").cast(pl.String).unique().drop_nulls().sort().to_list()
    if len(periods) > 1:
        raise source.refuse(f"bars of several intervals in one file ({', '.join(periods[:4])}); allowed: one")
    told = interval_named(periods[0].lower() if periods[0] != "1M" else "1M") if periods else None
    return says if told is None else says._replace(interval=told)


def _joined() -> pl.Expr:
    """A column of dates and one of times of day (HHMMSS, HHMM, or with colons) as moments; as dates where every time is zero."""
    digits = pl.col("clock").cast(pl.String).str.replace_all(":", "").str.slice(0, 6).str.pad_end(6, "0")
    time = pl.concat_str(digits.str.slice(0, 2), digits.str.slice(2, 2), digits.str.slice(4, 2), separator=":")
    date = pl.col("date").cast(pl.String)
    return pl.when((digits == "000000").all()).then(date).otherwise(pl.concat_str(date, time, separator=" ")).alias("date")
