"""The parts of the warm job, each way in a process of its own: ``python -m bench.peers.parts WAY ...`` prints what it took.

Ways: ``decide``, ``pandas`` and ``polars_talib`` compute the eighteen price features of every symbol of a Parquet file;
``publish`` writes records into Redis as the warm job does.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SESSIONS = 252
_KIB = 1024


def _pandas(path: Path) -> Callable[[], int]:
    """A loop over symbols, each with pandas' own vectors: how most notebooks do it."""
    import numpy as np  # noqa: PLC0415 - each way imports its own
    import pandas as pd  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    # pandas needs another package for Parquet; reading is not timed.
    table = pl.read_parquet(path)
    bars = pd.DataFrame({name: table.get_column(name).to_list() for name in table.columns})

    def one(frame: Any) -> dict[str, float]:  # noqa: ANN401 - a DataFrame
        close, high, low, volume = frame["close"], frame["high"], frame["low"], frame["volume"]
        change, before = close.diff(), close.shift(1)
        gain = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
        loss = (-change).clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
        true_range = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1)
        macd = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
        signal = macd.ewm(span=9, adjust=False).mean()
        middle, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
        moves = np.log(close / before)
        highest, lowest = high.rolling(20).max(), low.rolling(20).min()
        found = {
            "close": close,
            **{f"return_{lag}": close.pct_change(lag) for lag in (1, 5, 20)},
            "rsi_14": 100 * gain / (gain + loss),
            "macd": macd,
            "macd_signal": signal,
            "macd_histogram": macd - signal,
            "atr_14": true_range.ewm(alpha=1 / 14, adjust=False).mean(),
            "sma_ratio_20_50": middle / close.rolling(50).mean(),
            "bollinger_position_20": (close - (middle - 2 * deviation)) / (4 * deviation),
            "realised_volatility_20": moves.rolling(20).std(ddof=0) * np.sqrt(_SESSIONS),
            "ewma_volatility_33": np.sqrt(moves.pow(2).ewm(alpha=2 / 34, adjust=False).mean() * _SESSIONS),
            "volume_z_20": (volume - volume.rolling(20).mean()) / volume.rolling(20).std(ddof=0),
            "range_position_20": (close - lowest) / (highest - lowest),
            "drawdown_60": close / close.rolling(60).max() - 1,
        }
        return {name: float(values.iloc[-1]) for name, values in found.items()}

    def work() -> int:
        return len(pd.DataFrame({symbol: one(frame) for symbol, frame in bars.groupby("symbol", sort=False)}).T)

    return work


def _polars_talib(path: Path) -> Callable[[], int]:
    """TA-Lib's functions as a Polars plugin where it has them, Polars' rolling windows elsewhere."""
    import polars as pl  # noqa: PLC0415
    import polars_talib as ta  # noqa: PLC0415

    bars = pl.read_parquet(path)
    close: Any = pl.col("close")
    high, low, volume = pl.col("high"), pl.col("low"), pl.col("volume").cast(pl.Float64)
    moves = (close / close.shift(1)).log()
    macd, bands = close.ta.macd(12, 26, 9), close.ta.bbands(20, 2.0, 2.0, 0)
    upper, lower = bands.struct.field("upperband"), bands.struct.field("lowerband")
    highest, lowest = high.rolling_max(20), low.rolling_min(20)
    found = {
        "close": close,
        **{f"return_{lag}": close.pct_change(lag) for lag in (1, 5, 20)},
        "rsi_14": close.ta.rsi(14),
        "macd": macd,
        "atr_14": ta.atr(high, low, close, 14),
        "sma_ratio_20_50": close.ta.sma(20) / close.ta.sma(50),
        "bollinger_position_20": (close - lower) / (upper - lower),
        "realised_volatility_20": moves.rolling_std(20, ddof=0) * _SESSIONS**0.5,
        "ewma_volatility_33": (moves.pow(2).ewm_mean(alpha=2 / 34, adjust=False) * _SESSIONS).sqrt(),
        "volume_z_20": (volume - volume.rolling_mean(20)) / volume.rolling_std(20, ddof=0),
        "range_position_20": (close - lowest) / (highest - lowest),
        "drawdown_60": close / close.rolling_max(60) - 1,
    }

    def work() -> int:
        last = [expression.last().alias(name) for name, expression in found.items()]
        return bars.lazy().group_by("symbol", maintain_order=True).agg(last).collect().height

    return work


def _decide(path: Path) -> Callable[[], int]:
    """The warm job's own, with the state that carries features on to a live price."""
    import polars as pl  # noqa: PLC0415

    from warm.make.indicators import latest  # noqa: PLC0415

    bars = pl.read_parquet(path).with_columns(pl.col("date").cast(pl.Datetime("ms")).dt.epoch("ms").alias("as_of_ms"))
    return lambda: latest(bars.lazy()).collect().height


def _publish(url: str, prefix: str) -> Callable[[], int]:
    """Records that are in Redis under the usual prefix, published anew under another."""
    from redis import Redis  # noqa: PLC0415

    from app.domain.records import KINDS  # noqa: PLC0415
    from app.store.protocol import Row, RunInfo, Written  # noqa: PLC0415
    from app.store.redis import RedisStore  # noqa: PLC0415

    client: Any = Redis.from_url(url)
    symbols = sorted(name.decode() for name in client.smembers("decide:1:symbols"))
    rows = []
    kinds = [each.name for each in KINDS.of_symbols]
    for symbol in symbols:
        values = client.mget([f"decide:1:{{{symbol}}}:{kind}" for kind in kinds])
        found = {kind: Written(1, value) for kind, value in zip(kinds, values, strict=True) if value is not None}
        rows.append(Row(symbol, found))
    client.close()
    info = RunInfo(run="bench", warmed_at_ms=1, newest_as_of_ms=1, symbols=len(rows), bars=1, bytes=1)

    async def publish() -> int:
        store = RedisStore(url, prefix=prefix, max_connections=1, read_timeout_s=60.0)
        done = await store.publish_run(rows, info)
        await store.close()
        return done.written

    return lambda: asyncio.run(publish())


WAYS: dict[str, Callable[..., Callable[[], int]]] = {
    "decide": lambda path: _decide(Path(path)),
    "pandas": lambda path: _pandas(Path(path)),
    "polars_talib": lambda path: _polars_talib(Path(path)),
    "publish": _publish,
}


def main() -> None:
    """Prepare (not timed), work (timed), print one line of JSON."""
    work = WAYS[sys.argv[1]](*sys.argv[2:])
    started = time.perf_counter()
    count = work()
    seconds = time.perf_counter() - started
    # Not getrusage: what it says begins with what the parent had.
    peak = next(line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": seconds, "count": count, "peak_mb": int(peak.split()[1]) * _KIB / 1e6}))


if __name__ == "__main__":
    main()
