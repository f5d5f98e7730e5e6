"""Agent outputs: views, abstentions and failures stay apart, and no view is from after its bar."""

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import polars as pl
import pytest

from app.domain.vector import REASONING_MAX, VIEWS_MAX, AgentView, newest_views
from tests.warm.running import LAST_CLOSE_MS, NEW_YORK, NOW_MS
from warm.errors import InputRefused
from warm.files.agents import ai_hedge_fund, native
from warm.files.agents.registry import AgentRows, read_agents, settle
from warm.files.agents.rows import AGENT_SCHEMA, Context, Imported, clean_text
from warm.files.find import find_sources

CONTEXT = Context(NEW_YORK, NOW_MS, None)
HEADER = "symbol,as_of,agent,status,view,signal,confidence,model,reasoning,reason\n"


def read_by(importer: ModuleType, path: Path, context: Context) -> Imported:
    """What one importer makes of a file."""
    (source,), _ = find_sources(path)
    imported: Imported = importer.read(source, context)
    return imported


def write_native(path: Path, *rows: str, header: str = HEADER) -> Path:
    """Write a native table."""
    path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def one_native(tmp_path: Path, row: str) -> dict[str, Any]:
    """The only row of a native table, read."""
    return read_by(native, write_native(tmp_path / "n.csv", row), CONTEXT).frame.row(0, named=True)


def write_run(path: Path, signals: dict[str, Any], decisions: dict[str, Any] | None = None) -> Path:
    """Write an ai-hedge-fund result."""
    path.write_text(json.dumps({"decisions": decisions, "analyst_signals": signals}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("A,2013-03-01,x,view,0.5,,0.8,m,why,", ("view", 0.5, 0.8, None)),
        ("A,2013-03-01,x,view,0,,,m,why,", ("view", 0.0, None, None)),
        ("A,2013-03-01,x,,-1,,1,m,why,", ("view", -1.0, 1.0, None)),
        ("A,2013-03-01,x,,,Bearish,1,m,why,", ("view", -1.0, 1.0, None)),
        ("A,2013-03-01,x,,,neutral,1,m,why,", ("view", 0.0, 1.0, None)),
        ("A,2013-03-01,x,summary,1,,0.5,m,,", ("summary", 1.0, 0.5, None)),
        ("A,2013-03-01,x,abstained,,,,m,,no data", ("abstained", None, None, "no data")),
        ("A,2013-03-01,x,failed,,,,m,,timeout", ("failed", None, None, "timeout")),
        ("A,2013-03-01,x,FAILED,,,,m,,", ("failed", None, None, None)),
        ("A,2013-03-01,x,,,,,m,,timeout", ("failed", None, None, "timeout")),
    ],
)
def test_native_status_tells_neutral_abstained_and_failed_apart(row: str, expected: tuple[object, ...], tmp_path: Path) -> None:
    """A neutral view is a view of 0; an abstention and a failure have none."""
    read = one_native(tmp_path, row)
    assert (read["status"], read["view"], read["confidence"], read["reason"]) == expected
    assert (read["symbol"], read["agent"], read["as_of_ms"], read["source"]) == ("A", "x", LAST_CLOSE_MS, "n.csv")


BAD_NATIVE = {
    "no symbol": (",2013-03-01,x,view,0.5,,0.8,m,,", "missing_value"),
    "bad symbol": ("a b,2013-03-01,x,view,0.5,,0.8,m,,", "bad_symbol"),
    "no agent": ("A,2013-03-01,,view,0.5,,0.8,m,,", "missing_value"),
    "bad agent": ("A,2013-03-01,\x1b[31mred,view,0.5,,0.8,m,,", "bad_agent"),
    "no date": ("A,,x,view,0.5,,0.8,m,,", "missing_value"),
    "bad date": ("A,yesterday,x,view,0.5,,0.8,m,,", "unparsable_value"),
    "future": ("A,2099-01-01,x,view,0.5,,0.8,m,,", "future_view"),
    "word for a view": ("A,2013-03-01,x,view,up,,0.8,m,,", "unparsable_value"),
    "unknown signal": ("A,2013-03-01,x,view,,moon,0.8,m,,", "unknown_signal"),
    "view beyond 1": ("A,2013-03-01,x,view,1.01,,0.8,m,,", "view_out_of_range"),
    "NaN view": ("A,2013-03-01,x,view,nan,,0.8,m,,", "view_out_of_range"),
    "nothing said": ("A,2013-03-01,x,,,,0.8,m,,", "no_status_no_view"),
    "unknown status": ("A,2013-03-01,x,maybe,0.5,,0.8,m,,", "unknown_status"),
    "view without a view": ("A,2013-03-01,x,view,,,0.8,m,,", "view_missing"),
    "failed with a view": ("A,2013-03-01,x,failed,0.5,,0.8,m,,", "view_without_view_status"),
    "word for a confidence": ("A,2013-03-01,x,view,0.5,,sure,m,,", "unparsable_value"),
    "confidence in percent": ("A,2013-03-01,x,view,0.5,,80,m,,", "confidence_out_of_range"),
    "NaN confidence": ("A,2013-03-01,x,view,0.5,,nan,m,,", "confidence_out_of_range"),
}


