"""Price indicators as Polars expressions over one symbol's bars, oldest first.

Names and order are `app.domain.vector.PRICE_NAMES`. Every expression is null until the symbol has enough bars, so a young
symbol has a short vector rather than a wrong one. Bars are columns ``high``, ``low``, ``close`` (adjusted, in the symbol's
currency) and ``volume`` (shares). Definitions are those of TA-Lib (https://ta-lib.org/functions/), which the tests use as the
oracle; it is not needed at run time.

Two families, because they cost differently:

* *Window* expressions depend on the last `WINDOW_BARS` bars at most. They are aggregations, so they can be evaluated over
  the last bars of each symbol (`latest`) or over a moving window (`series`).
* *Recursive* expressions are exponential averages: each value depends on every bar before it, so they need all of them.

A sliding sum that adds the new bar and takes off the old one leaves rounding residue behind, and a variance taken as
"mean of squares minus square of mean" can come out negative. Windows here are therefore summed afresh, and centred on the last
value first, which makes a flat window exactly flat.
"""

from collections.abc import Callable, Mapping

import polars as pl

from app.domain.vector import PRICE_FEATURES, PRICE_NAMES, PRICE_STATE
from warm.calendar.intervals import Market, bars_a_year

WINDOW_BARS = 60
"""The longest window (drawdown_60), in bars."""

RSI_FLAT = 1e-14
"""TA-Lib's TA_EPSILON: below it the sum of average gain and loss counts as zero, and RSI is 0."""

_CLOSE, _HIGH, _LOW, _VOLUME = pl.col("close"), pl.col("high"), pl.col("low"), pl.col("volume")


def _from_bars(count: int, value: pl.Expr) -> pl.Expr:
    """``value``, or null while the symbol has fewer than ``count`` bars."""
    return pl.when(pl.len() >= count).then(value)


def _sum(values: pl.Expr) -> pl.Expr:
    """The sum, added up in order. ``Expr.sum`` groups its additions by how many symbols there are, so the last bits of a
    symbol's vector would depend on its neighbours; the same bars must give the same bytes.
    """
    return values.cum_sum().last()


def _mean(column: pl.Expr, count: int) -> pl.Expr:
    """Mean of the last ``count`` values, as the very last plus the mean distance to it: exact on a flat window."""
    return column.last() + _sum(_centred(column, count)) / count


def _centred(column: pl.Expr, count: int) -> pl.Expr:
    """The last ``count`` values less the very last: on a flat window exactly zero, whatever the level."""
    return column.tail(count) - column.last()


def _deviation(column: pl.Expr, count: int) -> pl.Expr:
    """Standard deviation (ddof 0) of the last ``count`` values, as two passes over the centred values."""
    return _squares(column, count).truediv(count).sqrt()


def _squares(column: pl.Expr, count: int) -> pl.Expr:
    """Sum of squared deviations from the mean of the last ``count`` values."""
    centred = _centred(column, count)
    return _sum((centred - _sum(centred) / count).pow(2))


def _window_features(bars_a_year: float) -> dict[str, pl.Expr]:
    """Features that need at most `WINDOW_BARS` bars, as aggregations of one symbol's last bars."""
    deviation = _deviation(_CLOSE, 20)
    volume_deviation = _deviation(_VOLUME, 20)
    highest, lowest = _HIGH.tail(20).max(), _LOW.tail(20).min()
    log_return = (_CLOSE / _CLOSE.shift(1)).log()
    return {
        "close": _CLOSE.last(),
        **{f"return_{lag}": _from_bars(lag + 1, _CLOSE.last() / _CLOSE.tail(lag + 1).first() - 1) for lag in (1, 5, 20)},
        "sma_ratio_20_50": _from_bars(50, _mean(_CLOSE, 20) / _mean(_CLOSE, 50)),
        # (close - lower) / (upper - lower) with the bands at mean ± 2 deviations, written so that no band is subtracted
        # from another; the mean of the centred values is mean - close.
        "bollinger_position_20": _from_bars(
            20,
            pl.when(deviation == 0).then(0.5).otherwise(0.5 - _sum(_centred(_CLOSE, 20)) / 20 / (4 * deviation)),
        ),
        "realised_volatility_20": _from_bars(21, _deviation(log_return, 20) * bars_a_year**0.5),
        "volume_z_20": _from_bars(
            20,
            pl.when(volume_deviation == 0).then(0.0).otherwise(-_sum(_centred(_VOLUME, 20)) / 20 / volume_deviation),
        ),
        "range_position_20": _from_bars(
            20, pl.when(highest == lowest).then(0.0).otherwise((_CLOSE.last() - lowest) / (highest - lowest))
        ),
        "drawdown_60": _from_bars(60, _CLOSE.last() / _CLOSE.tail(60).max() - 1),
    }


