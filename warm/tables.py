"""Opening tables: which files, which columns, and one clear line where a file cannot be used."""

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from warm.errors import InputRefused

TABLE_SUFFIXES = (".csv", ".csv.gz", ".parquet")


def find_files(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """``path`` itself, or the files in it with one of ``suffixes``, sorted by name; hidden files are left out.

    Raises:
        InputRefused: nothing there.
    """
    if path.is_dir():
        found = sorted(
            each
            for each in path.iterdir()
            if each.is_file() and not each.name.startswith(".") and each.name.lower().endswith(tuple(suffixes))
        )
        if not found:
            raise InputRefused(f"{path}: no file in this folder ends in {', '.join(suffixes)}")
        return found
    if not path.exists():
        raise InputRefused(f"{path}: no such file or folder")
    if not path.name.lower().endswith(tuple(suffixes)):
        raise InputRefused(f"{path}: not a known kind of file; allowed: {', '.join(suffixes)}")
    return [path]


def one_line(error: BaseException, length: int = 200) -> str:
    """The first line of an error, cut to ``length`` characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:length]


def is_parquet(path: Path) -> bool:
    """Whether the name says Parquet."""
    return path.name.lower().endswith(".parquet")


def csv_source(path: Path) -> bytes | Path:
    """What Polars reads a CSV from: the path, or a gzip file's content, unpacked here because a truncated archive must be
    an error and never a shorter table.

    Raises:
        InputRefused: no valid gzip, cut short, empty, or not UTF-8 at its beginning.
    """
    if not path.name.lower().endswith(".gz"):
        with path.open("rb") as file:
            head = file.read(4)
        source: bytes | Path = path
    else:
        try:
            source = gzip.decompress(path.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise InputRefused(f"{path}: no readable gzip file ({one_line(error)})") from error
        head = source[:4]
    if not head.strip():
        raise InputRefused(f"{path}: the file is empty")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputRefused(f"{path}: the text is UTF-16; allowed: UTF-8")
    return source


def read_header(path: Path, source: bytes | Path) -> list[str]:
    """Column names of a table as they are in the file."""
    try:
        if is_parquet(path):
            return list(pl.read_parquet_schema(path))
        return pl.read_csv(source, n_rows=0, infer_schema=False).columns
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise InputRefused(f"{path}: the table cannot be read ({one_line(error)})") from error


def read_table(
    path: Path, source: bytes | Path, columns: Mapping[str, str], types: Mapping[str, pl.DataType] | None = None
) -> pl.DataFrame:
    """The columns of ``columns`` (name in the file to own name), and ``row``: the line in a CSV file (the header is line 1), the
    number from 1 in Parquet. A column in ``types`` (by own name) has that type, with null for what cannot be read as one; a CSV
    file's others are text, a Parquet file's are as they are.

    Raises:
        InputRefused: the file cannot be read as such a table.
    """
    types = types or {}
    try:
        if is_parquet(path):
            frame = pl.read_parquet(path, columns=list(columns)).rename(dict(columns))
            frame = frame.with_columns(
                pl.col(name).cast(kind, strict=False) for name, kind in types.items() if name in frame.columns
            )
        else:
            overrides = {theirs: types.get(own, pl.String()) for theirs, own in columns.items()}
            # Only a value that does not parse is forgiven; a broken line, quote or encoding is still an error.
            frame = pl.read_csv(
                source, columns=list(columns), schema_overrides=overrides, infer_schema=False, ignore_errors=True, glob=False
            ).rename(dict(columns))
        return frame.with_row_index("row", first_row(path))
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise InputRefused(f"{path}: the table cannot be read ({one_line(error)})") from error


def read_text(path: Path, source: bytes | Path, columns: Mapping[str, str], rows: pl.Series) -> pl.DataFrame:
    """What stands in some ``rows`` of a table: ``row``, then every column as text, ``text_*``. Streamed, since a large file with
    one bad row would not fit as text where it fits as numbers.
    """
    if is_parquet(path):
        table = pl.scan_parquet(path, glob=False)
    else:
        table = pl.scan_csv(source, infer_schema=False, glob=False)
    return (
        table.with_row_index("row", first_row(path))
        .select("row", *(pl.col(theirs).cast(pl.String).alias(f"text_{own}") for theirs, own in columns.items()))
        .join(pl.LazyFrame({"row": rows}), on="row", how="semi", maintain_order="left")
        .collect(engine="streaming")
        .sort("row")
    )


def first_row(path: Path) -> int:
    """The number of a table's first row: its line in a CSV file, 1 in Parquet."""
    return 1 if is_parquet(path) else 2


def choose_columns(
    path: Path, header: Sequence[str], aliases: Mapping[str, str], required: Sequence[str], optional: Sequence[str]
) -> dict[str, str]:
    """Which of the file's columns are wanted: name in the file to own name. Case and spaces around it do not matter.

    Raises:
        InputRefused: a required column is missing, or two columns mean the same.
    """
    chosen: dict[str, str] = {}
    for theirs in header:
        # Polars renames the second of two columns of one name.
        plain = re.sub(r"_duplicated_\d+$", "", theirs.strip().removeprefix("\ufeff")).lower()
        own = aliases.get(plain, plain)
        if own not in required and own not in optional:
            continue
        if own in chosen.values():
            raise InputRefused(f"{path}: two columns mean {own!r}; keep one of them")
        chosen[theirs] = own
    missing = [name for name in required if name not in chosen.values()]
    if missing:
        raise InputRefused(
            f"{path}: column {missing[0]!r} is missing; required: {', '.join(required)}; optional: {', '.join(optional)}"
        )
    return chosen
