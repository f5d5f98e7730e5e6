"""Tables of trades: CSV with or without a line of names, Parquet and Arrow."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import polars as pl

from warm.files.read import Source, one_line
from warm.files.tables import plain_name
from warm.files.trades.batches import START, BadRow, Batch, Position
from warm.files.trades.building import Builder, Fed, Meaning, Row, batches, example
from warm.files.trades.lines import PART_BYTES, parts, texts

ROWS = 20_000
"""Rows of a batch where they are no lines."""
_READ_ROWS = 200_000
"""Rows that are read at once, as text."""
_READING = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


class Layout(NamedTuple):
    """Where a table has what a trade is: columns by the names of `Row`, and what holds for all rows where no column says it.
    ``width`` is how many fields a row has. ``prepare`` puts a row of text right before it is read, or raises BadRow.
    """

    meaning: Meaning
    at: Mapping[str, int]
    width: int
    fixed: Mapping[str, Any]
    prepare: Callable[[list[str]], None] | None = None


class Text(NamedTuple):
    """How a CSV file's rows are written: what separates fields, and how many lines stand before the first."""

    separator: str
    before: int


def short(name: str) -> str:
    """A column's name without case, spaces, signs, and what stands behind a stroke (OKX has a second language there)."""
    return re.sub(r"[\s_.-]", "", plain_name(name).partition("/")[0])


def found(header: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Which column is which of ours: the first of a name's spellings that is there."""
    plain = [short(each) for each in header]
    return {own: plain.index(each) for own, spellings in names.items() for each in spellings[::-1] if each in plain}


def read_lines(source: Source, layout: Layout, text: Text, position: Position = START, size: int = PART_BYTES) -> Iterator[Batch]:
    """A CSV file's trades."""
    pick, fixed = _picker(layout)
    label = source.label

    def rows(lines: list[str], place: int, refused: list[Any]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        separator, before, width, prepare = text.separator, text.before, layout.width, layout.prepare
        for line in lines:
            place += 1
            if place <= before:
                continue
            fields = line.split(separator) if '"' not in line else _quoted(line, separator)
            if len(fields) == width:
                if prepare is not None:
                    try:
                        prepare(fields)
                    except BadRow as bad:
                        refused.append((bad.reason, example(label, place, None, bad)))
                        continue
                yield place, pick(fields + fixed)
            elif line.strip():
                torn = BadRow("wrong_field_count", "row", line)
                refused.append((torn.reason, example(label, place, None, torn)))

    def feed(begin: Position, until: int | None) -> Iterator[Fed]:
        place = begin.row
        for lines, after in parts(source, begin, until, size):
            refused: list[Any] = []
            shown = [each.rstrip("\r") for each in texts(lines)] if lines and lines[0].endswith(b"\r") else texts(lines)
            yield Fed(rows(shown, place, refused), refused, [], after)
            place += len(lines)

    return batches(Builder(label, layout.meaning), feed, position)


def _quoted(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error:
        return []


def _picker(layout: Layout) -> tuple[Callable[[Sequence[Any]], tuple[Any, ...]], list[Any]]:
    """What picks a `Row` out of a row's fields and, behind them, the fixed values."""
    defaults = {**Row._field_defaults, **dict.fromkeys(("symbol", "time", "price", "size"))}
    fixed = [layout.fixed.get(name, defaults[name]) for name in Row._fields]
    return itemgetter(*(layout.at.get(name, layout.width + number) for number, name in enumerate(Row._fields))), fixed


def read_frames(
    source: Source, header: Sequence[str], layout: Layout, position: Position = START, size: int = ROWS
) -> Iterator[Batch]:
    """The trades of a Parquet or Arrow file. Floats are their shortest decimals.

    Raises:
        InputRefused: it cannot be read.
    """
    names = {own: header[column] for own, column in layout.at.items()}
    pick, fixed = _picker(layout._replace(at={own: number for number, own in enumerate(names)}, width=len(names)))

    def feed(begin: Position, until: int | None) -> Iterator[Fed]:
        data = source.data()
        place = begin.row
        try:
            lazy = pl.scan_parquet(data, glob=False) if source.kind == "parquet" else pl.scan_ipc(data)
            schema = lazy.collect_schema()
            picked = lazy.select(as_written(own, theirs, schema[theirs]) for own, theirs in names.items())
            while until is None or place < until:
                # Polars' own batches run far ahead of who takes them.
                length = _READ_ROWS if until is None else min(_READ_ROWS, until - place)
                frame = picked.slice(place, length).collect(engine="streaming")
                for part in frame.iter_slices(size):
                    rows = [(place + n, pick([*row, *fixed])) for n, row in enumerate(part.rows(), 1)]
                    place += part.height
                    yield Fed(rows, [], [], Position(place, place))
                if frame.height < length:
                    break
        except _READING as error:
            raise source.refuse(f"the table cannot be read ({one_line(error)})") from error

    return batches(Builder(source.label, layout.meaning), feed, position)


def as_written(own: str, theirs: str, kind: pl.DataType) -> pl.Expr:
    """A column as text with the digits that it has, times as µs since 1970."""
    column = pl.col(theirs)
    if isinstance(kind, pl.Datetime):
        return column.dt.epoch("us").alias(own)
    if own == "trade_id" and kind.is_float():
        column = column.cast(pl.Int64, strict=False)
    return column.cast(pl.String).alias(own)
