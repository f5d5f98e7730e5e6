"""A freqtrade strategy that does what Decide says.

Put it into user_data/strategies/ and run it dry before anything else:

    DECIDE_URL=http://localhost:8000 freqtrade trade --dry-run --strategy DecideStrategy

It asks once a candle and pair with the last close, once more with the order's own rate before it enters, and stakes the share of
the wallet that Decide names. Without an answer it does nothing: no entry, no exit; stoploss and freqtrade's own rules still hold.
Decisions are of now, so a backtest has none, and enters nothing.
"""

import json
import logging
import os
import urllib.request
from datetime import datetime
from typing import TYPE_CHECKING, Any

from freqtrade.strategy import IStrategy

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger(__name__)


class DecideStrategy(IStrategy):
    """Long only: in on a buy, out on a sell."""

    INTERFACE_VERSION = 3

    timeframe = "1h"
    can_short = False
    stoploss = -0.10
    minimal_roi = {"0": 10.0}  # a profit alone is no reason to leave
    process_only_new_candles = True
    startup_candle_count = 1

    decide_url = os.environ.get("DECIDE_URL", "http://localhost:8000")
    decide_timeout_s = 0.5
    decide_levels = ("none",)  # add "stale", "price_only", ... to act on less than all there should be

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.decisions: dict[str, dict[str, Any] | None] = {}

    def populate_indicators(self, dataframe: "DataFrame", metadata: dict[str, Any]) -> "DataFrame":
        """Ask once, for the entry and the exit of this candle."""
        self.decisions[metadata["pair"]] = self.decide(metadata["pair"], float(dataframe["close"].iloc[-1]))
        return dataframe

    def populate_entry_trend(self, dataframe: "DataFrame", metadata: dict[str, Any]) -> "DataFrame":
        """In on a buy, at the last candle: what Decide says is of now."""
        dataframe["enter_long"] = 0
        decision = self.decisions.get(metadata["pair"])
        if decision is not None and decision["action"] == "buy":
            dataframe.loc[dataframe.index[-1], ["enter_long", "enter_tag"]] = (1, "decide")
        return dataframe

    def populate_exit_trend(self, dataframe: "DataFrame", metadata: dict[str, Any]) -> "DataFrame":
        """Out on a sell."""
        dataframe["exit_long"] = 0
        decision = self.decisions.get(metadata["pair"])
        if decision is not None and decision["action"] == "sell":
            dataframe.loc[dataframe.index[-1], ["exit_long", "exit_tag"]] = (1, "decide")
        return dataframe

    def custom_stake_amount(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,
        proposed_stake: float,
        min_stake: float | None,
        max_stake: float,
        leverage: float,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> float:
        """The share of the wallet that Decide names; 0, which is no trade, if that is too little for the exchange."""
        decision = self.decide(pair, current_rate)
        if decision is None or self.wallets is None:
            return 0.0
        stake = min(max_stake, max(0.0, decision["target_weight"]) * self.wallets.get_total_stake_amount())
        return 0.0 if stake < (min_stake or 0.0) else stake

    def confirm_trade_entry(
        self,
        pair: str,
        order_type: str,
        amount: float,
        rate: float,
        time_in_force: str,
        current_time: datetime,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> bool:
        """Only if it is still a buy at the rate of the order."""
        decision = self.decide(pair, rate)
        return side == "long" and decision is not None and decision["action"] == "buy"

    def decide(self, pair: str, price: float) -> dict[str, Any] | None:
        """Decide's decision on ``pair`` (BTC/USDT is understood) at ``price``; None if there is none to act on."""
        if getattr(self.config.get("runmode"), "value", "") not in ("live", "dry_run"):
            return None
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("DECIDE_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        body = json.dumps({"symbol": pair, "price": price, "deadline_ms": 200}).encode()
        request = urllib.request.Request(f"{self.decide_url}/decide", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.decide_timeout_s) as answer:
                decision: dict[str, Any] = json.load(answer)
            if decision["fallback"]["level"] not in self.decide_levels:
                logger.warning("%s: Decide fell back to %s, which is not acted on", pair, decision["fallback"]["level"])
                return None
        except Exception as error:
            logger.warning("%s: no decision from Decide: %s", pair, error)
            return None
        return decision
