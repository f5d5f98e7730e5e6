"""Files of trades into the market store: each trade once, whenever the load is killed and whatever becomes of the files."""

import io
import json
import random
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from app.domain.symbols import currency_of
from app.errors import MarketError, StoreError
from app.market.protocol import Applied, Batch, Partition, Session
from tests.kit.files import put
from tests.warm.loads import Killed, Market, Mortal
from tests.warm.trade_files import packed
from tests.warm.trade_messages import Made
from tests.warm.trade_shapes import DAY_US, MIDNIGHT_US, SHAPES
from warm.calendar.exchanges import exchange
from warm.files.memory import MemoryBound
from warm.files.names import SymbolChoice
from warm.market.listing import market_of, sessions_of
from warm.market.load import INTERRUPTED, LOADED, REFUSED, STORE_FAILED, Wanted, run_load
from warm.market.telling import BarTeller, LineTeller

_NOON_US = MIDNIGHT_US + DAY_US // 2
_HEAD = "time,symbol,exchange,price,size,id\n"


def _made(count: int, seed: int = 1) -> list[Made]:
    rng = random.Random(seed)
    times = sorted(_NOON_US + rng.randrange(600) * 1_000_000 for _ in range(count))
    return [Made(at, rng.choice(("1.5", "2", "0.00000001")), "0.1", "buy", number) for number, at in enumerate(times, 1)]


def _line(number: int, symbol: str = "BTC-USD", price: str = "5", at_ms: int = 1_700_000_000_000) -> str:
    return f"{at_ms + number},{symbol},kraken,{price},1,{number}\n"


def _same(writer: Mortal) -> Mortal:
    return writer


def _rows(*numbers: int) -> str:
    return "".join(map(_line, numbers))


@pytest.mark.parametrize("name", ["tardis", "Kraken's archive", "Parquet", "Coinbase's matches", "Binance's REST"])
@settings(max_examples=12)
@given(count=st.integers(1, 40), killed=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=4))
def test_a_load_that_is_killed_and_begun_again_is_one_load(name: str, count: int, killed: list[tuple[int, bool]]) -> None:
    """At any batch, before it is written or after; row for row."""
    shape = SHAPES[name]
    part = 120 if shape.text else 5
    with TemporaryDirectory() as first, TemporaryDirectory() as second, TemporaryDirectory() as files:
        path = put(Path(files) / shape.file, shape.write(_made(count)))
        whole, market = Market(Path(first)), Market(Path(second))
        assert whole.load(path, part=part)[0] == LOADED
        for last, before in killed:
            mortal = Mortal(market.writer(), last, before=before)
            try:
                market.load(path, part=part, writer=partial(_same, mortal))
            except Killed:
                pass
        code, report = market.load(path, part=part)
        assert (code, report["there"]) == (LOADED, 0)
        assert market.holds() == whole.holds()
        assert market.load(path, part=part)[1]["files"][0]["fate"] == "unchanged"


@settings(max_examples=20)
@given(data=st.data(), count=st.integers(2, 30))
def test_any_split_of_a_file_in_any_order_is_the_same_as_the_whole(data: st.DataObject, count: int) -> None:
    shape = SHAPES["tardis"]
    made = _made(count)
    cuts = sorted(data.draw(st.sets(st.integers(1, count - 1), max_size=4)))
    pieces = [made[begin:end] for begin, end in zip([0, *cuts], [*cuts, count], strict=True)]
    order = data.draw(st.permutations(range(len(pieces))))
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        whole, market = Market(Path(first)), Market(Path(second))
        assert whole.load(put(Path(first) / "all.csv", shape.write(made)))[0] == LOADED
        paths = [put(Path(second) / f"{number}.csv", shape.write(piece)) for number, piece in enumerate(pieces)]
        assert market.load(*(paths[number] for number in order))[0] == LOADED
        assert market.holds() == whole.holds()
        assert market.load(Path(first) / "all.csv")[1]["new"] == 0
        assert market.holds() == whole.holds()


def test_a_file_that_has_grown_is_read_on_where_it_ended(tmp_path: Path) -> None:
    market, path = Market(tmp_path), tmp_path / "mine.csv"
    market.load(put(path, _HEAD + _rows(1, 2)))
    put(path, _HEAD + _rows(1, 2, 3))
    code, report = market.load(path)
    assert (code, report["trades"], report["new"], report["files"][0]["resumed_at"]) == (LOADED, 1, 1, 3)
    put(path, _HEAD + _rows(1, 2, 3, 4))
    assert market.load(path)[1]["trades"] == 1
    assert market.rows("SELECT count(*) FROM trades") == [(4,)]


