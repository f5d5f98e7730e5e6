"""The job as a whole: all or nothing, no look-ahead, exit codes, and what it tells."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from app.domain.records import HISTORY, KINDS
from app.domain.vector import PRICE_NAMES
from app.errors import StoreError
from app.store.codec import decode
from app.store.protocol import Row
from tests.kit.files import put
from tests.kit.records import raw_of
from tests.kit.store import FakeStore
from tests.warm.running import HEADER, LAST_CLOSE_MS, NOW_MS, SAMPLE_AGENTS, SAMPLE_PRICES, good_rows, utc, warm, write_csv
from tests.warm.synthetic import write_prices
from warm.__main__ import main
from warm.report import STAGES

ROOT = Path(__file__).parents[2]


def content(row: Row) -> tuple[object, ...]:
    """A row's records without the run and the time of loading, which differ between runs."""
    decided = [decode(kind, row.records[kind.name].value, row.symbol) for kind in KINDS.inputs if kind.name in row.records]
    return tuple(msgspec.structs.replace(each, run="", loaded_at_ms=0) for each in decided)


def test_the_sample_warms_into_both_records_of_every_symbol() -> None:
    outcome = warm("--prices", SAMPLE_PRICES, "--agents", SAMPLE_AGENTS)
    assert outcome.code == 0
    assert sorted(outcome.store.rows) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert outcome.report["symbols"] == 5
    assert outcome.report["bars"] == 12_154
    assert outcome.report["written"] == 10
    for symbol in outcome.store.rows:
        price = outcome.store.price(symbol)
        assert (price.as_of_ms, price.loaded_at_ms, price.run, price.interval_s) == (LAST_CLOSE_MS, NOW_MS, "run-1", 86_400)
        assert None not in price.values
        assert len(outcome.store.views(symbol)) == 8
    info = outcome.store.info
    assert info is not None
    assert (info.run, info.warmed_at_ms, info.newest_as_of_ms) == ("run-1", NOW_MS, LAST_CLOSE_MS)
    assert (info.symbols, info.bars, info.bytes) == (5, 12_154, outcome.report["bytes"])
    assert outcome.store.closed


def test_the_last_close_is_the_price_that_was_traded() -> None:
    """A live price can be compared with it, whatever was split or paid out later."""
    store = warm("--prices", SAMPLE_PRICES).store
    closes = {symbol: store.price(symbol).values[PRICE_NAMES.index("close")] for symbol in store.rows}
    assert closes == {"AAPL": 430.47, "FB": 27.78, "GOOG": 806.19, "IBM": 202.91, "MSFT": 27.95}


def test_a_history_has_the_last_120_bars_that_are_over() -> None:
    store = warm("--prices", SAMPLE_PRICES).store
    for symbol, published in store.rows.items():
        history, price = decode(HISTORY, published.records["history"].value, symbol), store.price(symbol)
        assert (history.as_of_ms, history.run, history.interval_s) == (price.as_of_ms, "run-1", 86_400)
        assert (len(history.times_ms), history.times_ms[-1]) == (120, price.as_of_ms)
        values = dict(zip(PRICE_NAMES, price.values, strict=True))
        assert history.closes[-1] == values["close"]
        assert history.closes[-5] == values["close_lag_4"]
        assert max(history.closes[-60:]) == pytest.approx(values["close"] / (1 + (values["drawdown_60"] or 0.0)))
    aapl = decode(HISTORY, raw_of(store.rows["AAPL"], "history") or b"", "AAPL")
    assert datetime.fromtimestamp(aapl.times_ms[0] / 1000, UTC).date().isoformat() == "2012-09-06"


