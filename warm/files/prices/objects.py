"""JSON objects: Alpaca's and Polygon's bars (``t o h l c v``), rows with the usual names, and Alpha Vantage's series.

* Alpaca (https://docs.alpaca.markets/reference/stockbars): ``{"bars": {"AAPL": [{t, o, h, l, c, v, n, vw}]}}``, or
  ``{"symbol": …, "bars": […]}``; ISO stamps of when a bar begins.
* Polygon (https://polygon.io/docs/rest/stocks/aggregates/custom-bars): ``{"ticker": …, "results": [{t, o, h, l, c, v}]}``; ms.
* Alpha Vantage (https://www.alphavantage.co/documentation/): ``{"Meta Data": {…}, "Time Series (60min)": {stamp: {…}}}``,
  newest first, in the time zone that its meta data name. Intraday stamps say when a bar begins; daily, weekly and monthly ones
  are the date of its last session.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from app.domain.symbols import canonical_symbol, never_closes
from warm.calendar.intervals import interval_named
from warm.calendar.sessions import open_zone
from warm.errors import InputRefused
from warm.files.names import name_of, saying
from warm.files.prices.aliases import ALIASES, CURRENCIES, OPTIONAL, REQUIRED, WEAK
from warm.files.prices.reading import BAR, Reading, Says, Stamp, from_raw, raw_frame
from warm.files.prices.table import resembles
from warm.files.read import Source

_META = "Meta Data"


def is_alpha_vantage(document: object) -> bool:
    """Whether a document has Alpha Vantage's meta data and a series."""
    return isinstance(document, dict) and _META in document and any("Time Series" in str(key) for key in document)


def is_rows(document: object) -> bool:
    """Whether a document holds bars as objects, somewhere that `read_rows` looks."""
    first = next(_rows(document), None)
    return first is not None and isinstance(first.row, dict) and resembles(list(first.row))


class _Row(NamedTuple):
    """A bar, and what is said of it elsewhere."""

    symbol: object
    currency: object
    row: object


def _rows(document: object) -> Iterator[_Row]:
    """Every bar."""
    if isinstance(document, list):
        yield from (_Row(None, None, row) for row in document)
        return
    if not isinstance(document, dict):
        return
    parts = [document[key] for key in _KEYS if document.get(key)]
    if not parts:
        # Twelve Data's answer for several symbols, FMP's list of them, and Bitstamp's object.
        inner = [each for value in document.values() for each in (value if isinstance(value, list) else [value])]
        for each in inner:
            if isinstance(each, dict) and any(isinstance(each.get(key), list) for key in _KEYS):
                yield from _rows(each)
    told = document["meta"] if isinstance(document.get("meta"), dict) else document
    named = told.get("symbol") or told.get("ticker") or told.get("pair")
    for part in parts:
        lists = part.items() if isinstance(part, dict) else [(named, part)]
        currency = told.get("currency")
        yield from (_Row(symbol, currency, row) for symbol, bars in lists if isinstance(bars, list) for row in bars)


_KEYS = ("bars", "results", "data", "prices", "candles", "values", "historical", "ohlc")
"""Where rows stand."""


def _meta(document: object) -> dict[str, object]:
    """What Twelve Data says beside its values."""
    if not isinstance(document, dict):
        return {}
    inner = [
        each["meta"] for each in (document, *document.values()) if isinstance(each, dict) and isinstance(each.get("meta"), dict)
    ]
    return inner[0] if inner else {}


def read_rows(source: Source) -> Reading:
    """Bars as objects.

    Raises:
        InputRefused: a row that is no object, a member missing in the first of them, or nothing tells the symbol.
    """
    found = list(_rows(source.json))
    first = found[0].row if found else None
    if not isinstance(first, dict):
        raise source.refuse("no bars in it")
    columns = _columns(first)
    missing = [name for name in BAR if name not in (*columns.values(), "volume")]
    if missing:
        raise source.refuse(f"member {missing[0]!r} is missing in row 1; required: {', '.join(REQUIRED)}")
    named = name_of(source)
    values: dict[str, list[object]] = {own: [] for own in (*columns.values(), "symbol", "currency")}
    currency = next((theirs for theirs in first if theirs.lower() in CURRENCIES), "currency")
    for number, (symbol, whole, row) in enumerate(found, 1):
        if not isinstance(row, dict):
            raise source.refuse(f"row {number} is no object: {str(row)[:60]}")
        for theirs, own in columns.items():
            values[own].append(row.get(theirs))
        if "symbol" not in columns.values():
            values["symbol"].append(symbol or named.symbol)
        values["currency"].append(row.get(currency) or whole)
    meta = _meta(source.json)
    told = interval_named(str(meta.get("interval", "")))
    says = Says(interval=told or named.interval, stamps="open" if "t" in columns else None, hint=named.hint)
    zone = meta.get("exchange_timezone")
    if isinstance(zone, str):
        says = says._replace(zone=_known(source, zone))
    if not any(values["symbol"]):
        raise source.refuse(f"no symbol in it, and the file's name tells none (AAPL.json would); {saying(source)}")
    if "symbol" not in columns.values() and not any(each.symbol for each in found):
        says = says._replace(named_by="file name")
    return from_raw(source, raw_frame(values), says, columns, "row")


