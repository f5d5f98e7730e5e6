"""A run takes no more memory than it may: small files that become large refuse the run, by name, and nothing is written."""

import gzip
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.kit.files import put
from tests.kit.servers import ROOT, clean_environment
from tests.warm.running import good_rows, warm, write_csv
from warm.errors import InputRefused
from warm.files.memory import MB, MemoryBound, default_bytes, used_bytes
from warm.files.read import Source

_ROOT = Path(__file__).parents[2]
_MOST_MB = 200
_HEAD = b"symbol,date,open,high,low,close,volume\n"
_ROW = b"AAA,2012-01-01,1,1,1,1,1\n"


def _gzip(folder: Path) -> None:
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=9) as file:
        file.write(_HEAD)
        for _ in range(12):
            file.write(_ROW * 1_000_000)


def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as file:
        file.write(_HEAD)
        for _ in range(12):
            file.write(_ROW * 1_000_000)


def _parquet(folder: Path) -> None:
    rows = 8_000_000
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


def _texts(folder: Path) -> None:
    """Nearly all of its objects are texts, of which the fast decoder does not ask whether it got memory for them."""
    put(folder / "bomb.json", b"[" + b'["%b"],' % b'","'.join([b"a" * 20] * 50) * 40_000 + b"[]]")


def _lines(folder: Path) -> None:
    put(
        folder / "bomb.jsonl",
        b'{"symbol":"AAA","date":"2012-01-01","open":1,"high":1,"low":1,"close":1,"volume":1}\n' * 1_500_000,
    )


def _csv(folder: Path) -> None:
    put(folder / "bomb.csv", _HEAD + _ROW * 6_000_000)


def _feather(folder: Path) -> None:
    rows = 5_000_000
    numbers = [
        pl.repeat(1.0, rows, dtype=pl.Float64, eager=True).alias(name) for name in ("open", "high", "low", "close", "volume")
    ]
    texts = [pl.repeat(text, rows, eager=True).alias(name) for name, text in (("symbol", "AAA"), ("date", "2012-01-01"))]
    pl.DataFrame([*texts, *numbers]).write_ipc(folder / "bomb.feather", compression="zstd")


def _members(folder: Path) -> None:
    """One row has all of the members, and a million have none: in memory each has all of them."""
    first = {"symbol": "AAA", "date": "2012-01-01", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
    first |= {f"member_{number}": 1 for number in range(1000)}
    put(folder / "bomb.jsonl.gz", gzip.compress(json.dumps(first).encode() + b"\n" + b"{}\n" * 1_000_000))


def _bzip(folder: Path) -> None:
    """Its decompressor gives out all that it makes of what it is given."""
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_BZIP2) as archive, archive.open("a.csv", "w") as file:
        for _ in range(5):
            file.write(b"1" * 50 * MB)


def _fields(folder: Path) -> None:
    """A line of any number of fields, which the reader makes in one call."""
    head = b"Price,Open,High,Low,Close,Volume\nTicker,AAA,AAA,AAA,AAA,AAA\nDate,,,,,\n"
    put(folder / "bomb.csv.gz", gzip.compress(head + b"ab," * 20_000_000))


_MAKERS = [_gzip, _zip, _parquet, _sparse, _json, _texts, _lines, _csv, _feather, _members, _bzip, _fields]


@pytest.mark.parametrize("make", _MAKERS)
def test_a_file_that_becomes_too_large_refuses_the_run_by_name(make: Callable[[Path], None], tmp_path: Path) -> None:
    """With not much more memory than the run may have."""
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
    bound = MemoryBound(1000 * MB, used=lambda: 400 * MB)
    bound.claim(600 * MB, "a.csv")
    with pytest.raises(InputRefused) as refused:
        bound.claim(601 * MB, "a.csv")
    assert str(refused.value) == (
        "a.csv: reading it takes at least 601 MB of memory; the run may take 1,000 MB in all (--memory-mb), of which 600 are left"
    )


def test_a_bound_that_is_passed_is_told_once_with_the_file() -> None:
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
    assert told == ["a.csv: reading it takes more memory than it may; the run may take 10 MB in all (--memory-mb)"]


