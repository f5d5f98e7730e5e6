"""``decide warm --bars``: bars of price files in the market store, as the files have them."""

import io
import json
import os
import sqlite3
from contextlib import closing, redirect_stderr
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.market.sqlite import EmbeddedWriter
from tests.kit.files import put
from warm.__main__ import main

_HEAD = "symbol,date,open,high,low,close,volume\n"
_NOW_MS = 1_711_000_000_000
"""2024-03-21."""
_DAY_US = 86_400_000_000


def _daily(symbol: str, count: int, close: str = "5", first: int = 1) -> str:
    return "".join(f"{symbol},2024-02-{day:02},{close},{close},{close},{close},10\n" for day in range(first, first + count))


def _warm(folder: Path, prices: Path, *more: str, market: str = "market.sqlite3") -> tuple[int, dict[str, Any]]:
    told = io.StringIO()
    places = "--market-path", str(folder / market), "--store-path", str(folder / "store.sqlite3")
    with redirect_stderr(told):
        code = main(["--prices", str(prices), *places, "--bars", *more], now_ms=_NOW_MS)
    return code, json.loads(told.getvalue().splitlines()[-1])


def _rows(folder: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "market.sqlite3")) as connection:
        return connection.execute(f"SELECT {columns} FROM candles ORDER BY symbol, source, interval, start_us").fetchall()  # noqa: S608


_DIGITS = ("0.00000001", "123456789.123456789", "1e-8", "1.000000000000000001", "0.1", "30000.50")


@pytest.mark.parametrize("price", _DIGITS)
def test_what_a_file_wrote_is_stored_digit_for_digit(price: str, tmp_path: Path) -> None:
    rows = "".join(f"BTC-USD,2024-02-{day:02},{price},{price},{price},{price},{price}\n" for day in range(1, 25))
    code, report = _warm(tmp_path, put(tmp_path / "mine.csv", _HEAD + rows))
    assert code == 0, report
    digits = format(Decimal(price).normalize(), "f")
    assert {*_rows(tmp_path, "open, high, low, close, volume")} == {(digits,) * 5}
    assert report["given_bars"]["rounded"] == 0


def test_text_in_json_is_exact_and_its_numbers_are_their_shortest_decimals(tmp_path: Path) -> None:
    times = range(1_706_745_600_000, 1_706_745_600_000 + 24 * 86_400_000, 86_400_000)
    binance = [[at, "1.000000000000000001", "2", "1", "1.5", "3", at + 86_399_999, "0", 1, "0", "0", "0"] for at in times]
    rows = [{"t": at, "o": 0.1, "h": 1e-1, "l": 0.1, "c": 0.1, "v": 3} for at in times]
    put(tmp_path / "files" / "BTCUSDT-1d.json", json.dumps(binance))
    put(tmp_path / "files" / "ETH-USD.json", json.dumps(rows))
    assert _warm(tmp_path, tmp_path / "files")[0] == 0
    assert {*_rows(tmp_path, "symbol, source, open, volume")} == {
        ("BTC-USDT", "binance", "1.000000000000000001", "3"), ("ETH-USD", "rows", "0.1", "3"),
    }  # fmt: skip
    assert min(_rows(tmp_path, "start_us"))[0] == times[0] * 1000


def test_prices_are_those_that_were_traded_and_not_adjusted_ones(tmp_path: Path) -> None:
    head = _HEAD.replace("\n", ",adj_close\n")
    rows = "".join(f"AAPL,2024-02-{day:02},10,10,10,10,1,{5 if day < 13 else 10}\n" for day in range(1, 25))
    code, report = _warm(tmp_path, put(tmp_path / "mine.csv", head + rows))
    assert code == 0, report
    assert {*_rows(tmp_path, "close, source, interval")} == {("10", "table", "1d")}


def test_days_begin_with_their_sessions_and_hours_with_their_stamps(tmp_path: Path) -> None:
    put(tmp_path / "files" / "days.csv", _HEAD + _daily("AAPL", 24, first=5) + _daily("BTC-USD", 24))
    hours = "".join(f"MSFT,2024-02-{day:02} {hour}:30,5,5,5,5,1\n" for day in (5, 6, 7) for hour in ("09", "10", "11"))
    put(tmp_path / "files" / "hours.csv", _HEAD + hours)
    code, report = _warm(tmp_path, tmp_path / "files", "mine")
    assert code == 0, report
    first = {(symbol, interval): start_us for symbol, interval, start_us in _rows(tmp_path, "symbol, interval, start_us")[::-1]}
    monday_us = 1_707_091_200_000_000
    opens_us = monday_us + 29 * _DAY_US // 48
    assert first == {
        ("AAPL", "1d"): opens_us, ("BTC-USD", "1d"): monday_us - 4 * _DAY_US, ("MSFT", "1h"): opens_us,
    }  # fmt: skip
    assert report["given_bars"]["sources"] == ["mine"]
    with closing(sqlite3.connect(tmp_path / "market.sqlite3")) as connection:
        assert connection.execute("SELECT symbol, market FROM symbols ORDER BY symbol").fetchall() == [
            ("AAPL", "XNYS"), ("BTC-USD", ""), ("MSFT", "XNYS"),
        ]  # fmt: skip


