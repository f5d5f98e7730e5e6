"""TradingAgents (https://github.com/TauricResearch/TradingAgents): ``full_states_log*.json``, in any of its three layouts.

Flat (``company_of_interest, trade_date, …, final_trade_decision``), a dated file keyed by its date, or one file keyed by many.
Only ticker, date and final_trade_decision are needed; the date may be the key, the ticker the folder above
``TradingAgentsStrategy_logs``. The decision is prose (`prose`); one that cannot be told is a failure and never a hold. There is
no confidence in it.

The portfolio manager's decision is the view of ``tradingagents:portfolio_manager``. The analysts' own reports are views of their
own where they carry a ``FINAL TRANSACTION PROPOSAL``; most do not, which is no failure: they report and need not decide. Where
any does, the manager's view is a summary.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from app.domain.symbols import canonical_symbol
from warm.files.agents.collecting import Collector, Entry, Judged, member
from warm.files.agents.prose import decision, proposal
from warm.files.agents.rows import Context, Imported
from warm.files.read import Source

MANAGER = "tradingagents:portfolio_manager"
ANALYSTS = {
    "market_report": "tradingagents:market_analyst",
    "sentiment_report": "tradingagents:sentiment_analyst",
    "news_report": "tradingagents:news_analyst",
    "fundamentals_report": "tradingagents:fundamentals_analyst",
}
DECISION = "final_trade_decision"
_FOLDER = "tradingagentsstrategy_logs"
_is_date = re.compile(r"\d{4}-\d{2}-\d{2}").fullmatch


def detects(document: object) -> bool:
    """Whether a document has a final trade decision, itself or under a date."""
    if not isinstance(document, dict) or not document:
        return False
    return DECISION in document or any(_is_date(key) and isinstance(state, dict) for key, state in document.items())


def read(source: Source, context: Context) -> Imported:
    """The file's decisions and proposals.

    Raises:
        InputRefused: no valid JSON, or neither a state nor states by date.
    """
    document = source.json
    if not isinstance(document, dict):
        raise source.refuse(f"not an object with {DECISION}, or of such objects by date")
    collector = Collector(source, context)
    for day, state in _states(source, document):
        symbol = member(state, "company_of_interest") or member(state, "ticker") or _folder(source)
        # Runs write the day they were asked about in either place.
        as_of = member(state, "trade_date") or day
        said, about = state.get(DECISION), canonical_symbol(symbol.strip()) if isinstance(symbol, str) else None
        collector.add(Entry(MANAGER, symbol, as_of, partial(judged, said, about), reasoning=said, sums_up=True, run=as_of))
        for report, agent in ANALYSTS.items():
            text = state.get(report)
            found = proposal(text, about) if isinstance(text, str) else None
            if found is not None:
                collector.add(Entry(agent, symbol, as_of, partial(Judged, "view", found[1]), reasoning=text, run=as_of))
    return collector.imported()


def _states(source: Source, document: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    if DECISION in document:
        yield None, document
        yield from ((day, state) for day, state in document.items() if _is_date(day) and isinstance(state, dict))
        return
    for day, state in document.items():
        if not isinstance(state, dict):
            raise source.refuse(f"{day[:40]!r} is no object with {DECISION}")
        yield day, state


def _folder(source: Source) -> str | None:
    """The ticker that a log's folder is named after."""
    parts = source.path.parts
    at = next((at for at, part in enumerate(parts) if part.lower() == _FOLDER), 0)
    return parts[at - 1] if at > 0 else None


def judged(said: object, symbol: str | None) -> Judged:
    """What the text of a final decision on ``symbol`` means."""
    if not isinstance(said, str) or not said.strip():
        return Judged("failed", reason="no_decision")
    found = decision(said, symbol)
    return Judged("failed", reason="no_clear_decision") if found is None else Judged("view", found[1])