def _columns(row: Mapping[str, object]) -> dict[str, str]:
    """Which members of a row mean what; of two that mean the same the first. Polygon's ``T`` is a ticker and its ``t`` a time."""
    columns: dict[str, str] = {}
    for aliases in (ALIASES, WEAK):
        for theirs in row:
            plain = theirs.strip().lower()
            own = _ticker(row[theirs]) if theirs == "T" and "t" in row else aliases.get(plain, plain)
            if own in _NAMES and own not in columns.values() and theirs not in columns and plain != "name":
                columns[theirs] = own
    return columns


def _ticker(value: object) -> str:
    """What ``T`` beside ``t`` is: Polygon's ticker, or when a bar of Binance or Hyperliquid ends."""
    return "symbol" if isinstance(value, str) and not value.isdigit() else "end"


_NAMES = {*REQUIRED, *OPTIONAL}


def read_alpha_vantage(source: Source) -> Reading:
    """A series of one symbol, or of one a line.

    Raises:
        InputRefused: another shape, no symbol, an unknown time zone, or several intervals or time zones in one file.
    """
    values: dict[str, list[object]] = {name: [] for name in REQUIRED}
    said: set[tuple[str | None, str, Stamp]] = set()
    for document in source.documents():
        if not is_alpha_vantage(document):
            raise source.refuse("no 'Meta Data' and 'Time Series' in it")
        symbol, series, says = _series(source, document)
        said.add(says)
        for stamp, bar in series.items():
            if not isinstance(bar, dict):
                raise source.refuse(f"{stamp[:40]!r} is no object with '1. open' and so on")
            plain = {key.partition(". ")[2].strip().lower(): value for key, value in bar.items()}
            # AI-Trader's words for its merged file, whose last day has only been opened.
            plain = {_BOUGHT.get(name, name).partition(" (")[0]: value for name, value in plain.items()}
            for own, value in ({name: plain.get(name) for name in BAR} | {"symbol": symbol, "date": stamp}).items():
                values[own].append(value)
            if "adjusted close" in plain or "adj_close" in values:
                values.setdefault("adj_close", [None] * (len(values["date"]) - 1)).append(plain.get("adjusted close"))
    if len(said) != 1:
        raise source.refuse("several intervals or time zones in one file; allowed: one")
    interval, zone, stamps = said.pop()
    columns = {"2. Symbol": "symbol", "(key)": "date", **{f"{at}. {name}": name for at, name in enumerate(BAR[1:], 1)}}
    return from_raw(source, raw_frame(values), Says(interval, stamps, zone, named_by=_META), columns, "row")


def _series(source: Source, document: dict[str, object]) -> tuple[str, dict[str, object], tuple[str | None, str, Stamp]]:
    """The symbol, the series, and interval, time zone and kind of stamps that meta data and the series' name tell."""
    meta = document[_META]
    plain = {key.partition(". ")[2].strip().lower(): str(value) for key, value in meta.items()} if isinstance(meta, dict) else {}
    if "digital currency code" in plain:
        plain["symbol"] = f"{plain['digital currency code']}-{plain.get('market code', 'USD')}"
    elif "from symbol" in plain:
        plain["symbol"] = f"{plain['from symbol']}-{plain.get('to symbol', 'USD')}"
    elif "digital currency" in plain.get("information", "").lower() and not never_closes(
        canonical_symbol(plain.get("symbol", ""))
    ):
        plain["symbol"] = f"{plain.get('symbol', '')}-USD"
    if not plain.get("symbol"):
        raise source.refuse("'Meta Data' names no symbol")
    name = next(key for key in document if "Time Series" in key)
    series = document[name]
    if not isinstance(series, dict):
        raise source.refuse(f"{name[:40]!r} is no object")
    told = plain.get("interval") or name.partition("(")[2].strip(") ")
    interval = interval_named(told) or next((each for word, each in _LONG.items() if word in name.lower()), None)
    zone = plain.get("time zone", "US/Eastern")
    zone = _ZONES.get(zone, zone)
    zone = _known(source, zone)
    long = interval in (*_LONG.values(), None)
    return plain["symbol"], series, (interval, zone, "close" if long else "open")


def _known(source: Source, zone: str) -> str:
    try:
        open_zone(zone)
    except InputRefused as error:
        raise source.refuse(str(error)) from error
    return zone


_BOUGHT = {"buy price": "open", "sell price": "close"}
_LONG = {"daily": "1d", "weekly": "1w", "monthly": "1M"}
_ZONES = {"US/Eastern": "America/New_York", "US/Eastern Time": "America/New_York"}
"""Names that Alpha Vantage uses and not every system's tables have."""