@pytest.mark.parametrize("case", BAD_NATIVE)
def test_a_bad_native_row_is_set_aside_with_its_reason(case: str, tmp_path: Path) -> None:
    row, reason = BAD_NATIVE[case]
    path = write_native(tmp_path / "n.csv", "A,2013-03-01,y,view,0.5,,0.8,m,,", row)
    imported = read_by(native, path, CONTEXT)
    assert imported.rejects.counts == {reason: 1}
    assert imported.rejects.examples[reason][0].row == 3
    assert imported.frame.get_column("agent").to_list() == ["y"]
    assert (imported.rows, imported.dated_by) == (2, "column")


def test_a_native_table_needs_only_three_columns_and_a_view(tmp_path: Path) -> None:
    path = write_native(tmp_path / "n.csv", "A,2013-03-01,x,,timeout", header="Ticker,as_of,agent,view,error\n")
    assert read_by(native, path, CONTEXT).frame.row(0, named=True)["reason"] == "timeout"


@pytest.mark.parametrize(
    ("signal", "confidence", "reasoning", "expected"),
    [
        ("bullish", 80, "good", ("view", 1.0, 0.8, None)),
        ("BEARISH", 55.5, "bad", ("view", -1.0, 0.555, None)),
        ("neutral", 50, "so so", ("view", 0.0, 0.5, None)),
        ("hold", 70, "wait", ("view", 0.0, 0.7, None)),
        ("cover", 70, None, ("view", 1.0, 0.7, None)),
        ("short", None, None, ("view", -1.0, None, None)),
        ("bullish", 0, "great", ("failed", None, None, "default_in_place_of_answer")),
        ("buy", 0.0, None, ("failed", None, None, "default_in_place_of_answer")),
        ("neutral", 0.0, "Error in analysis, using default", ("failed", None, None, "default_in_place_of_answer")),
        ("neutral", 50.0, "Error in analysis; defaulting to neutral", ("failed", None, None, "default_in_place_of_answer")),
        ("hold", 0, "Default decision: hold", ("failed", None, None, "default_in_place_of_answer")),
        ("hold", 100, "No valid trade available", ("abstained", None, None, "no_valid_trade")),
        ("neutral", 0, "nothing known", ("abstained", None, None, "no_confidence")),
    ],
)
def test_stand_ins_are_told_from_answers(
    signal: str, confidence: float | None, reasoning: str | None, expected: tuple[object, ...]
) -> None:
    """Defaults that ai-hedge-fund leaves when a model failed are failures, not views."""
    assert tuple(ai_hedge_fund.judge(signal, confidence, reasoning)) == expected


@pytest.mark.parametrize(
    ("signal", "confidence", "reason"),
    [
        ("moon", 50, "unknown_signal"),
        (None, 50, "unknown_signal"),
        (7, 50, "unknown_signal"),
        ("bullish", 101, "confidence_out_of_range"),
        ("bullish", -1, "confidence_out_of_range"),
        ("bullish", "80%", "unparsable_value"),
        ("bullish", True, "unparsable_value"),
    ],
)
def test_a_signal_that_cannot_be_read_is_set_aside(signal: object, confidence: object, reason: str, tmp_path: Path) -> None:
    entry = {"signal": signal, "confidence": confidence, "reasoning": ""}
    good = {"signal": "bullish", "confidence": 60, "reasoning": ""}
    path = write_run(tmp_path / "run-2013-03-01.json", {"x": {"A": entry, "B": good}})
    imported = read_by(ai_hedge_fund, path, CONTEXT)
    assert imported.rejects.counts == {reason: 1}
    assert imported.rejects.examples[reason][0].symbol == "A"
    assert imported.frame.get_column("symbol").to_list() == ["B"]


