"""`decide market` and `decide migrate` as programs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit.servers import ROOT, clean_environment, until

_TRADES = 120_000


def _command(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = _command(folder, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def _rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def _count(path: Path) -> int:
    try:
        return int(_rows(path, "SELECT count(*) FROM trades")[0][0])
    except sqlite3.Error:
        return 0


def _goes_on(process: "subprocess.Popen[str]", path: Path, had: int) -> bool:
    return process.poll() is not None or _count(path) > had


def test_a_load_that_is_killed_goes_on_and_has_each_trade_once(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for part in range(2):
        lines = [
            f"{1_700_000_000_000 + number * 250},{'BTC' if number % 3 else 'ETH'}-USD,{number % 997 + 1}.5,0.25\n"
            for number in range(part * _TRADES // 2, (part + 1) * _TRADES // 2)
        ]
        files.joinpath(f"{part}.csv").write_text("time,symbol,price,size\n" + "".join(lines), encoding="utf-8")
    assert _run(tmp_path, "market", "load", "files", "--market-path", "whole.sqlite3")[0] == 0
    path = tmp_path / "killed.sqlite3"
    command = "market", "load", "files", "--market-path", path.name
    had = 0
    for _ in range(3):
        process = _command(tmp_path, *command)
        until(partial(_goes_on, process, path, had), 60, "some more are written")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        had = _count(path)
        assert had > 0
    code, out, err = _run(tmp_path, *command)
    assert (code, out) == (0, "")
    (line,) = map(json.loads, err.splitlines())
    assert (line["event"], line["status"], line["there"], line["new"]) == ("done", "loaded", 0, _TRADES - had)
    bars = "symbol, start_us, open, high, low, close, volume, notional, trades, rv, covered_s"
    for statement in (
        "SELECT * FROM trades_in_full ORDER BY symbol, trade_key",
        f"SELECT {bars} FROM candles ORDER BY symbol, start_us",  # noqa: S608 - ours
        "SELECT symbol, interval, start_us, open, close, volume FROM blocks ORDER BY symbol, interval, start_us",
    ):
        assert _rows(path, statement) == _rows(tmp_path / "whole.sqlite3", statement)
    assert _count(path) == _TRADES


def test_exit_codes_and_texts_of_a_load(tmp_path: Path) -> None:
    tmp_path.joinpath("trades.csv").write_text("time,symbol,price,size\n1700000000000,BTC-USD,1,1\n", encoding="utf-8")
    code, out, err = _run(tmp_path, "market", "load", "none.csv")
    assert (code, out) == (1, "")
    assert json.loads(err)["error"] == "none.csv: no such file or folder"
    for arguments, said in (
        (["load"], "the following arguments are required: FILE"),
        (["load", "trades.csv", "--naive-timezone", "Mars"], "--naive-timezone 'Mars' is not a known timezone"),
        (["load", "trades.csv", "--symbol", "x"], "--symbol 'x' is no FILE=SYMBOL"),
        (["load", "trades.csv", "--venue", "a b"], "--venue 'a b' is no venue; allowed: letters, digits and -"),
        (["load", "trades.csv", "--report", "no/r.json"], "--report no/r.json: no such folder"),
        (["lod"], "invalid choice: 'lod'"),
        ([], "the following arguments are required: COMMAND"),
    ):
        code, out, err = _run(tmp_path, "market", *arguments)
        assert (code, out) == (2, "")
        assert said in err
    assert _run(tmp_path, "market", "load", "trades.csv", "--report", "r.json")[0] == 0
    report = json.loads(tmp_path.joinpath("r.json").read_text(encoding="utf-8"))
    assert (report["new"], report["ticks"]) == (1, 1)


@pytest.mark.parametrize("end", ["json", "jsonl"])
def test_objects_that_take_more_memory_than_they_may_are_refused(end: str, tmp_path: Path) -> None:
    """Of a document, or of one line. A process that ran for long may have memory left over, so it is a new one."""
    message = {
        "e": "trade",
        "E": 1_700_000_000_000,
        "s": "BTCUSDT",
        "t": 1,
        "p": "1.5",
        "q": "1",
        "T": 1_700_000_000_000,
        "m": True,
    }
    trade = json.dumps({"stream": "btcusdt@trade", "data": message})
    path = tmp_path / f"mine.{end}"
    path.write_text(f"{trade}\n" * (end == "jsonl") + f"[{'[[]],' * 4_000_000}[]]\n", encoding="utf-8")
    code, _, said = _run(tmp_path, "market", "load", path.name, "--memory-mb", "300")
    assert code == 1
    assert f"mine.{end}: reading it takes more memory" in said
