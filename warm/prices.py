"""Price files to one clean frame of bars.

A file is read with typed columns and judged by one expression. Only the rows that fail it are read again, as text, so that the
report can say what stood where. They are set aside and counted; what remains is sorted by symbol and time, without
duplicates, and adjusted for splits and dividends.
"""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from app.domain.vector import SYMBOL_PATTERN
from warm.errors import InputRefused
from warm.rejects import EXAMPLES_MAX, Example, Rejects, set_aside
from warm.rules import NUMBERS, row_rules
from warm.sessions import Session
from warm.tables import (
    TABLE_SUFFIXES,
    choose_columns,
    csv_source,
    find_files,
    is_parquet,
    read_header,
    read_table,
    read_text,
)

ALIASES = {"ticker": "symbol", "timestamp": "date", "datetime": "date", "adj close": "adj_close", "adjclose": "adj_close"}
REQUIRED = ("symbol", "date", "open", "high", "low", "close", "volume")
OPTIONAL = ("adj_close",)
BAR_COLUMNS = ("symbol", "as_of_ms", "open", "high", "low", "close", "volume")


class Bars(NamedTuple):
    """Clean bars and how they came to be.

    ``frame`` has `BAR_COLUMNS`: prices adjusted, each symbol's rows together and strictly ascending in time. ``rows`` counts
    rows read up to the cut, ``cut`` those after it; ``unsorted`` those that stood before an older row of their symbol.
    """

    frame: pl.DataFrame
    rows: int
    cut: int
    unsorted: int
    files: tuple[str, ...]
    rejects: Rejects


class _File(NamedTuple):
    frame: pl.DataFrame
    rows: int
    cut: int
    adjusted: bool


def read_prices(path: Path, session: Session, now_ms: int, as_of_ms: int | None = None) -> Bars:
    """Read, validate, sort and adjust every price file at ``path``; bars after ``as_of_ms`` are cut off first.

    Raises:
        InputRefused: a file that cannot be used at all, or no usable bar in any of them.
    """
    files = find_files(path, TABLE_SUFFIXES)
    rejects = Rejects()
    parts = [_read_file(file, number, session, now_ms, as_of_ms, rejects) for number, file in enumerate(files)]
    adjusted = any(part.adjusted for part in parts)
    frame = pl.concat([part.frame for part in parts], how="vertical", rechunk=False)
    rows, cut = sum(part.rows for part in parts), sum(part.cut for part in parts)
    del parts
    frame, unsorted = _in_order(frame, [file.name for file in files], rejects)
    if frame.is_empty():
        why = f"rejected: {rejects.summary()}" if rejects.total else f"{cut} rows are after --as-of" if cut else "no rows"
        raise InputRefused(f"{path}: no usable bar ({why})")
    return Bars(
        _adjust(frame) if adjusted else frame.select(BAR_COLUMNS), rows, cut, unsorted, tuple(f.name for f in files), rejects
    )


def _read_file(path: Path, number: int, session: Session, now_ms: int, as_of_ms: int | None, rejects: Rejects) -> _File:
    """One file's good rows, with columns file (its number) and row for later examples."""
    source = path if is_parquet(path) else csv_source(path)
    columns = choose_columns(path, read_header(path, source), ALIASES, REQUIRED, OPTIONAL)
    frame = _parsed(read_table(path, source, columns, dict.fromkeys(NUMBERS, pl.Float64())), path, session)
    total = frame.height
    if as_of_ms is not None:
        frame = frame.filter(pl.col("as_of_ms").le(as_of_ms).fill_null(value=True))
    rows = frame.height
    bad = pl.any_horizontal(rule.fill_null(value=False) for *_, rule in row_rules(now_ms))
    suspects = frame.filter(bad)
    if not suspects.is_empty():
        frame = frame.filter(~bad)
        texts = read_text(path, source, columns, suspects.get_column("row"))
        # A blank line is no row.
        blank = texts.filter(pl.all_horizontal(pl.exclude("row").is_null())).get_column("row")
        rows, total = rows - blank.len(), total - blank.len()
        told = suspects.filter(~pl.col("row").is_in(blank.implode())).join(texts, on="row", how="left", maintain_order="left")
        if "text_adj_close" not in told.columns:
            told = told.with_columns(pl.lit(None, dtype=pl.String).alias("text_adj_close"))
        set_aside(told, row_rules(now_ms, text=True), path.name, rejects)
    kept = frame.select(*BAR_COLUMNS, "adj_close", pl.lit(number, dtype=pl.UInt32).alias("file"), "row")
    return _File(kept, rows, total - rows, "adj_close" in columns.values())


