"""What is particular to one tool's files: how it hides failures, where its dates, names and hashes are."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.kit.files import put
from tests.warm.agent_files import CLOSE_MS, LOG, MANAGER, STATE, read, result, signal, told
from warm.errors import InputRefused
from warm.files.names import day_named


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ("view", 1.0, 0.4, None)),
        ({"metadata": {"signal": "bearish"}, "value": -0.4}, ("view", -1.0, 0.4, None)),
        ({"metadata": {"signal": None, "confidence": None}, "value": -0.4}, ("view", -0.4, None, None)),
        ({"metadata": {"abstained": True, "abstain_reason": "insufficient data"}, "value": 0.0},
         ("abstained", None, None, "insufficient data")),
        ({"metadata": {"signal": "neutral", "confidence": 50}, "value": 0.0}, ("view", 0.0, 0.5, None)),
    ],
)  # fmt: skip
def test_a_signal_of_version_2_is_a_view_or_an_abstention(
    changed: dict[str, Any], expected: tuple[object, ...], tmp_path: Path
) -> None:
    """Zero with ``abstained`` is an abstention and no neutral view; a computed signal's value is its view."""
    rows = read(tmp_path, "s.json", signal(**changed))
    assert told(rows) == [("AAPL", "buffett", *expected)]
    row = rows.frame.row(0, named=True)
    assert (row["model"], row["input_hash"], row["as_of_ms"]) == ("gpt", "prompt:ab12", CLOSE_MS)


def test_a_cycle_record_has_signals_weights_and_what_was_skipped(tmp_path: Path) -> None:
    """Signals of both layouts; the fund's weights are its own views, and a ticker that it skipped it abstained from."""
    record = {
        "fund": "mine", "as_of": "2024-01-02", "skipped": [{"ticker": "IBM", "reason": "no price"}],
        "strategies": [{"name": "a", "signals": [signal()]}], "final_weights": {"AAPL": -0.25, "MSFT": 0.0},
    }  # fmt: skip
    expected = [
        ("AAPL", "buffett", "view", 1.0, 0.4, None),
        ("AAPL", "fund:mine", "summary", -1.0, 0.25, None),
        ("MSFT", "fund:mine", "view", 0.0, 0.0, None),
        ("IBM", "fund:mine", "abstained", None, None, "no price"),
    ]
    assert told(read(tmp_path / "run", "r.json", record)) == expected
    older = {name: value for name, value in record.items() if name != "strategies"} | {"signals": [signal()]}
    assert told(read(tmp_path / "older", "r.json", older)) == expected
    lines = "\n".join(json.dumps(each) for each in (record, record))
    assert told(read(tmp_path / "lines", "r.jsonl", lines)) == expected * 2


def test_a_cached_answer_that_could_not_be_parsed_is_a_failure(tmp_path: Path) -> None:
    answer = {"agent": "munger", "model": "gpt", "ticker": "AAPL", "as_of": "2024-01-02", "snapshot_hash": "cd34",
              "parse_error": "no JSON in it"}  # fmt: skip
    rows = read(tmp_path, "ab12.json", answer)
    assert told(rows) == [("AAPL", "munger", "failed", None, None, "parse error: no JSON in it")]
    assert rows.frame.item(0, "input_hash") == "snapshot:cd34"


@pytest.mark.parametrize(
    "document",
    [
        STATE,
        {"2024-01-02": STATE},
        {"2024-01-02": {"company_of_interest": "AAPL", "final_trade_decision": "**Rating**: Overweight"}},
        {"2024-01-02": {"final_trade_decision": "**Rating**: Overweight"}},
    ],
    ids=["flat", "dated", "date in the key alone", "ticker in the folder alone"],
)
def test_every_layout_of_a_tradingagents_log_is_read(document: object, tmp_path: Path) -> None:
    rows = read(tmp_path, "AAPL/TradingAgentsStrategy_logs/full_states_log_2024-01-02.json", document)
    assert told(rows) == [("AAPL", MANAGER, "view", 0.5, None, None)]
    assert rows.frame.item(0, "as_of_ms") == CLOSE_MS


def test_analysts_reports_are_views_of_their_own_where_they_propose(tmp_path: Path) -> None:
    reports = {
        "market_report": "FINAL TRANSACTION PROPOSAL: **SELL**",
        "news_report": "Nothing new. I would hold.",
        "sentiment_report": None,
        "fundamentals_report": "final transaction proposal: buy",
    }
    assert told(read(tmp_path, "log.json", STATE | reports)) == [
        ("AAPL", MANAGER, "summary", 0.5, None, None),
        ("AAPL", "tradingagents:market_analyst", "view", -1.0, None, None),
        ("AAPL", "tradingagents:fundamentals_analyst", "view", 1.0, None, None),
    ]


