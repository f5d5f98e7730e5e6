"""Files that were once misread, or ended the job with a traceback: each stands for a kind of them."""

import functools
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.kit.files import put
from tests.warm.agent_files import STATE, read, result, signal, told
from tests.warm.examples import PRICES, alpha_vantage, bars, long_csv, yfinance_wide
from tests.warm.folders import fates, run
from tests.warm.running import LAST_CLOSE_MS, SAMPLE_PRICES, Outcome, utc, warm
from warm.__main__ import main
from warm.errors import InputRefused
from warm.files.names import read_name

HEAD = "symbol,date,open,high,low,close,volume\n"


def hourly(symbol: str, start: datetime, count: int) -> str:
    """Rows of hours."""
    return "".join(f"{symbol},{start + timedelta(hours=number)},10,12,9,11,5\n" for number in range(count))


def test_seconds_of_a_small_type_do_not_overflow(tmp_path: Path) -> None:
    """Milliseconds of an Int32 column need 64 bits."""
    stamps = pl.Series("time", [1_704_067_200 + 3600 * number for number in range(5)], dtype=pl.Int32)
    frame = pl.DataFrame({"time": stamps, **{name: [10.0] * 5 for name in ("open", "high", "low", "close", "volume")}})
    out = io.BytesIO()
    frame.write_parquet(out)
    put(tmp_path / "BTC-USD.parquet", out.getvalue())
    assert run(tmp_path).store.price("BTC-USD").as_of_ms == utc(2024, 1, 1, 5)


def test_an_assumed_interval_yields_to_a_known_one(tmp_path: Path) -> None:
    """One bar in a file of its own does not make the hours of the others daily bars."""
    put(tmp_path / "a.csv", HEAD + hourly("AAA", datetime(2024, 1, 31, 14, 30, tzinfo=UTC), 30))
    put(tmp_path / "b.csv", HEAD + hourly("AAA", datetime(2024, 2, 2, 14, 30, tzinfo=UTC), 1))
    outcome = run(tmp_path)
    assert outcome.store.price("AAA").interval_s == 3600
    assert outcome.report["left_out"] == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (hourly("AAA", datetime(2024, 1, 2, 14, 30, tzinfo=UTC), 60),
         "".join(f"BBB,{date(2024, 1, 2) + timedelta(days=number)} 00:00:00+00:00,10,12,9,11,5\n" for number in range(9))),
        ("".join(f"AAA,{date(2024, 1, 2) + timedelta(days=number)},10,12,9,11,5\n" for number in range(60)),
         "".join(f"BBB,{date(2024, 1, 2) + timedelta(weeks=number)},10,12,9,11,5\n" for number in range(9))),
    ],
    ids=["hours and days", "days and weeks"],
)  # fmt: skip
def test_symbols_of_several_intervals_in_one_table_are_refused(first: str, second: str, tmp_path: Path) -> None:
    """The longer ones would be known long before they end."""
    put(tmp_path / "p.csv", HEAD + first + second)
    assert "allowed: one interval a file" in run(tmp_path).report["error"]


@pytest.mark.parametrize(
    ("name", "rows", "error"),
    [
        ("AAPL_1d.csv", [date(2024, 1, 1) + timedelta(weeks=number) for number in range(5)], "it says its interval is 1d"),
        ("AAPL_1w.csv", [date(2024, 1, 1) + timedelta(days=number) for number in range(5)], "it says its interval is 1w"),
        ("AAPL_1m.csv", [datetime(2024, 1, 2, 15, 5 * number, tzinfo=UTC) for number in range(5)], "it says its interval is 1m"),
        ("AAPL.csv", [date(2024, 1, 1), date(2024, 1, 20), date(2024, 2, 25)], "no known interval; --interval says it"),
    ],
)
def test_an_interval_that_does_not_fit_is_refused(name: str, rows: list[object], error: str, tmp_path: Path) -> None:
    put(tmp_path / name, "date,open,high,low,close,volume\n" + "".join(f"{row},10,12,9,11,5\n" for row in rows))
    assert error in run(tmp_path).report["error"]


