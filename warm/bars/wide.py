"""yfinance's wide tables: one row a day, a group of columns a symbol, and two or three lines of header.

``yf.download([...]).to_csv()`` writes a line of prices, a line of tickers and a line with the index's name (or, grouped by
ticker, tickers first); in Parquet the two become one name, ``('Close', 'AAPL')``. A symbol that has no value at all in a row was
not traded then: that is no bar, and no fault.
"""

import csv
import io
import re
from collections.abc import Sequence

import polars as pl

from warm.bars.aliases import ALIASES
from warm.bars.reading import Reading, Says, from_raw
from warm.files import Source, one_line
from warm.memory import memory
from warm.tables import first_fields, open_table, plain_name, read_table, separator_of

_FIELDS = {"open", "high", "low", "close", "volume", "adj_close"}
_tuple = re.compile(r"\('([^']{1,40})', '([^']{1,40})'\)").fullmatch
_flat = re.compile(r"(?i)(adj[ ._]?close|adjusted|open|high|low|close|volume)[ ._](.{1,40})").fullmatch
_flat_last = re.compile(r"(?i)(.{1,40}?)[ ._](adj[ ._]?close|adjusted|open|high|low|close|volume)").fullmatch
_DATES = ("date", "datetime", "timestamp", "")


def _field(text: str) -> str | None:
    plain = plain_name(text)
    own = ALIASES.get(plain, plain) if len(plain) > 1 else plain
    return own if own in _FIELDS else None


def of_lines(fields: list[list[str]]) -> bool:
    """Whether a CSV file begins with a line of prices and a line of tickers, in either order."""
    if len(fields) < 2 or len(fields[0]) < _COLUMNS_MIN or len(fields[0]) != len(fields[1]):  # noqa: PLR2004
        return False
    prices, tickers = _lines(fields)
    return len(_fields(prices)) >= _PRICES_MIN and not any(_number(each) for each in tickers[1:])


def _fields(line: Sequence[str]) -> set[str]:
    return {own for each in line[1:] if (own := _field(each)) is not None}


def _lines(fields: Sequence[list[str]]) -> tuple[list[str], list[str]]:
    """The line of prices and the line of tickers. A ticker may be called LOW or OPEN; none of the others is then, though."""
    first, second = fields[:2]
    return (first, second) if len(_fields(first)) >= len(_fields(second)) else (second, first)


_COLUMNS_MIN = 6
_PRICES_MIN = 5
"""Open, high, low, close and volume; dividends, splits and gains may stand beside them."""

_number = re.compile(r"\s*[-+]?(?:[$€£¥₹]|[A-Z]{3} )?[\d.,'’_\s]*(?:[eE][-+]?\d+|[KMB%$€£¥₹])?\s*").fullmatch


def _pair(name: str) -> tuple[str, str] | None:
    """Price and ticker, or ticker and price, of a column that names both: a tuple's text, ``Close_AAPL``, ``AAPL.Close``."""
    found = _tuple(name) or _flat(name) or _flat_last(name)
    return (found[1], found[2]) if found else None


def of_header(header: list[str]) -> bool:
    """Whether the columns of a table are pairs of price and ticker."""
    return sum(_pair(each) is not None for each in header) >= _PRICES_MIN


def read(source: Source) -> Reading:
    """The bars of all its symbols, one after the other.

    Raises:
        InputRefused: the table cannot be read, or a symbol lacks a column.
    """
    if source.kind == "csv" and of_lines(first_fields(source, 2)):
        dates, groups, frame, skipped = _from_csv(source)
    else:
        dates, groups, frame = _from_pairs(source)
        skipped = 0
    bars = []
    for number, (symbol, names) in enumerate(groups.items()):
        missing = sorted(_FIELDS - {"adj_close", "volume"} - names.keys())
        if missing:
            raise source.refuse(f"symbol {symbol[:40]!r} has no column for {missing[0]!r}")
        part = frame.select(
            (pl.col("row") + skipped).alias("row"),
            pl.lit(number, dtype=pl.UInt32).alias("group"),
            pl.lit(symbol).alias("symbol"),
            pl.col(dates).alias("date"),
            *(pl.col(theirs).alias(own) for own, theirs in names.items()),
        )
        if "volume" not in names:
            part = part.with_columns(pl.lit(None, dtype=pl.String).alias("volume"))
        # A volume alone is of a day that has not begun.
        prices = [own for own in names if own != "volume"]
        bars.append(part.filter(~pl.all_horizontal(pl.col(own).is_null() for own in prices)))
    columns = {f"{theirs} ({symbol})": own for symbol, names in list(groups.items())[:1] for own, theirs in names.items()}
    if not bars:
        raise source.refuse("no column of a price in it")
    return from_raw(source, pl.concat(bars), Says(), columns, "line" if source.kind == "csv" else "row")


def _from_csv(source: Source) -> tuple[str, dict[str, dict[str, str]], pl.DataFrame, int]:
    fields = first_fields(source, 3)
    if len(fields) < 2 or len(fields[0]) != len(fields[1]):  # noqa: PLR2004
        raise source.refuse("no line of prices and line of tickers in it")
    first = fields[0]
    prices, tickers = _lines(fields)
    # The third line holds the index's name alone where the first two do not have it.
    skipped = 3 if len(fields) > 2 and not any(fields[2][1:]) else 2  # noqa: PLR2004
    groups: dict[str, dict[str, str]] = {}
    for number, (price, ticker) in enumerate(zip(prices[1:], tickers[1:], strict=True), 2):
        own = _field(price)
        if own is not None:
            groups.setdefault(ticker.strip(), {})[own] = f"column_{number}"
    names = [f"column_{number}" for number in range(1, len(first) + 1)]
    content = source.content()
    # A line may have any number of fields.
    with memory().held():
        rows = _rows(source, content, skipped)
    for number, row in enumerate(rows, skipped + 1):
        if len(row) != len(names):
            raise source.refuse(f"line {number} has {len(row)} fields where the header has {len(names)}")
    columns = {name: [row[at].strip() or None for row in rows] for at, name in enumerate(names)}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)).with_row_index("row", 1)
    return names[0], groups, frame, skipped


def _rows(source: Source, content: bytes, skipped: int) -> list[list[str]]:
    """The fields of the lines behind the first ``skipped``."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise source.refuse(f"the text is not UTF-8 (byte {error.start}); allowed: UTF-8") from error
    body = io.StringIO(text)
    for _ in range(skipped):
        body.readline()
    try:
        return [row for row in csv.reader(body, delimiter=separator_of(text)) if row]
    except csv.Error as error:
        raise source.refuse(f"the table cannot be read ({one_line(error)})") from error


def _from_pairs(source: Source) -> tuple[str, dict[str, dict[str, str]], pl.DataFrame]:
    table = open_table(source)
    groups: dict[str, dict[str, str]] = {}
    dates = next((name for name in table.header if plain_name(name) in _DATES or plain_name(name) == "__index_level_0__"), None)
    if dates is None:
        raise source.refuse("no column of dates; allowed: Date, Datetime, timestamp")
    pairs = [found for name in table.header if (found := _pair(name))]
    price_first = len({_field(each[0]) for each in pairs}) >= len({_field(each[1]) for each in pairs})
    for name in table.header:
        if found := _pair(name):
            price, ticker = found if price_first else (found[1], found[0])
            own = _field(price)
            if own is not None:
                groups.setdefault(ticker, {})[own] = name
    wanted = {name: name for names in groups.values() for name in names.values()} | {dates: dates}
    return dates, groups, read_table(table, wanted)
