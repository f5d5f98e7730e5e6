"""What a price row must be: one table of reasons, first match wins. Judged on the file's own figures, before adjustment."""

from functools import lru_cache

import polars as pl

from warm.rejects import Rule

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume", "adj_close")

PRICE_MAX = 1e12
VOLUME_MAX = 1e18
"""Beyond these a figure is a mistake, and its square could overflow."""

ROUNDING = 1e-9
"""Relative excess of low over open or close that still counts as rounding: sources that adjust prices themselves leave it."""


def row_rules(now_ms: int, *, text: bool = False) -> list[Rule]:
    """``(reason, column, predicate)`` for everything that can be wrong with a row by itself.

    The frame has ``symbol``, ``symbol_ok``, ``as_of_ms`` and `NUMBERS`; with ``text`` also each column's text as in the file,
    ``text_*``, which tells a missing value from one that cannot be read.
    """
    rules: list[Rule] = []

    def unread(parsed: str, column: str) -> None:
        if text:
            given = pl.col(f"text_{column}").str.strip_chars().str.len_chars() > 0
            rules.append(("unparsable_value", column, pl.col(parsed).is_null() & given.fill_null(value=False)))
        rules.append(("missing_value", column, pl.col(parsed).is_null()))

    rules.append(("missing_value", "symbol", pl.col("symbol").is_null() | (pl.col("symbol") == "")))
    rules.append(("bad_symbol", "symbol", ~pl.col("symbol_ok")))
    unread("as_of_ms", "date")
    for column in NUMBERS:
        unread(column, column)
    for column in NUMBERS:
        rules.append(("not_finite", column, ~pl.col(column).is_finite()))
    for column in (*PRICES, "adj_close"):
        rules.append(("not_positive", column, pl.col(column) <= 0))
        rules.append(("out_of_range", column, pl.col(column) > PRICE_MAX))
    rules.append(("negative_volume", "volume", pl.col("volume") < 0))
    rules.append(("out_of_range", "volume", pl.col("volume") > VOLUME_MAX))
    above, below = 1 + ROUNDING, 1 - ROUNDING
    low, high = pl.col("low"), pl.col("high")
    rules.append(("low_above_high", "low", low > high * above))
    rules.append(("low_above_open", "low", low > pl.col("open") * above))
    rules.append(("low_above_close", "low", low > pl.col("close") * above))
    rules.append(("high_below_open", "high", high < pl.col("open") * below))
    rules.append(("high_below_close", "high", high < pl.col("close") * below))
    rules.append(("future_bar", "date", pl.col("as_of_ms") > now_ms))
    return rules


@lru_cache(maxsize=1)
def bad_row(now_ms: int) -> pl.Expr:
    """Whether anything is wrong with a row, null where nothing is known to be. Made once: for a small file that takes longer than
    looking at its rows.
    """
    return pl.any_horizontal(rule for *_, rule in row_rules(now_ms))
