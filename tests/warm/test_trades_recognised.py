"""Which files are of trades: none that is of another kind, and none of trades is one of bars."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.files import put
from tests.warm.examples import AGENTS, PRICES, WORDS, AgentExample, PriceExample, bars
from tests.warm.folders import fates, run
from tests.warm.running import SAMPLE_AGENTS, SAMPLE_PRICES
from tests.warm.trade_files import batches, source_of, trades, written
from tests.warm.trade_messages import Made, match
from tests.warm.trade_shapes import MIDNIGHT_US, SHAPES, Shape
from warm.errors import InputRefused
from warm.files.find import find_sources
from warm.files.read import Source
from warm.files.recognise import Unknown
from warm.files.recognise import recognise as recognise_other
from warm.files.trades.recognise import FORMATS, recognise

_MADE = [Made(MIDNIGHT_US + number * 1_000_000, f"{100 + number}.5", "0.25", "sell", number) for number in range(1, 30)]


def _of(folder: Path, name: str, content: str | bytes) -> Source:
    return source_of(put(folder / name, content))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_file_of_trades_is_told_by_its_content_and_is_none_of_bars_or_agents(shape: Shape, tmp_path: Path) -> None:
    source = written(tmp_path, shape, _MADE)
    found = recognise(source)
    assert found is not None
    assert found.name == shape.source
    other = recognise_other(source)
    assert isinstance(other, Unknown)
    assert (other.looks, other.nearly) == ("single trades in place of bars: decide market load reads them", None)


def test_every_format_has_a_shape_here() -> None:
    assert {shape.source for shape in SHAPES.values()} == FORMATS.keys()


@pytest.mark.parametrize("example", PRICES.values(), ids=PRICES.keys())
def test_a_file_of_bars_is_none_of_trades(example: PriceExample, tmp_path: Path) -> None:
    put(tmp_path / example.file, example.write(bars(hours=example.hours)))
    assert [recognise(each) for each in find_sources(tmp_path)[0]] == [None]


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS.keys())
def test_a_file_of_agents_outputs_is_none_of_trades(agent: AgentExample, tmp_path: Path) -> None:
    put(tmp_path / agent.file, agent.write(WORDS))
    assert [recognise(each) for each in find_sources(tmp_path)[0]] == [None]


@pytest.mark.parametrize("folder", [SAMPLE_PRICES, SAMPLE_AGENTS], ids=["prices", "agents"])
def test_the_sample_has_no_trades(folder: Path) -> None:
    sources, _ = find_sources(folder)
    assert [recognise(each) for each in sources] == [None] * len(sources)


_OTHERS = {
    "quotes.csv": "timestamp,symbol,bid,ask,size,price\n1700000000000,BTC-USD,1,2,3,1.5\n",
    "fills.csv": "time,symbol,price,quantity,side,fee,order_id\n2024-01-02T03:04:05Z,BTC-USD,1.5,2,buy,0.1,7\n",
    "decisions.csv": "date,ticker,action,quantity,price\n2024-01-02T10:00:00Z,AAPL,buy,3,1.5\n",
    "closes.csv": "date,price,volume\n2024-01-02,1.5,100\n2024-01-03,1.6,100\n",
    "bars.csv": "time,open,high,low,close,volume,price\n2024-01-02T03:04:05Z,1,2,1,2,5,2\n",
    "numbers.csv": "1,2,3\n4,5,6\n",
    "book.jsonl": json.dumps({"type": "l2update", "product_id": "BTC-USD", "changes": []}),
    "tickers.jsonl": json.dumps({"timestamp": "2025-12-06T01:12:47", "product_id": "BTC-USD", "price": "1",
                                 "raw": {"type": "ticker", "product_id": "BTC-USD", "price": "1", "best_bid": "1"}}),
    "tickers_2.jsonl": json.dumps({"channel": "ticker", "events": [{"type": "update", "tickers": []}]}),
    "20240102_aapl_Quote_Tick.csv": "34200000,1850000,100,1850100,200,NASDAQ,0,0\n",
    "notes.txt": "what I bought, and why, and when\n",
    "array.json": "[1, 2, [3]]",
    "nothing.json": "{}",
}  # fmt: skip


@pytest.mark.parametrize("name", _OTHERS)
def test_what_is_no_market_trade_is_not_taken_for_one(name: str, tmp_path: Path) -> None:
    """Quotes, books, tickers without trades, somebody's own orders, closes of days, and any other text."""
    assert recognise(_of(tmp_path, name, _OTHERS[name])) is None


