"""What every price format gives, whatever its files look like: one row a bar, with what the file says of its stamps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import polars as pl

from warm.files.prices.numbers import IN_HUNDREDTHS, as_numbers, in_units, spelled
from warm.files.prices.rules import NUMBERS, PRICES
from warm.files.read import Source
from warm.files.tables import Table, read_table, read_text

Stamp = Literal["open", "close"]
"""Whether a bar's stamp is when it began or when it ended."""


class Says(NamedTuple):
    """What a format or a file says of its bars; None where it says nothing.

    ``zone`` is the time zone of stamps without one; ``never_closes`` whether they are of a market that trades day and night;
    ``symbol`` is what stands for a column that is not there, and ``named_by`` where it was found. ``hint`` is an interval that
    holds if the rows do not tell another, and ``unknown_clock`` whose clock moments without a time zone are on, if nobody but the
    user can know it.
    """

    interval: str | None = None
    stamps: Stamp | None = None
    zone: str | None = None
    never_closes: bool | None = None
    symbol: str | None = None
    named_by: str | None = None
    hint: str | None = None
    unknown_clock: str | None = None


class Reading(NamedTuple):
    """One file's rows as they stand.

    ``frame`` has ``row``, ``symbol``, ``date`` (of any type that holds stamps), `NUMBERS` (Float64, null for what is no number;
    ``adj_close`` only if the file has it). ``texts`` gives the file's own text of some rows: ``row`` and ``text_*`` for each
    column. ``columns`` maps the file's columns to ours, for people; ``place`` says what ``row`` counts. Where one row of the file
    holds several bars, both have a number to tell them apart, ``group``. ``notes`` is what is to be said of it.
    """

    frame: pl.DataFrame
    texts: Callable[[pl.Series], pl.DataFrame]
    says: Says
    columns: Mapping[str, str]
    place: str = "line"
    notes: tuple[str, ...] = ()


BAR = ("date", *PRICES, "volume")
"""A bar's own names, in the order in which most formats without names have them."""


def from_table(
    table: Table, columns: Mapping[str, str], says: Says, place: str = "line", beside: Mapping[str, str] | None = None
) -> Reading:
    """A reading of some columns of a table; ``beside`` are further ones for the frame alone, but for a ``currency``.

    Raises:
        InputRefused: it cannot be read.
    """
    wanted = {**columns, **(beside or {})}
    frame = read_table(table, wanted, dict.fromkeys(NUMBERS, pl.Float64()))
    names = [name for name in NUMBERS if name in frame.columns]
    unread = (
        frame.filter(pl.any_horizontal(pl.col(names).is_null())).head(_SAMPLED_ROWS).get_column("row") if _gaps(frame) else None
    )
    small = False
    if unread is not None:
        texts = read_text(table, columns, unread).select(pl.col([f"text_{name}" for name in names]))
        if any(spelled(text) for column in texts for text in column.drop_nulls()):
            frame = read_table(table, wanted).with_columns(pl.col(names).cast(pl.String))
            frame, small = as_numbers(table.source, frame, names, table.separator)
    frame, notes = _whole_units(frame, names, told=small)
    return Reading(frame, lambda rows: read_text(table, columns, rows), says, columns, place, notes)


_SAMPLED_ROWS = 100
"""Rows with something unread that are looked at, to see whether it is a number as people write them."""


def _whole_units(frame: pl.DataFrame, names: Sequence[str], *, told: bool) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """`in_units`, unless the prices themselves have ``told`` that they are in hundredths; and what is to be said."""
    if "currency" in frame.columns:
        frame, told = (frame.drop("currency"), True) if told else in_units(frame, names)
    return frame, (IN_HUNDREDTHS,) if told else ()


def _gaps(frame: pl.DataFrame) -> bool:
    return any(frame.get_column(name).null_count() for name in NUMBERS if name in frame.columns)


def from_raw(source: Source, raw: pl.DataFrame, says: Says, columns: Mapping[str, str], place: str) -> Reading:
    """A reading of a frame that is in memory anyway: ``row``, maybe ``currency``, and own column names with any values."""
    spelt = [name for name in NUMBERS if name in raw.columns and raw.schema[name] == pl.String]
    numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in NUMBERS if name in raw.columns]

    def texts(rows: pl.Series) -> pl.DataFrame:
        return raw.filter(pl.col("row").is_in(rows.implode())).select(
            pl.col("^(row|group)$"), pl.exclude("row", "group").cast(pl.String).name.prefix("text_")
        )

    frame, small = raw.with_columns(numbers), False
    if any(
        spelled(text) for name in spelt for text in raw.filter(frame.get_column(name).is_null()).get_column(name).drop_nulls()
    ):
        read, small = as_numbers(source, raw, spelt, ",")
        frame = frame.with_columns(read.select(spelt))
    frame, notes = _whole_units(frame, [name for name in NUMBERS if name in frame.columns], told=small)
    return Reading(frame, texts, says, columns, place, notes)


def from_lists(
    source: Source, rows: Sequence[Sequence[object]], names: Sequence[str], says: Says, columns: Mapping[str, str], place: str
) -> Reading:
    """A reading of rows of values (text, numbers, null), ``names`` from the first on; further values of a row are passed over.

    Raises:
        InputRefused: a row that is no list of at least so many values, named by its number.
    """
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list | tuple) or len(row) < len(names):
            raise source.refuse(f"{place} {number} is no list of {len(names)} values or more: {str(row)[:60]}")
    return from_raw(source, raw_frame({name: [row[at] for row in rows] for at, name in enumerate(names)}), says, columns, place)


def raw_frame(columns: Mapping[str, Sequence[object]], first_row: int = 1) -> pl.DataFrame:
    """A frame of columns of JSON values: whole numbers stay whole; a column that mixes kinds is text."""
    series = []
    for name, values in columns.items():
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int} and all(abs(value) < 1 << 63 for value in values if isinstance(value, int)):
            series.append(pl.Series(name, values, dtype=pl.Int64))
        elif kinds <= {int, float}:
            series.append(pl.Series(name, [None if each is None else _float(each) for each in values], dtype=pl.Float64))
        else:
            texts = [None if each is None else _text(each) for each in values]
            series.append(pl.Series(name, texts, dtype=pl.String))
    return pl.DataFrame(series).with_row_index("row", first_row)


def _float(value: object) -> float:
    assert isinstance(value, int | float)
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _text(value: object) -> str:
    try:
        # Lone surrogates, which JSON can spell and UTF-8 cannot, are no text.
        return str(value).encode("utf-8", "replace").decode("utf-8")
    except ValueError:  # a number of more digits than Python writes out
        return "inf"
