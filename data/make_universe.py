"""Make a simulated universe of any size: ``python data/make_universe.py --symbols 1000 --bars 260 FOLDER``.

**It is simulated**, for measuring: prices are random walks, agents are names, and nothing in it says anything about any market.
It is written as a user's data would be (``FOLDER/prices/simulated.parquet``, ``FOLDER/agents/simulated.csv``), its symbols are
``SIM00000`` onwards, and it ends with the sample's last session, so that both can be loaded together and replayed. The same
arguments give the same data. ``--logs 1000`` writes so many logs of TradingAgents besides, of 100 KB each, to measure reading
them.
"""

import argparse
import csv
import json
import math
import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl

SEED = 20130301
LAST_SESSION = date(2013, 3, 1)
AGENTS = ("momentum_agent", "news_agent", "valuation_agent")
COLUMNS = ("symbol", "as_of", "agent", "status", "view", "confidence", "model", "reasoning", "reason")
_SATURDAY = 5


def sessions_before(last: date, count: int) -> list[date]:
    """The ``count`` weekdays up to ``last``, in order."""
    days: list[date] = []
    day = last
    while len(days) < count:
        if day.weekday() < _SATURDAY:
            days.append(day)
        day -= timedelta(days=1)
    return days[::-1]


def symbol_name(number: int) -> str:
    """A ticker that is no company's."""
    return f"SIM{number:05d}"


def make_prices(symbols: int, bars: int, seed: int = SEED) -> pl.DataFrame:
    """``symbols`` × ``bars`` daily rows: open at the last close with a gap, range around both, volume without meaning."""
    noise = random.Random(seed)
    days = sessions_before(LAST_SESSION, bars)
    columns: dict[str, list[object]] = {name: [] for name in ("symbol", "date", "open", "high", "low", "close", "volume")}
    for number in range(symbols):
        name, close = symbol_name(number), 10.0 + 190.0 * noise.random()
        deviation = 0.008 + 0.02 * noise.random()
        for day in days:
            opened = round(close * math.exp(noise.gauss(0.0, deviation / 3)), 4)
            close = max(1.0, round(close * math.exp(noise.gauss(0.0, deviation)), 4))
            high = round(max(opened, close) * (1 + abs(noise.gauss(0.0, deviation / 3))), 4)
            low = round(min(opened, close) * (1 - abs(noise.gauss(0.0, deviation / 3))), 4)
            row = (name, day, opened, high, low, close, noise.randrange(1_000, 5_000_000))
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return pl.DataFrame(columns)


def agent_rows(symbols: int, seed: int = SEED) -> list[list[str]]:
    """One row for each agent and symbol: mostly views, some abstentions, few failures."""
    noise = random.Random(f"{seed} agents")
    rows = []
    for number in range(symbols):
        for agent in AGENTS:
            head = [symbol_name(number), LAST_SESSION.isoformat(), agent]
            draw, view, confidence = noise.random(), 2 * noise.random() - 1, 0.3 + 0.6 * noise.random()
            if draw < 0.03:
                rows.append([*head, "failed", "", "", "simulated", "", "model timed out"])
            elif draw < 0.08:
                rows.append([*head, "abstained", "", "", "simulated", "", "no new filings"])
            else:
                figures = [f"{view:.2f}", f"{confidence:.2f}"]
                rows.append([*head, "view", *figures, "simulated", "Simulated: a random number.", ""])
    return rows


LOG_REPORT_BYTES = 24_000
"""Length of each of a log's four reports, which makes it 100 KB long."""

WORDS = ("revenue", "margin", "growth", "momentum", "debt", "earnings", "quarter", "volume", "trend", "cash", "risk", "demand")


def write_logs(folder: Path, count: int, symbols: int, seed: int = SEED) -> None:
    """``count`` logs, one a symbol and session back from the last; a tenth decides nothing, others say it in three ways."""
    noise = random.Random(f"{seed} logs")
    days = sessions_before(LAST_SESSION, -(-count // symbols))[::-1]
    for number in range(count):
        symbol, day = symbol_name(number % symbols), days[number // symbols].isoformat()
        reports = (" ".join(noise.choices(WORDS, k=LOG_REPORT_BYTES // 7)) for _ in range(4))
        state = dict(zip(("market_report", "sentiment_report", "news_report", "fundamentals_report"), reports, strict=True))
        word = noise.choice(("Buy", "Hold", "Sell"))
        said = (
            "Simulated.",
            f"**Rating**: {word}",
            f"FINAL TRANSACTION PROPOSAL: **{word.upper()}**",
            f"I would {word.lower()}.",
        )
        decision = said[0] if noise.random() < 0.1 else noise.choice(said[1:])
        state |= {"company_of_interest": symbol, "trade_date": day, "final_trade_decision": decision}
        path = folder / symbol / "TradingAgentsStrategy_logs" / f"full_states_log_{day}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({day: state}), encoding="utf-8")


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--bars", type=int, default=260)
    parser.add_argument("--logs", type=int, default=0, help="logs of TradingAgents besides (default none)")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.symbols < 1 or arguments.bars < 1:
        parser.error("--symbols and --bars must be at least 1")
    for name in ("prices", "agents"):
        (arguments.folder / name).mkdir(parents=True, exist_ok=True)
    make_prices(arguments.symbols, arguments.bars).write_parquet(arguments.folder / "prices" / "simulated.parquet")
    with (arguments.folder / "agents" / "simulated.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(agent_rows(arguments.symbols))
    if arguments.logs > 0:
        write_logs(arguments.folder / "agents", arguments.logs, arguments.symbols)
    print(f"{arguments.symbols} symbols x {arguments.bars} bars under {arguments.folder}")


if __name__ == "__main__":
    main()