def test_decisions_are_views_of_the_manager_and_limits_are_none(tmp_path: Path) -> None:
    """The run's orders come in under the manager's name; the risk manager's entries have another shape and are left out."""
    signals = {"x": {"A": {"signal": "bearish", "confidence": 60, "reasoning": {"trend": "down"}}},
               "risk_management_agent": {"A": {"remaining_position_limit": 1.0, "current_price": 2.0}},
               "risk_management_agent_ab12": {"A": {"remaining_position_limit": 1.0}}}  # fmt: skip
    decisions = {"A": {"action": "sell", "quantity": 5, "confidence": 75.0, "reasoning": "down"}}
    imported = read_by(ai_hedge_fund, write_run(tmp_path / "r-2013-03-01.json", signals, decisions), CONTEXT)
    assert imported.rejects.total == 0
    assert imported.frame.select("agent", "view", "confidence", "reasoning").rows() == [
        ("x", -1.0, 0.6, '{"trend": "down"}'),
        ("portfolio_management_agent", -1.0, 0.75, "down"),
    ]
    assert imported.frame.get_column("status").to_list() == ["view", "summary"]


@pytest.mark.parametrize(
    "signals",
    [
        {},
        {"x": {"B": {"signal": "bearish", "confidence": 60, "reasoning": ""}}},
        {"x": {"A": {"signal": "neutral", "confidence": 0, "reasoning": ""}}},
        {"x": {"A": {"signal": "moon", "confidence": 60, "reasoning": ""}}},
        {"x": {"A": {"signal": "neutral", "confidence": 50, "reasoning": "Error in analysis; defaulting to neutral"}}},
    ],
    ids=["no analysts", "of another ticker", "abstained", "unreadable", "failed"],
)
def test_a_manager_without_an_analysts_view_is_the_view(signals: dict[str, Any], tmp_path: Path) -> None:
    decisions = {"A": {"action": "sell", "quantity": 5, "confidence": 75.0, "reasoning": "down"}}
    frame = read_by(ai_hedge_fund, write_run(tmp_path / "r-2013-03-01.json", signals, decisions), CONTEXT).frame
    manager = frame.filter(pl.col("agent") == "portfolio_management_agent")
    assert manager.select("symbol", "status", "view").rows() == [("A", "view", -1.0)]


def test_a_run_is_dated_by_its_name_else_by_as_of_else_by_the_files_time(tmp_path: Path) -> None:
    signals = {"x": {"A": {"signal": "bearish", "confidence": 60, "reasoning": ""}}}
    named, plain = write_run(tmp_path / "run_2013-03-01_a.json", signals), write_run(tmp_path / "run.json", signals)
    os.utime(plain, (1_000_000_000, 1_000_000_000))
    told = [
        (imported.frame.item(0, "as_of_ms"), imported.dated_by)
        for imported in (
            read_by(ai_hedge_fund, named, Context(NEW_YORK, NOW_MS, LAST_CLOSE_MS)),
            read_by(ai_hedge_fund, plain, Context(NEW_YORK, NOW_MS, 5)),
            read_by(ai_hedge_fund, plain, CONTEXT),
        )
    ]
    assert told == [(LAST_CLOSE_MS, "file_name"), (5, "as_of"), (1_000_000_000_000, "file_time")]


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("run_20130301_161500.json", "2013-03-01"),
        ("run-20130301.json", "2013-03-01"),
        ("20130301161500.json", "2013-03-01"),
        ("run_2013-03-01_16-15-00.json", "2013-03-01"),
        ("run_2013_03_01T0930.json", "2013-03-01"),
        ("run20130301T161500Z.json", "2013-03-01"),
        ("2013.03.01 result.json", "2013-03-01"),
        ("AAPL_2013-01-02_2013-03-01.json", "2013-03-01"),
        ("AAPL_2013-03-01_from_2013-01-02.json", "2013-03-01"),
        ("AAPL_20130102-20130301_backtest.json", "2013-03-01"),
        ("run_2013-03-01_expiry_2099-01-15.json", "2013-03-01"),
        ("run_20139999_2013-03-01.json", "2013-03-01"),
        ("run_2013-03-01_id_12345678.json", "2013-03-01"),
    ],
)
def test_a_run_is_of_the_day_in_its_name(name: str, day: str, tmp_path: Path) -> None:
    """Compact or not, with a time or without one; of several days the latest, which is never too early."""
    signals = {"x": {"A": {"signal": "bearish", "confidence": 60, "reasoning": ""}}}
    imported = read_by(ai_hedge_fund, write_run(tmp_path / name, signals), CONTEXT)
    assert (imported.frame.item(0, "as_of_ms"), imported.dated_by) == (NEW_YORK.moment_ms(day), "file_name")