def _window_state() -> dict[str, pl.Expr]:
    """State that needs at most `WINDOW_BARS` bars: what `PRICE_STATE` says of each name."""
    return {
        "close_lag_4": _from_bars(5, _CLOSE.tail(5).first()),
        "close_lag_19": _from_bars(20, _CLOSE.tail(20).first()),
        "mean_19": _from_bars(19, _mean(_CLOSE, 19)),
        "squares_19": _from_bars(19, _squares(_CLOSE, 19)),
        "mean_49": _from_bars(49, _mean(_CLOSE, 49)),
        "high_19": _from_bars(19, _HIGH.tail(19).max()),
        "low_19": _from_bars(19, _LOW.tail(19).min()),
        "peak_59": _from_bars(59, _CLOSE.tail(59).max()),
    }


Seeded = Callable[[pl.Expr, int, int, float], pl.Expr]
"""Makes an exponential average as TA-Lib starts it: null, then the simple mean of so many values (the third argument) from a bar
on (the second, counted from 0) at the bar where the last of them ends, then ``average += alpha * (value - average)``."""


def _average_from_seed(value: pl.Expr, first: int, count: int, alpha: float) -> pl.Expr:
    """A `Seeded` without its nulls: it begins with the seed. What a group's last value needs, and three times as fast."""
    # Polars divides by a literal in one of two ways, depending on how many symbols there are; a product is the same in both.
    seed = _sum(value.slice(first, count)) * (1 / count)
    return seed.append(value.slice(first + count)).ewm_mean(alpha=alpha, adjust=False)


def _average(value: pl.Expr, first: int, count: int, alpha: float) -> pl.Expr:
    """A `Seeded` with one value for each bar."""
    bar = pl.int_range(pl.len())
    seed_bar = first + count - 1
    seed = _sum(value.slice(first, count)) / count
    return (
        pl.when(bar > seed_bar)
        .then(value)
        .when(bar == seed_bar)
        .then(seed)
        .ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True)
    )


_FIRST_BARS = {"gain_14": 15, "loss_14": 15, "atr_14": 15, "ema_12": 26, "ema_26": 26, "ewma_variance": 34, "macd_signal": 34}
"""How many bars there must be for an average to have its first value."""


def _moves() -> dict[str, pl.Expr]:
    """What each bar adds to the averages: its change upwards and downwards, its true range, its squared log return. The first
    bar of a symbol has none; no average begins with it.
    """
    change, previous = _CLOSE.diff(), _CLOSE.shift(1)
    return {
        "gain": change.clip(lower_bound=0),
        "loss": (-change).clip(lower_bound=0),
        "true_range": pl.max_horizontal(_HIGH, previous) - pl.min_horizontal(_LOW, previous),
        "squared_return": (_CLOSE / previous).log().pow(2),
    }