def test_three_months_are_months(tmp_path: Path) -> None:
    put(tmp_path / "AAPL.csv", "date,open,high,low,close,volume\n" + "".join(f"2024-0{n}-01,10,12,9,11,5\n" for n in (1, 2, 3)))
    assert run(tmp_path).store.price("AAPL").as_of_ms == utc(2024, 3, 31, 20)


def test_a_pattern_in_a_files_name_is_only_a_name(tmp_path: Path) -> None:
    """``p[1].parquet`` is not ``p1.parquet``."""
    for name, symbol in (("p[1].parquet", "AAA"), ("p1.parquet", "BBB"), ("p*.csv", "CCC")):
        out = io.BytesIO()
        frame = pl.read_csv(io.BytesIO(long_csv(bars()).replace(b"AAA", symbol.encode())))
        frame.write_csv(out) if name.endswith("csv") else frame.write_parquet(out)
        put(tmp_path / name, out.getvalue())
    assert sorted(run(tmp_path).store.rows) == ["AAA", "BBB", "CCC"]


def test_leans_scale_is_told_by_the_nearest_market(tmp_path: Path) -> None:
    """A folder called crypto far above says nothing of equities; ``_trade`` behind an archive's symbol does of pairs."""
    put(tmp_path / "crypto" / PRICES["lean"].file, PRICES["lean"].write(bars()))
    assert fates(run(tmp_path))["crypto/equity/usa/daily/kkk.zip/kkk.csv"] == ("lean", "loaded")
    put(tmp_path / "x" / "ltcusd_trade.zip", PRICES["lean-unscaled"].write(bars(hours=True)))
    assert fates(run(tmp_path / "x"))["ltcusd_trade.zip/ltcusd.csv"] == ("lean-unscaled", "loaded")


@pytest.mark.parametrize(
    ("stem", "symbol"),
    [
        ("aapl_us_d", "AAPL"), ("AAPL-1", "AAPL"), ("BTC-USD_3600", None), ("BTC-USD_max", "BTC-USD"), ("part-0", None),
        ("BTCUSD_PERP-1h", "BTC-USD:BTC"), ("BTCUSDT_PERP-1h", "BTC-USDT:USDT"), ("BTCUSD_200925-1h", None),
        ("all_stocks_5yr", None), ("600519", "600519.SH"), ("BTC_USDT-8h-mark", None),
    ],
)  # fmt: skip
def test_what_a_name_does_not_tell_is_not_made_up(stem: str, symbol: str | None) -> None:
    assert read_name(stem).symbol == symbol


def test_partitions_tell_their_symbol(tmp_path: Path) -> None:
    """Folders ``symbol=AAPL`` of Hive and Spark."""
    rows = long_csv(bars()).replace(b"symbol,", b"").replace(b"AAA,", b"")
    for symbol in ("AAPL", "MSFT"):
        put(tmp_path / f"symbol={symbol}" / "part-0.csv", rows)
    assert sorted(run(tmp_path).store.rows) == ["AAPL", "MSFT"]


def test_futures_of_binances_archive_are_not_spot(tmp_path: Path) -> None:
    content = PRICES["binance"].write(bars(hours=True))
    for folder in ("spot", "futures/um", "futures/cm"):
        put(tmp_path / folder / "BTCUSDT-1h.json", content)
    assert sorted(run(tmp_path).store.rows) == ["BTC-USDT", "BTC-USDT:BTC", "BTC-USDT:USDT"]


def test_marks_and_funding_rates_are_skipped(tmp_path: Path) -> None:
    """They lie beside freqtrade's futures and are no prices that anybody traded at."""
    put(tmp_path / "BTC_USDT_USDT-1h-futures.feather", PRICES["freqtrade"].write(bars(hours=True)))
    for name in ("BTC_USDT_USDT-1h-mark.feather", "BTC_USDT_USDT-8h-funding_rate.feather"):
        put(tmp_path / name, PRICES["freqtrade"].write(bars(hours=True)))
    outcome = run(tmp_path)
    assert outcome.code == 0
    assert sorted(fate for _, fate in fates(outcome).values()) == ["loaded", "skipped", "skipped"]


