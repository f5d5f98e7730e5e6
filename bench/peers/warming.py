"""The warm job against other ways of doing its parts."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from bench.peers.experiments import Pace
from bench.peers.findings import Step
from bench.peers.processes import ROOT
from bench.peers.sampling import Spread
from bench.peers.world import World
from bench.scenario import ScenarioError

_MADE_SYMBOLS = 250
_FEATURES = "18 price features of every symbol"
_KIB = 1024


def _run(command: Sequence[str], environment: dict[str, str]) -> tuple[str, float, float]:
    """Standard output, wall seconds and the peak of resident memory in MB.

    Raises:
        ScenarioError: it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}
    )
    assert process.stdout is not None
    assert process.stderr is not None
    output, trouble = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise ScenarioError(f"{' '.join(command)} ended with {process.returncode}:\n{trouble.decode()[-2000:]}")
    return output.decode(), time.perf_counter() - started, usage.ru_maxrss * _KIB / 1e6


def make_prices(folder: Path, symbols: int, bars: int) -> Path:
    """Bars of so many symbols: the simulated ones over and over, under other names."""
    made = folder / f"made-{bars}"
    script = str(ROOT / "data" / "make_universe.py")
    if not made.exists():
        count = min(symbols, _MADE_SYMBOLS)
        _run([sys.executable, script, "--symbols", str(count), "--bars", str(bars), str(made)], {})
    frame = pl.read_parquet(made / "prices" / "simulated.parquet")
    each = frame.get_column("symbol").n_unique()
    path = folder / f"prices-{symbols}-{bars}" / "prices.parquet"
    path.parent.mkdir()
    copies = [
        frame.with_columns((pl.col("symbol") + f"-{number}").alias("symbol")) for number in range(max(1, -(-symbols // each)))
    ]
    pl.concat(copies).head(symbols * bars).write_parquet(path)
    return path


class Warming:
    """Every part in interleaved rounds, as the servers."""

    def __init__(self, world: World, pace: Pace, progress: Callable[[str], None]) -> None:
        self._world = world
        self._pace = pace
        self._progress = progress

    def steps(self) -> list[Step]:
        """All of them."""
        pace, folder = self._pace, self._world.folder
        small = make_prices(folder, pace.loop_symbols, pace.warm_bars)
        large = make_prices(folder, pace.warm_symbols, pace.warm_bars)
        found = self._indicators(small, pace.loop_symbols, ("decide", "polars_talib", "pandas"), "same input for all three")
        found += self._indicators(large, pace.warm_symbols, ("decide", "polars_talib"), "the whole universe")
        found.append(self._whole(large))
        return found + self._loading()

    def _indicators(self, path: Path, symbols: int, ways: Sequence[str], note: str) -> list[Step]:
        titles = {
            "decide": "Decide's warm job (and its live state)",
            "polars_talib": "polars_talib",
            "pandas": "pandas, a loop over symbols",
        }
        taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for number in range(self._pace.rounds):
            self._progress(f"indicators of {symbols:,} symbols: round {number + 1} of {self._pace.rounds}")
            for way in ways:
                output, _, _ = _run([sys.executable, "-m", "bench.peers.parts", way, str(path)], {})
                taken[way].append(json.loads(output))
        rows = symbols * self._pace.warm_bars
        return [
            Step(
                name=f"indicators_{way}_{symbols}",
                title=titles[way],
                part=f"{_FEATURES}, {note}",
                symbols=symbols,
                bars=self._pace.warm_bars,
                wall_s=(spread := Spread.of([each["seconds"] for each in taken[way]])),
                peak_mb=max(each["peak_mb"] for each in taken[way]),
                rows_per_s=rows / spread.median,
            )
            for way in ways
        ]

    def _whole(self, path: Path) -> Step:
        walls, peaks = [], []
        for number in range(min(3, self._pace.rounds)):
            self._progress(f"the whole warm job: round {number + 1}")
            environment = {"REDIS_URL": self._world.redis_url, "KEY_PREFIX": "warmed:1"}
            _, wall_s, peak_mb = _run([sys.executable, "-m", "warm", "--prices", str(path.parent)], environment)
            walls.append(wall_s)
            peaks.append(peak_mb)
        rows = self._pace.warm_symbols * self._pace.warm_bars
        return Step(
            name="warm",
            title="python -m warm, Parquet to Redis",
            part="the whole job: read, check, compute, publish",
            symbols=self._pace.warm_symbols,
            bars=self._pace.warm_bars,
            wall_s=(spread := Spread.of(walls)),
            peak_mb=max(peaks),
            rows_per_s=rows / spread.median,
        )

    def _loading(self) -> list[Step]:
        """Records that exist into Redis: the publication's one script against SETs through ``redis-cli --pipe``."""
        count = self._pace.warm_symbols
        self._progress("loading: publication and redis-cli --pipe")
        self._world.load(count)
        ours, theirs = [], []
        pipe = self._world.folder / "pipe.resp"
        self._write_pipe(pipe)
        cli = shutil.which("redis-cli")
        for _ in range(self._pace.rounds):
            output, _, _ = _run([sys.executable, "-m", "bench.peers.parts", "publish", self._world.redis_url, "published:1"], {})
            ours.append(json.loads(output)["seconds"])
            self._forget("published:1")
            if cli is not None:
                started = time.perf_counter()
                with pipe.open("rb") as file:
                    subprocess.run([cli, "-u", self._world.redis_url, "--pipe"], stdin=file, capture_output=True, check=True)
                theirs.append(time.perf_counter() - started)
                self._forget("piped:1")
        part = "records that are ready into Redis"
        made = [("publish", "Decide's publication: one script, never backwards, with its change feed", ours)]
        if theirs:
            made.append(("pipe", "redis-cli --pipe, plain SETs: the limit", theirs))
        return [
            Step(
                name=name,
                title=title,
                part=part,
                symbols=count,
                bars=1,
                wall_s=(spread := Spread.of(walls)),
                rows_per_s=count / spread.median,
            )
            for name, title, walls in made
        ]

    def _write_pipe(self, path: Path) -> None:
        client = self._world.client
        with path.open("wb") as file:
            for symbol in sorted(client.smembers("decide:1:symbols")):
                for part in (b"price", b"agents"):
                    value = client.get(b"decide:1:{%b}:%b" % (symbol, part))
                    if value is not None:
                        key = b"piped:1:{%b}:%b" % (symbol, part)
                        file.write(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value))

    def _forget(self, prefix: str) -> None:
        for key in self._world.client.scan_iter(f"{prefix}:*", count=10_000):
            self._world.client.unlink(key)
