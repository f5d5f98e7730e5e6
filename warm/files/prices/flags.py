"""What is odd about bars that are right by themselves: gaps between them, and jumps that look like splits."""

import polars as pl

from app.domain.intervals import DAY_S, INTERVALS
from warm.calendar.due import rests
from warm.calendar.intervals import SESSION_S, Market
from warm.calendar.sessions import Session, iso
from warm.files.reports import Fate

SPLITS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100)
"""New shares for an old one, or old ones for a new one, of usual splits; 3:2 is too near to a bad day."""

NEAR = 0.03
"""How far from such a ratio a jump may be and still look like a split."""

LONG_WEEKEND_S = 5.5 * DAY_S
"""Sessions further apart than this leave one out."""

WEEKEND_S, WEEKEND_LEAST_S = 3.5 * DAY_S, 1.75 * DAY_S
"""How far apart Friday's and Monday's bars of currencies are at most, and the last and the first of shorter ones at least."""

BREAK_S = 3600
"""How long futures rest between two sessions."""

SHOWN_MAX = 5


def flag(frame: pl.DataFrame, fates: list[Fate], markets: dict[str, Market], session: Session) -> None:
    """Tell each file's fate of gaps and jumps among its bars in ``frame`` (adjusted, in order, with ``file``): counts, and the
    first few. Nothing is set aside for them: a gap may be a holiday and a jump a crash.
    """
    limits = pl.DataFrame(
        [(symbol, *_gap_ms(symbol, each, session)) for symbol, each in markets.items()],
        schema={"symbol": pl.String, "gap_ms": pl.Int64, "break_ms": pl.Int64},
        orient="row",
    )
    same = pl.col("symbol") == pl.col("symbol").shift(1)
    apart = pl.col("as_of_ms") - pl.col("as_of_ms").shift(1)
    jump = pl.col("close").shift(1) / pl.col("open")
    odd = (
        frame.lazy()
        .select("symbol", "as_of_ms", "file", pl.when(same).then(apart).alias("apart_ms"), pl.when(same).then(jump).alias("jump"))
        # Nothing shorter than the shortest limit can be a gap, and no split is smaller than the smallest.
        .filter((pl.col("apart_ms") > limits.get_column("gap_ms").min()) | ~pl.col("jump").is_between(1 / 1.9, 1.9))
        .join(limits.lazy(), on="symbol", how="left", maintain_order="left")
        .with_columns(
            pl.col("apart_ms").is_between(pl.col("gap_ms") + 1, pl.col("break_ms")).alias("gap"),
            pl.any_horizontal(
                (pl.col("jump") / ratio - 1).abs() < NEAR for whole in SPLITS for ratio in (float(whole), 1 / whole)
            ).alias("split"),
        )
        .collect()
    )
    for name in ("gap", "split"):
        for (number,), group in odd.filter(pl.col(name)).group_by("file", maintain_order=True):
            fates[int(str(number))].told |= {f"{name}s": group.height, f"{name}s_shown": _shown(group, name)}


def _gap_ms(symbol: str, market: Market, session: Session) -> tuple[int, int]:
    """Bars further apart than the first leave one out, unless they are further apart than the second: that is a night or, where
    nights are traded, a weekend.
    """
    length_s = INTERVALS[market.interval]
    longest_s: float = 1 << 52
    if length_s > DAY_S:
        apart_s = 1.5 * length_s, longest_s
    elif length_s == DAY_S:
        apart_s = (WEEKEND_S if rests(symbol) else 1.5 * length_s) if market.never_closes else LONG_WEEKEND_S, longest_s
    elif market.never_closes:
        apart_s = 1.5 * length_s, WEEKEND_LEAST_S if rests(symbol) else longest_s
    elif session.of(symbol).days.evening_minutes:
        apart_s = 1.5 * length_s + BREAK_S, WEEKEND_LEAST_S
    else:
        apart_s = 1.5 * length_s, SESSION_S
    return round(apart_s[0] * 1000), round(apart_s[1] * 1000)


def _shown(group: pl.DataFrame, name: str) -> list[str]:
    """``AAPL 2014-06-09T20:00:00Z: 7.0`` (the jump), or the days left out."""
    said = pl.col("jump").round(4) if name == "split" else (pl.col("apart_ms") / (DAY_S * 1000)).round(2)
    unit = "" if name == "split" else " days"
    rows = group.head(SHOWN_MAX).select("symbol", "as_of_ms", said).rows()
    return [f"{symbol} {iso(moment_ms)}: {value:g}{unit}" for symbol, moment_ms, value in rows]
