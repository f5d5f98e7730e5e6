"""One small file of each format, written from the same bars and words, so that whatever format they went through they can be
compared. Shapes are those of each tool's own documentation.
"""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from tests.warm.answers import as_json, as_ms, bybit_json, headless_csv, kraken_json, okx_json, series_json
from tests.warm.reports import memory

NEW_YORK = ZoneInfo("America/New_York")


class Bar(NamedTuple):
    """A bar; ``at`` is when it begins."""

    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


class PriceExample(NamedTuple):
    """A format's example: the file's name, what writes bars as such a file, its canonical symbol, whether its bars are hours
    (else sessions), whether its market never closes, whether stamps are text, and whether the file is text.
    """

    file: str
    write: Callable[[Sequence[Bar]], bytes]
    symbol: str
    hours: bool = False
    never_closes: bool = False
    text_stamps: bool = True
    text: bool = True


def bars(count: int = 30, *, hours: bool = False, start: datetime = datetime(2024, 1, 2, tzinfo=UTC)) -> list[Bar]:
    """``count`` bars, one an hour or one a day, weekends too, prices with two decimals."""
    step = timedelta(hours=1) if hours else timedelta(days=1)
    made = []
    for number in range(count):
        close = 100.0 + number % 7 - number % 3
        made.append(Bar(start + number * step, close - 0.5, close + 2.0, close - 3.0, close, 1000.0 + 10 * (number % 11)))
    return made


