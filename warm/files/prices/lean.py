"""QuantConnect Lean's archives (https://github.com/QuantConnect/Lean/tree/master/Data): CSV without a header, zipped.

Daily and hourly files have ``YYYYMMDD HH:MM,open,high,low,close,volume``, minutes and seconds the milliseconds since midnight in
place of the stamp, with the date in the archive's name. Forex and CFDs have bid and ask bars (``time, bid open, high, low,
close, size, ask open, …``): their bar is the mean of both. Equity prices are times 10,000 and New York's time; crypto and forex
(``lean-unscaled``) are as they are and UTC. Stamps say when a bar begins. The path tells which of the two it is: a folder
``crypto``, ``cryptofuture``, ``forex`` or ``cfd``, or ``_trade`` behind a daily file's symbol, is not scaled.
"""

import re

import polars as pl

from app.domain.symbols import canonical_symbol
from warm.files.prices.reading import BAR, Reading, Says, from_table
from warm.files.prices.rules import PRICES
from warm.files.read import Source
from warm.files.tables import first_fields, headless_table

SCALE = 10_000
_BID_ASK_LENGTH = 11
"""Values of a row of bid and ask: the stamp, four prices and a size, and the same again."""
_UNSCALED = {"crypto", "cryptofuture", "forex", "cfd"}
_stamp = re.compile(r"\d{8} \d{2}:\d{2}").fullmatch
_name = re.compile(r"(?:(\d{8})_)?([a-z0-9.]+?)(?:_(second|minute))?(_trade|_quote)?").fullmatch
_QUOTES = ("_quote", "_openinterest")
_QUOTED = {"forex", "cfd"}
"""What is quoted and traded nowhere: bid and ask are all that there is."""
_INTERVALS = {"daily": "1d", "hour": "1h", "minute": "1m", "second": "1s"}


def of_lines(source: Source, fields: list[list[str]]) -> str | None:
    """Lean's format, scaled or not, if a file's first line is one of its rows."""
    first = fields[0]
    if len(first) != len(BAR) and not (len(first) == _BID_ASK_LENGTH and {*source.folders} & _UNSCALED):
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
    if found is None or found[2] in ("trade", "quote"):
        raise source.refuse("the file's name tells no symbol (aapl.csv in aapl.zip would)")
    length = len(first_fields(source, 1)[0])
    table = headless_table(source, max(length, len(BAR)))
    asks = (
        dict(zip(table.header[len(BAR) :], (f"ask_{name}" for name in PRICES), strict=False)) if length == _BID_ASK_LENGTH else {}
    )
    reading = from_table(table, dict(zip(table.header, BAR, strict=False)), Says(), beside=asks)
    frame = reading.frame
    if asks:
        # Nobody trades on the bid or on the ask alone; their sizes are no volume.
        mids = [((pl.col(name) + pl.col(f"ask_{name}").cast(pl.Float64, strict=False)) / 2).alias(name) for name in PRICES]
        frame = frame.with_columns(*mids, pl.lit(0.0).alias("volume")).drop(asks.values())
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
    if {*source.folders} & _QUOTED and "_openinterest" not in source.name:
        return False
    return fields[0][0].replace(" ", "").replace(":", "").isdigit() and any(each in source.name for each in _QUOTES)
