"""Made-up bars in any amount: random walks whose rows pass validation, the same for the same seed."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl


def make_prices(symbols: int, bars: int, seed: int = 0, *, adjusted: bool = False) -> pl.DataFrame:
    """``symbols`` × ``bars`` daily rows in the native columns, symbol by symbol, each in order of time."""
    random = np.random.default_rng(seed)
    days = pl.date_range(date(2000, 1, 3), date(2080, 1, 1), "1d", eager=True)
    sessions = days.filter(days.dt.weekday() <= 5).tail(-1).head(bars)
    steps = random.normal(0.0, 0.015, (symbols, bars))
    close = np.round(50.0 * np.exp(np.cumsum(steps, axis=1)), 4).ravel() + 1.0
    opened = np.round(close * (1 + random.normal(0.0, 0.004, close.size)), 4)
    high = np.round(np.maximum(opened, close) * (1 + np.abs(random.normal(0.0, 0.004, close.size))), 4)
    low = np.round(np.minimum(opened, close) * (1 - np.abs(random.normal(0.0, 0.004, close.size))), 4)
    names = pl.Series("symbol", [f"S{number:05d}" for number in range(symbols)])
    frame = pl.DataFrame(
        {
            "symbol": names.gather(np.repeat(np.arange(symbols), bars)),
            "date": sessions.gather(np.tile(np.arange(bars), symbols)),
            "open": opened,
            "high": np.maximum(high, np.maximum(opened, close)),
            "low": np.minimum(low, np.minimum(opened, close)),
            "close": close,
            "volume": random.integers(1_000, 5_000_000, close.size),
        }
    )
    return frame.with_columns((pl.col("close") * 0.5).alias("adj_close")) if adjusted else frame


def write_prices(path: Path, *, symbols: int, bars: int, seed: int = 0, adjusted: bool = False) -> None:
    """Write `make_prices` to ``path``: Parquet or CSV, by its suffix."""
    frame = make_prices(symbols, bars, seed, adjusted=adjusted)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path)