def test_each_day_of_a_log_has_its_own_summary(tmp_path: Path) -> None:
    """Analysts of one day do not make the manager's view of another a summary."""
    proposed = {**STATE, "market_report": "FINAL TRANSACTION PROPOSAL: **SELL**"}
    document = {"2024-01-02": proposed, "2024-01-03": {**STATE, "trade_date": "2024-01-03"}}
    rows = read(tmp_path, "log.json", document)
    assert [(agent, status) for _, agent, status, *_ in told(rows)] == [
        (MANAGER, "summary"), ("tradingagents:market_analyst", "view"), (MANAGER, "view"),
    ]  # fmt: skip


def test_a_fund_without_signals_is_the_view(tmp_path: Path) -> None:
    record = {"fund": "mine", "as_of": "2024-01-02", "final_weights": {"AAPL": -0.25}}
    assert told(read(tmp_path, "r.json", record)) == [("AAPL", "fund:mine", "view", -1.0, 0.25, None)]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Mixed signals.", "no_clear_decision"),
        ("Decision: SELL SPY", "no_clear_decision"),
        ("", "no_decision"),
        (None, "no_decision"),
        (7, "no_decision"),
    ],
)
def test_a_log_without_a_decision_is_a_failure(said: object, reason: str, tmp_path: Path) -> None:
    assert told(read(tmp_path, "log.json", STATE | {"final_trade_decision": said})) == [
        ("AAPL", MANAGER, "failed", None, None, reason)
    ]


def test_a_chinese_decision_is_read_nested_or_flat(tmp_path: Path) -> None:
    nested = result()
    flat = {name: value for name, value in nested.items() if name != "decision"} | nested["decision"]
    for number, document in enumerate((nested, flat, [nested])):
        rows = read(tmp_path / str(number), "r.json", document)
        assert told(rows) == [("AAPL", "tradingagents-cn", "view", 1.0, 0.7, None)]
        assert rows.frame.item(0, "model") == "qwen"


def test_a_decision_in_traditional_characters_is_the_same(tmp_path: Path) -> None:
    assert told(read(tmp_path, "r.json", result(action="賣出"))) == [("AAPL", "tradingagents-cn", "view", -1.0, 0.7, None)]


def test_a_hold_in_place_of_a_decision_is_a_failure(tmp_path: Path) -> None:
    """Its program writes one when it finds none, and says so in the reasoning."""
    document = result(action="持有", confidence=0.5, reasoning="输入信号无效，默认持有建议")
    assert told(read(tmp_path, "r.json", document)) == [
        ("AAPL", "tradingagents-cn", "failed", None, None, "default_in_place_of_answer")
    ]


def test_a_confidence_in_percent_is_not_guessed_to_be_one(tmp_path: Path) -> None:
    """The format's confidences lie from 0 to 1: 70 is a mistake, not 0.7."""
    with pytest.raises(InputRefused, match="1 confidence_out_of_range"):
        read(tmp_path, "r.json", result(confidence=70))


def test_trades_are_at_the_exchanges_local_time(tmp_path: Path) -> None:
    """Eleven in New York in winter is 16:00 in UTC; steps without a trade are counted and are no views."""
    steps = [
        {"date": "2024-01-02 10:00:00", "id": 0, "positions": {}},
        {"date": "2024-01-02 11:00:00", "id": 1, "this_action": {"action": "sell", "symbol": "AAPL", "amount": 1}},
        {"date": "2024-01-02 12:00:00", "id": 2, "this_action": {"action": "no_trade", "symbol": "", "amount": 0}},
        {"date": "2024-01-02 12:00:00", "id": 3, "this_action": {"action": "buy_crypto", "symbol": "BTC-USDT", "amount": 1}},
    ]
    rows = read(tmp_path, "gpt-5/position/position.jsonl", "\n".join(json.dumps(step) for step in steps))
    assert told(rows) == [
        ("AAPL", "ai-trader:gpt-5", "view", -1.0, None, None),
        ("BTC-USDT", "ai-trader:gpt-5", "view", 1.0, None, None),
    ]
    assert rows.frame.item(0, "as_of_ms") == CLOSE_MS - 5 * 3_600_000
    assert rows.fates[0].told["no_trades"] == 1


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("position.jsonl", '{"date": "2024-01-02", "id": 0, "positions": {}}\n{"date": ', "line 2"),
        ("position.jsonl", '{"date": "2024-01-02", "id": 0, "positions": {}}\n[1]\n', "line 2"),
        ("r.jsonl", json.dumps(signal()) + "\n{broken\n", "line 2"),
    ],
    ids=["cut short", "no step", "no JSON"],
)
def test_a_bad_line_is_named_by_its_number(file: str, text: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=place):
        read(tmp_path, file, text)


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [("0.8", 0.8), ("high", 0.75), ("Medium", 0.5), ("low", 0.25), ("", None)],
)
def test_a_native_confidence_may_be_a_word(confidence: str, expected: float | None, tmp_path: Path) -> None:
    rows = read(tmp_path, "n.csv", f"symbol,as_of,agent,view,confidence\nAAPL,2024-01-02,me,1,{confidence}\n")
    assert told(rows) == [("AAPL", "me", "view", 1.0, expected, None)]


