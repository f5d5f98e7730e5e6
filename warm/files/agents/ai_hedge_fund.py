"""The result of ai-hedge-fund (https://github.com/virattt/ai-hedge-fund), version 1: one JSON object a run.

``{"decisions": {TICKER: {action, quantity, confidence, reasoning}}, "analyst_signals": {agent: {TICKER: {signal, confidence,
reasoning}}}}`` with confidence from 0 to 100. ``decisions`` become the views of an agent of their own, `MANAGER`, which
sums up the analysts; ``risk_management_agent`` sets limits, has no signal, and is left out.

There is no date in it. It comes from the file's name (``…2013-03-01….json``: that session's close), else from ``--as-of``, else
from the file's time. There is no status either: when a model fails, the program puts a default in its place that looks like
an answer. `judge` knows those defaults.
"""

import re
from collections.abc import Iterator
from typing import Any

from warm.files.agents.collecting import Collector, Entry, Judged, Unusable, dated, member, percent_in, text_of, word_of
from warm.files.agents.rows import LABEL_MAX, Context, Imported, clean_text
from warm.files.read import Source

MANAGER = "portfolio_management_agent"

_STAND_IN = re.compile(r"\berror\b.*\bdefault|\bdefaulting to\b|^default decision\b", re.IGNORECASE)
_FILLED_IN = (0.5, "Insufficient data")
_NO_TRADE = re.compile(r"^no valid trade available", re.IGNORECASE)


def detects(document: object) -> bool:
    """Whether a document is an object of decisions or analysts' signals by ticker."""
    document = _inner(document)
    if not isinstance(document, dict):
        return False
    return "analyst_signals" in document or isinstance(document.get("decisions"), dict)


def _inner(document: object) -> object:
    """The result itself: the web version sends it as the ``data`` of an event."""
    data = member(document, "data")
    return data if isinstance(data, dict) and member(document, "type") is not None else document


def judge(signal: object, confidence: object, reasoning: str | None) -> Judged:
    """What an entry means, with the program's stand-ins told from answers.

    * "Error in analysis, using default", "defaulting to …", "Default decision: hold": the model failed.
    * neutral at 50 with "Insufficient data" and no more: what several agents fill in when their model failed.
    * bullish or buy at confidence 0: the first allowed word, filled in by a generic default: failed.
    * "No valid trade available" (hold at 100): no model was asked, as no trade was allowed: abstained.
    * any other word at confidence 0: the agent says that it has nothing to say: abstained.

    Raises:
        Unusable: an unknown word, or a confidence that is no number from 0 to 100.
    """
    view = word_of(signal, "signal")
    share = percent_in(confidence)
    filled_in = view == 0 and share == _FILLED_IN[0] and reasoning == _FILLED_IN[1]
    if filled_in or (reasoning and _STAND_IN.search(reasoning)):
        return Judged("failed", reason="default_in_place_of_answer")
    if share == 0:
        if view > 0:
            return Judged("failed", reason="default_in_place_of_answer")
        return Judged("abstained", reason="no_confidence")
    if reasoning and view == 0 and _NO_TRADE.search(reasoning):
        return Judged("abstained", reason="no_valid_trade")
    return Judged("view", view, share)


def read(source: Source, context: Context) -> Imported:
    """The file's entries as rows.

    Raises:
        InputRefused: no valid JSON, or not of this shape.
    """
    document = _inner(source.json)
    if not isinstance(document, dict):
        raise source.refuse("not an object with decisions and analyst_signals")
    day, moment_ms, dated_by = dated(source, context)
    collector = Collector(source, context, dated_by)
    for agent, symbol, entry in _entries(source, document):
        collector.add(
            Entry(
                agent,
                symbol,
                day,
                lambda agent=agent, entry=entry: _judged(agent, entry),  # type: ignore[misc]
                reasoning=member(entry, "reasoning"),
                moment_ms=moment_ms,
                sums_up=agent == MANAGER,
            )
        )
    return collector.imported()


def _entries(source: Source, document: dict[str, Any]) -> Iterator[tuple[str, str, object]]:
    """``(agent, symbol, entry)`` of every signal, then of every decision."""
    signals, decisions = (document.get(name) for name in ("analyst_signals", "decisions"))
    signals, decisions = {} if signals is None else signals, {} if decisions is None else decisions
    for name, part in (("analyst_signals", signals), ("decisions", decisions)):
        if not isinstance(part, dict):
            raise source.refuse(f"{name!r} is no object")
    for agent, by_symbol in signals.items():
        # The web version adds a suffix to names: risk_management_agent_ab12cd.
        if agent.startswith("risk_management_agent"):
            continue
        if not isinstance(by_symbol, dict):
            raise source.refuse(f"'analyst_signals.{agent[:LABEL_MAX]}' is no object")
        for symbol, entry in by_symbol.items():
            yield agent, symbol, entry
    for symbol, entry in decisions.items():
        yield MANAGER, symbol, entry


def _judged(agent: str, entry: object) -> Judged:
    if not isinstance(entry, dict):
        raise Unusable("unparsable_value", "entry", entry)
    reasoning = clean_text(text_of(entry.get("reasoning")))
    return judge(entry.get("action" if agent == MANAGER else "signal"), entry.get("confidence"), reasoning)
