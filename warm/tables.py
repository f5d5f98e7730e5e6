"""Opening tables: which columns there are, and one clear line where a file cannot be used."""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from warm.files import Source, one_line

_READING = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeDecodeError, ValueError)

_WIDEST = 8
_WIDTHS = {
    pl.Boolean: 0.125,
    pl.Int8: 1,
    pl.UInt8: 1,
    pl.Int16: 2,
    pl.UInt16: 2,
    pl.Int32: 4,
    pl.UInt32: 4,
    pl.Float32: 4,
    pl.String: 16,
}
"""Bytes that a value takes at least, by its column's type."""

# Sixty-four openings without a closing between them.
_DEEP = re.compile(rb"(?:[\[{][^\[\]{}\n]{0,200}){64}")


_PREAMBLE_MAX = 12
_FIELDS_MIN = 4
"""Lines before a table's first that may be a notice, and fields from which on a line is none."""


class Table(NamedTuple):
    """A table that can be read: its column names as in the file, and how its text is laid out. A headless one has no line of
    names: its columns are called ``column_1`` and so on. ``skipped`` lines of another kind stand before it.
    """

    source: Source
    header: list[str]
    separator: str = ","
    headless: bool = False
    skipped: int = 0

    @property
    def first_row(self) -> int:
        """The number of the first row: its line in a CSV file (the header is line 1), 1 elsewhere."""
        return self.skipped + (2 if self.source.kind == "csv" and not self.headless else 1)


def open_table(source: Source) -> Table:
    """The table in a CSV, Parquet, Arrow (Feather) or JSON-lines file.

    Raises:
        InputRefused: it cannot be read as one.
    """
    try:
        if source.kind == "parquet":
            return Table(source, list(pl.scan_parquet(source.data(), glob=False).collect_schema()))
        if source.kind == "arrow":
            return Table(source, list(pl.read_ipc_schema(source.data())))
        if source.kind == "lines":
            return Table(source, list(source.first_object()))
    except _READING as error:
        raise source.refuse(f"the table cannot be read ({one_line(error)})") from error
    skipped, (line, *_) = _first_lines(source, 1)
    separator = separator_of(line)
    try:
        header = list(_header(line, separator))
    except _READING as error:
        raise source.refuse(f"the table cannot be read ({one_line(error)})") from error
    return Table(source, header, separator, skipped=skipped)


@lru_cache(maxsize=1)
def _header(line: str, separator: str) -> tuple[str, ...]:
    """Of the first line alone: a packed table need not be unpacked for it."""
    return tuple(pl.read_csv(line.encode(), n_rows=0, infer_schema=False, separator=separator).columns)


def headless_table(source: Source, count: int) -> Table:
    """The table in a CSV file of ``count`` columns without a line of names."""
    skipped, (line, *_) = _first_lines(source, 1)
    return Table(source, [f"column_{number}" for number in range(1, count + 1)], separator_of(line), True, skipped)  # noqa: FBT003


def separator_of(text: str) -> str:
    """What separates the fields of a text's first line: of comma, semicolon, tab and bar the most frequent. Where the others
    stand, a comma may be the decimal sign.
    """
    line = text.partition("\n")[0]
    return max((each for each in ";\t|" if line.count(each) >= _FIELDS_MIN), default=max(",;\t|", key=line.count), key=line.count)


def _first_lines(source: Source, count: int) -> tuple[int, list[str]]:
    """How many lines stand before a CSV file's table, and its own first ones. A notice, as CryptoDataDownload and others put
    there, has few fields.
    """
    lines = source.lines(_PREAMBLE_MAX + count)
    wide = [line.count(separator_of(line)) >= _FIELDS_MIN - 1 for line in lines[:_PREAMBLE_MAX]]
    if wide[0] or not any(wide):
        return 0, lines[:count]
    first = wide.index(True)
    return source.text_lines().index(lines[first]), lines[first : first + count]


def first_fields(source: Source, count: int) -> list[list[str]]:
    """The fields of the first lines of a CSV file's table."""
    _, lines = _first_lines(source, count)
    try:
        return list(csv.reader(lines, delimiter=separator_of(lines[0])))
    except csv.Error as error:
        raise source.refuse(f"the table cannot be read ({one_line(error)})") from error


def read_table(table: Table, columns: Mapping[str, str], types: Mapping[str, pl.DataType] | None = None) -> pl.DataFrame:
    """The columns of ``columns`` (name in the file to own name), and ``row`` (`Table.first_row`). A column in ``types`` (by own
    name) has that type, with null for what cannot be read as one; a CSV file's others are text, other files' are as they are.

    Raises:
        InputRefused: the file cannot be read as such a table.
    """
    types = types or {}
    source = table.source
    try:
        if source.kind == "csv":
            if isinstance(data := source.data(), Path):
                source.claim(data.stat().st_size)
            overrides = {theirs: types.get(own, pl.String()) for theirs, own in columns.items()}
            # Only a value that does not parse is forgiven; a broken line, quote or encoding is still an error.
            frame = pl.read_csv(
                data,
                columns=list(columns),
                infer_schema=False,
                ignore_errors=True,
                glob=False,
                separator=table.separator,
                skip_lines=table.skipped,
                **_names(table, overrides),
            ).rename(dict(columns))
        else:
            frame = _whole(table, list(columns)).rename(dict(columns))
            frame = frame.with_columns(
                pl.col(name).cast(kind, strict=False) for name, kind in types.items() if name in frame.columns
            )
        return frame.with_row_index("row", table.first_row)
    except _READING as error:
        raise source.refuse(f"the table cannot be read ({one_line(error)})") from error