def test_a_day_of_coins_that_begins_elsewhere_ends_a_day_later(tmp_path: Path) -> None:
    """Midnight in New York is no date of a market whose days end in UTC."""
    rows = "".join(f"BTC-USD,2024-01-0{day} 00:00:00-05:00,10,12,9,11,5\n" for day in (2, 3, 4))
    put(tmp_path / "p.csv", HEAD + rows)
    assert run(tmp_path).store.price("BTC-USD").as_of_ms == utc(2024, 1, 5, 5)


def test_adjusted_and_unadjusted_files_of_one_symbol_are_refused(tmp_path: Path) -> None:
    """Joined, they would jump where they meet."""
    put(tmp_path / "a.csv", long_csv(bars(20)))
    rows = long_csv(bars(20, start=datetime(2024, 2, 1, tzinfo=UTC))).decode().splitlines()
    put(tmp_path / "b.csv", "\n".join([rows[0] + ",adj_close", *(f"{row},50" for row in rows[1:])]))
    assert "AAA has adjusted closes in one of a.csv and b.csv" in run(tmp_path).report["error"]


def test_a_table_that_is_called_quotes_is_still_a_table(tmp_path: Path) -> None:
    """Only Lean's files without a header are told by it."""
    put(tmp_path / "MSFT_quotes.csv", long_csv(bars()))
    assert list(run(tmp_path).store.rows) == ["AAA"]


def test_dates_and_times_may_stand_in_two_columns(tmp_path: Path) -> None:
    head = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n"
    put(tmp_path / "h.csv", head + "".join(f"AAPL.US,60,20240102,{hour}0000,10,12,9,11,5\n" for hour in (10, 11, 12)))
    put(tmp_path / "d.csv", head + "".join(f"MSFT.US,D,2024010{day},000000,10,12,9,11,5\n" for day in (2, 3, 4)))
    store = run(tmp_path).store
    assert store.price("AAPL").as_of_ms == utc(2024, 1, 2, 18)
    assert store.price("MSFT").as_of_ms == utc(2024, 1, 4, 21)


def test_yfinances_actions_and_odd_tickers_are_read(tmp_path: Path) -> None:
    text = yfinance_wide(bars()).decode().replace("GGG", "LOW").splitlines()
    more = ["Dividends,Dividends", "FFF,LOW", ",", *["0.0,0.0"] * 30]
    put(tmp_path / "yf.csv", "\n".join(f"{line},{cells}" for line, cells in zip(text, more, strict=True)))
    assert sorted(run(tmp_path).store.rows) == ["FFF", "LOW"]


