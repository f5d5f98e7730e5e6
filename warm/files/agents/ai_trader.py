"""AI-Trader (https://github.com/HKUDS/AI-Trader): ``position.jsonl``, one line a step of one model.

``{date, id, this_action: {action, symbol, amount}, positions}``. A trade is a view on its symbol, buy or sell; a step without one
(``no_trade``) speaks of no symbol and is only counted; the first line has no action. Dates are the exchange's local time. Who
acted is told by the folder alone (``MODEL/position/position.jsonl``): the agent is ``ai-trader:MODEL``, or ``ai-trader``.
"""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.symbols import canonical_symbol
from warm.files.agents.collecting import Collector, Entry, Judged, member, word_of
from warm.files.agents.rows import AGENT_PATTERN, Context, Imported
from warm.files.read import Source

AGENT = "ai-trader"
_NONE = ("no_trade", "none", "")
_is_agent = re.compile(AGENT_PATTERN).fullmatch


def detects(first: dict[str, Any]) -> bool:
    """Whether a file's first line is one of its steps."""
    return "this_action" in first or {"date", "id", "positions"} <= first.keys()


def read(source: Source, context: Context) -> Imported:
    """The file's trades.

    Raises:
        InputRefused: a line that is no JSON or no step, named by its number.
    """
    model = _model(source)
    agent = f"{AGENT}:{model}" if model and _is_agent(f"{AGENT}:{model}") else AGENT
    collector = Collector(source, context)
    no_trades = 0
    for number, step in source.objects():
        if not isinstance(step, dict) or "date" not in step:
            raise source.refuse(f"line {number} is no step with a date")
        action = step.get("this_action")
        if action is None:
            continue
        word = member(action, "action")
        if isinstance(word, str) and word.lower() in _NONE:
            no_trades += 1
            continue
        symbol = member(action, "symbol")
        as_of = _local(step["date"], context.session.of(canonical_symbol(str(symbol))).timezone)
        collector.add(Entry(agent, symbol, as_of, lambda word=word: _judged(word), model))  # type: ignore[misc]
    return collector.imported(no_trades=no_trades)


def _judged(word: object) -> Judged:
    plain = word.lower().removesuffix("_crypto") if isinstance(word, str) else word
    return Judged("view", word_of(plain, "action"))


def _local(stamp: object, zone: ZoneInfo) -> object:
    """A local moment with its offset; a date, and what is no stamp, as it is."""
    if not isinstance(stamp, str) or len(stamp.strip()) <= len("2025-10-01"):
        return stamp
    try:
        moment = datetime.fromisoformat(stamp.strip())
    except ValueError:
        return stamp
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()


def _model(source: Source) -> str | None:
    parts = source.path.parts
    return parts[-3] if len(parts) > 2 and parts[-2] == "position" else None  # noqa: PLR2004
