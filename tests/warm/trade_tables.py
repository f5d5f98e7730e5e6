"""Trades as tables that are no text."""

import io
from collections.abc import Sequence
from typing import Any

import polars as pl

from tests.warm.trade_messages import Made


def _frame(trades: Sequence[Made], exact_numbers: bool) -> pl.DataFrame:  # noqa: FBT001
    numbers = {name: [getattr(each, name) for each in trades] for name in ("price", "size")}
    kind: Any = pl.String if exact_numbers else pl.Float64
    return pl.DataFrame(
        {
            "Exchange": pl.Series(["Coinbase"] * len(trades), dtype=pl.String),
            "pair": pl.Series(["btc/usd"] * len(trades), dtype=pl.String),
            "time": pl.Series([each.time_us for each in trades], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            **{name: pl.Series(each, dtype=pl.String).cast(kind) for name, each in numbers.items()},
            "side": pl.Series([each.side for each in trades], dtype=pl.String),
            "trade_id": pl.Series([str(each.number) for each in trades], dtype=pl.String),
        }
    )


def parquet(trades: Sequence[Made]) -> bytes:
    """A Parquet file of two groups of rows, with prices as text."""
    out = io.BytesIO()
    _frame(trades, exact_numbers=True).write_parquet(out, row_group_size=max(1, len(trades) // 2))
    return out.getvalue()


def parquet_floats(trades: Sequence[Made]) -> bytes:
    """The same with prices as floats."""
    out = io.BytesIO()
    _frame(trades, exact_numbers=False).write_parquet(out)
    return out.getvalue()


def arrow(trades: Sequence[Made]) -> bytes:
    """The same as Arrow."""
    out = io.BytesIO()
    _frame(trades, exact_numbers=True).write_ipc(out)
    return out.getvalue()
