"""Make the sample agent outputs: ``python data/make_agents.py [FOLDER]``.

**They are simulated.** No model was asked and no such agent ran; the names are those of ai-hedge-fund's agents so that the
files look like what a user has. A view is the symbol's own past (a return over some sessions, or its opposite) with much noise,
so it says as little about the future as such a rule does. Only closes up to and including the view's session are used.
The same prices and `SEED` give the same text on every machine: only `random.Random.random`, whose sequence Python
guarantees, is drawn from, and every figure is rounded to two digits.
"""

import csv
import gzip
import io
import json
import math
import random
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

SEED = 20130301
SESSIONS = 60
"""Sessions of the native table, counted back from the last of the sample."""

FOLDER = Path(__file__).parent
PRICES = FOLDER / "prices" / "daily.csv.gz"
MODEL = "simulated"
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
RUN_DAYS = ("2012-12-31", "2013-01-31", "2013-02-15", "2013-03-01")
"""Days of the ai-hedge-fund results."""

NATIVE_COLUMNS = ("symbol", "as_of", "agent", "status", "view", "confidence", "model", "reasoning", "reason")


class Agent(NamedTuple):
    """A simulated agent: it follows (sign 1) or opposes (-1) the return of the last ``sessions`` sessions."""

    name: str
    sessions: int
    sign: int
    noise: float


NATIVE_AGENTS = (
    Agent("fundamentals_analyst_agent", 60, 1, 0.5),
    Agent("sentiment_analyst_agent", 5, 1, 0.7),
    Agent("technical_analyst_agent", 15, 1, 0.3),
    Agent("valuation_analyst_agent", 90, -1, 0.4),
    Agent("warren_buffett_agent", 120, -1, 0.5),
)
RUN_AGENTS = (Agent("cathie_wood_agent", 40, 1, 0.6), Agent("michael_burry_agent", 40, -1, 0.6))

ABSTAINED, FAILED = "abstained", "failed"
LAST_SESSION: dict[tuple[str, str], tuple[str, str]] = {
    ("FB", "warren_buffett_agent"): (ABSTAINED, "too few years of earnings"),
    ("FB", "valuation_analyst_agent"): (ABSTAINED, "no positive cash flow to value"),
    ("IBM", "sentiment_analyst_agent"): (FAILED, "model timed out"),
    ("IBM", "valuation_analyst_agent"): (FAILED, "answer was no valid JSON"),
}
"""What the demo shows: these abstain or fail in the last session, and every other agent has a view."""

REASONS = {
    ABSTAINED: ("no new filings", "signals contradict each other", "outside the circle of competence"),
    FAILED: ("model timed out", "answer was no valid JSON", "rate limit of the provider"),
}


