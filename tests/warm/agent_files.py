"""Files of agents' tools, and the rows that are read from them."""

import json
from pathlib import Path
from typing import Any

from tests.kit.files import put
from tests.warm.running import NEW_YORK
from warm.files.agents.registry import AgentRows, read_agents
from warm.files.agents.rows import Context

LOG = {"company_of_interest": "600519.SS", "trade_date": "2024-01-02", "final_trade_decision": "最终交易决策：买入"}
CONTEXT = Context(NEW_YORK, 1_800_000_000_000, None)
CLOSE_MS = 1_704_229_200_000
"""2024-01-02T21:00:00Z"""


def read(folder: Path, file: str, document: object) -> AgentRows:
    """Write ``document`` as JSON, text as it is, and read the folder."""
    put(folder / file, document if isinstance(document, str) else json.dumps(document, ensure_ascii=False))
    return read_agents(folder, CONTEXT)


def told(rows: AgentRows) -> list[tuple[Any, ...]]:
    """Symbol, agent, status, view, confidence and reason of every row."""
    return rows.frame.select("symbol", "agent", "status", "view", "confidence", "reason").rows()


def signal(**changed: object) -> dict[str, Any]:
    """A signal of ai-hedge-fund, version 2."""
    metadata = {
        "signal": "bullish",
        "confidence": 40,
        "model": "gpt",
        "prompt_key": "ab12",
        "snapshot_hash": "ff",
        "abstained": False,
    }
    plain: dict[str, Any] = {"model_name": "buffett", "ticker": "AAPL", "date": "2024-01-02", "value": 0.4, "reasoning": "moat"}
    return plain | {"metadata": metadata | changed.pop("metadata", {})} | changed  # type: ignore[operator]


STATE = {"company_of_interest": "AAPL", "trade_date": "2024-01-02", "final_trade_decision": "**Rating**: Overweight"}

MANAGER = "tradingagents:portfolio_manager"


def result(**changed: object) -> dict[str, Any]:
    """A result of TradingAgents-CN."""
    decision = {"action": "买入", "confidence": 0.7, "target_price": 10.0, "risk_score": 0.3, "reasoning": "好"} | changed
    return {"stock_symbol": "AAPL", "analysis_date": "2024-01-02", "llm_model": "qwen", "decision": decision}