def test_a_history_of_few_bars_has_them_all_and_none_of_the_future(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", good_rows(150, "AAA") + good_rows(7, "BBB"))
    store = warm("--prices", path, "--as-of", "2012-01-05").store
    for symbol in ("AAA", "BBB"):
        history = decode(HISTORY, raw_of(store.rows[symbol], "history") or b"", symbol)
        assert [datetime.fromtimestamp(each / 1000, UTC).day for each in history.times_ms] == [1, 2, 3, 4, 5]
        assert history.closes == (100.0, 100.0, 100.0, 103.0, 103.0)
    whole = decode(HISTORY, raw_of(warm("--prices", path).store.rows["AAA"], "history") or b"", "AAA")
    assert len(whole.times_ms) == 120


def test_a_history_counts_in_bytes_and_not_as_a_record() -> None:
    """What a run takes in L2 is all of it; a symbol still has two records at most."""
    outcome = warm("--prices", SAMPLE_PRICES)
    rows = outcome.store.rows.values()
    assert outcome.report["written"] == 5
    assert outcome.report["bytes"] == sum(len(found.value) for each in rows for found in each.records.values())


def test_of_more_agents_than_a_decision_looks_at_the_newest_are_kept_and_the_others_told(tmp_path: Path) -> None:
    """Else a crowd of agents makes each decision slow; nobody disappears without a word."""
    path = write_csv(tmp_path / "p.csv", good_rows(60, "AAA"))
    head = "symbol,as_of,agent,view,confidence"
    lines = [f"AAA,2012-02-{1 if number < 50 else 2:02},agent-{number:03},0.5,0.5" for number in range(150)]
    put(tmp_path / "agents.csv", "\n".join([head, *lines, "BBB,2012-02-01,alone,0.5,0.5"]))
    outcome = warm("--prices", path, "--agents", tmp_path / "agents.csv")
    assert sorted(outcome.store.views("AAA")) == [f"agent-{number:03}" for number in range(50, 150)]
    assert (outcome.report["agent_fates"]["views"]["beyond_bound"], outcome.report["beyond_bound"]) == (50, {"AAA": 50})
    assert outcome.report["views"] == 151


def test_abstentions_failures_and_neutral_views_reach_the_record_apart() -> None:
    store = warm("--prices", SAMPLE_PRICES, "--agents", SAMPLE_AGENTS).store
    ibm, facebook = store.views("IBM"), store.views("FB")
    assert {name for name, view in ibm.items() if view.status == "failed"} == {
        "sentiment_analyst_agent", "valuation_analyst_agent", "cathie_wood_agent", "michael_burry_agent",
        "portfolio_management_agent",
    }  # fmt: skip
    assert facebook["warren_buffett_agent"].status == "abstained"
    assert facebook["portfolio_management_agent"].reason == "no_valid_trade"
    assert all((view.view is None) == (view.status not in ("view", "summary")) for view in (ibm | facebook).values())
    technical = ibm["technical_analyst_agent"]
    assert (technical.model, technical.source) == ("simulated", "native.csv")
    assert (technical.reasoning or "").startswith("Simulated:")


def test_a_summary_reaches_the_record_and_the_report_as_one() -> None:
    outcome = warm("--prices", SAMPLE_PRICES, "--agents", SAMPLE_AGENTS)
    assert outcome.store.views("GOOG")["portfolio_management_agent"].status == "summary"
    assert (outcome.report["views_used"], outcome.report["summaries"]) == (29, 3)


def test_other_prices_are_not_joined_with_the_samples_agents(tmp_path: Path) -> None:
    """The default agents go with the default prices only: simulated views must not slip into real data."""
    outcome = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(70, "AAPL")))
    assert outcome.code == 0
    assert outcome.store.views("AAPL") == {}


def test_too_many_rejects_write_nothing(tmp_path: Path) -> None:
    rows = [*good_rows(98), "AAA,2013-02-28,10,9,11,10,5", "A A,2013-03-01,10,12,9,11,5"]
    path = write_csv(tmp_path / "p.csv", rows)
    refused = warm("--prices", path)
    assert refused.code == 1
    assert "2 of 100 price rows are bad, more than --max-rejects 0.01 allows" in refused.report["error"]
    assert refused.reasons() == {"bad_symbol": 1, "low_above_high": 1}
    assert refused.store.calls["publish_run"] == 0
    assert "publish" not in refused.stages
    assert warm("--prices", path, "--max-rejects", "0.02").code == 0
    assert warm("--prices", path, "--max-rejects", "0").code == 1


def test_bad_agents_stop_the_run_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "agents.csv").write_text("hello\n1\n", encoding="utf-8")
    outcome = warm("--prices", SAMPLE_PRICES, "--agents", tmp_path / "agents.csv")
    assert (outcome.code, outcome.store.calls["publish_run"]) == (1, 0)
    assert "no format recognises" in outcome.report["error"]


def test_a_dry_run_does_everything_but_the_write() -> None:
    outcome = warm("--prices", SAMPLE_PRICES, "--dry-run")
    assert (outcome.code, outcome.store.calls["publish_run"], outcome.store.closed) == (0, 0, False)
    assert outcome.stages == [stage for stage in STAGES if stage != "publish"]
    assert outcome.report["status"] == "dry_run"
    assert outcome.report["bytes"] > 0


def test_stages_are_announced_in_order_and_the_end_is_told() -> None:
    outcome = warm("--prices", SAMPLE_PRICES)
    assert tuple(outcome.stages) == STAGES
    assert outcome.report["event"] == "done"
    assert outcome.report["exit_code"] == 0
    assert outcome.report["seconds"] > 0


