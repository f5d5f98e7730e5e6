"""Lengths of bars: their names, what a file's spacing says, and how many there are in a year."""

import re
from typing import NamedTuple

import polars as pl

from app.domain.intervals import DAY_S, INTERVALS

SESSION_S = 6.5 * 3600
"""Length of New York's session."""

SESSIONS_A_YEAR = 252
"""Its sessions a year."""

_MONTH_DAYS = range(28, 32)
BY_SECONDS = {seconds: name for name, seconds in INTERVALS.items()}
"""Names by seconds."""

_word = re.compile(r"(\d{1,4}) ?(s|sec|seconds?|m|min|mins|minutes?|h|hr|hours?|d|days?|w|wk|weeks?|mo|mon|months?)").fullmatch
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": DAY_S, "w": 7 * DAY_S}


def interval_named(text: str) -> str | None:
    """The interval that ``text`` means: ``1h``, ``60min``, ``1D``, ``1wk``; ``1M`` and ``1mo`` are months, ``1m`` a minute."""
    if text == "1M":
        return "1M"
    found = _word(text.lower())
    if found is None:
        return None
    unit = found[2]
    if unit.startswith("mo"):
        return "1M" if found[1] == "1" else None
    return BY_SECONDS.get(int(found[1]) * _UNIT_S[unit[0]])


def bars_a_year(interval: str, *, never_closes: bool, session_s: float = SESSION_S) -> float:
    """Bars of ``interval`` in a year, for annualising volatility: of 365 days, or of 252 sessions of ``session_s``."""
    seconds = INTERVALS[interval]
    if interval == "1M":
        return 12.0
    if interval == "1w":
        return 52.0
    if never_closes:
        return 365 * DAY_S / seconds
    if seconds >= DAY_S:
        return SESSIONS_A_YEAR / (seconds / DAY_S)
    return SESSIONS_A_YEAR * max(1.0, session_s / seconds)


class Market(NamedTuple):
    """What a symbol's bars are: their interval, and whether its market never closes (else it has the exchange's sessions).

    ``session_s`` is how long those are, in seconds, of bars that are shorter than one.
    """

    interval: str
    never_closes: bool
    session_s: float = SESSION_S


class Spacing(NamedTuple):
    """What the distances between a file's bars say.

    ``interval`` is the name of the most frequent one, None if it has no name; ``seconds`` is its length, None if no symbol has
    two bars; ``share`` is the share of distances that are whole multiples of it; ``distances`` how many there are; ``least`` is
    the shortest of them, and ``longest_least`` the longest of the symbols' own shortest, in seconds.
    """

    interval: str | None
    seconds: float | None
    share: float
    distances: int
    least: float = 0.0
    longest_least: float = 0.0


def spacing(frame: pl.DataFrame, *, dates: bool) -> Spacing:
    """The spacing of ``frame`` (symbol, stamp_ms: starts or ends of bars, in any order). Of ``dates`` of sessions it is a day, a
    week or a month, because weekends and holidays lie between sessions.
    """
    stamps = frame.lazy().filter(pl.col("stamp_ms").is_not_null())
    same = pl.col("symbol") == pl.col("symbol").shift(1)
    apart = (
        stamps.sort("symbol", "stamp_ms")
        .select("symbol", pl.when(same).then(pl.col("stamp_ms").diff() / 1000).alias("seconds"))
        .filter(pl.col("seconds") > 0)
        .collect()
    )
    distances = apart.group_by("seconds").len().sort("len", "seconds", descending=[True, False])
    total = apart.height
    if total == 0:
        return Spacing(None, None, 1.0, 0)
    seconds = float(distances.item(0, "seconds"))
    of_symbols = apart.group_by("symbol").agg(pl.col("seconds").min(), pl.len()).filter(pl.col("len") >= _ENOUGH)
    longest = of_symbols.get_column("seconds").max()
    least, longest_least = _seconds(distances.get_column("seconds").min()), _seconds(longest)
    if dates:
        return Spacing(_of_days(round(seconds / DAY_S), round(least / DAY_S), total), seconds, 1.0, total, least, longest_least)
    whole = distances.filter(pl.col("seconds") % seconds == 0).get_column("len").sum()
    name = "1M" if seconds % DAY_S == 0 and seconds // DAY_S in _MONTH_DAYS else BY_SECONDS.get(int(seconds))
    return Spacing(name if seconds == int(seconds) else None, seconds, float(whole) / total, total, least, longest_least)


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


_ENOUGH = 5
"""Distances from which on a symbol's least one tells what its bars are."""

_FEW = 3
"""Distances below which dates further apart than a long weekend are sessions with gaps, unless none is nearer than a week."""

_WEEKEND_DAYS = 5
"""Sessions this far apart are daily ones with a long weekend between them."""

_WEEK_DAYS = 7


def _of_days(days: int, least: int, count: int) -> str | None:
    """Dates' interval, from the most frequent and the least distance; of few distances only weeks and months that all are."""
    if days <= _WEEKEND_DAYS or (least <= _WEEKEND_DAYS and count < _FEW):
        return "1d"
    if days == _WEEK_DAYS:
        return "1w"
    return "1M" if days in _MONTH_DAYS else None