def _names(table: Table, types: Mapping[str, pl.DataType]) -> dict[str, Any]:
    """How a CSV reader learns of names and ``types`` (by name in the file)."""
    if not table.headless:
        return {"schema_overrides": types}
    return {"has_header": False, "schema": {name: types.get(name, pl.String()) for name in table.header}}


def _whole(table: Table, columns: list[str]) -> pl.DataFrame:
    data = table.source.data()
    if table.source.kind == "parquet":
        _claim_rows(table, pl.scan_parquet(data, glob=False).select(columns))
        return pl.read_parquet(data, columns=columns, glob=False)
    if table.source.kind == "arrow":
        _claim_rows(table, pl.scan_ipc(data).select(columns))
        return pl.read_ipc(data, columns=columns)
    if isinstance(data, Path):
        table.source.claim(2 * data.stat().st_size)
    content = data.read_bytes() if isinstance(data, Path) else data
    if _DEEP.search(content):
        # Polars' reader ends the process on them.
        raise table.source.refuse("objects or arrays nested deeper than 64 levels")
    return pl.read_ndjson(content, infer_schema_length=None).select(columns)


def _claim_rows(table: Table, lazy: pl.LazyFrame) -> None:
    """The least that the rows take: a few bytes of file can be millions of them."""
    widths = [_WIDTHS.get(kind.base_type(), _WIDEST) for kind in lazy.collect_schema().dtypes()]
    rows: int = lazy.select(pl.len()).collect().item()
    table.source.claim(rows * sum(widths))


def read_text(table: Table, columns: Mapping[str, str], rows: pl.Series) -> pl.DataFrame:
    """What stands in some ``rows`` of a table: ``row``, then every column as text, ``text_*``. Streamed, since a large file with
    one bad row would not fit as text where it fits as numbers.
    """
    data = table.source.data()
    if table.source.kind == "parquet":
        lazy = pl.scan_parquet(data, glob=False)
    elif table.headless:
        # Polars' lazy reader passes over the names that it is given for a table without any.
        schema = dict.fromkeys(table.header, pl.String())
        lazy = pl.read_csv(
            data, has_header=False, schema=schema, glob=False, separator=table.separator, skip_lines=table.skipped
        ).lazy()
    elif table.source.kind == "csv":
        lazy = pl.scan_csv(data, infer_schema=False, glob=False, separator=table.separator, skip_lines=table.skipped)
    else:
        lazy = _whole(table, list(columns)).lazy()
    return (
        lazy.with_row_index("row", table.first_row)
        .select("row", *(pl.col(theirs).cast(pl.String).alias(f"text_{own}") for theirs, own in columns.items()))
        .join(pl.LazyFrame({"row": rows}), on="row", how="semi", maintain_order="left")
        .collect(engine="streaming")
        .sort("row")
    )


def plain_name(theirs: str) -> str:
    """A column's name without case, surrounding space and what libraries add to it."""
    # Polars renames the second of two columns of one name.
    return re.sub(r"_duplicated_\d+$", "", theirs.strip().removeprefix("\ufeff")).strip("<>*# ").lower()


def choose_columns(
    source: Source,
    header: Sequence[str],
    aliases: Mapping[str, str],
    required: Sequence[str],
    optional: Sequence[str],
    weak: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Which of the file's columns are wanted: name in the file to own name. Case and spaces around it do not matter. Names in
    ``weak`` count, the first of them first, where no other column means the same.

    Raises:
        InputRefused: a required column is missing, or two columns mean the same.
    """
    chosen: dict[str, str] = {}
    for theirs in header:
        plain = plain_name(theirs)
        own = aliases.get(plain, plain)
        if own not in required and own not in optional:
            continue
        if own in chosen.values():
            raise source.refuse(f"two columns mean {own!r}; keep one of them")
        chosen[theirs] = own
    by_name = {plain_name(theirs): theirs for theirs in reversed(header)}
    for name, own in (weak or {}).items():
        if name in by_name and own in (*required, *optional) and own not in chosen.values():
            chosen[by_name[name]] = own
    missing = [name for name in required if name not in chosen.values()]
    if missing:
        raise source.refuse(f"column {missing[0]!r} is missing; required: {', '.join(required)}; optional: {', '.join(optional)}")
    return chosen