def test_all_intervals_of_a_symbol_are_kept_though_its_vector_rests_on_one(tmp_path: Path) -> None:
    put(tmp_path / "files" / "days.csv", _HEAD + _daily("BTC-USD", 24))
    put(tmp_path / "files" / "hours.csv", _HEAD + "".join(f"BTC-USD,2024-02-24 {hour:02}:00,5,5,5,5,1\n" for hour in range(24)))
    assert _warm(tmp_path, tmp_path / "files")[0] == 0
    assert {*_rows(tmp_path, "interval")} == {("1d",), ("1h",)}


def test_of_two_exports_of_one_source_the_newer_one_counts_whichever_was_loaded_first(tmp_path: Path) -> None:
    old = put(tmp_path / "old.csv", _HEAD + _daily("AAPL", 20, "8"))
    new = put(tmp_path / "new.csv", _HEAD + _daily("AAPL", 24, "4"))
    assert _warm(tmp_path, old)[0] == 0
    code, report = _warm(tmp_path, new)
    assert (code, report["given_bars"]["older_exports"]) == (0, 0)
    assert report["given_bars"]["revised"] > 0
    after = _rows(tmp_path, "start_us, close")
    assert {close for _, close in after} == {"4"}
    code, report = _warm(tmp_path, old)
    assert report["given_bars"]["not_counted"] == ["AAPL 1d of table"]
    assert _rows(tmp_path, "start_us, close") == after


def test_the_same_run_again_changes_no_bar(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _daily("AAPL", 24))
    assert _warm(tmp_path, path)[0] == 0
    before = _rows(tmp_path)
    code, report = _warm(tmp_path, path)
    assert (code, report["given_bars"]["written"]) == (0, 0)
    assert _rows(tmp_path) == before


def test_a_bar_in_which_its_file_was_written_is_marked_as_a_part(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _daily("BTC-USD", 24))
    os.utime(path, (1_708_776_000, 1_708_776_000))  # noon of the 24th
    assert _warm(tmp_path, path)[0] == 0
    assert [partial for (partial,) in _rows(tmp_path, "is_partial")] == [0] * 23 + [1]


def test_where_the_market_store_fails_nothing_is_published(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _daily("AAPL", 24))
    put(tmp_path / "broken", "no database " * 100)
    code, report = _warm(tmp_path, path, market="broken")
    assert (code, report["status"]) == (3, "store_failed")
    assert report["error"].startswith("the market store failed, and nothing was published: market_error: SQLite at ")
    assert not tmp_path.joinpath("store.sqlite3").exists()


def test_where_publishing_fails_the_same_run_again_completes_it(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _daily("AAPL", 24))
    put(tmp_path / "store.sqlite3", "no database " * 100)
    assert _warm(tmp_path, path)[0] == 3
    before = _rows(tmp_path)
    tmp_path.joinpath("store.sqlite3").unlink()
    code, report = _warm(tmp_path, path)
    assert (code, report["status"]) == (0, "published")
    assert _rows(tmp_path) == before


@pytest.mark.parametrize("more", [("table", "--max-rejects", "1", "--dry-run"), ("table", "--max-rejects", "0")])
def test_a_dry_run_and_a_refused_one_write_no_bars(more: tuple[str, ...], tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _daily("AAPL", 24) + "AAPL,2024-02-28,x,1,1,1,1\n")
    code, _ = _warm(tmp_path, path, *more)
    assert code == (0 if "--dry-run" in more else 1)
    assert not tmp_path.joinpath("market.sqlite3").exists()


@pytest.mark.parametrize("source", ["trades", "a b", "x" * 41])
def test_a_name_that_is_no_source_is_refused(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--prices", str(tmp_path), "--bars", source])
    assert ended.value.code == 2
    assert "is no source; allowed: up to 40 letters, digits, - and _" in capsys.readouterr().err


def test_numbers_with_more_digits_than_are_kept_are_counted(tmp_path: Path) -> None:
    long = "0." + "1" * 39
    code, report = _warm(tmp_path, put(tmp_path / "mine.csv", _HEAD + _daily("BTC-USD", 24, long)))
    assert (code, report["given_bars"]["rounded"]) == (0, 24 * 4)


def test_bars_are_kept_under_the_alias(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _daily("SAP", 24))
    assert _warm(tmp_path, path, "table", "--alias", "SAP=SAP.DE")[0] == 0
    assert {*_rows(tmp_path, "symbol")} == {("SAP.DE",)}
    with closing(EmbeddedWriter(tmp_path / "market.sqlite3")) as writer:
        assert writer.offsets("files") == {}