def read_closes() -> tuple[list[str], dict[str, dict[str, float]]]:
    """The sample's sessions in order, and each symbol's adjusted close by session."""
    closes: dict[str, dict[str, float]] = {}
    with gzip.open(PRICES, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            closes.setdefault(row["symbol"], {})[row["date"]] = float(row["adj_close"])
    return sorted(closes["AAPL"]), closes


def lean(closes: list[float], agent: Agent, noise: random.Random) -> float:
    """The agent's view in [-1, 1] from ``closes`` up to its session: the return in its own deviations, squashed, and noise."""
    past = closes[-agent.sessions - 1 :]
    steps = [math.log(after / before) for before, after in pairwise(past)]
    mean = sum(steps) / len(steps)
    deviation = math.sqrt(sum((step - mean) ** 2 for step in steps) / len(steps)) or 1.0
    strength = sum(steps) / (deviation * math.sqrt(len(steps)))
    blurred = math.tanh(agent.sign * strength) * (1 - agent.noise) + agent.noise * (2 * noise.random() - 1)
    return round(max(-1.0, min(1.0, blurred)), 2) + 0.0


def sentence(agent: Agent, view: float) -> str:
    """A reasoning that says that it is simulated and what it comes from."""
    way = "against" if agent.sign < 0 else "with"
    word = "positive" if view > 0.05 else "negative" if view < -0.05 else "balanced"
    return f"Simulated: {word}; leans {way} the return of the last {agent.sessions} sessions."


def native_row(symbol: str, day: str, agent: Agent, past: list[float], noise: random.Random, *, last: bool) -> list[str]:
    """One row of the native table."""
    view, draw, pick = lean(past, agent, noise), noise.random(), noise.random()
    confidence = round(0.35 + 0.5 * abs(view) + 0.1 * noise.random(), 2)
    status, reason = "view", ""
    if last:
        status, reason = LAST_SESSION.get((symbol, agent.name), (status, reason))
    elif draw < 0.10:
        status = FAILED if draw < 0.04 else ABSTAINED
        reason = REASONS[status][int(pick * len(REASONS[status]))]
    if status != "view":
        return [symbol, day, agent.name, status, "", "", MODEL, "", reason]
    return [symbol, day, agent.name, status, f"{view:.2f}", f"{confidence:.2f}", MODEL, sentence(agent, view), ""]


def make_native() -> str:
    """The native table as CSV."""
    noise = random.Random(SEED)
    sessions, closes = read_closes()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(NATIVE_COLUMNS)
    for number in range(len(sessions) - SESSIONS, len(sessions)):
        day = sessions[number]
        for symbol in SYMBOLS:
            past = [closes[symbol][each] for each in sessions[: number + 1] if each in closes[symbol]]
            for agent in NATIVE_AGENTS:
                writer.writerow(native_row(symbol, day, agent, past, noise, last=number == len(sessions) - 1))
    return text.getvalue()


def signal(agent: Agent, past: list[float], noise: random.Random) -> dict[str, Any]:
    """One entry of ``analyst_signals``: a word, and confidence from 0 to 100."""
    view = lean(past, agent, noise)
    word = "bullish" if view > 0.15 else "bearish" if view < -0.15 else "neutral"
    return {"signal": word, "confidence": round(40 + 50 * abs(view)), "reasoning": sentence(agent, view)}


def decision(signals: list[dict[str, Any]]) -> dict[str, Any]:
    """The manager's order from the analysts' words."""
    total = sum({"bullish": 1, "bearish": -1}.get(each["signal"], 0) for each in signals)
    action = "buy" if total > 0 else "sell" if total < 0 else "hold"
    reasoning = f"Simulated: {action}, as the analysts' signals sum to {total}."
    confidence = sum(each["confidence"] for each in signals) / len(signals)
    return {"action": action, "quantity": 10 * abs(total), "confidence": confidence, "reasoning": reasoning}


def spoil(result: dict[str, Any]) -> None:
    """Put into the last run what that program leaves behind when something went wrong: defaults that look like answers."""
    analysts = result["analyst_signals"]
    analysts["cathie_wood_agent"]["IBM"] = {
        "signal": "neutral", "confidence": 0.0, "reasoning": "Error in analysis, using default",
    }  # fmt: skip
    analysts["michael_burry_agent"]["IBM"] = {"signal": "bullish", "confidence": 0.0, "reasoning": ""}
    result["decisions"]["IBM"] = {
        "action": "hold", "quantity": 0, "confidence": 0.0, "reasoning": "Default decision: hold",
    }  # fmt: skip
    result["decisions"]["FB"] = {
        "action": "hold", "quantity": 0, "confidence": 100.0, "reasoning": "No valid trade available",
    }  # fmt: skip


def make_run(day: str) -> str:
    """One ai-hedge-fund result as JSON; the same for the same day, whatever other days there are."""
    noise = random.Random(f"{SEED} {day}")
    sessions, closes = read_closes()
    analysts: dict[str, dict[str, Any]] = {agent.name: {} for agent in RUN_AGENTS}
    limits: dict[str, Any] = {}
    for symbol in SYMBOLS:
        past = [closes[symbol][each] for each in sessions if each <= day and each in closes[symbol]]
        for agent in RUN_AGENTS:
            analysts[agent.name][symbol] = signal(agent, past, noise)
        limits[symbol] = {"remaining_position_limit": 20000.0, "current_price": round(past[-1], 2), "reasoning": {}}
    result: dict[str, Any] = {
        "simulated": f"No model was asked: made by data/make_agents.py with seed {SEED}.",
        "decisions": {symbol: decision([by[symbol] for by in analysts.values()]) for symbol in SYMBOLS},
        "analyst_signals": {**analysts, "risk_management_agent": limits},
    }
    if day == RUN_DAYS[-1]:
        spoil(result)
    return json.dumps(result, indent=2) + "\n"


def main(folder: Path = FOLDER) -> None:
    """Write every agent file under ``folder``/agents."""
    target = folder / "agents"
    target.mkdir(parents=True, exist_ok=True)
    (target / "native.csv").write_text(make_native(), encoding="utf-8", newline="\n")
    for day in RUN_DAYS:
        (target / f"ai-hedge-fund-{day}.json").write_text(make_run(day), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
