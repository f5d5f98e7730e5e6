"""The result of ai-hedge-fund (https://github.com/virattt/ai-hedge-fund), version 1: one JSON object a run.

``{"decisions": {TICKER: {action, quantity, confidence, reasoning}}, "analyst_signals": {agent: {TICKER: {signal, confidence,
reasoning}}}}`` with confidence from 0 to 100. ``decisions`` become the views of an agent of their own, `MANAGER`;
``risk_management_agent`` sets limits, has no signal, and is left out.

There is no date in it. It comes from the file's name (``…2013-03-01….json``: that session's close), else from ``--as-of``, else
from the file's time. There is no status either: when a model fails, the program puts a default in its place that looks like
an answer. `judge` knows those defaults.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from app.domain.vector import is_symbol
from warm.agents.rows import AGENT_PATTERN, AGENT_SCHEMA, LABEL_MAX, SIGNALS, Context, Imported, clean_text
from warm.errors import InputRefused
from warm.rejects import Example, Rejects, cut
from warm.tables import one_line

NAME = "ai-hedge-fund"
SUFFIXES = (".json",)
DESCRIPTION = "ai-hedge-fund result (JSON with decisions and analyst_signals)"
MANAGER = "portfolio_management_agent"
CONFIDENCE_MAX = 100
FILE_MAX_BYTES = 64 * 1024 * 1024
"""A run's result is some kilobytes; a file beyond this is something else."""

_DATE = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_STAND_IN = re.compile(r"\berror\b.*\bdefault|\bdefaulting to\b|^default decision\b", re.IGNORECASE)
_NO_TRADE = re.compile(r"^no valid trade available", re.IGNORECASE)
_is_agent = re.compile(AGENT_PATTERN).fullmatch


class Judged(NamedTuple):
    """A signal as it is meant: status, view, confidence in [0, 1], reason."""

    status: str
    view: float | None
    confidence: float | None
    reason: str | None


class Unusable(Exception):
    """One entry cannot be read: reason and the column it is about."""

    def __init__(self, reason: str, column: str, value: object) -> None:
        super().__init__(reason)
        self.reason, self.column, self.value = reason, column, value


def detect(path: Path) -> bool:
    """Whether the file is JSON that speaks of decisions or analysts' signals."""
    if not path.name.lower().endswith(SUFFIXES) or path.stat().st_size > FILE_MAX_BYTES:
        return False
    content = path.read_bytes()
    return b'"analyst_signals"' in content or b'"decisions"' in content


def judge(signal: object, confidence: object, reasoning: str | None) -> Judged:
    """What an entry means, with the program's stand-ins told from answers.

    * "Error in analysis, using default", "defaulting to …", "Default decision: hold": the model failed.
    * bullish or buy at confidence 0: the first allowed word, filled in by a generic default: failed.
    * "No valid trade available" (hold at 100): no model was asked, as no trade was allowed: abstained.
    * any other word at confidence 0: the agent says that it has nothing to say: abstained.

    Raises:
        Unusable: an unknown word, or a confidence that is no number from 0 to 100.
    """
    word = signal.strip().lower() if isinstance(signal, str) else ""
    if word not in SIGNALS:
        raise Unusable("unknown_signal", "signal", signal)
    if confidence is not None and (isinstance(confidence, bool) or not isinstance(confidence, int | float)):
        raise Unusable("unparsable_value", "confidence", confidence)
    if confidence is not None and not 0 <= confidence <= CONFIDENCE_MAX:
        raise Unusable("confidence_out_of_range", "confidence", confidence)
    if reasoning and _STAND_IN.search(reasoning):
        return Judged("failed", None, None, "default_in_place_of_answer")
    if confidence == 0:
        if word in ("bullish", "buy"):
            return Judged("failed", None, None, "default_in_place_of_answer")
        return Judged("abstained", None, None, "no_confidence")
    if reasoning and word == "hold" and _NO_TRADE.search(reasoning):
        return Judged("abstained", None, None, "no_valid_trade")
    return Judged("view", SIGNALS[word], None if confidence is None else confidence / 100, None)


