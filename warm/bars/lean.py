"""QuantConnect Lean's archives (https://github.com/QuantConnect/Lean/tree/master/Data): CSV without a header, zipped.

Daily and hourly files have ``YYYYMMDD HH:MM,open,high,low,close,volume``, minutes and seconds the milliseconds since midnight in
place of the stamp, with the date in the archive's name. Equity prices are times 10,000 and New York's time; crypto and forex
(``lean-unscaled``) are as they are and UTC. Stamps say when a bar begins. The path tells which of the two it is: a folder
``crypto``, ``cryptofuture``, ``forex`` or ``cfd``, or ``_trade`` behind a daily file's symbol, is not scaled.
"""

import re

import polars as pl

from app.domain.symbols import canonical_symbol
from warm.bars.reading import BAR, Reading, Says, from_table
from warm.files import Source
from warm.rules import PRICES
from warm.tables import first_fields, headless_table

SCALE = 10_000
_UNSCALED = {"crypto", "cryptofuture", "forex", "cfd"}
_stamp = re.compile(r"\d{8} \d{2}:\d{2}").fullmatch
_name = re.compile(r"(?:(\d{8})_)?([a-z0-9.]+?)(?:_(second|minute))?(_trade)?").fullmatch
_QUOTES = ("_quote", "_openinterest")
_INTERVALS = {"daily": "1d", "hour": "1h", "minute": "1m", "second": "1s"}


def of_lines(source: Source, fields: list[list[str]]) -> str | None:
    """Lean's format, scaled or not, if a file's first line is one of its rows."""
    first = fields[0]
    if len(first) != len(BAR):
        return None
    dated = _dated(source)
    if not (_stamp(first[0]) or (dated and first[0].isdigit() and len(first[0]) < 9)):  # noqa: PLR2004
        return None
    market = next((each for each in reversed(source.folders) if each == "equity" or each in _UNSCALED), None)
    if market is None and dated is None and source.path.stem.lower().endswith("_trade"):
        market = "crypto"
    return "lean-unscaled" if market in _UNSCALED else "lean"


def _dated(source: Source) -> str | None:
    found = _name(source.stem.lower())
    return found[1] if found else None


def read(source: Source, *, scaled: bool) -> Reading:
    """The archive's bars.

    Raises:
        InputRefused: a name that tells no symbol, or equity prices that are no whole numbers.
    """
    found = _name(source.stem.lower())
    if found is None:
        raise source.refuse("the file's name tells no symbol (aapl.csv in aapl.zip would)")
    table = headless_table(source, len(BAR))
    reading = from_table(table, dict(zip(table.header, BAR, strict=True)), Says())
    frame = reading.frame
    if scaled:
        if frame.select(pl.any_horizontal((pl.col(name) % 1 != 0).any() for name in PRICES)).item():
            raise source.refuse(
                "equity prices times 10,000 are whole numbers and these are not; --format lean-unscaled takes them"
            )
        frame = frame.with_columns(pl.col(*PRICES) / SCALE)
    if found[1] and not _stamp(first_fields(source, 1)[0][0]):
        moment = pl.lit(found[1]).str.to_datetime("%Y%m%d", time_unit="ms", strict=False) + pl.duration(
            milliseconds=pl.col("date").cast(pl.Int64, strict=False)
        )
        frame = frame.with_columns(moment.alias("date"))
    told = next((_INTERVALS[each] for each in reversed(source.folders) if each in _INTERVALS), _INTERVALS.get(found[3] or ""))
    says = Says(
        told,
        "open",
        "America/New_York" if scaled else "UTC",
        False if scaled else None,
        canonical_symbol(found[2]),
        "file name",
    )
    return reading._replace(frame=frame, says=says)


def is_quotes(source: Source, fields: list[list[str]]) -> bool:
    """Whether a file without a header has bids and offers, or open interest, in place of trades, by its name."""
    return fields[0][0].replace(" ", "").replace(":", "").isdigit() and any(each in source.name for each in _QUOTES)
