"""`decide sample trades`: files that are whole, labelled, the same each time, and loaded as they are."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from app.domain.trades import SIMULATED, Trade
from tests.warm.loads import Market
from warm.files.find import find_sources
from warm.files.trades.recognise import recognise
from warm.market.load import LOADED
from warm.market.telling import BarTeller
from warm.report import whole_file
from warm.stream.sample import ENDINGS, main
from warm.stream.sampling import NOT_WRITTEN, WORDS, WRITTEN, Sample, write_sample
from warm.stream.synthetic.process import SYMBOLS, trade_of, trades
from warm.stream.synthetic.processes import PROCESSES

_START_US, _MINUTES = 1_793_487_600_000_000, 60
"""The last hour of a Saturday in October 2026, UTC."""
_HOUR = ("trades", "--days", str(1 / 24), "--end", "2026-11-01")


def _written(path: Path, *more: str) -> Path:
    assert main([*_HOUR, "--out", str(path), *more]) == WRITTEN
    return path


def _expected(process: str = "stochastic-volatility", seed: int = 0) -> list[Trade]:
    made = PROCESSES[process](seed)
    states = {symbol: made.begin(symbol) for symbol in SYMBOLS}
    return [trade_of(each) for some in trades(made, states, _START_US, _MINUTES) for each in some]


def _read(path: Path) -> Iterator[Trade]:
    ((source,), _) = find_sources(path)
    found = recognise(source)
    assert found is not None
    assert found.name == "table"
    for batch in found.read():
        assert (batch.refused, batch.others) == ([], 0)
        yield from batch.trades


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("process", PROCESSES)
def test_a_file_holds_the_trades_of_the_process_to_the_digit(ending: str, process: str, tmp_path: Path) -> None:
    """Whichever the file's kind."""
    path = _written(tmp_path / f"made{ending}", "--process", process, "--seed", "9")
    found = list(_read(path))
    assert found == _expected(process, 9)
    assert len(found) > 5 * _MINUTES * 10


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_options_make_the_same_bytes(ending: str, tmp_path: Path) -> None:
    first, again, other = (
        _written(tmp_path / f"{name}{ending}", "--seed", seed).read_bytes() for name, seed in (("a", "5"), ("b", "5"), ("c", "6"))
    )
    assert first == again
    assert first != other


def test_every_row_says_that_it_is_simulated_and_so_does_parquets_metadata(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *rows = _written(tmp_path / "made.csv").read_text(encoding="utf-8").splitlines()
    assert head == "time,symbol,venue,price,size,side,trade_id"
    assert all(each.split(",")[2] == SIMULATED for each in rows)
    path = _written(tmp_path / "made.parquet", "--seed", "4")
    told = {
        "label": SIMULATED,
        "process": "stochastic-volatility",
        "seed": "4",
        "start": "2026-10-31T23:00:00Z",
        "end": "2026-11-01T00:00:00Z",
    }
    assert told.items() <= pl.read_parquet_metadata(path).items()
    out, err = capsys.readouterr()
    assert out == ""
    said = json.loads(err.splitlines()[-1])
    assert (told | {"event": "done", "status": "written", "symbols": 5, "bytes": path.stat().st_size}).items() <= said.items()
    assert said["trades"] == pl.scan_parquet(path).select(pl.len()).collect().item()


def test_a_loaded_sample_is_whole_and_simulated(tmp_path: Path) -> None:
    code, report = Market(tmp_path).load(_written(tmp_path / "made.csv"))
    assert (code, report["symbols"], report["simulated"]) == (LOADED, 5, 5)
    assert report["trades"] == report["new"] == len(_expected())


def test_an_exception_leaves_the_old_file_and_no_part_of_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    path.write_text("old", encoding="utf-8")

    def write() -> None:
        with whole_file(path) as part:
            part.write_text("ne", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [(each.name, each.read_text(encoding="utf-8")) for each in tmp_path.iterdir()] == [("made.csv", "old")]


def test_a_terminal_is_told_in_a_table_that_they_are_simulated() -> None:
    out = io.StringIO()
    BarTeller(Console(file=out, width=100), WORDS).close({"trades": 1_234, "label": SIMULATED, "error": "the disk is full"})
    said = out.getvalue()
    assert re.search(r"Simulated trades.*trades +│ 1,234.*\nsample: the disk is full\n$", said, re.DOTALL)
    assert re.search(r"label +│ simulated ", said)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_cannot_be_written_is_told(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "gone" / f"made{ending}"
    assert write_sample(Sample(out, "random-walk", 0, ["AAPL"], _START_US, 1)) == NOT_WRITTEN
    said = json.loads(capsys.readouterr().err)
    assert (said["status"], said["exit_code"]) == ("not_written", NOT_WRITTEN)
    assert said["error"].startswith(f"{out} cannot be written: ")
    assert not out.parent.exists()


def test_a_file_without_a_trade_has_its_columns(tmp_path: Path) -> None:
    for ending in (".csv", ".parquet"):
        assert write_sample(Sample(tmp_path / f"made{ending}", "random-walk", 0, [], _START_US, 1)) == WRITTEN
    assert pl.read_parquet(tmp_path / "made.parquet").columns == pl.read_csv(tmp_path / "made.csv").columns


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--symbols", "AAPL,aapl"], "--symbols: AAPL is there twice; allowed: once"),
        (["--symbols", "AAPL,,MSFT"], "--symbols: '' is no symbol; allowed: names as AAPL or BTC-USD, separated by commas"),
        (["--symbols", ",".join(f"S{each}" for each in range(1_001))], "--symbols: 1,001 are given; allowed: at most 1,000"),
        (["--out", "made.txt"], "--out made.txt: ends in '.txt'; allowed: .csv, .jsonl, .parquet"),
        (["--out", "none/made.csv"], "--out none/made.csv: no such folder"),
        (["--out", "folder.csv"], "--out folder.csv: it is a folder; allowed: a file"),
        (["--days", "0"], "--days: '0' is not allowed; allowed: a number, above 0 and at most 3,650"),
        (["--seed", "1.5"], "--seed: '1.5' is not allowed; allowed: a whole number, at least 0 and at most 4,294,967,295"),
        (["--end", "soon"], "--end 'soon' is not a moment; allowed: YYYY-MM-DD"),
        (["--end", "9000-01-01"], "--end 9000-01-01 is beyond what is kept; allowed: after 1970 and before 9000"),
        (["--end", "1970-01-02", "--days", "2"], "--days 2 before --end begin before 1970; allowed: from 1970 on"),
        (["--process", "brownian"], "argument --process: invalid choice: 'brownian' (choose from "),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_allowed(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["trades", "--out", "made.csv", *options])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["folder.csv"]