def read(path: Path, context: Context) -> Imported:
    """The file's entries as rows.

    Raises:
        InputRefused: no valid JSON, or not of this shape.
    """
    result = _load(path)
    as_of_ms, dated_by = _dated(path, context)
    entries = list(_entries(path, result))
    rejects = Rejects()
    rows: list[tuple[object, ...]] = []
    if context.as_of_ms is not None and as_of_ms > context.as_of_ms:
        return Imported(pl.DataFrame(schema=AGENT_SCHEMA), 0, len(entries), dated_by, rejects)
    for agent, symbol, entry in entries:
        try:
            if as_of_ms > context.now_ms:
                raise Unusable("future_view", "as_of", as_of_ms)
            rows.append((symbol, agent, as_of_ms, *_row(agent, symbol, entry), path.name))
        except Unusable as error:
            example = Example(path.name, None, cut(symbol), f"{agent[:LABEL_MAX]}.{error.column}", cut(repr(error.value)))
            rejects.add(error.reason, 1, [example])
    frame = pl.DataFrame(rows, schema=AGENT_SCHEMA, orient="row")
    return Imported(frame, len(entries), 0, dated_by, rejects)


def _load(path: Path) -> dict[str, Any]:
    try:
        # NaN is no JSON, but Python writes it: a missing confidence then, not a broken file.
        result = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError) as error:
        raise InputRefused(f"{path}: no readable JSON ({one_line(error)})") from error
    if not isinstance(result, dict):
        raise InputRefused(f"{path}: not an object with decisions and analyst_signals")
    return result


def _dated(path: Path, context: Context) -> tuple[int, str]:
    """When the run was, and what says so."""
    for day in _DATE.findall(path.name):
        moment_ms = context.session.moment_ms(day)
        if moment_ms is not None:
            return moment_ms, "file_name"
    if context.as_of_ms is not None:
        return context.as_of_ms, "as_of"
    return int(datetime.fromtimestamp(path.stat().st_mtime, UTC).timestamp() * 1000), "file_time"


def _entries(path: Path, result: dict[str, Any]) -> Iterator[tuple[str, str, object]]:
    """``(agent, symbol, entry)`` of every signal, then of every decision."""
    signals, decisions = result.get("analyst_signals") or {}, result.get("decisions") or {}
    for name, part in (("analyst_signals", signals), ("decisions", decisions)):
        if not isinstance(part, dict):
            raise InputRefused(f"{path}: {name!r} is no object")
    for agent, by_symbol in signals.items():
        # The web version adds a suffix to names: risk_management_agent_ab12cd.
        if agent.startswith("risk_management_agent"):
            continue
        if not isinstance(by_symbol, dict):
            raise InputRefused(f"{path}: 'analyst_signals.{agent[:LABEL_MAX]}' is no object")
        for symbol, entry in by_symbol.items():
            yield agent, symbol, entry
    for symbol, entry in decisions.items():
        yield MANAGER, symbol, entry


def _row(agent: str, symbol: str, entry: object) -> tuple[object, ...]:
    """Status, view, confidence, model, reasoning, reason of one entry."""
    if not is_symbol(symbol):
        raise Unusable("bad_symbol", "symbol", symbol)
    if not _is_agent(agent):
        raise Unusable("bad_agent", "agent", agent)
    if not isinstance(entry, dict):
        raise Unusable("unparsable_value", "entry", entry)
    reasoning = entry.get("reasoning")
    if reasoning is not None and not isinstance(reasoning, str):
        reasoning = json.dumps(reasoning, ensure_ascii=False)
    text = clean_text(reasoning)
    judged = judge(entry.get("action" if agent == MANAGER else "signal"), entry.get("confidence"), text)
    return judged.status, judged.view, judged.confidence, None, text, judged.reason