def _recursive_averages(average: Seeded, moves: dict[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Exponential averages over all of a symbol's bars, of ``moves`` (`_moves`, or columns that hold them).

    Wilder's averages (RSI, ATR) have alpha 1/14 and a seed of the first 14 changes; an EMA of n has alpha 2/(n+1). The two
    EMAs of MACD are seeded so that both start at bar 25: the slow one with bars 0 to 25, the fast one with 14 to 25.
    """
    return {
        "gain_14": average(moves["gain"], 1, 14, 1 / 14),
        "loss_14": average(moves["loss"], 1, 14, 1 / 14),
        "atr_14": average(moves["true_range"], 1, 14, 1 / 14),
        "ema_12": average(_CLOSE, 14, 12, 2 / 13),
        "ema_26": average(_CLOSE, 0, 26, 2 / 27),
        # λ = 1 - 2/34 = 0.94, the decay of RiskMetrics (J. P. Morgan, 1996) for daily returns.
        "ewma_variance": average(moves["squared_return"], 1, 33, 2 / 34),
    }


def _from_averages(bars_a_year: float) -> dict[str, pl.Expr]:
    """The features that follow from the recursive averages, element by element."""
    moved = pl.col("gain_14") + pl.col("loss_14")
    # MACD itself exists from bar 25, but TA-Lib gives none of its three outputs before the signal exists (bar 33).
    macd = pl.when(pl.col("macd_signal").is_not_null()).then(pl.col("ema_12") - pl.col("ema_26"))
    return {
        "rsi_14": pl.when(moved.abs() < RSI_FLAT).then(0.0).otherwise(100 * pl.col("gain_14") / moved),
        "macd": macd,
        "macd_histogram": macd - pl.col("macd_signal"),
        "ewma_volatility_33": (pl.col("ewma_variance") * bars_a_year).sqrt(),
    }


def _named(expressions: dict[str, pl.Expr]) -> list[pl.Expr]:
    return [expression.alias(name) for name, expression in expressions.items()]


def latest(bars: pl.LazyFrame, bars_a_year: float = 252.0) -> pl.LazyFrame:
    """The vector of each symbol after its last bar: columns ``symbol``, ``as_of_ms``, then `PRICE_NAMES`.

    ``bars`` has columns symbol, as_of_ms, high, low, close, volume; each symbol's rows together, in order of time.
    """
    # Runs of one symbol, numbered: groups of a sorted column are slices of the table, and no row has to be gathered.
    # What bars add is computed for the whole table at once; a symbol's first bar is then compared with another symbol's last.
    moves = _moves()
    numbered = bars.with_columns(pl.col("symbol").rle_id().set_sorted().alias("number"), *_named(moves))
    symbols = numbered.group_by("number", maintain_order=True)
    averages = _recursive_averages(_average_from_seed, {name: pl.col(name) for name in moves})
    # Both begin at bar 25, so their difference does.
    averages["macd_signal"] = _average_from_seed(averages["ema_12"] - averages["ema_26"], 0, 9, 2 / 10)
    recursive = symbols.agg(
        pl.col("symbol").last(),
        pl.col("as_of_ms").last(),
        *[_from_bars(_FIRST_BARS[name], expression.last()).alias(name) for name, expression in averages.items()],
    ).with_columns(_named(_from_averages(bars_a_year)))
    window = (
        numbered.select("number", "symbol", "high", "low", "close", "volume")
        .group_by("number", maintain_order=True)
        .tail(WINDOW_BARS)
        .group_by("symbol", maintain_order=True)
        .agg(_named(_window_features(bars_a_year) | _window_state()))
    )
    return recursive.join(window, on="symbol", how="left", maintain_order="left").select("symbol", "as_of_ms", *PRICE_NAMES)


def latest_of_markets(bars: pl.DataFrame, markets: Mapping[str, Market]) -> pl.DataFrame:
    """`latest` of ``bars``, each symbol annualised by its own interval and market."""
    kinds = sorted(set(markets.values()))
    if len(kinds) == 1:
        return latest(bars.lazy(), _a_year(kinds[0])).collect()
    of_kind = [pl.DataFrame({"symbol": [name for name, market in markets.items() if market == kind]}) for kind in kinds]
    parts = [bars.join(symbols, on="symbol", how="semi", maintain_order="left") for symbols in of_kind]
    return pl.concat([latest(part.lazy(), _a_year(kind)).collect() for part, kind in zip(parts, kinds, strict=True)])


def _a_year(market: Market) -> float:
    return bars_a_year(market.interval, never_closes=market.never_closes, session_s=market.session_s)


def series(bars: pl.DataFrame, bars_a_year: float = 252.0) -> pl.DataFrame:
    """The vector after every bar: as `latest` after each prefix of the bars, in ``bars``' own order.

    Meant for history (tests, training data); it keeps `WINDOW_BARS` windows open and is slower than `latest`.
    """
    averages = _recursive_averages(_average, _moves())
    # MACD's first nine values stand at bars 25 to 33.
    signal = _average(pl.col("ema_12") - pl.col("ema_26"), 25, 9, 2 / 10)
    numbered = bars.lazy().with_columns(pl.int_range(pl.len()).over("symbol").alias("bar"))
    recursive = (
        numbered.with_columns([expression.over("symbol").alias(name) for name, expression in averages.items()])
        .with_columns(signal.over("symbol").alias("macd_signal"))
        .with_columns(_named(_from_averages(bars_a_year)))
    )
    window = (
        numbered.sort("symbol", "bar")
        .rolling("bar", period=f"{WINDOW_BARS}i", group_by="symbol")
        .agg(_named(_window_features(bars_a_year) | _window_state()))
    )
    return (
        recursive.drop("close")
        .join(window, on=["symbol", "bar"], how="left", maintain_order="left")
        .select("symbol", "as_of_ms", *PRICE_FEATURES, *PRICE_STATE)
        .collect()
    )