def test_a_store_that_fails_is_code_3() -> None:
    store = FakeStore()
    store.fault = StoreError("unreachable", "told to fail")
    outcome = warm("--prices", SAMPLE_PRICES, store=store)
    assert (outcome.code, store.closed) == (3, True)
    assert "told to fail" in outcome.report["error"]


def test_a_run_older_than_the_store_is_code_4() -> None:
    store = warm("--prices", SAMPLE_PRICES).store
    before = dict(store.rows)
    outcome = warm("--prices", SAMPLE_PRICES, "--as-of", "2013-02-28", store=store, run="run-2")
    assert (outcome.code, outcome.report["status"], outcome.report["kept_newer"]) == (4, "all_newer", 5)
    assert store.rows == before


def test_prune_removes_what_the_input_does_not_have(tmp_path: Path) -> None:
    store = warm("--prices", SAMPLE_PRICES).store
    path = write_csv(tmp_path / "p.csv", good_rows(70))
    warm("--prices", path, store=store)
    assert len(store.rows) == 6
    assert warm("--prices", path, "--prune", store=store).report["pruned"] == 5
    assert list(store.rows) == ["AAA"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-rejects", "2"),
        ("--max-rejects", "x"),
        ("--max-rejects", "nan"),
        ("--as-of", "yesterday"),
        ("--timezone", "Mars/Olympus"),
        ("--session-close", "25:00"),
        ("--session-close", "4pm"),
        ("--interval", "2d"),
        ("--nonsense",),
        ("--report", "/nowhere/at/all.json"),
    ],
)
def test_wrong_usage_is_code_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        warm("--prices", SAMPLE_PRICES, *arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_the_report_file_has_everything(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert warm("--prices", SAMPLE_PRICES, "--agents", SAMPLE_AGENTS, "--report", report).code == 0
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["rows"] == 12_154
    assert [each["dated_by"] for each in told["files"] if each["kind"] == "agents"] == ["file_name"] * 4 + ["column"]
    assert (told["files"][0]["file"], told["files"][0]["fate"]) == ("daily.csv.gz", "loaded")
    assert warm("--prices", write_csv(tmp_path / "p.csv", ["AAA,x,1,1,1,1,1"]), "--report", report).code == 1
    assert json.loads(report.read_text(encoding="utf-8"))["status"] == "refused"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["p.csv", "report.json"]


@pytest.mark.parametrize("day", ["2012-06-15", "2013-01-02", "2013-02-28"])
def test_as_of_gives_what_a_run_at_that_time_gave(day: str, tmp_path: Path) -> None:
    """Cutting at a date equals never having had the later rows: no record differs in a byte but for its run and its load."""
    frame = pl.read_csv(SAMPLE_PRICES / "daily.csv.gz")
    frame.filter(pl.col("date") <= day).write_csv(tmp_path / "then.csv")
    native = pl.read_csv(SAMPLE_AGENTS / "native.csv", infer_schema=False)
    (tmp_path / "agents").mkdir()
    native.filter(pl.col("as_of") <= day).write_csv(tmp_path / "agents" / "native.csv")
    for file in SAMPLE_AGENTS.glob("*.json"):
        if file.stem[-10:] <= day:
            (tmp_path / "agents" / file.name).write_bytes(file.read_bytes())
    then_ms = int(datetime.fromisoformat(f"{day}T23:00:00Z").astimezone(UTC).timestamp() * 1000)
    then = warm("--prices", tmp_path / "then.csv", "--agents", tmp_path / "agents", now_ms=then_ms)
    now = warm("--prices", SAMPLE_PRICES, "--agents", SAMPLE_AGENTS, "--as-of", day, now_ms=then_ms)
    assert (then.code, now.code) == (0, 0)
    assert now.store.rows == then.store.rows
    assert now.report["cut_after_as_of"] == frame.height - then.report["rows"]


def test_rows_after_as_of_change_nothing_even_if_they_are_bad(tmp_path: Path) -> None:
    """A bar after the cut is cut, not judged; an unknown later split has no influence."""
    rows = good_rows(70)
    clean = warm("--prices", write_csv(tmp_path / "a.csv", rows), "--as-of", "2013-01-01")
    later = ["AAA,2013-06-03,0,0,0,0,-1", "AAA,2013-06-04,1,2,1,2,3", "NEW,2013-06-04,1,2,1,2,3", "AAA,2099-01-01,1,2,1,2,3"]
    more = warm("--prices", write_csv(tmp_path / "b.csv", rows + later), "--as-of", "2013-01-01")
    assert (more.code, more.report["rejects"], more.report["cut_after_as_of"]) == (0, 0, 4)
    assert more.store.rows == clean.store.rows


def test_the_same_input_gives_the_same_bytes() -> None:
    first, second = (warm("--prices", SAMPLE_PRICES, "--agents", SAMPLE_AGENTS) for _ in range(2))
    assert first.store.rows == second.store.rows
    later = warm("--prices", SAMPLE_PRICES, "--agents", SAMPLE_AGENTS, now_ms=NOW_MS + 1, run="run-2")
    assert later.store.rows != first.store.rows
    assert {symbol: content(row) for symbol, row in later.store.rows.items()} == {
        symbol: content(row) for symbol, row in first.store.rows.items()
    }


def test_a_young_symbol_has_a_short_vector(tmp_path: Path) -> None:
    store = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(20))).store
    values = dict(zip(PRICE_NAMES, store.price("AAA").values, strict=True))
    assert values["rsi_14"] is not None
    assert values["macd"] is None
    assert values["drawdown_60"] is None


