"""Records for tests, with every value given or plain."""

from decimal import Decimal
from typing import Any

import msgspec

from app.domain.evidence import Evidence, Trouble
from app.domain.status import STATUS_SCHEMA, SourceHeard, StatusRecord
from app.domain.ticks import TickRecord, tick_of
from app.domain.trades import Trade
from app.domain.vector import (
    AGENTS_SCHEMA,
    DUE_BARS,
    HISTORY_SCHEMA,
    PRICE_NAMES,
    PRICE_SCHEMA,
    AgentRecord,
    AgentView,
    HistoryRecord,
    PriceRecord,
)
from app.store.codec import encode
from app.store.protocol import Record, Row, RunInfo, Stored, Written

AS_OF_MS = 1_362_171_600_000
"""2013-03-01T21:00:00Z, the sample's last close."""

PLAIN_VALUES: dict[str, float] = {
    "close": 100.0,
    "return_1": 0.01,
    "return_5": 0.02,
    "return_20": 0.05,
    "rsi_14": 58.0,
    "macd": 1.2,
    "macd_signal": 0.9,
    "macd_histogram": 0.3,
    "atr_14": 2.0,
    "sma_ratio_20_50": 1.02,
    "bollinger_position_20": 0.7,
    "realised_volatility_20": 0.25,
    "ewma_volatility_33": 0.28,
    "volume_z_20": 0.4,
    "range_position_20": 0.8,
    "drawdown_60": -0.03,
    "close_lag_4": 98.0,
    "close_lag_19": 95.0,
    "mean_19": 98.5,
    "squares_19": 60.0,
    "mean_49": 96.5,
    "gain_14": 0.6,
    "loss_14": 0.43,
    "ema_12": 99.0,
    "ema_26": 97.8,
    "high_19": 103.0,
    "low_19": 92.0,
    "peak_59": 103.0,
}


def price_record(symbol: str = "AAPL", as_of_ms: int = AS_OF_MS, run: str = "run-1", **values: float | None) -> PriceRecord:
    """A price record of a rising symbol; ``values`` replace single ones."""
    merged: dict[str, float | None] = {**PLAIN_VALUES, **values}
    # Of a Friday's close: the next sessions are Monday's to Friday's.
    due_ms = tuple(as_of_ms + 86_400_000 * days for days in range(3, 3 + DUE_BARS))
    ordered = tuple(merged[name] for name in PRICE_NAMES)
    return PriceRecord(PRICE_SCHEMA, as_of_ms, as_of_ms + 1000, run, symbol, 86_400, ordered, due_ms)


def agent_view(
    agent: str = "agent_a", view: float | None = 0.6, as_of_ms: int = AS_OF_MS, confidence: float | None = 0.8
) -> AgentView:
    """A view; None means that the agent abstained."""
    return AgentView(
        agent,
        "abstained" if view is None else "view",
        view,
        confidence if view is not None else None,
        as_of_ms,
        "test-model",
        "because",
    )


def failed_view(agent: str = "agent_f", as_of_ms: int = AS_OF_MS) -> AgentView:
    """A failed agent run."""
    return AgentView(agent, "failed", None, None, as_of_ms, reason="timeout")


def agent_record(
    symbol: str = "AAPL", as_of_ms: int = AS_OF_MS, run: str = "run-1", views: tuple[AgentView, ...] | None = None
) -> AgentRecord:
    """An agent record; by default two views and an abstention."""
    if views is None:
        views = (
            agent_view("agent_a", 0.6, as_of_ms),
            agent_view("agent_b", 0.2, as_of_ms),
            agent_view("agent_c", None, as_of_ms),
        )
    return AgentRecord(AGENTS_SCHEMA, as_of_ms, as_of_ms + 1000, run, symbol, views)


def history_record(symbol: str = "AAPL", as_of_ms: int = AS_OF_MS, run: str = "run-1", bars: int = 40) -> HistoryRecord:
    """A history of daily closes that ends with the plain price record's; fewer ``bars`` where time does not reach back so far."""
    times_ms = tuple(as_of_ms - 86_400_000 * back for back in reversed(range(bars)) if back * 86_400_000 <= as_of_ms)
    closes = tuple(100.0 - 0.5 * back - 2.0 * (back % 3) for back in reversed(range(len(times_ms))))
    return HistoryRecord(HISTORY_SCHEMA, as_of_ms, as_of_ms + 1000, run, symbol, 86_400, times_ms, closes)


