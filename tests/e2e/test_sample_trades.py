"""`decide sample trades` as a program, and what a server answers once its file is loaded."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import polars as pl
import pytest

from app.domain.trades import SIMULATED
from tests.kit.servers import ROOT, clean_environment, decide_server, until


def _start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _run(folder: Path, *arguments: str) -> None:
    process = _start(folder, *arguments)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def test_a_sample_is_loaded_and_its_candles_are_served(tmp_path: Path) -> None:
    """Of a night from Saturday to Sunday, under the name of a share of New York's."""
    options = ("--days", "0.25", "--end", "2026-11-01T03:00Z", "--symbols", "AAPL,TSLA")
    _run(tmp_path, "sample", "trades", "--out", "made.csv", *options)
    places = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "MARKET_PATH": str(tmp_path / "market.sqlite3")}
    _run(tmp_path, "market", "load", "made.csv", *(f"--{name.lower().replace('_', '-')}={at}" for name, at in places.items()))
    trades = pl.read_csv(tmp_path / "made.csv").filter(pl.col("symbol") == "AAPL")
    with decide_server(tmp_path, **places) as server:
        server.wait_ready()
        candles = httpx.get(f"{server.url}/candles?symbol=AAPL&interval=1h&start=2026-10-31").json()["data"]
        latest = httpx.get(f"{server.url}/price/latest?symbol=AAPL").json()
        days = httpx.get(f"{server.url}/candles?symbol=AAPL&interval=1d&start=2026-10-31").json()["data"]
    hours = ("10-31T21", "10-31T22", "10-31T23", "11-01T00", "11-01T01", "11-01T02")
    assert [each["start_time"] for each in candles] == [f"2026-{hour}:00:00Z" for hour in hours]
    assert sum(each["trades"] for each in candles) == trades.height
    assert sum(each["volume"] for each in candles) == trades["size"].sum()
    assert (max(each["high"] for each in candles), candles[-1]["close"]) == (trades["price"].max(), trades["price"][-1])
    assert [each["start_time"] for each in days] == ["2026-10-31T00:00:00Z", "2026-11-01T00:00:00Z"]
    assert (latest["price"], latest["source"]) == (trades["price"][-1], SIMULATED)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_sample_that_is_interrupted_leaves_the_file_as_it_was(ending: str, tmp_path: Path) -> None:
    out = tmp_path / f"made.{ending}"
    out.write_text("old", encoding="utf-8")
    process = _start(tmp_path, "sample", "trades", "--days", "3650", "--out", out.name)
    until(partial(_is_at_work, tmp_path), 60, "a part is written")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert '"status": "interrupted"' in err
    assert [(each.name, each.read_text(encoding="utf-8")) for each in tmp_path.iterdir()] == [(out.name, "old")]


def _is_at_work(folder: Path) -> bool:
    return any(each.name.startswith(".made") and each.stat().st_size > 1_000_000 for each in folder.iterdir())