def test_a_file_that_is_there_twice_or_goes_on_in_another_is_read_once(tmp_path: Path) -> None:
    for name, numbers in (("a.csv", (1, 2)), ("b.csv", (1, 2)), ("c.csv", (1, 2, 3))):
        put(tmp_path / "files" / name, _HEAD + _rows(*numbers))
    market = Market(tmp_path)
    code, report = market.load(tmp_path / "files", tmp_path / "files" / "a.csv")
    assert code == LOADED, report
    assert [(each["file"], each["fate"], each["trades"]) for each in report["files"]] == [
        ("a.csv", "loaded", 2), ("b.csv", "unchanged", 0), ("c.csv", "loaded", 1), ("a.csv", "unchanged", 0),
    ]  # fmt: skip
    assert {each["fate"] for each in market.load(tmp_path / "files")[1]["files"]} == {"unchanged"}


def test_a_file_that_ended_within_a_line_is_read_anew_once_it_has_grown(tmp_path: Path) -> None:
    """Else the rest of the line would be a row that is none, and its trade be lost."""
    market, path = Market(tmp_path), tmp_path / "mine.csv"
    text = _HEAD + _rows(1, 2)
    market.load(put(path, text[:-9]), max_rejects=1)
    put(path, text)
    code, report = market.load(path)
    assert (code, report["new"], report["refused"]) == (LOADED, 1, 0)
    assert market.rows("SELECT count(*) FROM trades") == [(2,)]


def test_of_a_file_that_was_replaced_all_is_read(tmp_path: Path) -> None:
    """Even if it begins as the other did and is longer."""
    market, path = Market(tmp_path), tmp_path / "mine.csv"
    market.load(put(path, _HEAD + _rows(1, 2, 3)))
    put(path, _HEAD + _rows(1, 5, 6, 7))
    code, report = market.load(path)
    assert (code, report["trades"], report["new"], report["there"]) == (LOADED, 4, 3, 1)


def test_a_file_is_known_under_another_name_and_packed_but_not_as_anothers_symbol(tmp_path: Path) -> None:
    market = Market(tmp_path)
    text = "time,price,size\n1700000000000,5,1\n"
    assert market.load(put(tmp_path / "BTC-USD.csv", text))[1]["new"] == 1
    put(tmp_path / "other" / "BTC-USD_2024.csv", text)
    assert market.load(tmp_path / "other")[1]["files"][0]["fate"] == "unchanged"
    name, content = packed(text.encode(), "BTC-USD.csv", "gz")
    assert market.load(put(tmp_path / name, content))[1]["files"][0]["fate"] == "unchanged"
    assert market.load(put(tmp_path / "ETH-USD.csv", text))[1]["new"] == 1
    says = (SymbolChoice("BTC-USD.csv", "SOL-USD"),)
    assert market.load(tmp_path / "BTC-USD.csv", symbols=says)[1]["new"] == 1
    assert market.rows("SELECT symbol FROM series ORDER BY symbol") == [("BTC-USD",), ("ETH-USD",), ("SOL-USD",)]


def test_refused_rows_are_told_with_place_column_value_and_reason_and_the_others_are_loaded(tmp_path: Path) -> None:
    market = Market(tmp_path)
    path = put(tmp_path / "mine.csv", _HEAD + _rows(1, 2) + _line(3, price="free") + _line(4))
    code, report = market.load(path, max_rejects=0.25)
    assert (code, report["new"], report["refused"]) == (LOADED, 3, 1)
    assert report["reasons"] == {
        "unparsable_value": {
            "count": 1,
            "examples": [{"file": "mine.csv", "row": 4, "symbol": "BTC-USD", "column": "price", "value": "free"}],
        }
    }
    assert json.loads(json.dumps(report)) == report
    code, report = Market(tmp_path / "other").load(path, max_rejects=0.24)
    assert (code, report["new"]) == (REFUSED, 3)
    assert report["error"] == "1 of 4 rows are no trades, more than --max-rejects 0.24 allows; the others are loaded"


