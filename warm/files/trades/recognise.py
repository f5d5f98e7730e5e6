"""Whose trades a file has: told by what is in it, the most particular format first."""

import contextlib
import csv
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import polars as pl

from warm.errors import InputRefused
from warm.files.read import Source
from warm.files.tables import open_table, separator_of
from warm.files.trades import binance, bybit, coinbase, kraken, lean, messages, okx, plain, tables, tardis
from warm.files.trades.batches import START, BadRow, Batch, Position
from warm.files.trades.messages import Dialect
from warm.files.trades.names import Options, Unnamed, named_by_file
from warm.files.trades.tables import Layout, Text

FORMATS = {
    "tardis": "tardis.dev's CSV",
    "lean": "QuantConnect Lean's ticks of equities and crypto",
    "binance": "Binance's trades and aggTrades: archive, REST, WebSocket",
    "bybit": "Bybit's trades: archive, v5",
    "okx": "OKX's trades: archive, REST, WebSocket",
    "kraken": "Kraken's trades: archive, REST, WebSocket 1 and 2",
    "coinbase": "Coinbase's matches, tickers and market trades, also as cryptofeed records them",
    "table": "plain table or objects: time, price, size, maybe symbol, side, id, venue",
}
"""The formats there are, and what each is."""

_DIALECTS = (
    ("binance", binance), ("bybit", bybit), ("okx", okx), ("kraken", kraken), ("coinbase", coinbase), ("table", plain),
)  # fmt: skip
_HEAD_BYTES = 8 * 1024**2
"""So much of a recording is looked at: it may begin with a snapshot of a book."""
_MESSAGES = 200
_FIRST_ROWS = 20


class Found(NamedTuple):
    """The format of a file, and how it is read."""

    name: str
    reader: Callable[..., Iterator[Batch]]

    def read(self, position: Position = START, **size: int) -> Iterator[Batch]:
        """Its trades behind ``position``, in batches; ``size`` is what each is made of (bytes of text, else rows).

        Raises:
            InputRefused: the file cannot be read, or is cut short.
        """
        return self.reader(position=position, **size)


_SAYS_NOTHING = Options()


def recognise(source: Source, options: Options = _SAYS_NOTHING) -> Found | None:
    """The format of a file's trades, None where it has none that is known.

    Raises:
        InputRefused: it cannot be read at all, or nothing tells the symbol of its trades.
    """
    if source.kind in ("parquet", "arrow"):
        return _of_frame(source, options)
    if source.kind == "markdown":
        return None
    first = next((line for line in _head(source) if line.strip()), None)
    if first is None:
        raise source.refuse("the file is empty")
    if first.lstrip()[:1] in ("{", "[") or messages.starts_stamped(first):
        return _of_json(source, options)
    return _of_table(source, options)


def holds_trades(source: Source) -> bool:
    """Whether a file that can be read has trades, even if nothing tells their symbol."""
    try:
        return recognise(source) is not None
    except Unnamed:
        return True
    except InputRefused:
        return False


def _of_table(source: Source, options: Options) -> Found | None:
    lines = _head(source)
    before = next((number for number, line in enumerate(lines) if line.strip()), 0)
    shown = [line for line in lines[before:] if line.strip()][: _FIRST_ROWS + 1]
    separator = separator_of(shown[0])
    try:
        header, *first = list(csv.reader(shown, delimiter=separator))
    except csv.Error:
        return None
    for name, layout in _headless(source, [header, *first], options):
        return _lines(name, source, layout, Text(separator, before))
    for name, layout in _headed(source, header, first, options):
        return _lines(name, source, layout, Text(separator, before + 1))
    return None


def _head(source: Source) -> list[str]:
    """The first lines; what is not in the file's encoding fails where it is read."""
    return source.head().decode("utf-8-sig", errors="replace").replace("\r\n", "\n").split("\n")


def _lines(name: str, source: Source, layout: Layout, text: Text) -> Found:
    return Found(name, partial(tables.read_lines, source, layout, text))


def _headless(source: Source, rows: list[list[str]], options: Options) -> Iterator[tuple[str, Layout]]:
    """Of tables without a line of names, by the first of their rows that is whole."""
    if not rows[0] or not rows[0][0].strip()[:1].isdigit():
        return
    for fields in rows:
        for name, detect in (("lean", lean.layout), ("binance", binance.headless), ("kraken", kraken.headless)):
            if (layout := detect(source, fields, options)) is not None:
                yield name, layout


def _headed(source: Source, header: list[str], first: list[list[Any]], options: Options) -> Iterator[tuple[str, Layout]]:
    if (layout := tardis.layout(source, header, options)) is not None:
        yield "tardis", layout
    if (layout := binance.layout(source, header, options)) is not None:
        yield "binance", layout
    if (layout := bybit.layout(source, header, first[0] if first else [], options)) is not None:
        yield "bybit", layout
    if (layout := okx.layout(source, header, options)) is not None:
        yield "okx", layout
    if (layout := plain.layout(source, header, first, options)) is not None:
        yield "table", layout


def _of_frame(source: Source, options: Options) -> Found | None:
    header = open_table(source).header
    for name, layout in _headed(source, header, _first_rows(source), options):
        return Found(name, partial(tables.read_frames, source, header, layout))
    return None


def _first_rows(source: Source) -> list[list[Any]]:
    lazy = pl.scan_parquet(source.data(), glob=False) if source.kind == "parquet" else pl.scan_ipc(source.data())
    try:
        written = [tables.as_written(name, name, kind) for name, kind in lazy.collect_schema().items()]
        return [list(row) for row in lazy.head(_FIRST_ROWS).select(written).collect().rows()]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        # A column of what is no value has no text.
        return []


def _of_json(source: Source, options: Options) -> Found | None:
    said = _messages(source)
    for message in said if said is not None else [messages.document(source)]:
        for name, dialect in _DIALECTS:
            rows = messages.trades_of(message, dialect.rows)
            if rows:
                told = Dialect(dialect.meaning(source, options), dialect.rows)
                if all(row.symbol is None for row in rows):
                    _must_be_named(source, told)
                read = messages.read_document if said is None else messages.read_lines
                return Found(name, partial(read, source, told))
            if rows is not None:
                # It is that venue's, and of another kind.
                break
    return None


def _must_be_named(source: Source, dialect: Dialect) -> None:
    """Refuse a file whose trades name no symbol, if its name tells none."""
    try:
        dialect.meaning.named(None, None)
    except BadRow:
        named_by_file(source)


def _messages(source: Source) -> list[Any] | None:
    """The first messages of a file of one a line; None of a document of many lines."""
    head = source.head(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    lines = head.split(b"\n")
    if len(head) >= _HEAD_BYTES:
        # Its end is missing.
        lines.pop()
    lines = [each for each in lines if each.strip()][:_MESSAGES]
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            if isinstance(message := messages.decoded(line), dict | list):
                found.append(message)
    return found if 2 * len(found) >= len(lines) > 0 else None
