"""TradingAgents-CN (https://github.com/hsliuping/TradingAgents-CN): the decision of an analysis, as its program extracts it.

``{stock_symbol, analysis_date, decision: {action 买入 | 持有 | 卖出, confidence 0-1, target_price, risk_score, reasoning}}``,
or the decision's members beside symbol and date; one or a list of them. When its program finds no decision it writes a hold
at 0.5 with a reasoning that says so: a failure. Its ``full_states_log`` files are read as
TradingAgents'; beside one (`registry`) the decision is a summary.
"""

import re
from typing import Any

from warm.agents.collecting import Collector, Entry, Judged, dated, member, number_in, text_of, word_of
from warm.agents.markup import plain
from warm.agents.ratings import RATINGS
from warm.agents.rows import SIGNALS, Context, Imported, clean_text
from warm.files import Source

AGENT = "tradingagents-cn"
_SYMBOLS = ("stock_symbol", "stock_code", "symbol", "ticker", "company_of_interest")
_DATES = ("analysis_date", "trade_date", "date", "as_of", "timestamp")
_MODELS = ("model", "llm_model", "model_info")
_STAND_IN = re.compile("默认(?:持有|建议|决策|为持有)|输入信号无效|解析失败|无法解析|分析失败")
_FILLED_IN = "基于综合分析的投资建议"
"""The reasoning that its program writes when it could not parse an answer and looked for words in it."""

_WORDS = {**SIGNALS, **RATINGS}


def detects(document: object) -> bool:
    """Whether a document is such a decision, or a list of them."""
    if isinstance(document, list):
        return bool(document) and isinstance(document[0], dict) and detects(document[0])
    said = _decision(document)
    return "action" in said and bool(said.keys() & {"confidence", "target_price", "risk_score"})


def _decision(document: object) -> dict[str, Any]:
    inner = member(document, "decision")
    if isinstance(inner, dict):
        return inner
    return document if isinstance(document, dict) else {}


def read(source: Source, context: Context) -> Imported:
    """The file's decisions.

    Raises:
        InputRefused: no valid JSON, or not of this shape.
    """
    document = source.json
    found = document if isinstance(document, list) else [document]
    day, moment_ms, dated_by = dated(source, context)
    if any(_first(each, _DATES) is not None for each in found):
        dated_by = "column"
    collector = Collector(source, context, dated_by)
    for each in found:
        if not isinstance(each, dict):
            raise source.refuse("no object with a decision")
        said, undated = _decision(each), _first(each, _DATES) is None
        collector.add(
            Entry(
                AGENT,
                _first(each, _SYMBOLS),
                day if undated else _first(each, _DATES),
                lambda said=said: _judged(said),  # type: ignore[misc]
                _first(each, _MODELS),
                said.get("reasoning"),
                moment_ms=moment_ms if undated else None,
            )
        )
    return collector.imported()


def _first(document: object, names: tuple[str, ...]) -> Any:  # noqa: ANN401
    return next((found for name in names if (found := member(document, name)) is not None), None)


def _judged(said: dict[str, Any]) -> Judged:
    action = said.get("action")
    view = word_of(plain(action) if isinstance(action, str) else action, "action", _WORDS)
    confidence = number_in(said.get("confidence"), "confidence", 0, 1)
    reasoning = clean_text(text_of(said.get("reasoning"))) or ""
    if view == 0 and (_STAND_IN.search(reasoning) or reasoning == _FILLED_IN):
        return Judged("failed", reason="default_in_place_of_answer")
    return Judged("view", view, confidence)