def test_a_file_that_cannot_be_used_is_told_and_the_others_are_loaded(tmp_path: Path) -> None:
    put(tmp_path / "files" / "a.csv", _HEAD + _rows(1))
    put(tmp_path / "files" / "b.csv.gz", b"\x1f\x8b no gzip")
    put(tmp_path / "files" / "c.csv", "agent,view\nX,buy\n")
    put(tmp_path / "files" / "d.pdf", "text")
    code, report = Market(tmp_path).load(tmp_path / "files")
    assert (code, report["new"]) == (REFUSED, 1)
    assert {each["file"]: each["fate"] for each in report["files"]} == {
        "a.csv": "loaded", "b.csv.gz": "refused", "c.csv": "skipped", "d.pdf": "skipped",
    }  # fmt: skip
    assert "b.csv.gz: no readable gzip file" in report["error"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.csv", None, "no such file or folder"),
        (
            "AAPL.csv",
            "date,open,high,low,close\n2024-01-01,1,1,1,1\n",
            "no trades but bars (table): decide warm --prices … --bars",
        ),
        (
            "views.csv",
            "symbol,as_of,agent,signal\nX,2024-01-01,a,buy\n",
            "no trades but agents' outputs (native): decide warm --agents",
        ),
        ("notes.csv", "a,b\n1,2\n", "it has no trades (a table of a, b)"),
        ("empty.csv", "", "the file is empty"),
        ("trades.csv", "time,price,size\n1700000000000,5,1\n", "nothing in it tells the symbol"),
    ],
)
def test_what_brings_no_trades_is_refused_with_why(name: str, text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if text is not None:
        put(path, text)
    code, report = Market(tmp_path).load(path)
    assert code == REFUSED
    assert said in report["error"]


def test_a_symbol_choice_that_fits_no_file_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _rows(1))
    code, report = Market(tmp_path).load(path, symbols=(SymbolChoice("your.csv", "A"),))
    assert (code, report["error"]) == (REFUSED, "--symbol your.csv=A fits no file")


def test_symbols_get_the_market_that_their_suffix_names_before_their_trades(tmp_path: Path) -> None:
    """So a closing print belongs to the session's last bar; what an exchange's table does not reach is said by no session."""
    market = Market(tmp_path)
    rows = "57600050,1818500,111,N,00000001,0\n57700000,1818600,5,N,00000080,0\n"
    lean = put(tmp_path / "20240108_ibm_Trade_Tick.csv", rows)
    put(tmp_path / "more.csv", _HEAD + _line(1, "BTC-USDT") + _line(2, "VOD.L") + _line(3, "ETH-PERP"))
    assert market.load(lean, tmp_path / "more.csv")[0] == LOADED
    assert market.rows("SELECT symbol, market, currency, source FROM symbols ORDER BY symbol") == [
        ("BTC-USDT", "", "USDT", "table"), ("ETH-USD:USD", "", "USD", "table"), ("IBM", "XNYS", "", "lean"),
        ("VOD.L", "XLON", "", "table"),
    ]  # fmt: skip
    assert market.rows("SELECT DISTINCT market FROM sessions") == [("XLON",), ("XNYS",)]
    # 15:59 in New York.
    assert market.rows("SELECT start_us, trades FROM candles WHERE symbol = 'IBM'") == [(1_704_747_540_000_000, 2)]


