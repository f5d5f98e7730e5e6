"""JSON with a list or an object a column: what pandas writes, Yahoo's chart, and charts' own ``t o h l c v``.

* ``DataFrame.to_json()`` (https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.to_json.html): ``{"Open": {stamp: …}}``,
  with ``orient="index"`` ``{stamp: {"Open": …}}``, with ``"split"`` ``{"columns", "index", "data"}``; stamps in ms or ISO 8601.
* Yahoo's chart: ``{"chart": {"result": [{"meta", "timestamp", "indicators": {"quote": [{"open": […], …}], "adjclose": […]}}]}}``;
  seconds, when a bar begins.
* Finnhub's and TradingView's candles: ``{"t": […], "o": […], "h": […], "l": […], "c": […], "v": […], "s": "ok"}``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.symbols import canonical_symbol
from warm.calendar.intervals import interval_named
from warm.files.names import name_of, saying
from warm.files.prices.aliases import ALIASES, CURRENCIES, OPTIONAL, REQUIRED
from warm.files.prices.reading import Reading, Says, from_raw, raw_frame
from warm.files.prices.rules import PRICES
from warm.files.prices.table import meanings, resembles
from warm.files.read import Source
from warm.files.tables import plain_name

Columns = dict[str, list[Any]]


def is_series(document: object) -> bool:
    """Whether a document holds bars so."""
    found = _columns(document)
    return found is not None and resembles(list(found[0]))


def _columns(document: object) -> tuple[Columns, Mapping[str, Any]] | None:
    """The columns by their names in the file, the stamps as ``date`` if they have none, and what is said of them."""
    if not isinstance(document, dict) or not document:
        return None
    if "chart" in document:
        return _of_yahoo(document)
    if isinstance(document.get("columns"), list) and isinstance(document.get("data"), list):
        names, rows, index = [str(each) for each in document["columns"]], document["data"], document.get("index")
        if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
            return None
        columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
        return _dated(columns, index if isinstance(index, list) else []), {}
    values = {str(name): value for name, value in document.items()}
    if len(meanings(list(values)) & {*PRICES}) == len(PRICES):
        lists = {name: value for name, value in values.items() if isinstance(value, list)}
        if len(meanings(list(lists)) & {*PRICES}) == len(PRICES):
            return (lists, values) if len({len(each) for each in lists.values()}) == 1 else None
        objects = {name: value for name, value in values.items() if isinstance(value, dict)}
        stamps = list(next(iter(objects.values()), ()))
        return _dated({name: [each.get(stamp) for stamp in stamps] for name, each in objects.items()}, stamps), {}
    first = next(iter(values.values()))
    if isinstance(first, dict) and resembles(list(first)) and all(isinstance(each, dict) for each in values.values()):
        return _dated({name: [each.get(name) for each in values.values()] for name in first}, list(values)), {}
    return None


def _dated(columns: Columns, index: Sequence[Any]) -> Columns:
    """With the index as stamps, unless a column has them."""
    return columns if "date" in meanings(list(columns)) else {"date": list(index), **columns}


def _of_yahoo(document: Mapping[str, Any]) -> tuple[Columns, Mapping[str, Any]] | None:
    try:
        (result,) = document["chart"]["result"]
        columns = {"date": list(result["timestamp"]), **result["indicators"]["quote"][0]}
        adjusted = result["indicators"].get("adjclose")
        return columns | ({"adjclose": adjusted[0]["adjclose"]} if adjusted else {}), result["meta"]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None


def read(source: Source) -> Reading:
    """The bars of one symbol.

    Raises:
        InputRefused: another shape, a column missing or of another length, or nothing tells the symbol.
    """
    found = _columns(source.json)
    if found is None:
        raise source.refuse("no columns of prices in it")
    theirs, meta = found
    columns: dict[str, str] = {}
    for name in theirs:
        own = ALIASES.get(plain_name(name), plain_name(name))
        if own in (*REQUIRED, *OPTIONAL) and own not in columns.values():
            columns[name] = own
    missing = [name for name in ("date", *PRICES) if name not in columns.values()]
    if missing or len({len(theirs[name]) for name in columns}) != 1:
        raise source.refuse(f"column {missing[0]!r} is missing" if missing else "its columns are of several lengths")
    named = name_of(source)
    symbol = canonical_symbol(meta["symbol"]) if isinstance(meta.get("symbol"), str) else named.symbol
    if symbol is None and "symbol" not in columns.values():
        raise source.refuse(f"no symbol in it, and the file's name tells none; {saying(source)}")
    granularity = str(meta.get("dataGranularity", ""))
    says = Says(named.interval or interval_named(granularity), symbol=symbol, named_by="file name", hint=named.hint)
    if "symbol" in meta:
        says = says._replace(named_by="meta", stamps="open")
    values = {own: theirs[name] for name, own in columns.items()}
    rows = len(values["date"])
    said = next((each for name, each in theirs.items() if plain_name(name) in CURRENCIES), [meta.get("currency")] * rows)
    if len(said) == rows and any(said):
        values["currency"] = said
    return from_raw(source, raw_frame(values), says, columns, "row")
