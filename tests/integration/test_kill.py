"""SIGKILL at the warm job, at random moments: the store holds the whole old or the whole new run, never a mix."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
import pytest

from app.domain.vector import RecordHeader
from app.store.opening import open_store
from app.store.protocol import Store
from tests.kit.records import raw_of
from tests.kit.servers import ROOT, clean_environment
from tests.warm.synthetic import make_prices

_KILLS = 100
_LANES = 2
"""Stores that are killed at in the same time, each with its share of the kills."""
_SYMBOLS = 300
_BARS = 70
_OLD_BARS = 65
"""What the first run knows of them, so that every later one brings newer data."""
_AFTER_PUBLISH_S = 0.03
"""About as long as the publication of so many symbols takes."""


def _write_inputs(folder: Path) -> str:
    """Prices and one agent's views as of two days; the earlier of the days."""
    prices = make_prices(_SYMBOLS, _BARS, seed=7)
    prices.write_parquet(folder / "prices.parquet")
    days = prices.get_column("date").unique().sort()
    as_of = pl.DataFrame({"as_of": [str(days[_OLD_BARS - 1]), str(days[-1])]})
    agents = prices.select(pl.col("symbol").unique().sort()).join(as_of, how="cross")
    agents.with_columns(agent=pl.lit("agent_a"), view=0.5).write_csv(folder / "agents.csv")
    return str(days[_OLD_BARS - 1])


def _environment(folder: Path) -> dict[str, str]:
    """Compiled modules go to a folder of the test's own: where they are not kept at all, compiling is most of a job's time."""
    environment = clean_environment({"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "compiled")})
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


class _Held(NamedTuple):
    """What a store says that it holds, and what its feed has brought since the last look."""

    run: str
    as_of_ms: int
    changed: set[str]


class _Lane:
    """One store, and the warm job that writes into it."""

    def __init__(self, number: int, folder: Path, redis_url: str, seed: int) -> None:
        self._folder = folder
        self._redis_url = redis_url
        self._path = folder / f"store-{number}.sqlite3"
        self._prefix = f"lane:{number}"
        self._moments = random.Random(f"{seed} {number}")
        self._position: str | None = None
        self._symbols = [f"S{each:05d}" for each in range(_SYMBOLS)]

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        """The job as a process of its own."""
        store = {"REDIS_URL": self._redis_url} if self._redis_url else {"STORE_PATH": str(self._path)}
        return subprocess.Popen(
            [sys.executable, "-m", "warm", "--prices", "prices.parquet", "--agents", "agents.csv", *options],
            cwd=self._folder,
            env=_environment(self._folder) | {"KEY_PREFIX": self._prefix, **store},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def look(self) -> _Held:
        """What the store holds, after checking that all of it is of one run."""
        store = open_store(redis_url=self._redis_url, store_path=self._path, key_prefix=self._prefix, read_timeout_s=10.0)
        return asyncio.run(self._look(store))

    async def _look(self, store: Store) -> _Held:
        try:
            info = await store.run_info()
            symbols = await store.symbols()
            stored = await store.get_many(self._symbols)
            changed, position = set(), self._position
            if position is None:
                position = await store.feed_position()
            else:
                changes = await store.changes(position, 0.0)
                assert not changes.lost
                changed, position = set(changes.symbols), changes.last_id
                assert position == await store.feed_position()
        finally:
            await store.close()
        self._position = position
        header = msgspec.msgpack.Decoder(RecordHeader)
        records = [
            header.decode(raw) for each in stored for raw in (raw_of(each, "price"), raw_of(each, "agents")) if raw is not None
        ]
        assert info is not None
        assert {each.run for each in records} == {info.run}
        assert {each.as_of_ms for each in records} == {info.newest_as_of_ms}
        assert len(records) == 2 * _SYMBOLS
        assert symbols == self._symbols
        assert info.symbols == _SYMBOLS
        return _Held(info.run, info.newest_as_of_ms, changed)

    def kill_often(self, kills: int, old_as_of: str) -> tuple[int, int]:
        """Kill the job so many times; how many of them left the old run and how many the new one."""
        assert _finish(self.start("--as-of", old_as_of)) == 0
        held = first = self.look()
        started = time.monotonic()
        assert _finish(self.start("--dry-run")) == 0
        duration_s = time.monotonic() - started
        left_old = left_new = 0
        for number in range(kills):
            job = self.start()
            if number % 2:
                _wait_for_publish(job)
                time.sleep(self._moments.uniform(0, _AFTER_PUBLISH_S))
            else:
                time.sleep(self._moments.uniform(0, duration_s))
            job.send_signal(signal.SIGKILL)
            job.communicate()
            now = self.look()
            assert now.as_of_ms >= held.as_of_ms
            assert now.changed == (set() if now.run == held.run else set(self._symbols)), f"kill {number}"
            left_old, left_new = left_old + (now.run == held.run), left_new + (now.run != held.run)
            held = now
        assert _finish(self.start()) == 0
        last = self.look()
        assert last.run != held.run
        assert last.changed == set(self._symbols)
        assert last.as_of_ms > first.as_of_ms
        return left_old, left_new


def _wait_for_publish(job: "subprocess.Popen[bytes]") -> None:
    """Return once the job says that it is about to write."""
    assert job.stderr is not None
    for line in job.stderr:
        if json.loads(line).get("stage") == "publish":
            return
    raise AssertionError("the job ended before it published")


def _finish(job: "subprocess.Popen[bytes]") -> int:
    """Its exit code."""
    job.communicate()
    return job.returncode


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_killed_warm_job_leaves_one_whole_run(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """After each of 100 kills records, universe, run and change feed agree on one run, the old or the new."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""
    old_as_of = _write_inputs(tmp_path)
    with ThreadPoolExecutor(_LANES) as pool:
        lanes = [_Lane(number, tmp_path, url, seed) for number in range(_LANES)]
        counts = [each.result() for each in [pool.submit(lane.kill_often, _KILLS // _LANES, old_as_of) for lane in lanes]]
    left_old, left_new = (sum(each) for each in zip(*counts, strict=True))
    print(f"{kind}: {left_old} kills left the old run, {left_new} the new one")
    assert left_old + left_new == _KILLS
    assert left_old