@pytest.mark.parametrize(("percent", "expected"), [("80", 0.8), ("80%", 0.8), ("0.8", 0.008), ("100", 1.0)])
def test_a_native_confidence_in_percent_says_so_in_its_name(percent: str, expected: float, tmp_path: Path) -> None:
    rows = read(tmp_path, "n.csv", f"symbol,as_of,agent,view,confidence_percent\nAAPL,2024-01-02,me,1,{percent}\n")
    assert rows.frame.item(0, "confidence") == pytest.approx(expected)


def test_a_date_on_a_pair_of_coins_is_a_day_that_ends_at_midnight(tmp_path: Path) -> None:
    """Its market has no session to close."""
    rows = read(tmp_path, "n.csv", "symbol,as_of,agent,view\nBTCUSDT,2024-01-02,me,1\nAAPL,2024-01-02,me,1\n")
    assert rows.frame.select("symbol", "as_of_ms").rows() == [("BTC-USDT", CLOSE_MS + 3 * 3_600_000), ("AAPL", CLOSE_MS)]


HOSTILE = "<script>alert(1)</script> [click](javascript:alert(1)) \x1b[31mred\x1b[0m \u202egnp.exe " + "x" * 100_000


@pytest.mark.parametrize(
    ("file", "document"),
    [
        ("s.json", signal(reasoning=HOSTILE)),
        ("r.json", {"analyst_signals": {"a": {"AAPL": {"signal": "bullish", "confidence": 5, "reasoning": {"why": HOSTILE}}}}}),
        ("log.json", STATE | {"final_trade_decision": f"**Rating**: Buy\n{HOSTILE}"}),
        ("cn.json", result(reasoning=HOSTILE)),
        ("n.json", [{"symbol": "AAPL", "as_of": "2024-01-02", "agent": "a", "view": 1, "reasoning": HOSTILE}]),
    ],
    ids=["version 2", "version 1", "TradingAgents", "TradingAgents-CN", "native"],
)
def test_hostile_reasoning_is_bounded_and_acts_on_no_reader(file: str, document: object, tmp_path: Path) -> None:
    from app.domain.vector import REASONING_MAX  # noqa: PLC0415
    from warm.files.agents.rows import clean_text  # noqa: PLC0415

    kept = clean_text(read(tmp_path, file, document).frame.item(0, "reasoning"))
    assert kept is not None
    assert len(kept) <= REASONING_MAX
    assert not set(kept) & {"<", ">", "\x1b", "\u202e", "\n"}
    assert "](" not in kept
    assert "alert(1)" in kept


@pytest.mark.parametrize("day", ["2024-01-02", "2024-01-02 15:40:00"])
def test_a_decision_taken_out_of_a_text_counts_once_with_it(day: str, tmp_path: Path) -> None:
    """TradingAgents-CN writes its manager's text and what its program found in it; of another day it is a word of its own."""
    put(tmp_path / "full_states_log.json", json.dumps(LOG, ensure_ascii=False))
    rows = read(tmp_path, "decision.json", result() | {"stock_symbol": "600519.SS", "analysis_date": day})
    assert sorted(rows.frame.select("agent", "status").rows()) == [
        ("tradingagents-cn", "summary"),
        ("tradingagents:portfolio_manager", "view"),
    ]
    rows = read(tmp_path, "decision.json", result() | {"stock_symbol": "600519.SS", "analysis_date": "2024-01-03"})
    assert rows.frame.get_column("status").to_list() == ["view", "view"]


@pytest.mark.parametrize(
    "name", ["run_2024-3-8", "run 8-Mar-2024", "08Mar2024_161500", "Mar-08-2024", "2024年3月8日", "31-03-2024_run_2024-03-08"]
)
def test_a_day_in_a_name_may_be_spelled_as_people_do(name: str) -> None:
    """A file is not taken to be of the moment that it was copied."""
    assert day_named(name, date(2024, 4, 1)) == date(2024, 3, 8)


def test_a_day_in_a_name_that_can_be_two_is_refused(tmp_path: Path) -> None:
    """Rather than that the file is taken to be of the moment that it was copied; one that can only be one is that."""
    assert day_named("31-03-2024", date(2024, 4, 1)) == date(2024, 3, 31)
    with pytest.raises(InputRefused, match=r"of 08-03-2024 nothing tells whether the day or the month is first"):
        read(tmp_path, "run_08-03-2024.json", {"decision": {"action": "buy", "confidence": 0.5}, "symbol": "XYZ"})
