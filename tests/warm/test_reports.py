"""TradingAgents' Markdown: the manager's decision, whose it is, and of which day."""

import zipfile
from pathlib import Path

import pytest

from tests.kit.files import put
from tests.warm.agent_files import CLOSE_MS, CONTEXT, MANAGER, told
from tests.warm.reports import complete, entry
from warm.errors import InputRefused
from warm.files.agents.registry import AgentRows, read_agents

DAY_MS = 86_400_000


def read(folder: Path, file: str, text: str) -> AgentRows:
    """Write a file and read the folder."""
    put(folder / file, text)
    return read_agents(folder, CONTEXT)


@pytest.mark.parametrize(
    "file",
    [
        "AAPL/2024-01-02/reports/final_trade_decision.md",
        "results/AAPL/20240102/reports/final_trade_decision.md",
        "reports/AAPL_20240102_161500/5_portfolio/decision.md",
    ],
)
def test_a_decision_alone_is_of_the_ticker_and_the_day_of_its_folders(file: str, tmp_path: Path) -> None:
    """Its text names neither."""
    rows = read(tmp_path, file, "### Portfolio Manager Decision\n**Rating**: Underweight\n\nBuy back at 80.")
    assert told(rows) == [("AAPL", MANAGER, "view", -0.5, None, None)]
    assert rows.frame.item(0, "as_of_ms") == CLOSE_MS


def test_folders_are_known_where_one_of_them_is_given_and_in_an_archive(tmp_path: Path) -> None:
    """Whatever the part of the path that the caller names."""
    put(tmp_path / "AAPL/2024-01-02/reports/final_trade_decision.md", "**Rating**: Sell")
    inside = read_agents(tmp_path / "AAPL/2024-01-02/reports", CONTEXT)
    alone = read_agents(tmp_path / "AAPL/2024-01-02/reports/final_trade_decision.md", CONTEXT)
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("AAPL/2024-01-02/reports/final_trade_decision.md", "**Rating**: Sell")
    packed = read_agents(tmp_path / "r.zip", CONTEXT)
    assert told(inside) == told(alone) == told(packed) == [("AAPL", MANAGER, "view", -1.0, None, None)]


def test_a_complete_report_has_the_managers_decision_and_the_analysts(tmp_path: Path) -> None:
    """Researchers, the trader and debaters are none of them; the manager sums up the analysts that propose."""
    text = complete(
        "AAPL", "2024-01-02 16:15:00", "**Rating**: Sell\n\n## Thesis\n\nThe bull says buy.",
        market="Up.\nFINAL TRANSACTION PROPOSAL: **BUY**", social="Nothing to propose.",
    )  # fmt: skip
    rows = read(tmp_path, "reports/x/complete_report.md", text)
    assert told(rows) == [
        ("AAPL", MANAGER, "summary", -1.0, None, None),
        ("AAPL", "tradingagents:market_analyst", "view", 1.0, None, None),
    ]
    assert rows.frame.get_column("as_of_ms").to_list() == [CLOSE_MS] * 2


def test_a_report_and_the_decision_beside_it_are_one_view(tmp_path: Path) -> None:
    run = tmp_path / "AAPL_20240102_161500"
    put(run / "5_portfolio/decision.md", "**Rating**: Sell")
    rows = read(run, "complete_report.md", complete("AAPL", "2024-01-02 16:15:00", "**Rating**: Sell"))
    assert told(rows) == [("AAPL", MANAGER, "view", -1.0, None, None)] * 2
    assert rows.frame.get_column("as_of_ms").to_list() == [CLOSE_MS] * 2


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("complete_report.md", complete("AAPL", "2024-01-02 16:15:00", None), "no_decision"),
        ("complete_report.md", complete("AAPL", "2024-01-02 16:15:00", "Mixed."), "no_clear_decision"),
        ("AAPL/2024-01-02/reports/final_trade_decision.md", "### Aggressive Analyst Analysis\nRating: Buy", "no_decision"),
        ("trading_memory.md", entry("2024-01-02", "AAPL", "Hold", "Mixed."), "no_clear_decision"),
        ("trading_memory.md", entry("2024-01-02", "AAPL", "Hold", ""), "no_decision"),
        ("trading_memory.md", entry("2024-01-02", "AAPL", "Buy", "**Rating**: Sell"), "no_clear_decision"),
    ],
    ids=["cut short", "undecided", "in the middle of a debate", "undecided memory", "empty memory", "two ratings"],
)
def test_a_report_without_a_decision_is_a_failure(file: str, text: str, reason: str, tmp_path: Path) -> None:
    assert told(read(tmp_path, file, text)) == [("AAPL", MANAGER, "failed", None, None, reason)]


def test_a_memory_has_an_entry_a_run_and_what_was_learnt_later_is_no_decision(tmp_path: Path) -> None:
    """The reflection is written days after, and may say the opposite."""
    text = entry("2024-01-02", "AAPL", "Sell", "**Rating**: Sell", "Buy would have been right.\n\n**Rating**: Buy")
    rows = read(tmp_path, "memory/trading_memory.md", text + entry("2024-01-03", "MSFT", "Overweight", "**Rating**: Overweight"))
    assert told(rows) == [("AAPL", MANAGER, "view", -1.0, None, None), ("MSFT", MANAGER, "view", 0.5, None, None)]
    assert rows.frame.get_column("as_of_ms").to_list() == [CLOSE_MS, CLOSE_MS + DAY_MS]
    assert "Buy" not in "".join(rows.frame.get_column("reasoning"))


def test_other_markdown_is_somebodys_notes(tmp_path: Path) -> None:
    for name in ("README.md", "1_analysts/market.md", "2_research/bull.md", "AAPL/2024-01-02/reports/market_report.md"):
        put(tmp_path / name, "FINAL TRANSACTION PROPOSAL: **BUY**")
    rows = read(tmp_path, "AAPL/2024-01-02/reports/final_trade_decision.md", "**Rating**: Sell")
    assert told(rows) == [("AAPL", MANAGER, "view", -1.0, None, None)]
    assert {each.fate for each in rows.fates if each.file != "AAPL/2024-01-02/reports/final_trade_decision.md"} == {"skipped"}


@pytest.mark.parametrize("file", ["reports/final_trade_decision.md", "run/5_portfolio/decision.md", "complete_report.md"])
def test_a_decision_of_no_known_ticker_is_told(file: str, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no format recognises it"):
        read(tmp_path, file, "**Rating**: Sell")