def _parsed(raw: pl.DataFrame, path: Path, session: Session) -> pl.DataFrame:
    """``raw`` with the stamp as ``as_of_ms`` (null if it cannot be read) and whether the symbol is one (``symbol_ok``)."""
    kind = raw.schema["date"]
    if kind not in (pl.String, pl.Date) and not isinstance(kind, pl.Datetime):
        raise InputRefused(f"{path}: column 'date' holds {kind}; allowed: text, Date or Datetime")
    if "adj_close" not in raw.columns:
        raw = raw.with_columns(pl.col("close").alias("adj_close"))
    # A stamp or a symbol stands in many rows: each is judged once and joined back.
    stamps = raw.get_column("date").unique()
    moments = pl.DataFrame(
        {"date": stamps, "as_of_ms": [None if each is None else session.moment_ms(str(each)) for each in stamps]},
        schema_overrides={"as_of_ms": pl.Int64},
    )
    frame = raw.lazy().with_columns(pl.col("symbol").cast(pl.String))
    names = frame.select(pl.col("symbol").unique())
    names = names.with_columns(pl.col("symbol").str.contains(SYMBOL_PATTERN).alias("symbol_ok"))
    return (
        frame.join(moments.lazy(), on="date", how="left", maintain_order="left")
        .join(names, on="symbol", how="left", maintain_order="left", nulls_equal=True)
        .drop("date")
        .collect()
    )


def _in_order(frame: pl.DataFrame, files: list[str], rejects: Rejects) -> tuple[pl.DataFrame, int]:
    """Each symbol's rows together, ascending and unique in time; of two rows of one moment the first read is kept.

    The order of rows in a file carries no information, so rows out of order are sorted, counted and not rejected.
    """
    follows = (pl.col("symbol") == pl.col("symbol").shift(1)).fill_null(value=False)
    later = pl.col("as_of_ms") > pl.col("as_of_ms").shift(1)
    runs, ascending, symbols = frame.select(
        follows.not_().sum().alias("runs"),
        (later | ~follows).all().alias("ascending"),
        pl.col("symbol").n_unique().alias("symbols"),
    ).row(0)
    if ascending and runs == symbols:
        return frame, 0
    unsorted = frame.select((pl.col("as_of_ms").diff().over("symbol") < 0).sum()).item()
    frame = frame.sort("symbol", "as_of_ms", "file", "row")
    again = (pl.col("symbol") == pl.col("symbol").shift(1)) & (pl.col("as_of_ms") == pl.col("as_of_ms").shift(1))
    repeated = frame.filter(again)
    if not repeated.is_empty():
        shown = repeated.sort("file", "row").head(EXAMPLES_MAX).select("file", "row", "symbol", "as_of_ms").rows()
        examples = [Example(files[file], row, symbol, "date", str(moment)) for file, row, symbol, moment in shown]
        rejects.add("duplicate_timestamp", repeated.height, examples)
        frame = frame.filter(again.not_().fill_null(value=True))
    return frame, unsorted


def _adjust(frame: pl.DataFrame) -> pl.DataFrame:
    """Prices adjusted for splits and dividends, on the scale of each symbol's last bar.

    A row's factor is adj_close / close. Sources scale it so that it is 1 on the day they were asked; dividing by the factor of
    the symbol's last bar here makes it 1 at that bar instead. So the last close is the price that was really traded, which a
    live price can be compared with, and no split or dividend after the last bar has any influence.
    """
    factor = pl.col("adj_close") / pl.col("close")
    last = frame.lazy().group_by("symbol").agg(factor.last().alias("last_factor"))
    return (
        frame.lazy()
        .join(last, on="symbol", how="left", maintain_order="left")
        .with_columns((factor / pl.col("last_factor")).alias("factor"))
        .with_columns(pl.col("open", "high", "low", "close") * pl.col("factor"))
        .select(BAR_COLUMNS)
        .collect()
    )