def test_agents_of_a_symbol_without_prices_get_a_record_of_their_own(tmp_path: Path) -> None:
    """The server can then fall back to agents only."""
    (tmp_path / "n.csv").write_text("symbol,as_of,agent,view\nNEW,2012-01-05,x,0.5\nNEW,2014-01-01,x,-0.5\n", encoding="utf-8")
    store = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(70)), "--agents", tmp_path / "n.csv").store
    assert raw_of(store.rows["NEW"], "price") is None
    assert store.views("NEW")["x"].view == -0.5


def test_a_symbol_without_a_bar_of_after_1969_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records begin in 1970; where there is no other symbol the run is refused, by ``--explain`` too."""
    old = [f"OLD,1965-11-{day:02},99,103,97,100,1000" for day in (24, 26)]
    path = put(tmp_path / "old.csv", HEADER + "\n".join(old))
    outcome = warm("--prices", path, now_ms=utc(2024, 3, 11))
    assert (outcome.code, outcome.store.rows) == (1, {})
    assert "its last bars are from before 1970" in outcome.report["error"]
    assert main(["--explain", str(path)], now_ms=utc(2024, 3, 11)) == 1
    assert "a run is refused" in capsys.readouterr().out
    new = [f"NEW,2024-03-{day:02},99,103,97,100,1000" for day in (7, 8)]
    outcome = warm("--prices", put(tmp_path / "both.csv", HEADER + "\n".join([*old, *new])), now_ms=utc(2024, 3, 11))
    assert (outcome.code, list(outcome.store.rows)) == (0, ["NEW"])
    assert outcome.report["warnings"] == ["1 symbols have no bar of after 1969, and are left out: OLD"]


def test_csv_and_parquet_of_the_same_bars_give_the_same_records(tmp_path: Path) -> None:
    write_prices(tmp_path / "p.csv", symbols=20, bars=90, adjusted=True)
    write_prices(tmp_path / "p.parquet", symbols=20, bars=90, adjusted=True)
    text, binary = warm("--prices", tmp_path / "p.csv"), warm("--prices", tmp_path / "p.parquet")
    assert (text.code, len(text.store.rows)) == (0, 20)
    assert text.store.rows == binary.store.rows


def run_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "warm", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"REDIS_URL": ""} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_documents_the_exit_codes() -> None:
    told = run_process("--help").stdout
    assert all(f"{code} " in told for code in ("0", "1", "2", "3", "4", "130"))
    assert "nothing written" in told


def test_a_wrong_setting_is_code_2_and_one_line(tmp_path: Path) -> None:
    done = run_process("--prices", SAMPLE_PRICES, PORT="many", STORE_PATH=str(tmp_path / "s.sqlite3"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "PORT" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_does_not_matter_to_a_dry_run() -> None:
    assert run_process("--dry-run", "--prices", SAMPLE_PRICES, PORT="many").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_is_code_130_and_nothing_is_written(tmp_path: Path) -> None:
    fifo = tmp_path / "p.csv"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    process = subprocess.Popen(
        [sys.executable, "-m", "warm", "--prices", str(fifo)],
        cwd=ROOT,
        env=os.environ | {"REDIS_URL": "", "STORE_PATH": str(tmp_path / "s.sqlite3")},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stderr is not None
            assert '"read_prices"' in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            # Polars' signal handler restarts a read that was waiting: the interrupt is seen once the read returns.
            os.write(writer, HEADER.encode())
            told = process.stderr.read()
            assert process.wait(30) == 130
        finally:
            os.close(writer)
            process.kill()
    assert "Traceback" not in told
    assert not (tmp_path / "s.sqlite3").exists()
