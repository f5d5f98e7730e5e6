"""SIGKILL at the warm job, at random moments: the store holds the whole old or the whole new run, never a mix."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import polars as pl
import pytest

from app.cache.embedded import EmbeddedStore
from app.cache.redis import RedisStore
from app.cache.store import Store
from app.domain.vector import RecordHeader
from tests.servers import ROOT, clean_environment
from tests.warm.synthetic import make_prices

_KILLS = 100
_SYMBOLS = 300
_BARS = 70
_AFTER_PUBLISH_S = 0.03
"""About as long as the publication of so many symbols takes."""


def _write_inputs(folder: Path) -> None:
    prices = make_prices(_SYMBOLS, _BARS, seed=7)
    prices.write_parquet(folder / "prices.parquet")
    symbols = prices.get_column("symbol").unique().sort()
    agents = pl.DataFrame({"symbol": symbols, "as_of": str(prices.get_column("date").max()), "agent": "agent_a", "view": 0.5})
    agents.write_csv(folder / "agents.csv")


class _WarmJob:
    """The warm job on the inputs, as a process of its own."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "warm", "--prices", "prices.parquet", "--agents", "agents.csv"],
            cwd=folder,
            env=clean_environment({"PYTHONPATH": str(ROOT), **settings}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def wait_for_publish(self) -> None:
        """Return once the job says that it is about to write."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if json.loads(line).get("stage") == "publish":
                return

    def finish(self) -> int:
        """Its exit code."""
        self._process.communicate()
        return self._process.returncode

    def kill(self) -> None:
        """SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


async def _runs(store: Store) -> tuple[str, set[str], int]:
    """The run that the store says it holds, the runs its records are of, and how many records there are."""
    try:
        info = await store.run_info()
        assert info is not None
        symbols = await store.symbols()
        stored = await store.get_many(symbols)
    finally:
        await store.close()
    headers = msgspec.msgpack.Decoder(RecordHeader)
    records = [record for each in stored for record in (each.price, each.agents) if record is not None]
    return info.run, {headers.decode(record).run for record in records}, len(records)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_killed_warm_job_leaves_one_whole_run(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """After each of 100 kills every record is of the run that the store names, and all records are there."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    _write_inputs(tmp_path)
    if kind == "redis":
        url = request.getfixturevalue("redis_url")
        settings = {"REDIS_URL": url}
    else:
        settings = {"STORE_PATH": str(tmp_path / "store.sqlite3")}

    def open_store() -> Store:
        if kind == "redis":
            return RedisStore(settings["REDIS_URL"], prefix="decide:1", max_connections=2, read_timeout_s=10)
        return EmbeddedStore(tmp_path / "store.sqlite3")

    started = time.monotonic()
    assert _WarmJob(tmp_path, settings).finish() == 0
    duration_s = time.monotonic() - started
    run, runs, records = asyncio.run(_runs(open_store()))
    assert (runs, records) == ({run}, 2 * _SYMBOLS)
    left_old = left_new = 0
    for number in range(_KILLS):
        job = _WarmJob(tmp_path, settings)
        if number % 2:
            job.wait_for_publish()
            time.sleep(moments.uniform(0, _AFTER_PUBLISH_S))
        else:
            time.sleep(moments.uniform(0, duration_s))
        job.kill()
        now, runs, records = asyncio.run(_runs(open_store()))
        assert (runs, records) == ({now}, 2 * _SYMBOLS), f"kill {number}, seed {seed}"
        left_old, left_new = left_old + (now == run), left_new + (now != run)
        run = now
    print(f"{kind}: {left_old} kills left the old run, {left_new} the new one")
    assert left_old
    assert _WarmJob(tmp_path, settings).finish() == 0
    last, runs, records = asyncio.run(_runs(open_store()))
    assert last != run
    assert (runs, records) == ({last}, 2 * _SYMBOLS)