_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet", ".csv.gz", ".csv.zst", ".arrow")


@given(content=st.binary(max_size=400), suffix=st.sampled_from(_SUFFIXES))
def test_random_bytes_are_no_trades(content: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """They are refused, or not recognised; no library's error comes through."""
    source = _of(tmp_path_factory.getbasetemp(), f"any{suffix}", content)
    with suppress(InputRefused):
        assert recognise(source) is None


def test_a_folder_with_bars_and_trades_loads_the_bars_and_skips_the_trades(tmp_path: Path) -> None:
    put(tmp_path / "long.csv", PRICES["table"].write(bars()))
    for number, shape in enumerate(SHAPES.values()):
        written(tmp_path / str(number), shape, _MADE)
    outcome = run(tmp_path)
    assert outcome.code == 0
    told = fates(outcome)
    assert told.pop("long.csv") == ("table", "loaded")
    assert {*told.values()} == {(None, "skipped")}
    assert len(told) == len(SHAPES)
    assert all("single trades" in each["why"] for each in outcome.report["files"] if each["file"] != "long.csv")


def test_trades_without_a_symbol_are_refused_with_what_says_it_and_are_still_no_bars(tmp_path: Path) -> None:
    source = _of(tmp_path, "export_of_yesterday.csv", "time,price,size\n2024-01-02T03:04:05Z,1.5,2\n")
    with pytest.raises(InputRefused, match="nothing in it tells the symbol, nor does its name; --symbol"):
        recognise(source)
    assert isinstance(recognise_other(source), Unknown)
    source.symbol = "BTC-USD"
    assert [each.symbol for each in trades(source)] == ["BTC-USD"]


def test_a_recording_is_recognised_behind_a_long_snapshot_of_a_book(tmp_path: Path) -> None:
    book = {"type": "snapshot", "product_id": "BTC-USD", "bids": [["1.5", "0.25"]] * 30_000}
    lines = [json.dumps(book), *(json.dumps(match(each)) for each in _MADE)]
    source = _of(tmp_path, "feed.jsonl", "\n".join(lines))
    assert sum(batch.others for batch in batches(source)) == 1
    assert len(trades(source)) == len(_MADE)


def test_objects_that_name_a_venue_or_a_symbol_are_not_coinbases_whose_side_is_the_makers(tmp_path: Path) -> None:
    plain = {"time": "2024-03-08T15:00:00Z", "price": 5, "size": 1, "side": "buy", "trade_id": 7}
    for number, (more, name, venue, side) in enumerate(
        (
            ({"venue": "kraken", "symbol": "BTC-USD"}, "table", "kraken", "buy"),
            ({"symbol": "BTC-USD"}, "table", "unknown", "buy"),
            ({"product_id": "BTC-USD"}, "coinbase", "coinbase", "sell"),
        )
    ):
        source = _of(tmp_path, f"{number}.jsonl", json.dumps(plain | more) + "\n")
        found = recognise(source)
        assert found is not None
        assert found.name == name
        assert [(each.venue, each.side) for batch in found.read() for each in batch.trades] == [(venue, side)]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="the file is empty"):
        recognise(_of(tmp_path, "trades.csv", " \n\n"))


@pytest.mark.parametrize("name", ["Lean's equities", "Binance's spot trades", "Kraken's archive"])
def test_a_table_without_names_is_told_by_its_first_row_that_is_whole(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    source = written(tmp_path, shape, _MADE)
    source.path.write_bytes(b"17\n" + source.path.read_bytes())
    found = batches(source_of(tmp_path))
    assert [(reason, each.row) for batch in found for reason, each in batch.refused] == [("wrong_field_count", 1)]
    assert sum(len(batch.trades) for batch in found) == len(_MADE)
    assert isinstance(recognise_other(source_of(tmp_path)), Unknown)
