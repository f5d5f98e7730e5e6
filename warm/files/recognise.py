"""Which format a file is of: told by what is in it, or by ``--format``."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from app.domain.text import harmless
from warm.errors import InputRefused
from warm.files.agents import (
    ai_hedge_fund,
    ai_hedge_fund_v2,
    ai_trader,
    native,
    tradingagents,
    tradingagents_cn,
    tradingagents_reports,
)
from warm.files.names import name_of
from warm.files.prices import arrays, exchanges, headless, lean, objects, series, table, wide
from warm.files.prices.reading import BAR
from warm.files.read import Source
from warm.files.tables import first_fields, open_table
from warm.files.trades import lean as ticks
from warm.files.trades.recognise import holds_trades

Kind = Literal["prices", "agents"]


class Format(NamedTuple):
    """A format: its name for ``--format`` and reports, what it holds, what it is, and what reads it.

    ``read`` takes the source, for agents' outputs also the context, and gives a `Reading` or an `Imported`.
    """

    name: str
    kind: Kind
    description: str
    read: Callable[..., Any]


PRICES: tuple[Format, ...] = (
    Format("table", "prices", "long table: symbol, date, open, high, low, close, volume", table.read),
    Format("headless", "prices", "tables without a line of names: Kraken, HistData, MetaTrader, NinjaTrader", headless.read),
    Format("yfinance", "prices", "yfinance's wide table, a group of columns a symbol", wide.read),
    Format("rows", "prices", "bars as JSON objects (Alpaca, Polygon, Twelve Data, FMP)", objects.read_rows),
    Format("series", "prices", "JSON with a list or object a column (pandas, Yahoo's chart, Finnhub)", series.read),
    Format("alpha-vantage", "prices", "Alpha Vantage's series", objects.read_alpha_vantage),
    Format("binance", "prices", "Binance's klines, arrays of 12", arrays.read_binance),
    Format("coinbase", "prices", "Coinbase Exchange's candles, arrays of 6: low before open", arrays.read_coinbase),
    Format("bybit", "prices", "Bybit's klines", exchanges.read_bybit),
    Format("okx", "prices", "OKX's candles", exchanges.read_okx),
    Format("kraken", "prices", "Kraken's answer of candles", exchanges.read_kraken),
    Format("freqtrade", "prices", "freqtrade's candles, and ccxt's arrays of 6", arrays.read_freqtrade),
    Format("lean", "prices", "QuantConnect Lean's equities, prices times 10,000", lambda source: lean.read(source, scaled=True)),
    Format("lean-unscaled", "prices", "QuantConnect Lean's crypto and forex", lambda source: lean.read(source, scaled=False)),
)

AGENTS: tuple[Format, ...] = (
    Format("native", "agents", "native table: symbol, as_of, agent, and view or signal", native.read),
    Format("ai-hedge-fund", "agents", "ai-hedge-fund, version 1: decisions and analyst_signals", ai_hedge_fund.read),
    Format("ai-hedge-fund-v2", "agents", "ai-hedge-fund, version 2: cycle records, signals, prompt cache", ai_hedge_fund_v2.read),
    Format("tradingagents", "agents", "TradingAgents: full_states_log files", tradingagents.read),
    Format("tradingagents-reports", "agents", "TradingAgents: Markdown reports, trading_memory.md", tradingagents_reports.read),
    Format("tradingagents-cn", "agents", "TradingAgents-CN: action, confidence, target_price, risk_score", tradingagents_cn.read),
    Format("ai-trader", "agents", "AI-Trader: position.jsonl", ai_trader.read),
)

FORMATS: Mapping[str, Format] = {each.name: each for each in (*PRICES, *AGENTS)}


class Choice(NamedTuple):
    """One ``--format [PATTERN=]NAME``: files whose label fits the pattern are of the format, whatever they look like."""

    pattern: str
    format: Format


def parse_choice(text: str) -> Choice:
    """``text`` of ``--format``.

    Raises:
        InputRefused: an unknown format.
    """
    pattern, equals, name = text.rpartition("=")
    if name not in FORMATS:
        raise InputRefused(f"--format {text!r} names no format; allowed, behind a pattern and = or alone: {', '.join(FORMATS)}")
    return Choice(pattern if equals else "*", FORMATS[name])


class Unknown(NamedTuple):
    """A file of no format: what it looks like, and the kind that it nearly is, if it misses one by a slip."""

    looks: str
    nearly: Kind | None = None

    @property
    def said(self) -> str:
        """What it looks like, as a report may show it."""
        return harmless(self.looks)


def identify(source: Source, kinds: Sequence[Kind], choices: Sequence[Choice]) -> tuple[Format | Unknown, bool]:
    """The format of a file that is wanted for what it holds of ``kinds``, and whether ``--format`` says it.

    Raises:
        InputRefused: it cannot be read at all.
    """
    if source.fault is not None:
        raise source.refuse(source.fault)
    said = _chosen(source, kinds, choices)
    return (recognise(source), False) if said is None else (said, True)


def _chosen(source: Source, kinds: Sequence[Kind], choices: Sequence[Choice]) -> Format | None:
    """The format that ``--format`` says; of several the last. One without a pattern is for files of its own kind only."""
    fitting = [
        each.format
        for each in choices
        if (each.pattern == "*" and each.format.kind in kinds)
        or (each.pattern != "*" and (fnmatch.fnmatch(source.label, each.pattern) or fnmatch.fnmatch(source.name, each.pattern)))
    ]
    return fitting[-1] if fitting else None


_TRADES = Unknown("single trades in place of bars: decide market load reads them")
_MARKS = Unknown("marks, an index or funding rates in place of trades")


def recognise(source: Source) -> Format | Unknown:
    """The format of a file, by its content.

    Raises:
        InputRefused: it cannot be read at all: empty, cut short, of another encoding.
    """
    try:
        found = _recognise(source)
    except InputRefused:
        if holds_trades(source):
            return _TRADES
        raise
    return _TRADES if isinstance(found, Unknown) and holds_trades(source) else found


def _recognise(source: Source) -> Format | Unknown:
    if (recognised := _BY_KIND.get(source.kind or "")) is not None:
        return recognised(source)
    if source.kind == "csv":
        return _of_csv(source)
    header = open_table(source).header
    return FORMATS["yfinance"] if wide.of_header(header) else _of_header(source, header)


def _of_csv(source: Source) -> Format | Unknown:
    try:
        fields = first_fields(source, 3)
    except InputRefused:
        if source.name.endswith(".txt"):
            # Any text may be called so.
            return Unknown("text that is no table")
        raise
    if lean.is_quotes(source, fields):
        return Unknown("bids and offers, or open interest, in place of trades")
    if ticks.of_fields(source, fields[0]):
        return _TRADES
    if found := lean.of_lines(source, fields):
        return FORMATS[found]
    for name, detects in (("binance", arrays.of_lines), ("headless", headless.of_lines), ("yfinance", wide.of_lines)):
        if detects(fields):
            return FORMATS[name]
    return _of_header(source, fields[0])


def _of_header(source: Source, header: list[str]) -> Format | Unknown:
    if native.detects(header):
        return FORMATS["native"]
    if table.resembles(header):
        named = name_of(source)
        freqtrade = [each.lower() for each in header] == list(BAR) and source.kind != "csv"
        if freqtrade and arrays.no_trades(source):
            return _MARKS
        return FORMATS["freqtrade" if freqtrade and named.symbol and named.interval else "table"]
    if wide.of_header(header):
        return FORMATS["yfinance"]
    looks = f"a table of {', '.join(each[:20] for each in header[:8])}"
    if table.hints(header):
        return Unknown(looks, "prices")
    return Unknown(looks, "agents" if native.resembles(header) else None)


def _of_lines(source: Source) -> Format | Unknown:
    first = source.first_object()
    if ai_trader.detects(first):
        return FORMATS["ai-trader"]
    if objects.is_alpha_vantage(first):
        return FORMATS["alpha-vantage"]
    if ai_hedge_fund_v2.detects(first):
        return FORMATS["ai-hedge-fund-v2"]
    return _of_header(source, list(first))


def _of_document(source: Source) -> Format | Unknown:
    document = source.json
    if name := arrays.of_arrays(document):
        return _MARKS if arrays.no_trades(source) else FORMATS[name]
    for name, detects in _DOCUMENTS:
        if detects(document):
            return FORMATS[name]
    if isinstance(document, list) and document and isinstance(document[0], dict) and native.detects(list(document[0])):
        return FORMATS["native"]
    if isinstance(document, dict):
        return Unknown(f"an object of {', '.join(str(each)[:20] for each in list(document)[:8]) or 'nothing'}")
    return Unknown(f"JSON that is {'an array' if isinstance(document, list) else 'no array or object'}")


_DOCUMENTS: tuple[tuple[str, Callable[[object], bool]], ...] = (
    ("alpha-vantage", objects.is_alpha_vantage),
    ("bybit", exchanges.is_bybit),
    ("okx", exchanges.is_okx),
    ("kraken", exchanges.is_kraken),
    ("series", series.is_series),
    ("ai-hedge-fund-v2", ai_hedge_fund_v2.detects),
    ("ai-hedge-fund", ai_hedge_fund.detects),
    ("tradingagents", tradingagents.detects),
    ("tradingagents-cn", tradingagents_cn.detects),
    ("rows", objects.is_rows),
)
"""What tells a JSON document's format, the most particular first."""


def _of_markdown(source: Source) -> Format | Unknown:
    source.lines(1)
    return FORMATS["tradingagents-reports"] if tradingagents_reports.detects(source) else Unknown("Markdown of no known ticker")


_BY_KIND: Mapping[str, Callable[[Source], Format | Unknown]] = {
    "json": _of_document,
    "lines": _of_lines,
    "markdown": _of_markdown,
}