def _csv(rows: Sequence[Sequence[object]], separator: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _zip(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def _day(at: datetime) -> str:
    return at.strftime("%Y-%m-%d")


def _frame(made: Sequence[Bar], **first: Sequence[object]) -> pl.DataFrame:
    values = {name: [getattr(bar, name) for bar in made] for name in ("open", "high", "low", "close", "volume")}
    return pl.DataFrame({**first, **values}, strict=False)


def long_csv(made: Sequence[Bar]) -> bytes:
    """The long table."""
    return _csv(
        [("symbol", "date", "open", "high", "low", "close", "volume"), *(("AAA", _day(bar.at), *bar[1:]) for bar in made)]
    )


def title_csv(made: Sequence[Bar]) -> bytes:
    """Yahoo's spelling, with a symbol told by the file's name and Adj Close equal to Close."""
    rows = [(_day(bar.at), *bar[1:5], bar.close, bar.volume) for bar in made]
    return _csv([("Date", "Open", "High", "Low", "Close", "Adj Close", "Volume"), *rows], ";")


def alpaca_csv(made: Sequence[Bar]) -> bytes:
    """Letters, as Alpaca's and Polygon's clients write them."""
    rows = [("ccc", bar.at.isoformat(), *bar[1:], 17, 100.0) for bar in made]
    return _csv([("S", "t", "o", "h", "l", "c", "v", "n", "vw"), *rows])


def parquet(made: Sequence[Bar]) -> bytes:
    """A Parquet table with a Datetime column."""
    out = io.BytesIO()
    _frame(made, symbol=["BRK-B"] * len(made), timestamp=[bar.at for bar in made]).write_parquet(out)
    return out.getvalue()


def lines(made: Sequence[Bar]) -> bytes:
    """JSON lines, with moments on New York's clock and no zone."""
    rows = ({"symbol": "EEE", "time": bar.at.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M:%S"), **bar._asdict()} for bar in made)
    return b"".join(as_json({name: value for name, value in row.items() if name != "at"}) + b"\n" for row in rows)


def yfinance_wide(made: Sequence[Bar]) -> bytes:
    """``yf.download(["FFF", "GGG"]).to_csv()``; GGG was not traded on the first day."""
    names = ("Close", "High", "Low", "Open", "Volume")
    head = [
        ("Price", *(name for name in names for _ in range(2))),
        ("Ticker", *(("FFF", "GGG") * len(names))),
        ("Date", *([""] * 2 * len(names))),
    ]
    rows = []
    for bar in made:
        cells = [getattr(bar, name.lower()) for name in names for _ in range(2)]
        if bar.at == min(each.at for each in made):
            cells = [cell if at % 2 == 0 else "" for at, cell in enumerate(cells)]
        rows.append((_day(bar.at), *cells))
    return _csv([*head, *rows])


def alpaca_json(made: Sequence[Bar]) -> bytes:
    """Alpaca's answer for several symbols."""
    rows = [dict(zip("tohlcv", (bar.at.isoformat().replace("+00:00", "Z"), *bar[1:]), strict=True)) for bar in made]
    return as_json({"bars": {"HHH": [row | {"n": 5, "vw": 1.0} for row in rows]}, "next_page_token": None})


def polygon_json(made: Sequence[Bar]) -> bytes:
    """Polygon's answer for one symbol: daily stamps are midnight in New York, in ms."""
    rows = [
        dict(zip("tohlcv", (as_ms(bar.at.replace(tzinfo=NEW_YORK)), *bar[1:]), strict=True)) | {"n": 5, "vw": 1.0} for bar in made
    ]
    return as_json({"ticker": "III", "queryCount": len(rows), "results": rows, "status": "OK"})


def binance_json(made: Sequence[Bar]) -> bytes:
    """Binance's answer: 12 values, prices as text, ms."""
    return as_json([_kline(bar, 1) for bar in made])


def _kline(bar: Bar, factor: int) -> list[object]:
    ends = as_ms(bar.at) + 3_599_999
    return [as_ms(bar.at) * factor, *map(str, bar[1:]), ends * factor, "1.0", 5, "1.0", "1.0", "0"]


def binance_zip(made: Sequence[Bar]) -> bytes:
    """Binance's archive: CSV without a header, µs since 2025."""
    return _zip("ETHUSDT-1h-2025-01.csv", _csv([_kline(bar, 1000) for bar in made]))


def coinbase_json(made: Sequence[Bar]) -> bytes:
    """Coinbase Exchange's answer: seconds, low before open, newest first."""
    return as_json([[as_ms(bar.at) // 1000, bar.low, bar.high, bar.open, bar.close, bar.volume] for bar in reversed(made)])


def alpha_vantage(made: Sequence[Bar]) -> bytes:
    """Alpha Vantage's intraday series in US/Eastern, newest first."""
    names = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    series = [
        (bar.at.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M:%S"), dict(zip(names, map(str, bar[1:]), strict=True)))
        for bar in reversed(made)
    ]
    meta = {"1. Information": "Intraday", "2. Symbol": "JJJ", "4. Interval": "60min", "6. Time Zone": "US/Eastern"}
    # By hand, because a series may have one stamp twice and a dict may not.
    body = ", ".join(f"{json.dumps(stamp)}: {json.dumps(bar)}" for stamp, bar in series)
    return f'{{"Meta Data": {json.dumps(meta)}, "Time Series (60min)": {{{body}}}}}'.encode()


def freqtrade_feather(made: Sequence[Bar]) -> bytes:
    """Freqtrade's Feather file."""
    out = io.BytesIO()
    _frame(made, date=[bar.at for bar in made]).write_ipc(out, compression="lz4")
    return out.getvalue()


def freqtrade_json(made: Sequence[Bar]) -> bytes:
    """Freqtrade's gzipped JSON: ms, open, high, low, close, volume."""
    return gzip.compress(as_json([[as_ms(bar.at), *bar[1:]] for bar in made]))


def lean_daily(made: Sequence[Bar]) -> bytes:
    """Lean's zip of one equity: prices times 10,000."""
    rows = [(bar.at.strftime("%Y%m%d %H:%M"), *(round(price * 10_000) for price in bar[1:5]), round(bar.volume)) for bar in made]
    return _zip("kkk.csv", _csv(rows))


def lean_crypto(made: Sequence[Bar]) -> bytes:
    """Lean's zip of one pair: prices as they are."""
    return _zip("ltcusd.csv", _csv([(bar.at.strftime("%Y%m%d %H:%M"), *bar[1:]) for bar in made]))


def _pair(file: str, write: Callable[[Sequence[Bar]], bytes], symbol: str, **more: bool) -> PriceExample:
    """Hours of a pair of currencies."""
    return PriceExample(file, write, symbol, hours=True, never_closes=True, **more)


PRICES: dict[str, PriceExample] = {
    "table": PriceExample("long.csv", long_csv, "AAA"),
    "table of one symbol": PriceExample("bbb.csv", title_csv, "BBB"),
    "table of letters": PriceExample("alpaca.csv", alpaca_csv, "CCC", hours=True),
    "table in Parquet": PriceExample("table.parquet", parquet, "BRK.B", text_stamps=False, text=False),
    "table in JSON lines": PriceExample("rows.jsonl", lines, "EEE", hours=True),
    "yfinance": PriceExample("yfinance.csv", yfinance_wide, "FFF"),
    "rows": PriceExample("alpaca.json", alpaca_json, "HHH", hours=True),
    "rows of Polygon": PriceExample("polygon.json", polygon_json, "III", text_stamps=False),
    "headless": _pair("XBTEUR_60.csv", headless_csv, "BTC-EUR", text_stamps=False),
    "series": PriceExample("mmm.json", series_json, "MMM", hours=True, text_stamps=False),
    "bybit": _pair("answer.json", bybit_json, "XRP-USDT:USDT", text_stamps=False),
    "okx": _pair("ADA-USDC_1h.json", okx_json, "ADA-USDC", text_stamps=False),
    "kraken": _pair("ohlc.json", kraken_json, "BTC-USD", text_stamps=False),
    "binance": _pair("BTCUSDT-1h.json", binance_json, "BTC-USDT", text_stamps=False),
    "binance archive": _pair("ETHUSDT-1h-2025-01.zip", binance_zip, "ETH-USDT", text_stamps=False, text=False),
    "coinbase": _pair("SOL-USD-1h.json", coinbase_json, "SOL-USD", text_stamps=False),
    "alpha-vantage": PriceExample("av.json", alpha_vantage, "JJJ", hours=True),
    "freqtrade": _pair("ADA_USDT-1h.feather", freqtrade_feather, "ADA-USDT", text_stamps=False, text=False),
    "freqtrade arrays": _pair(
        "DOT_USDT_USDT-1h-futures.json.gz", freqtrade_json, "DOT-USDT:USDT", text_stamps=False, text=False
    ),
    "lean": PriceExample("equity/usa/daily/kkk.zip", lean_daily, "KKK", text=False),
    "lean-unscaled": _pair("crypto/coinbase/hour/ltcusd_trade.zip", lean_crypto, "LTC-USD", text=False),
}  # fmt: skip
"""By format, and variant behind it."""


class Word(NamedTuple):
    """One agent's word: a view of 1, -1 or 0."""

    symbol: str
    day: str
    view: int
    confidence: object = 0.8


class AgentExample(NamedTuple):
    """A format's example: the file's name, what writes words as such a file, the agent's name, and the confidence that a word's
    becomes (None if the format has none). Whether the file can hold several days, and one word twice.
    """

    file: str
    write: Callable[[Sequence[Word]], bytes]
    agent: str
    confidence: float | None
    days: bool = True
    twice: bool = True


WORDS = (Word("AAA", "2024-01-30", 1), Word("AAA", "2024-01-31", -1), Word("BBB", "2024-01-29", 0))
_SIGNALS = {1: "bullish", -1: "bearish", 0: "neutral"}
_ACTIONS = {1: "buy", -1: "sell", 0: "hold"}
_RATINGS = {1: "Buy", -1: "Sell", 0: "Hold"}
_CHINESE = {1: "买入", -1: "卖出", 0: "持有"}


def _percent(confidence: object) -> object:
    return confidence * 100 if isinstance(confidence, float) else confidence


def native_csv(words: Sequence[Word]) -> bytes:
    """The native table."""
    rows = [(word.symbol, word.day, "me", _SIGNALS[word.view], word.confidence, "because", "m", "abc") for word in words]
    return _csv([("symbol", "as_of", "agent", "signal", "confidence", "reasoning", "model", "prompt_hash"), *rows])


def native_lines(words: Sequence[Word]) -> bytes:
    """The native table as JSON lines, confidence in percent."""
    rows = (
        {"ticker": word.symbol, "as_of": word.day, "agent": "me2", "view": word.view, "confidence_pct": _percent(word.confidence)}
        for word in words
    )
    return b"".join(as_json(row) + b"\n" for row in rows)


def hedge_fund_v1(words: Sequence[Word]) -> bytes:
    """ai-hedge-fund's result of one run."""
    signals = {
        word.symbol: {"signal": _SIGNALS[word.view], "confidence": _percent(word.confidence), "reasoning": {"why": ["x"]}}
        for word in words
    }
    limits = {"AAA": {"remaining_position_limit": 1.0, "current_price": 2.0, "volatility_metrics": {"daily_volatility": 0.1}}}
    return as_json({"decisions": None, "analyst_signals": {"warren_buffett_agent": signals, "risk_management_agent": limits}})


def _signal(word: Word) -> dict[str, Any]:
    return {
        "model_name": "buffett", "ticker": word.symbol, "date": word.day,
        "value": word.view * (word.confidence if isinstance(word.confidence, float) else 1), "reasoning": "moat",
        "metadata": {
            "signal": _SIGNALS[word.view], "confidence": _percent(word.confidence), "model": "gpt", "prompt_key": "0a1b",
            "snapshot_hash": "ffff", "cached": False, "abstained": False,
        },
    }  # fmt: skip


def hedge_fund_v2(words: Sequence[Word]) -> bytes:
    """ai-hedge-fund's backtest: a cycle record a day."""
    records = [
        {
            "fund": "mine", "as_of": word.day, "spec": {}, "marks": {word.symbol: 10.0}, "skipped": [],
            "strategies": [{"name": "value", "slice": 1.0, "signals": [_signal(word)], "convictions": {}, "weights": {}}],
            "target_weights": {}, "final_weights": {}, "nav": 1.0,
        }
        for word in words
    ]  # fmt: skip
    return as_json({"records": records})


def hedge_fund_v2_cached(words: Sequence[Word]) -> bytes:
    """Answers of its prompt cache, as a list."""
    return as_json(
        [
            {
                "agent": "munger", "model": "gpt", "ticker": word.symbol, "as_of": word.day, "snapshot_hash": "ffff",
                "parsed": {
                    "signal": _SIGNALS[word.view], "confidence": _percent(word.confidence), "reasoning": "quality",
                },
            }
            for word in words
        ]
    )  # fmt: skip


def tradingagents(words: Sequence[Word]) -> bytes:
    """TradingAgents' log of one ticker, keyed by many dates."""
    states = [
        (
            word.day,
            {
                "company_of_interest": word.symbol,
                "trade_date": word.day,
                "market_report": "Prices rose.",
                "final_trade_decision": f"I would not hold.\n\n**Rating**: {_RATINGS[word.view]}\n\n**Executive Summary**: …",
            },
        )
        for word in words
    ]
    return ("{" + ", ".join(f"{json.dumps(day)}: {json.dumps(state)}" for day, state in states) + "}").encode()


def tradingagents_cn(words: Sequence[Word]) -> bytes:
    """TradingAgents-CN's results, as a list."""
    return json.dumps(
        [
            {
                "stock_symbol": word.symbol, "analysis_date": word.day, "llm_model": "qwen",
                "decision": {
                    "action": _CHINESE[word.view], "confidence": word.confidence, "target_price": 12.5, "risk_score": 0.4,
                    "reasoning": "基本面稳健",
                },
            }
            for word in words
        ],
        ensure_ascii=False,
    ).encode()  # fmt: skip


def ai_trader(words: Sequence[Word]) -> bytes:
    """AI-Trader's position.jsonl."""
    rows: list[dict[str, object]] = [{"date": "2024-01-02 10:00:00", "id": 0, "positions": {"CASH": 10000.0}}]
    for number, word in enumerate(words, 1):
        action = {"action": _ACTIONS[word.view], "symbol": word.symbol, "amount": 5}
        rows.append({"date": word.day, "id": number, "this_action": action, "positions": {"CASH": 1.0}})
    rows.append(
        {"date": "2024-01-31", "id": 99, "this_action": {"action": "no_trade", "symbol": "", "amount": 0}, "positions": {}}
    )
    return b"".join(as_json(row) + b"\n" for row in rows)


AGENTS: dict[str, AgentExample] = {
    "native": AgentExample("words.csv", native_csv, "me", 0.8),
    "native in JSON lines": AgentExample("words.jsonl", native_lines, "me2", 0.8),
    "ai-hedge-fund": AgentExample("run-2024-01-31.json", hedge_fund_v1, "warren_buffett_agent", 0.8, days=False, twice=False),
    "ai-hedge-fund-v2": AgentExample("backtest.json", hedge_fund_v2, "buffett", 0.8),
    "ai-hedge-fund-v2 cache": AgentExample("cache/0a1b.json", hedge_fund_v2_cached, "munger", 0.8),
    "tradingagents": AgentExample("full_states_log.json", tradingagents, "tradingagents:portfolio_manager", None),
    "tradingagents-reports": AgentExample("trading_memory.md", memory, "tradingagents:portfolio_manager", None),
    "tradingagents-cn": AgentExample("cn.json", tradingagents_cn, "tradingagents-cn", 0.8),
    "ai-trader": AgentExample("gpt-5/position/position.jsonl", ai_trader, "ai-trader:gpt-5", None),
}
"""By format, and variant behind it."""


def format_of(name: str) -> str:
    """The format that an example is of."""
    return name.split(" ", maxsplit=1)[0]