def test_sessions_are_told_as_far_as_the_table_goes() -> None:
    tokyo = exchange("XTKS")
    found = sessions_of("XTKS")
    assert tokyo.first <= found[0].day < found[-1].day <= tokyo.until
    assert (found[-1].day - found[0].day).days > 365 * 20
    assert all(one.closes_us <= other.opens_us for one, other in pairwise(found))
    day = next(each for each in found if each.day.isoformat() == "2024-01-15")
    hour_us = 3_600_000_000
    midnight_us = 1_705_276_800_000_000
    pause = (midnight_us + 5 * hour_us // 2, midnight_us + 7 * hour_us // 2)
    assert day == Session(day.day, midnight_us, midnight_us + 6 * hour_us, pause)


@pytest.mark.parametrize(
    ("symbol", "market", "currency"),
    [
        ("AAPL", "XNYS", None),
        ("BTC-USDT", "", "USDT"),
        ("ETH-USD:ETH", "", "USD"),
        ("SAP.DE", "XETR", None),
        ("ES=F", "CMES", None),
    ],
)
def test_a_symbol_says_its_market_and_a_pair_its_currency(symbol: str, market: str, currency: str | None) -> None:
    assert (market_of(symbol), currency_of(symbol)) == (market, currency)


def test_the_last_trades_of_what_was_touched_are_published_and_of_all_where_a_load_was_stopped(tmp_path: Path) -> None:
    """Nobody knows any more what that one touched. A file is done with only once they were published."""
    path = put(tmp_path / "mine.csv", _HEAD + _rows(*range(1, 30)))
    market = Market(tmp_path)
    with pytest.raises(Killed):
        market.load(path, part=100, writer=lambda: Mortal(market.writer(), 3, before=True))
    assert market.published == []
    market.load(path, part=100)
    assert market.published == [None]
    market.load(put(tmp_path / "more.csv", _HEAD + _line(99, "ETH-USD")))
    assert market.published[1:] == [["ETH-USD"]]


def test_where_l2_fails_trades_are_loaded_and_the_next_load_publishes(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _rows(1, 2))
    market = Market(tmp_path)

    def fail(_: Sequence[str] | None) -> int:
        raise StoreError("unreachable", "nobody there")

    wanted = Wanted(paths=(path,))
    code, report = run_load(wanted, open_writer=market.writer, publish=fail, teller=LineTeller(market.told))
    assert (code, report["new"]) == (STORE_FAILED, 2)
    assert "could not be published: unreachable: nobody there; the same command goes on" in report["error"]
    assert market.load(path)[0] == LOADED
    assert market.published == [None]


def test_where_the_market_store_fails_the_report_says_so(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _rows(1, 2))
    put(tmp_path / "market.sqlite3", "no database " * 100)
    code, report = Market(tmp_path).load(path)
    assert code == STORE_FAILED
    assert report["error"].startswith("the market store failed: market_error: SQLite at ")


def test_of_two_loads_of_one_file_one_lets_go(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _rows(*range(1, 30)))
    market = Market(tmp_path)

    class Interrupted(Mortal):
        """Another load is quicker."""

        def offsets(self, log: str) -> Mapping[Partition, int]:
            found = super().offsets(log)
            assert market.load(path, part=100)[0] == LOADED
            return found

    code, report = market.load(path, part=100, writer=lambda: Interrupted(market.writer(), 99, before=True))
    assert code == STORE_FAILED
    assert "another load reads the same file" in report["error"]
    assert market.rows("SELECT count(*) FROM trades") == [(29,)]


def test_a_file_that_takes_more_memory_than_it_may_is_refused(tmp_path: Path) -> None:
    shape = SHAPES["Parquet"]
    name, content = packed(shape.write(_made(2000)), shape.file, "gz")
    code, report = Market(tmp_path).load(put(tmp_path / name, content), memory=MemoryBound(1000, used=lambda: 0))
    assert code == REFUSED
    assert "--memory-mb" in report["error"]


def test_a_load_that_is_interrupted_says_so_and_goes_on(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _rows(*range(1, 30)))
    market = Market(tmp_path)

    class Interrupted(Mortal):
        """By Ctrl-C."""

        def apply(self, batch: Batch) -> Applied:
            try:
                return super().apply(batch)
            except Killed:
                raise KeyboardInterrupt from None

    code, report = market.load(path, part=100, writer=lambda: Interrupted(market.writer(), 2, before=False))
    assert (code, report["status"]) == (INTERRUPTED, "interrupted")
    assert report["error"] == "interrupted; the same command goes on where it stopped"
    assert market.load(path, part=100)[1]["there"] == 0
    assert market.rows("SELECT count(*) FROM trades") == [(29,)]


def test_on_a_terminal_a_bar_and_tables_are_shown(tmp_path: Path) -> None:
    put(tmp_path / "files" / "mine.csv", _HEAD + _rows(1, 2) + _line(3, price="free"))
    put(tmp_path / "files" / "other.csv", "agent,view\nX,buy\n")
    screen = io.StringIO()
    teller = BarTeller(Console(file=screen, force_terminal=True, width=100, no_color=True))
    market = Market(tmp_path)
    wanted = Wanted(paths=(tmp_path / "files",))
    code, report = run_load(wanted, open_writer=market.writer, publish=lambda _: 1, teller=teller)
    teller.close(report)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert code == REFUSED
    assert "2 trades" in shown
    for said in (
        "Load of trades", "trades per s", "mine.csv", "it has no trades", "refused 1 rows: unparsable_value",
        "  mine.csv row 4: price is 'free'", "load: 1 of 3 rows are no trades",
    ):  # fmt: skip
        assert said in shown, said


def test_prices_are_stored_digit_for_digit(tmp_path: Path) -> None:
    prices = ("0.00000001", "123456789.123456789", "1e-8", "1.000000000000000001", "0.123456789012345678")
    text = _HEAD + "".join(_line(number, f"C{number}-USD", price) for number, price in enumerate(prices))
    market = Market(tmp_path)
    assert market.load(put(tmp_path / "mine.csv", text))[0] == LOADED
    found = [price for (price,) in market.rows("SELECT close FROM candles ORDER BY symbol")]
    assert found == [format(Decimal(each), "f") for each in prices]


def test_the_market_store_failing_midway_keeps_what_was_read(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", _HEAD + _rows(*range(1, 30)))
    market = Market(tmp_path)

    class Full(Mortal):
        """Its disk is full after some batches."""

        def apply(self, batch: Batch) -> Applied:
            try:
                return super().apply(batch)
            except Killed:
                raise MarketError("market_error", "the disk is full") from None

    code, report = market.load(path, part=100, writer=lambda: Full(market.writer(), 3, before=True))
    assert code == STORE_FAILED
    assert report["error"] == "the market store failed: market_error: the disk is full; the same command goes on where it stopped"
    assert 0 < report["new"] < 29
    assert market.load(path, part=100)[1]["there"] == 0
    assert market.rows("SELECT count(*) FROM trades") == [(29,)]