def tick_record(
    symbol: str = "AAPL",
    as_of_ms: int = AS_OF_MS,
    price: str = "101.25",
    size: str = "3",
    *,
    micros: int = 0,
    source: str = "a-file",
    **facts: Any,  # noqa: ANN401 - as `tick_of` has them
) -> TickRecord:
    """The record of a trade so many microseconds after ``as_of_ms``; ``facts`` are those of `tick_of`."""
    trade = Trade("nasdaq", symbol, "7", as_of_ms * 1000 + micros, Decimal(price), Decimal(size), "7", "buy", source)
    return tick_of(trade, loaded_at_ms=as_of_ms + 1000, **facts)


def tick(
    symbol: str = "AAPL",
    as_of_ms: int = AS_OF_MS,
    price: str = "101.25",
    **facts: Any,  # noqa: ANN401 - as `tick_record` has them
) -> Record:
    """One of them, to be upserted."""
    return Record("tick", symbol, encode(tick_record(symbol, as_of_ms, price, **facts)))


def row(symbol: str = "AAPL", as_of_ms: int = AS_OF_MS, run: str = "run-1") -> Row:
    """All records of a symbol, ready to publish."""
    return make_row(
        symbol,
        as_of_ms,
        encode(price_record(symbol, as_of_ms, run)),
        as_of_ms,
        encode(agent_record(symbol, as_of_ms, run)),
        encode(history_record(symbol, as_of_ms, run)),
    )


def make_row(
    symbol: str,
    price_as_of_ms: int | None,
    price: bytes | None,
    agents_as_of_ms: int | None,
    agents: bytes | None,
    history: bytes | None = None,
) -> Row:
    """A row of these, without those that are None."""
    found = {"price": (price_as_of_ms, price), "agents": (agents_as_of_ms, agents), "history": (price_as_of_ms, history)}
    return Row(symbol, {kind: Written(as_of_ms or 0, value) for kind, (as_of_ms, value) in found.items() if value is not None})


def replaced(some: Row, **values: bytes | None) -> Row:
    """``some`` with these values of the same times, and without those that are None."""
    times = {kind: record.as_of_ms for kind, record in some.records.items()}
    records = {kind: Written(times[kind], value) for kind, value in values.items() if value is not None}
    return Row(some.symbol, {kind: record for kind, record in some.records.items() if kind not in values} | records)


def raw_of(some: Row | Stored, kind: str) -> bytes | None:
    """The record of this kind, None if there is none."""
    found = some.records.get(kind)
    return found.value if isinstance(found, Written) else found


def stored(price: bytes | None, agents: bytes | None) -> Stored:
    """What L2 holds of a known symbol."""
    records = {"price": price, "agents": agents}
    return Stored(known=True, records={kind: value for kind, value in records.items() if value is not None})


def evidence_of(
    price: PriceRecord | None,
    agents: AgentRecord | None,
    price_trouble: Trouble | None = None,
    agents_trouble: Trouble | None = None,
    tick: TickRecord | None = None,
) -> Evidence:
    """Evidence of both inputs, and of the last trade."""
    return Evidence((price, agents, tick), (price_trouble, agents_trouble, "absent" if tick is None else None))


def run_info(run: str = "run-1", as_of_ms: int = AS_OF_MS, symbols: int = 1) -> RunInfo:
    """Info of a run."""
    return RunInfo(run=run, warmed_at_ms=as_of_ms + 1000, newest_as_of_ms=as_of_ms, symbols=symbols, bars=100, bytes=1000)


def heard(source: str = "coinbase", heard_ms: int = AS_OF_MS, trades: int = 5) -> SourceHeard:
    """A source of a stream's status."""
    return SourceHeard(source, heard_ms, AS_OF_MS, 7, trades)


def status_record(**fields: Any) -> StatusRecord:  # noqa: ANN401 - the record's
    """A stream that runs, a little behind; other ``fields`` by name."""
    record = StatusRecord(
        STATUS_SCHEMA,
        AS_OF_MS,
        AS_OF_MS + 1000,
        "",
        AS_OF_MS + 1000,
        "running",
        "",
        "sqlite",
        AS_OF_MS,
        7,
        0.5,
        AS_OF_MS,
        (heard(),),
    )
    return msgspec.structs.replace(record, **fields)
