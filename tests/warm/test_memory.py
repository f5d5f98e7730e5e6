"""A run takes no more memory than it may: small files that become large refuse the run, by name, and nothing is written."""

import gzip
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.warm.fakes import good_rows, put, warm, write_csv
from warm.errors import InputRefused
from warm.memory import MB, MemoryBound, machine_bytes, used_bytes

_ROOT = Path(__file__).parents[2]
_MOST_MB = 200
_HEAD = b"symbol,date,open,high,low,close,volume\n"
_ROW = b"AAA,2012-01-01,1,1,1,1,1\n"


def _gzip(folder: Path) -> None:
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=9) as file:
        file.write(_HEAD)
        for _ in range(40):
            file.write(_ROW * 1_000_000)


def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as file:
        file.write(_HEAD)
        for _ in range(40):
            file.write(_ROW * 1_000_000)


def _parquet(folder: Path) -> None:
    rows = 40_000_000
    names = ("open", "high", "low", "close", "volume")
    columns = [pl.repeat(1.0, rows, dtype=pl.Float64, eager=True).alias(name) for name in names]
    symbol = pl.repeat("AAA", rows, eager=True).alias("symbol")
    date = pl.repeat("2012-01-01", rows, eager=True).alias("date")
    pl.DataFrame([symbol, date, *columns]).write_parquet(folder / "bomb.parquet", compression="zstd")


def _sparse(folder: Path) -> None:
    with (folder / "bomb.csv").open("wb") as file:
        file.write(_HEAD + _ROW)
        file.truncate(6 * 1024 * MB)


def _json(folder: Path) -> None:
    put(folder / "bomb.json", b"[" + b"{}," * 15_000_000 + b"{}]")


def _lines(folder: Path) -> None:
    put(
        folder / "bomb.jsonl",
        b'{"symbol":"AAA","date":"2012-01-01","open":1,"high":1,"low":1,"close":1,"volume":1}\n' * 1_500_000,
    )


def _csv(folder: Path) -> None:
    put(folder / "bomb.csv", _HEAD + _ROW * 6_000_000)


@pytest.mark.parametrize("make", [_gzip, _zip, _parquet, _sparse, _json, _lines, _csv])
def test_a_file_that_becomes_too_large_refuses_the_run_by_name(make: Callable[[Path], None], tmp_path: Path) -> None:
    """With one line, before anything is written, and with not much more memory than the run may have."""
    folder = tmp_path / "prices"
    write_csv(put(folder / "good.csv", ""), good_rows(60))
    make(folder)
    store = tmp_path / "store.sqlite3"
    command = [sys.executable, "-m", "warm", "--prices", str(folder), "--memory-mb", str(_MOST_MB), "--store-path", str(store)]
    measured = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
    measured += "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", measured, *command],
        cwd=_ROOT,
        env=os.environ | {"REDIS_URL": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    code, peak_kb = map(int, done.stdout.split()[-2:])
    assert code == 1, done.stderr
    assert "bomb" in done.stderr
    assert "--memory-mb" in done.stderr
    assert not store.exists()
    # The interpreter and its libraries, with what of files is looked into, come to it.
    assert peak_kb / 1024 < 2 * _MOST_MB + 300, done.stderr


def test_what_is_known_beforehand_is_refused_beforehand() -> None:
    """The refusal has what is needed, what is left and the way round."""
    bound = MemoryBound(1000 * MB, used=lambda: 400 * MB)
    bound.claim(600 * MB, "a.csv")
    with pytest.raises(InputRefused) as refused:
        bound.claim(601 * MB, "a.csv")
    assert str(refused.value) == (
        "a.csv: reading it takes at least 601 MB of memory; the run may take 1,000 MB in all (--memory-mb), of which 600 are left"
    )


def test_a_bound_that_is_passed_is_told_once_with_the_file() -> None:
    """By the thread that looks, while the other is at work."""
    told: list[str] = []
    used = 0
    bound = MemoryBound(10 * MB, used=lambda: used)
    bound.reading = "a.csv"
    with bound.watched(told.append):
        used = 11 * MB
        for _ in range(1000):
            if told:
                break
            sum(range(100_000))
    assert told == [
        "a.csv: reading it takes more memory than it may; the run may take 10 MB in all (--memory-mb), of which 0 are left"
    ]


def test_the_default_is_a_share_of_what_there_is_and_an_ordinary_run_is_inside_it(tmp_path: Path) -> None:
    """Of the container where it has a limit, else of the machine."""
    assert MemoryBound.of_machine().most == machine_bytes() / 2
    if sys.platform == "linux":
        assert 0 < used_bytes() < machine_bytes()
    assert warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60))).code == 0


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "9" * 20])
def test_a_bound_that_is_none_is_a_usage_error(text: str, tmp_path: Path) -> None:
    """A whole number above 0."""
    with pytest.raises(SystemExit) as ended:
        warm("--prices", tmp_path, f"--memory-mb={text}")
    assert ended.value.code == 2
