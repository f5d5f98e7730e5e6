"""Simulated trades as files, minute by minute: a file of any size takes the memory of some thousand trades."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

from app.domain.candles import MINUTE_US
from app.domain.trades import SIMULATED
from warm.market.telling import Teller, Words, open_teller
from warm.report import open_as_usual, whole_file
from warm.stream.synthetic.process import Made, trades
from warm.stream.synthetic.processes import PROCESSES

WRITTEN = 0
NOT_WRITTEN = 1
INTERRUPTED = 130
_COLUMNS: dict[str, type[pl.DataType] | pl.DataType] = {
    "time": pl.Datetime("us", "UTC"),
    "symbol": pl.String,
    "venue": pl.String,
    "price": pl.Float64,
    "size": pl.Int64,
    "side": pl.String,
    "trade_id": pl.Int64,
}
"""What `decide market load` knows as a plain table."""
_ROWS = 50_000
_TOLD_MINUTES = 60
WORDS = Words(
    "sample", "Simulated trades", ("status", "file", "label", "process", "symbols", "trades", "start", "end", "bytes", "seconds",
    "trades_per_s"),
)  # fmt: skip

Minutes = Iterable[Sequence[Made]]


class Sample(NamedTuple):
    """What to make, and where to."""

    out: Path
    process: str
    seed: int
    symbols: Sequence[str]
    start_us: int
    minutes: int

    def label(self) -> dict[str, str]:
        """What the file is, for its metadata."""
        told = {"label": SIMULATED, "process": self.process, "seed": str(self.seed)}
        return told | {"start": _moment(self.start_us), "end": _moment(self.start_us + self.minutes * MINUTE_US)}


def write_sample(sample: Sample) -> int:
    """Write it, and tell; the exit code."""
    begun_s, teller = time.monotonic(), open_teller(sys.stderr, WORDS)
    told = _Told(teller)
    report: dict[str, Any] = {"file": str(sample.out), **sample.label(), "symbols": len(sample.symbols)}
    try:
        with whole_file(sample.out) as part:
            teller.file(sample.out.name, sample.minutes)
            process = PROCESSES[sample.process](sample.seed)
            states = {symbol: process.begin(symbol) for symbol in sample.symbols}
            minutes = told.passing(trades(process, states, sample.start_us, sample.minutes))
            _WRITERS[sample.out.suffix.lower()](part, minutes, sample)
            open_as_usual(part)
        code = WRITTEN
        report |= {"status": "written", "trades": told.trades, "bytes": sample.out.stat().st_size}
    except KeyboardInterrupt:
        code = INTERRUPTED
        report |= {"status": "interrupted", "error": "interrupted; nothing was written"}
    except (OSError, pl.exceptions.PolarsError) as error:
        code = NOT_WRITTEN
        report |= {"status": "not_written", "error": f"{sample.out} cannot be written: {error}"}
    except BaseException:
        teller.stop()
        raise
    seconds = time.monotonic() - begun_s
    report |= {"seconds": round(seconds, 3), "trades_per_s": round(told.trades / seconds) if seconds > 0 else 0}
    teller.close(report | {"exit_code": code})
    return code


class _Told:
    """Tells how far writing is, and counts."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self.trades = 0

    def passing(self, minutes: Minutes) -> Iterator[Sequence[Made]]:
        """Each of them."""
        for number, made in enumerate(minutes, 1):
            yield made
            self.trades += len(made)
            if number % _TOLD_MINUTES == 0:
                self._teller.read(number, self.trades)


def _csv(path: Path, minutes: Minutes, _: Sample) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(_COLUMNS) + "\n")
        for made in minutes:
            file.writelines(
                f"{at},{each.symbol},{SIMULATED},{_price(each)},{each.size},{each.side},{each.number}\n"
                for at, each in _timed(made)
            )


def _lines(path: Path, minutes: Minutes, _: Sample) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for made in minutes:
            file.writelines(
                f'{{"time":"{at}","symbol":"{each.symbol}","venue":"{SIMULATED}","price":{_price(each)},"size":{each.size},'
                f'"side":"{each.side}","trade_id":{each.number}}}\n'
                for at, each in _timed(made)
            )


def _parquet(path: Path, minutes: Minutes, sample: Sample) -> None:
    def frames(*_: object) -> Iterator[pl.DataFrame]:
        rows: list[Made] = []
        for made in minutes:
            rows += made
            if len(rows) >= _ROWS:
                yield _frame(rows)
                rows.clear()
        yield _frame(rows)

    register_io_source(frames, schema=_COLUMNS).sink_parquet(path, row_group_size=_ROWS, metadata=sample.label())


def _frame(rows: Sequence[Made]) -> pl.DataFrame:
    # Python divides to the nearest float, whose shortest decimal is the price; Polars may multiply, and not reach it.
    made = [(each.time_us, each.symbol, SIMULATED, each.price / 100, each.size, each.side, each.number) for each in rows]
    return pl.DataFrame(made, schema=_COLUMNS | {"time": pl.Int64}, orient="row").cast({"time": _COLUMNS["time"]})


_WRITERS: Mapping[str, Callable[[Path, Minutes, Sample], None]] = {".csv": _csv, ".jsonl": _lines, ".parquet": _parquet}


def _timed(made: Sequence[Made]) -> Iterator[tuple[str, Made]]:
    """Trades of one minute, each with its time."""
    if made:
        start_us = made[0].time_us // MINUTE_US * MINUTE_US
        minute = datetime.fromtimestamp(start_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:")
        for each in made:
            yield f"{minute}{(each.time_us - start_us) / 1_000_000:09.6f}Z", each


def _price(made: Made) -> str:
    whole, rest = divmod(made.price, 100)
    return f"{whole}.{rest:02d}"


def _moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
