"""Derive the sample prices from the package bokeh_sampledata: ``python data/make_prices.py [FOLDER]``.

The source's rows and its figures are kept as they are, text for text; only the column names, their case and the order of the
symbols change. The same package gives the same text on every machine (and, with the same zlib, the same bytes).
"""

import gzip
import importlib.resources
import io
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
FILE = "prices/daily.csv.gz"
SOURCE_HEADER = "Ticker,Date,Open,High,Low,Close,Volume,Adj Close"
HEADER = "symbol,date,open,high,low,close,volume,adj_close"


def source_text() -> str:
    """The package's table of daily prices, unpacked."""
    packed = importlib.resources.files("bokeh_sampledata").joinpath("_data", "stocks.csv.gz").read_bytes()
    return gzip.decompress(packed).decode("utf-8")


def make_table(source: str) -> str:
    """The sample as CSV text, sorted by symbol and date.

    Raises:
        ValueError: the package's table no longer has the columns this script knows.
    """
    header, *rows = source.splitlines()
    if header != SOURCE_HEADER:
        raise ValueError(f"the source's columns are {header!r}, not {SOURCE_HEADER!r}")
    ordered = sorted((row for row in rows if row), key=lambda row: row.split(",", 2)[:2])
    return "\n".join([HEADER, *ordered]) + "\n"


def pack(text: str) -> bytes:
    """Gzip without a time or a file name in it, so that the same text gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(text.encode("utf-8"))
    return buffer.getvalue()


def main(folder: Path = FOLDER) -> None:
    """Write `FILE` under ``folder``."""
    target = folder / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(pack(make_table(source_text())))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