@functools.cache
def spoilt_tables() -> dict[str, tuple[str, bytes]]:
    """Files on which a library fails, each in its own way, by what is wrong."""
    good = long_csv(bars())
    out = io.BytesIO()
    pl.read_csv(io.BytesIO(good)).write_parquet(out)
    parquet = bytearray(out.getvalue())
    parquet[40:200] = b"\xff" * 160
    nested, far, zipped = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frame = pl.read_csv(io.BytesIO(good))
    frame.with_columns(pl.concat_list("symbol").alias("symbol")).write_parquet(nested)
    frame.with_columns(pl.lit((1 << 62) + 1).cast(pl.Datetime("ms")).alias("date")).write_parquet(far)
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.csv", good)
    lzma = bytearray(zipped.getvalue())
    lzma[60:120] = b"\xff" * 60
    deep = '{"symbol": "A", "date": "2024-01-02", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1, "x": ' + "[" * 2000
    return {
        "a quote that does not end": ("p.csv", good + b'AAA,2024-03-01,1,2,0.5,1,"'),
        "text behind a quote": ("p.csv", good + b'AAA,2024-03-01,1,2,0.5,"x"1.0,10\n'),
        "a longer line in a headless file": (
            "BTCUSDT-1h.csv",
            b"1704067200000,1,2,0.5,x,5,1,1,1,1,1,0\n" * 3 + b"1,1,1,1,1,1,1,1,1,1,1,1,1\n",
        ),
        "no UTF-8 far down": ("yf.csv", yfinance_wide(bars(3000)) + b"2040-01-01,\xff,1,1,1,1,1,1,1,1,1\n"),
        "damaged Parquet": ("p.parquet", bytes(parquet)),
        "a list for a symbol": ("p.parquet", nested.getvalue()),
        "a date beyond all dates": ("p.parquet", far.getvalue()),
        "damaged LZMA": ("p.zip", bytes(lzma)),
        "a day that is none": ("20241302_aapl_minute_trade.csv", b"34200000,1,2,1,2,5\n34260000,1,2,1,2,5\n"),
        "half a character": ("p.json", b'[{"symbol": "\\ud800", "t": "2024-01-02", "o": 1, "h": 1, "l": 1, "c": 1, "v": 1}]'),
        "a time zone that only Python knows": ("av.json", alpha_vantage(bars(hours=True)).replace(b"US/Eastern", b"Factory")),
        "one column twice": ("p.json", b'{"results": [{"T": 5, "t": [], "o": {}, "h": 1, "l": 1, "c": 1, "v": 1, "O": 2}]}'),
        "objects without end": ("p.jsonl", deep.encode() + b"\n"),
        "a form feed": ("p.csv", b"\x0c\n"),
        "a form feed in lines": ("p.jsonl", b"\x0c\n"),
    }