@pytest.mark.parametrize(
    "name",
    ["run_20131399.json", "run_1362168000.json", "run_2013030.json", "run_201303.json", "v2013.3.1.json", "run_2013-0301.json"],
)
def test_a_number_that_is_no_day_dates_no_run(name: str, tmp_path: Path) -> None:
    signals = {"x": {"A": {"signal": "bearish", "confidence": 60, "reasoning": ""}}}
    assert read_by(ai_hedge_fund, write_run(tmp_path / name, signals), CONTEXT).dated_by == "file_time"


HOSTILE = {
    "empty": b"",
    "no JSON": b'{"analyst_signals": ',
    "not UTF-8": b'{"analyst_signals": "\xff"}',
    "deep": b'{"analyst_signals": ' + b"[" * 100_000,
    "long number": b'{"analyst_signals": ' + b"9" * 5000 + b"}",
    "a list": b'["analyst_signals"]',
    "another shape": b'{"analyst_signals": {"x": [1]}}',
    "another shape inside": b'{"analyst_signals": [1]}',
    "nothing usable": b'{"analyst_signals": {"x": {"A": 1}}}',
    "another JSON": b'{"hello": 1}',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_json_file_that_cannot_be_used_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    (tmp_path / "r-2013-03-01.json").write_bytes(HOSTILE[case])
    with pytest.raises(InputRefused) as refused:
        read_agents(tmp_path, CONTEXT)
    assert "r-2013-03-01.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_no_importer_recognises_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("symbol,date,close\nA,2013-03-01,5\n", encoding="utf-8")
    with pytest.raises(InputRefused, match=r"p.csv: no format recognises it .a table of symbol, date, close.; known: native"):
        read_agents(tmp_path, CONTEXT)


def test_nan_in_a_result_is_a_missing_confidence(tmp_path: Path) -> None:
    """Python writes NaN into JSON; it costs the confidence, not the file."""
    (tmp_path / "r-2013-03-01.json").write_text(
        '{"analyst_signals": {"x": {"A": {"signal": "bullish", "confidence": NaN}}}}', encoding="utf-8"
    )
    read = read_agents(tmp_path, CONTEXT).frame.row(0, named=True)
    assert (read["status"], read["view"], read["confidence"]) == ("view", 1.0, None)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("title\x1b]0;gone\x07 stays", "title stays"),
        ("two\r\nlines\tand\x00more", "two lines and more"),
        ("\u202eright to left\u2069", "right to left"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("naïve 東京", "naïve 東京"),
        ("\x1b[2J\u200e", None),
        ("", None),
        (None, None),
    ],
)
def test_text_is_cleaned_of_what_acts_on_a_reader(text: str | None, clean: str | None) -> None:
    assert clean_text(text) == clean


def test_text_is_bounded() -> None:
    cut = clean_text("a" * 10_000)
    assert cut is not None
    assert len(cut) == REASONING_MAX
    assert cut.endswith("…")


def rows(*outputs: tuple[str, str, int, str, float | None]) -> pl.DataFrame:
    """Agent rows of (symbol, agent, as_of_ms, status, view)."""
    named = [dict(zip(("symbol", "agent", "as_of_ms", "status", "view"), each, strict=True)) for each in outputs]
    return pl.DataFrame(named, schema=AGENT_SCHEMA)


