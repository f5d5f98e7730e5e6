"""A price file's interval: what the file says, held against how far its bars are apart."""

import polars as pl

from app.domain.intervals import DAY_S, INTERVALS
from warm.calendar.intervals import Spacing, spacing
from warm.files.prices.reading import Says
from warm.files.read import Source

_SAMPLED_SYMBOLS = 200
"""Symbols of a file that its spacing is taken from: they tell it as well as thousands do."""

_ON_GRID = 0.9
"""The share of distances between bars that must be whole multiples of the interval; below it nobody can say what a bar is."""


def spacing_of(raw: pl.DataFrame, stamps: pl.DataFrame, on: list[str], *, dates: bool) -> Spacing:
    """The spacing of a file's rows (``raw``), whose ``stamps`` are told by the columns ``on``."""
    symbols = raw.lazy().select(pl.col("symbol").unique().sort().head(_SAMPLED_SYMBOLS))
    sample = raw.lazy().select("symbol", *on).join(symbols, on="symbol", how="semi", nulls_equal=True)
    return spacing(sample.join(stamps.lazy(), on=on, how="inner").select("symbol", "stamp_ms").collect(), dates=dates)


def interval_of(source: Source, says: Says, found: Spacing, wanted: str | None, *, dates: bool) -> tuple[str, str]:
    """A file's interval, and what tells it: the file itself, its spacing, or nothing (then the one wanted, or a day).

    Raises:
        InputRefused: the file says one thing and its spacing another, the spacing is none of the known ones, or its symbols
        differ.
    """
    said, hint = says.interval, says.hint
    if said is None and hint is not None and (found.distances == 0 or found.least == INTERVALS[hint]):
        said = hint
    if found.distances == 0 or found.seconds is None:
        return said or wanted or "1d", "file" if said else "--interval" if wanted else "assumed"
    apart = f"most of its bars are {_length(found.seconds)} apart"
    if said is not None:
        # Where little is traded the most frequent distance may be longer than a bar, but the shortest is one.
        if found.interval != said and (dates or found.least != INTERVALS[said]):
            raise source.refuse(f"it says its interval is {said}, but {apart}")
        return said, "file"
    if found.interval is None or (found.share < _ON_GRID and found.interval != "1M"):
        if wanted is not None and (dates or found.least % INTERVALS[wanted] == 0):
            return wanted, "--interval"
        if found.interval is None:
            raise source.refuse(f"{apart}, which is no known interval; --interval says it: {', '.join(INTERVALS)}")
        raise source.refuse(f"{apart}, but only {found.share:.0%} of the distances are whole multiples of that: no regular bars")
    long = 2 * DAY_S if dates else DAY_S
    if INTERVALS[found.interval] < long <= found.longest_least:
        raise source.refuse(
            f"{apart}, but those of other symbols are {_length(found.longest_least)} apart; allowed: one interval a file"
        )
    return found.interval, "spacing"


def _length(seconds: float) -> str:
    for name, unit in (("days", DAY_S), ("hours", 3600), ("minutes", 60)):
        if seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} seconds"
