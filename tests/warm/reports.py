"""TradingAgents' Markdown as its programs write it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.warm.examples import Word

_RATINGS = {1: "Buy", -1: "Sell", 0: "Hold"}
_END = "\n\n<!-- ENTRY_END -->\n\n"


def entry(day: str, symbol: str, rating: str, decision: str, reflection: str | None = None) -> str:
    """One of its memory's: pending without a ``reflection``."""
    outcome = "pending" if reflection is None else "+3.2% | +1.5% | 5d"
    later = "" if reflection is None else f"\n\nREFLECTION:\n{reflection}"
    return f"[{day} | {symbol} | {rating} | {outcome}]\n\nDECISION:\n{decision}{later}{_END}"


def memory(words: Sequence["Word"]) -> bytes:
    """``trading_memory.md``."""
    said = "**Rating**: {}\n\n**Executive Summary**: …"
    entries = (
        entry(each.day, each.symbol, _RATINGS[each.view], said.format(_RATINGS[each.view]), "Buy later.") for each in words
    )
    return "".join(entries).encode()


def complete(symbol: str, written: str, manager: str | None, **analysts: str) -> str:
    """``complete_report.md``: what the manager decided, and what each analyst reported."""
    reports = "\n\n".join(f"### {name.title()} Analyst\n{text}" for name, text in analysts.items())
    parts = [f"## I. Analyst Team Reports\n\n{reports}"] if analysts else []
    parts.append("## II. Research Team Decision\n\n### Bull Researcher\nRating: Buy\n\n### Research Manager\nRecommendation: Buy")
    parts.append("## III. Trading Team Plan\n\n### Trader\nFINAL TRANSACTION PROPOSAL: **BUY**")
    if manager is not None:
        parts.append(f"## V. Portfolio Manager Decision\n\n### Portfolio Manager\n{manager}")
    return f"# Trading Analysis Report: {symbol}\n\nGenerated: {written}\n\n" + "\n\n".join(parts)