@pytest.mark.parametrize("case", list(spoilt_tables()))
@pytest.mark.parametrize("look", ["run", "explain", "yfinance", "native"])
def test_whatever_a_library_fails_on_is_refused_in_one_line(
    case: str, look: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 1, one line that names the file, nothing written; whichever format it is taken for, and explained too."""
    name, content = spoilt_tables()[case]
    path = put(tmp_path / name, content)
    if look == "explain":
        assert main(["--explain", str(path)], now_ms=1_800_000_000_000) in (0, 1)
        assert name.rpartition(".")[0] in capsys.readouterr().out
        return
    if look == "native":
        outcome = warm("--prices", SAMPLE_PRICES, "--agents", tmp_path, "--format", "native")
    else:
        outcome = run(tmp_path, *(("--format", "yfinance") if look == "yfinance" else ()))
    assert (outcome.code, outcome.store.calls["publish_run"]) == (1, 0)
    assert str(tmp_path) in outcome.report["error"]
    assert "\n" not in outcome.report["error"]


def agents(tmp_path: Path, file: str, document: object) -> Outcome:
    """A run on the sample's prices and one agents' file."""
    text = document if isinstance(document, str) else json.dumps(document)
    put(tmp_path / "agents" / file, text)
    return warm("--prices", SAMPLE_PRICES, "--agents", tmp_path / "agents")


@pytest.mark.parametrize("stamp", [1_361_394_000, True, 0, -(10**18), 10**400, [], {}])
@pytest.mark.parametrize(
    ("file", "document"),
    [
        ("s.json", lambda stamp: signal(date=stamp)),
        ("r.json", lambda stamp: {"fund": "x", "as_of": stamp, "signals": [], "final_weights": {"AAPL": 0.5}}),
        ("l.json", lambda stamp: STATE | {"trade_date": stamp}),
        ("c.json", lambda stamp: result() | {"analysis_date": stamp}),
        ("position.jsonl", lambda stamp: {"date": stamp, "id": 1, "this_action": {"action": "buy", "symbol": "AAPL"}}),
    ],
    ids=["signal", "record", "log", "decision", "trade"],
)  # fmt: skip
def test_a_number_is_no_date_of_an_agent(stamp: object, file: str, document: Callable[[object], object], tmp_path: Path) -> None:
    """Seconds, milliseconds or days: nobody can tell, so none is."""
    outcome = agents(tmp_path, file, document(stamp))
    assert (outcome.code, outcome.store.calls["publish_run"]) == (1, 0)
    assert "1 unparsable_value" in outcome.report["error"] or "1 missing_value" in outcome.report["error"]


def test_a_word_from_before_1970_is_set_aside(tmp_path: Path) -> None:
    """A record cannot hold its time; the symbol's other words must not suffer for it."""
    outcome = agents(tmp_path, "n.csv", "symbol,as_of,agent,view\nAAPL,1900-01-02,old,1\nAAPL,2013-02-20,good,1\n")
    assert list(outcome.store.views("AAPL")) == ["good"]
    assert outcome.report["files"][-1]["reasons"]["before_1970"]["count"] == 1


@pytest.mark.parametrize("file", ["n.json", "n.jsonl"])
def test_members_of_later_objects_count_too(file: str, tmp_path: Path) -> None:
    rows = [
        {"symbol": "AAPL", "as_of": "2024-01-02", "agent": "a", "view": 0.5},
        {
            "symbol": "AAPL",
            "as_of": "2024-01-02",
            "agent": "b",
            "status": "failed",
            "reason": "timeout",
            "reasoning": ["x", "\ud800"],
        },
    ]
    text = json.dumps(rows) if file == "n.json" else "\n".join(json.dumps(row) for row in rows)
    assert told(read(tmp_path, file, text)) == [
        ("AAPL", "a", "view", 0.5, None, None), ("AAPL", "b", "failed", None, None, "timeout"),
    ]  # fmt: skip


@pytest.mark.parametrize("signals", [5, True, 0.5, "x", {"a": 1}])
def test_signals_that_are_no_array_are_refused(signals: object, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="'signals' is no array"):
        read(tmp_path, "r.json", {"fund": "x", "as_of": "2024-01-02", "strategies": [{"signals": signals}]})


def test_failures_that_tools_call_something_else_are_failures(tmp_path: Path) -> None:
    failed = {"metadata": {"abstained": True, "abstain_reason": "LLM call failed: timeout"}, "value": 0.0}
    assert told(read(tmp_path / "a", "s.json", signal(**failed)))[0][2] == "failed"
    entry = {"signal": "neutral", "confidence": 50.0, "reasoning": "Insufficient data"}
    document = {"type": "complete", "data": {"analyst_signals": {"x": {"AAPL": entry}}}}
    assert told(read(tmp_path / "b", "r-2024-01-02.json", document))[0][2] == "failed"
    words = result(action="持有", confidence=0.7, risk_score=0.5, reasoning="基于综合分析的投资建议")
    assert told(read(tmp_path / "c", "c.json", words))[0][2] == "failed"
    bought = result(action="买入", reasoning="本次不是默认持有,而是买入")
    assert told(read(tmp_path / "d", "c.json", bought))[0][2] == "view"


def test_a_fund_whose_models_all_abstained_abstains(tmp_path: Path) -> None:
    silent = signal(metadata={"abstained": True}, value=0.0)
    record = {"fund": "x", "as_of": "2024-01-02", "strategies": [{"signals": [silent]}], "final_weights": {"AAPL": 0.0}}
    assert told(read(tmp_path, "r.json", record))[-1] == ("AAPL", "fund:x", "abstained", None, None, "all_abstained")


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202eevil"])
def test_names_out_of_files_act_on_no_terminal(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [
        agents(tmp_path / "a", "x.json", {name: 1}),
        agents(tmp_path / "b", "x.json", {"analyst_signals": {name: 5}}),
        agents(tmp_path / "c", "r.json", {"analyst_signals": {name: {name: {"signal": name, "confidence": 1}}}}),
        agents(tmp_path / "d", f"{name}.json", "{"),
    ]
    for outcome in outcomes:
        assert outcome.code == 1
        assert name not in json.dumps(outcome.report, ensure_ascii=False)
        assert "\n" not in outcome.report["error"]
    main(["--explain", str(tmp_path / "a" / "agents" / "x.json")], now_ms=LAST_CLOSE_MS)
    assert name not in capsys.readouterr().out