def test_a_packed_file_may_take_all_that_is_left_and_no_more(tmp_path: Path) -> None:
    """It says nothing of its size, so it is counted while it is unpacked; the refusal has what it had come to."""
    packed = put(tmp_path / "a.csv.gz", gzip.compress(b"x" * 30 * MB))
    with MemoryBound(1000 * MB, used=lambda: 970 * MB).watched(pytest.fail):
        assert len(Source(packed, "a.csv.gz").content()) == 30 * MB
    bound = MemoryBound(1000 * MB, used=lambda: 980 * MB)
    with bound.watched(pytest.fail), pytest.raises(InputRefused, match=r"takes at least 24 MB .*of which 20 are"):
        Source(packed, "a.csv.gz").content()


def test_a_run_that_takes_too_much_ends_though_nobody_hears_why(tmp_path: Path) -> None:
    """Whoever read its words has gone: it must not go on for that."""
    _members(tmp_path)
    command = [sys.executable, "-m", "warm", "--prices", str(tmp_path), "--memory-mb", str(_MOST_MB), "--dry-run"]
    with subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE) as run:
        assert run.stderr is not None
        assert b"read_prices" in run.stderr.readline()
        run.stderr.close()
        assert run.wait(60) == 1


_MACHINE: dict[str, tuple[int, ...]] = {"proc/meminfo": (8000, 7000)}


@pytest.mark.parametrize(
    ("files", "most_mb"),
    [
        ({}, None),
        ({"proc/meminfo": (8000, 7000)}, 4000),
        ({"proc/meminfo": (8000, 1000)}, 1100),
        ({"proc/meminfo": (8000, 10)}, 356),
        ({**_MACHINE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup": (2000, 100, 0)}, 1700),
        ({**_MACHINE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup": (2000, 1900, 1800)}, 1700),
        ({**_MACHINE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup": (2000, 1500, 0)}, 600),
        ({**_MACHINE, "proc/self/cgroup": "0::/a/b.service\n", "sys/fs/cgroup/a/b.service": (2000, 9, 0)}, 1700),
        ({**_MACHINE, "proc/self/cgroup": "0::/a/b.service\n", "sys/fs/cgroup/a": (2000, 9, 0)}, 1700),
        ({**_MACHINE, "proc/self/cgroup": "3:cpu:/\n4:memory:/a\n", "sys/fs/cgroup/memory/a": (2000, 9, 0)}, 1700),
        ({**_MACHINE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup": (9000, 8000, 0)}, 1100),
    ],
)  # fmt: skip
def test_the_default_is_a_share_of_what_there_is_and_no_more_than_is_free(
    files: dict[str, str | tuple[int, ...]], most_mb: float | None, tmp_path: Path
) -> None:
    """Half of the machine's; 85 % of the container's or the unit's, whatever file says so, where that is less."""
    for name, given in files.items():
        path = tmp_path / name
        if isinstance(given, str):
            put(path, given)
        elif name == "proc/meminfo":
            put(path, f"MemTotal: {given[0] * 1024} kB\nMemAvailable: {given[1] * 1024} kB\n")
        else:
            first = "memory" in name
            put(path / ("memory.limit_in_bytes" if first else "memory.max"), f"{given[0] * MB}\n")
            put(path / ("memory.usage_in_bytes" if first else "memory.current"), f"{given[1] * MB}\n")
            put(path / "memory.stat", f"anon 5\n{'total_' if first else ''}inactive_file {given[2] * MB}\n")
    found = default_bytes(tmp_path, lambda: 100 * MB)
    assert found / MB == most_mb if most_mb is not None else found > 100 * MB


def test_an_ordinary_run_is_inside_the_default(tmp_path: Path) -> None:
    """What is measured is of this process."""
    assert MemoryBound.of_machine().most > used_bytes()
    if sys.platform == "linux":
        assert used_bytes() > 0
    assert warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60))).code == 0


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "9" * 20])
def test_a_bound_that_is_none_is_a_usage_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        warm("--prices", tmp_path, f"--memory-mb={text}")
    assert ended.value.code == 2


def test_the_option_bounds_a_run_that_needs_no_store_and_the_variable_of_the_version_before_is_told(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "p.csv", good_rows(60))

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "warm", *map(str, arguments)]
        environment = clean_environment({"PYTHONPATH": str(ROOT), "WARM_MEMORY_MB": "1"})
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)

    for arguments in (["--prices", file, "--dry-run"], ["--explain", file]):
        refused, done = run(*arguments, "--memory-mb", "1"), run(*arguments)
        assert (refused.returncode, done.returncode) == (1, 0)
        assert "the run may take 1 MB in all" in refused.stderr + refused.stdout
        assert "settings: WARM_MEMORY_MB is no setting any more and is passed over; " in done.stderr
