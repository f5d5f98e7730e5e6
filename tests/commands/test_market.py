"""``decide market check`` and ``retain``."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from app.__main__ import main
from app.commands.market_check import HISTORY_BARS
from app.domain.trades import Trade, trade_key
from app.domain.vector import HISTORY_SCHEMA, HistoryRecord
from app.market.protocol import Batch, Gap
from app.market.sqlite import EmbeddedWriter
from app.store.codec import encode
from app.store.protocol import Row, RunInfo, Written
from app.store.sqlite import EmbeddedStore
from tests.kit.records import price_record
from warm.make.indicators import WINDOW_BARS

_AT_US = 1_700_000_000_000_000
_DAY_US = 86_400_000_000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a store with trades of 70 days of one symbol and of one day of another."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "market.sqlite3"
    writer = EmbeddedWriter(path)
    writer.apply(Batch(trades=[_trade("BTC-USD", day) for day in range(70)]))
    writer.apply(Batch(trades=[_trade("ETH-USD", 0)], gaps=[Gap("v", "ETH-USD", _AT_US, _AT_US + 60_000_000, "ids", 3)]))
    writer.close()
    return path


def _trade(symbol: str, day: int) -> Trade:
    return Trade("v", symbol, trade_key(str(day)), _AT_US + day * _DAY_US, Decimal(day + 1), Decimal(1), str(day))


def _run(path: Path, *arguments: str) -> int:
    return main(["market", *arguments, "--market-path", str(path)])


def test_a_store_that_is_right_is_said_to_be_with_what_it_lacks(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(path, "check") == 0
    assert capsys.readouterr().out.splitlines() == [
        "checked 71 trades in 71 minutes of 2 symbols",
        "gap: ETH-USD at v from 2023-11-14 22:13:20 to 2023-11-14 22:14:20, 3 trades",
        "fewer than 60 bars of 1d, which indicators need: ETH-USD 1",
        "all bars are what their trades make",
    ]
    assert _run(path, "check", "btcusd", "--interval", "1w") == 0
    assert "checked 70 trades in 70 minutes of 1 symbols\nfewer than 60 bars of 1w" in capsys.readouterr().out


def test_a_price_record_that_the_bars_cannot_carry_on_is_told_with_the_way_out(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = path.parent / "store.sqlite3"
    ends_ms = [(_AT_US // _DAY_US + 1 + day) * 86_400_000 for day in range(70)]
    closes = {"BTC-USD": tuple(float(day + 1) for day in range(70)), "ETH-USD": (5.0,)}
    histories = [
        HistoryRecord(
            HISTORY_SCHEMA, ends_ms[len(some) - 1], 1, "run", symbol, 86_400, tuple(ends_ms[: len(some)]), some, len(some)
        )
        for symbol, some in closes.items()
    ]
    _publish(store, histories)
    assert _run(path, "check", "--store-path", str(store)) == 0
    why = f"the close at {ends_ms[0]} is 1.0, not 5.0: of another source, or adjusted otherwise"
    assert capsys.readouterr().out.splitlines()[-3:] == [
        f"its price record stays as it is: ETH-USD: {why}",
        "1 price records stay: `decide warm --bars` gives the store their bars",
        "all bars are what their trades make",
    ]
    assert _run(path, "check", "--json", "--store-path", str(store)) == 0
    assert json.loads(capsys.readouterr().out)["price_records_stay"] == [{"symbol": "ETH-USD", "why": why}]
    store.write_text("no database " * 100, encoding="utf-8")
    assert _run(path, "check", "--json", "--store-path", str(store)) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["price_records_stay"] is None
    assert said.err.startswith("L2 says nothing of price records: ")


def _publish(path: Path, histories: Sequence[HistoryRecord]) -> None:
    async def publish() -> None:
        store = EmbeddedStore(path)
        try:
            for each in histories:
                records = {"price": price_record(each.symbol, each.as_of_ms), "history": each}
                written = {kind: Written(each.as_of_ms, encode(record)) for kind, record in records.items()}
                await store.publish_run([Row(each.symbol, written)], RunInfo("run", 1, 1, 1, 1, 1))
        finally:
            await store.close()

    asyncio.run(publish())


def test_a_wrong_bar_is_told_for_people_and_for_programs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE candles SET close = '5' WHERE symbol = 'ETH-USD'")
    assert _run(path, "check") == 1
    said = capsys.readouterr().out
    assert "wrong: ETH-USD 1m of trades at 2023-11-14 22:13:00: close is 5, its trades make 1\n" in said
    assert "1 bars are not right (1 wrong): `decide market restore` puts back a backup" in said
    assert _run(path, "check", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["wrong"], report["faults_by_kind"], report["gaps"][0]["missing"]) == (1, {"wrong": 1}, 3)
    assert report["short_of_history"] == {"interval": "1d", "needed": 60, "bars": {"ETH-USD": 1}}


def test_what_is_no_store_is_not_made_by_looking_at_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none = path.parent / "none.sqlite3"
    assert _run(none, "check") == 3
    assert capsys.readouterr().err == f"the market store failed: market_error: there is no market store at {none}\n"
    assert not none.exists()
    none.write_text("no database " * 100, encoding="utf-8")
    assert _run(none, "check") == 3
    assert capsys.readouterr().err.startswith("the market store failed: market_error: SQLite at ")
    assert _run(path, "check", "NONE") == 2
    assert capsys.readouterr().err == "not in the market store: NONE\n"


def test_bars_that_the_longest_indicator_needs_are_as_many_as_its_window_has() -> None:
    assert HISTORY_BARS == WINDOW_BARS


def test_old_trades_are_removed_by_option_or_setting_and_bars_stay(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(path, "retain") == 0
    assert capsys.readouterr().out == "all trades are kept (MARKET_RETENTION_DAYS is 0, and there is no --days)\n"
    monkeypatch.setenv("MARKET_RETENTION_DAYS", "36500")
    assert _run(path, "retain") == 0
    assert capsys.readouterr().out == "removed 0 trades of more than 36,500 days ago; bars stay\n"
    assert _run(path, "retain", "--days", "1") == 0
    assert capsys.readouterr().out == "removed 71 trades of more than 1 days ago; bars stay\n"
    assert _run(path, "check") == 0
    assert "checked 0 trades in 0 minutes" in capsys.readouterr().out
    path.write_text("no database " * 100, encoding="utf-8")
    assert _run(path, "retain", "--days", "1") == 3
    assert capsys.readouterr().err.startswith("the market store failed, the same command goes on: market_error: ")


@pytest.mark.parametrize("days", ["0", "1.5", "40000"])
def test_days_that_are_none_are_refused(days: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run(path, "retain", "--days", days)
    assert ended.value.code == 2
    assert "allowed: a whole number, at least 1 and at most 36,500" in capsys.readouterr().err