LAST_BARS = pl.DataFrame({"symbol": ["A", "B"], "as_of_ms": [100, 50]})


def joined(agents: pl.DataFrame, *limits: object) -> list[tuple[object, ...]]:
    """What `settle` says is used."""
    used = settle(agents, *limits).filter(pl.col("fate") == "used")  # type: ignore[arg-type]
    found: list[tuple[object, ...]] = used.select("symbol", "agent", "as_of_ms", "status", "view").rows()
    return found


def test_the_join_of_a_past_day_takes_the_latest_output_up_to_the_bar() -> None:
    """At the bar's own moment counts; one millisecond later does not; each symbol has its own last bar."""
    agents = rows(
        ("A", "x", 10, "view", 0.1), ("A", "x", 100, "view", 0.2), ("A", "x", 101, "view", 0.3),
        ("B", "x", 50, "view", 0.4), ("B", "x", 100, "view", 0.5),
    )  # fmt: skip
    assert joined(agents, LAST_BARS, 100) == [("A", "x", 100, "view", 0.2), ("B", "x", 50, "view", 0.4)]
    assert settle(agents, LAST_BARS, 100).get_column("fate").to_list() == ["replaced", "used", "cut", "used", "cut"]


def test_a_symbol_without_bars_is_joined_up_to_the_runs_newest_moment() -> None:
    """Its views may not be newer than what the run may know."""
    agents = rows(("C", "x", 90, "view", 0.1), ("C", "x", 101, "view", 0.2))
    assert joined(agents, LAST_BARS, 100) == [("C", "x", 90, "view", 0.1)]


def test_a_live_run_takes_what_was_said_after_the_last_bar() -> None:
    agents = rows(("A", "x", 100, "view", 0.2), ("A", "x", 101, "view", 0.3), ("C", "x", 900, "view", 0.4))
    assert joined(agents) == [("A", "x", 101, "view", 0.3), ("C", "x", 900, "view", 0.4)]


def test_a_later_failure_or_abstention_hides_the_earlier_view() -> None:
    agents = rows(
        ("A", "x", 10, "view", 0.1), ("A", "x", 20, "failed", None),
        ("A", "y", 10, "view", 0.1), ("A", "y", 20, "abstained", None),
        ("A", "z", 10, "failed", None), ("A", "z", 20, "view", 0.3),
    )  # fmt: skip
    assert joined(agents) == [
        ("A", "x", 20, "failed", None), ("A", "y", 20, "abstained", None), ("A", "z", 20, "view", 0.3),
    ]  # fmt: skip


def test_of_two_outputs_of_one_moment_the_last_read_wins(tmp_path: Path) -> None:
    """Files by name, then rows: the same input gives the same choice."""
    write_native(tmp_path / "a.csv", "A,2013-03-01,x,view,0.1,,,,,", "A,2013-03-01,x,view,0.2,,,,,")
    write_native(tmp_path / "b.csv", "A,2013-03-01,x,view,0.3,,,,,")
    read: AgentRows = read_agents(tmp_path, CONTEXT)
    assert joined(read.frame, LAST_BARS, 2 * LAST_CLOSE_MS) == []
    bars = pl.DataFrame({"symbol": ["A"], "as_of_ms": [LAST_CLOSE_MS]})
    assert [view for *_, view in joined(read.frame, bars, 0)] == [0.3]


def test_the_bound_on_agents_is_the_domains_own() -> None:
    """By age, then confidence, then name."""
    views = [AgentView(f"agent-{n:03}", "view", 0.5, (None, 0.2, 0.9)[n % 3], n * 7 % 5) for n in range(3 * VIEWS_MAX)]
    outputs = [{"symbol": "A", **msgspec.structs.asdict(each)} for each in views]
    settled = settle(pl.DataFrame(outputs, schema=AGENT_SCHEMA))
    kept = {each.agent for each in newest_views(tuple(views))}
    assert set(settled.filter(pl.col("fate") == "used").get_column("agent")) == kept
    assert settled.get_column("fate").value_counts().sort("fate").rows() == [("beyond_bound", 200), ("used", 100)]
