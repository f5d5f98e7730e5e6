"""`decide features`: rows of features of stored trades, as files."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl
import pytest

from app.__main__ import main
from app.domain.features import Features
from app.domain.windows import WINDOW_SIZE, WINDOW_SIZE_MAX, WINDOW_SIZE_MIN
from app.market.protocol import Batch, Gap
from app.market.sqlite import EmbeddedWriter
from app.options import Settings
from app.settings import allowed_values
from tests.market.giving import trade
from tests.market.places import NOON_US
from warm.market.feature_files import COLUMNS

_SECOND_US = 1_000_000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a store with a trade of A each 30 s of two hours and two of B; a gap of A."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "market.sqlite3"
    trades = [trade(each, NOON_US + each * 30 * _SECOND_US, str(90 + each % 7), symbol="A") for each in range(240)]
    trades += [trade(each, NOON_US + each * 1_000, symbol="B") for each in (1, 2)]
    with closing(EmbeddedWriter(path)) as writer:
        writer.apply(Batch(trades=trades, gaps=[Gap("V", "A", NOON_US, NOON_US + 9 * _SECOND_US, "ids", 3)]))
    return path


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command on that store: its exit code, and what it says."""

    def ran(*arguments: str, out: str = "rows.parquet") -> tuple[int, str]:
        code = main(["features", "--out", out, "--market-path", str(path), *arguments])
        return code, capsys.readouterr().err

    return ran


def test_all_rows_are_written_and_told(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """By symbol, and then by time."""
    code, said = run()
    told = json.loads(said)
    assert (code, told["status"], told["symbols"], told["trades"], told["rows"]) == (0, "written", 2, 242, 241)
    assert told["bytes"] == (tmp_path / "rows.parquet").stat().st_size
    (tmp_path / "any").touch()
    assert (tmp_path / "rows.parquet").stat().st_mode == (tmp_path / "any").stat().st_mode
    rows = pl.read_parquet(tmp_path / "rows.parquet")
    assert rows.schema == COLUMNS
    assert rows.equals(rows.sort("symbol", "time_s"))
    assert rows["n"].to_list() == [*range(1, 51), *[50] * 190, 2]
    assert rows["gap_s"].to_list() == [0.0, *[9.0] * 119, 8.0, *[0.0] * 120]


@pytest.mark.parametrize(("ending", "read"), [("csv", pl.read_csv), ("jsonl", pl.read_ndjson)])
def test_every_kind_of_file_has_the_same_numbers(
    run: Callable[..., tuple[int, str]], ending: str, read: Callable[..., pl.DataFrame]
) -> None:
    """To the last bit."""
    assert run()[0] == run(out=f"rows.{ending}")[0] == 0
    found = [Features(**row) for row in read(f"rows.{ending}", schema=COLUMNS).iter_rows(named=True)]
    wanted = [Features(**row) for row in pl.read_parquet("rows.parquet").iter_rows(named=True)]
    assert list(map(msgspec.msgpack.encode, found)) == list(map(msgspec.msgpack.encode, wanted))


def test_symbols_span_and_ring_may_be_said(run: Callable[..., tuple[int, str]]) -> None:
    """The span is from its beginning to before its end; what came before counts in its rows."""
    given = ("--symbols", "a", "--start", "2023-11-15T12:10", "--end", "2023-11-15T12:20Z", "--window-size", "5")
    assert run(*given)[0] == 0
    rows = pl.read_parquet("rows.parquet")
    assert rows["time_s"].to_list() == [NOON_US // _SECOND_US + second for second in range(600, 1200, 30)]
    assert rows["symbol"].unique().to_list() == ["A"]
    assert set(rows["n"]) == {5}
    assert rows["covered_1h_s"][0] == 601


def test_a_span_without_trades_makes_a_file_without_rows(run: Callable[..., tuple[int, str]]) -> None:
    assert run("--end", "2020-01-01")[0] == 0
    assert pl.read_parquet("rows.parquet").schema == COLUMNS
    assert pl.read_parquet("rows.parquet").is_empty()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--symbols", "A,NONE,NADA"], "not in the market store: NONE, NADA"),
        (["--start", "soon"], "--start 'soon' is not a moment; allowed: YYYY-MM-DD"),
        (["--end", "1960-01-01"], "--end 1960-01-01 is beyond what is kept; allowed: from 1970 on"),
        (
            ["--start", "2024-01-02", "--end", "2024-01-02"],
            "--start 2024-01-02 --end 2024-01-02; allowed: an end behind the start",
        ),
        (["--window-size", "1"], "'1' is not allowed; allowed: a whole number, at least 2 and at most 10,000"),
        (["--out", "rows.xlsx"], "ends in '.xlsx'; allowed: .parquet, .csv, .jsonl"),
        (["--out", "none/rows.csv"], "no such folder; allowed: a file in a folder that is there"),
        (["--out", "folder.csv"], "it is a folder; allowed: a file in a folder that is there"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(
    path: Path, capsys: pytest.CaptureFixture[str], given: list[str], says: str
) -> None:
    Path("folder.csv").mkdir()
    try:
        code = main(["features", "--out", "rows.csv", "--market-path", str(path), *given])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2
    assert says in capsys.readouterr().err
    assert not Path("rows.csv").exists()


def test_a_market_store_that_fails_leaves_the_file_that_was_there(path: Path, run: Callable[..., tuple[int, str]]) -> None:
    Path("rows.parquet").write_text("before")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE gaps")
    code, said = run()
    assert (code, json.loads(said)["status"]) == (3, "store_failed")
    assert "the market store failed: market_error" in json.loads(said)["error"]
    path.unlink()
    assert run() == (3, f"features: the market store failed: market_error: there is no market store at {path}\n")
    assert Path("rows.parquet").read_text() == "before"
    assert not list(Path().glob(".rows*"))


def test_the_setting_is_what_windows_can_be() -> None:
    assert Settings().window_size == WINDOW_SIZE
    assert allowed_values("window_size") == f"a whole number, at least {WINDOW_SIZE_MIN} and at most {WINDOW_SIZE_MAX:,}"
