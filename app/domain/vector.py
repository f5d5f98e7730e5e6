"""The hybrid vector: its names, their order, its schema fingerprint, and the two records it is stored as.

A symbol has two records because its inputs age differently: a `PriceRecord` (refreshed with every bar) and an
`AgentRecord` (refreshed whenever agents ran). A `HistoryRecord` stands beside the price record and decides nothing. Times are
integer milliseconds since the Unix epoch, UTC.
"""

import hashlib
import math
import re
from itertools import pairwise
from typing import Literal, get_args

import msgspec

PRICE_FEATURES: tuple[str, ...] = (
    "close",
    "return_1",
    "return_5",
    "return_20",
    "rsi_14",
    "macd",
    "macd_signal",
    "macd_histogram",
    "atr_14",
    "sma_ratio_20_50",
    "bollinger_position_20",
    "realised_volatility_20",
    "ewma_volatility_33",
    "volume_z_20",
    "range_position_20",
    "drawdown_60",
)
"""Price indicators, in the order of the vector. Definitions and units: ARCHITECTURE.md, "Indicators"."""

PRICE_STATE: tuple[str, ...] = (
    "close_lag_4",
    "close_lag_19",
    "mean_19",
    "squares_19",
    "mean_49",
    "gain_14",
    "loss_14",
    "ema_12",
    "ema_26",
    "high_19",
    "low_19",
    "peak_59",
)
"""What `live.step` needs to carry the indicators one bar on, to a live price, without the bars themselves.

``close_lag_n`` is the close n bars before the last one; ``mean_n`` and ``squares_n`` are the mean and the sum of squared
deviations of the last n closes; ``gain_14`` and ``loss_14`` are Wilder's averages behind RSI; ``high_19`` and ``low_19`` are
the extremes of the last 19 bars, ``peak_59`` the highest of the last 59 closes.
"""

PRICE_NAMES: tuple[str, ...] = PRICE_FEATURES + PRICE_STATE

AGENT_FEATURES: tuple[str, ...] = (
    "agents_view",
    "agents_agreement",
    "agents_used",
    "agents_abstained",
    "agents_failed",
)
"""Agents' part of the vector. It depends on the time of asking, so it is computed from the views when a decision is made."""

AGENT_VIEW_FIELDS: tuple[str, ...] = (
    "agent",
    "status",
    "view",
    "confidence",
    "as_of_ms",
    "model",
    "reasoning",
    "reason",
    "source",
    "input_hash",
)

DUE_BARS = 5
"""How many bars a `PriceRecord` knows the ends of in advance."""

HISTORY_FIELDS: tuple[str, ...] = (
    "as_of_ms",
    "loaded_at_ms",
    "run",
    "symbol",
    "interval_s",
    "times_ms",
    "closes",
    "bars",
    "is_of_store",
)

ViewStatus = Literal["view", "summary", "abstained", "failed"]
"""What an agent's word is. A *summary* is a view that sums up others of the record: it is shown, not averaged."""


def fingerprint(*names: object) -> str:
    """Of names and their order: 16 hex digits. A stored record with another one than its kind's is never read as of that kind."""
    return hashlib.sha256(repr(names).encode()).hexdigest()[:16]


SCHEMA: str = fingerprint("decide-record-2", PRICE_NAMES, AGENT_FEATURES, AGENT_VIEW_FIELDS, get_args(ViewStatus))
"""Fingerprint of the hybrid vector, which answers name. Earlier versions stored both records under it."""

PRICE_SCHEMA: str = fingerprint("decide-price-1", PRICE_NAMES, DUE_BARS)
AGENTS_SCHEMA: str = fingerprint("decide-agents-1", AGENT_VIEW_FIELDS, get_args(ViewStatus))
"""Each record has a fingerprint of its own: when one changes, the others need not be warmed again."""

HISTORY_BARS = 120
"""Closes that a `HistoryRecord` has at most."""

HISTORY_SCHEMA: str = fingerprint("decide-history-2", HISTORY_FIELDS)
HISTORY_SCHEMA_1: str = fingerprint("decide-history-1", HISTORY_FIELDS[:-2])
"""Without ``bars`` and ``is_of_store``."""

BARS_MAX = 1_000
"""Bars beyond these change no indicator's first 15 digits."""

SYMBOL_MAX = 32
SYMBOL_PATTERN = r"^[A-Z0-9^][A-Z0-9._:/=^&-]{0,31}$"
SYMBOL_RULE = "1 to 32 of A-Z 0-9 . _ : / = ^ & -, beginning with a letter, a digit or ^"
REASONING_MAX = 280
"""Characters of an agent's reasoning that a record keeps."""

VIEWS_MAX = 100
"""Agents of one symbol that a decision looks at: it takes 0.8 µs for each."""

AS_OF_MAX_MS = 221_845_392_000_000
"""Year 9000: every stored time lies between 1970 and here, so that none of them fails to be shown as a date."""

DUE_MAX_MS = 10 * 366 * 86_400_000
"""No bar takes years; and what is shown of these times has to be a date too."""

is_symbol = re.compile(SYMBOL_PATTERN).fullmatch


class AgentView(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One agent's latest word on a symbol.

    ``view`` lies in [-1, 1] and is null unless ``status`` is ``view`` or ``summary``; ``confidence`` lies in [0, 1], null where
    the agent gave none; ``reason`` says why it abstained or failed; ``source`` is the file it came from and ``input_hash`` its
    tool's hash of the prompt or of the data it was asked about. Field order is `AGENT_VIEW_FIELDS`.
    """

    agent: str
    status: ViewStatus
    view: float | None
    confidence: float | None
    as_of_ms: int
    model: str | None = None
    reasoning: str | None = None
    reason: str | None = None
    source: str | None = None
    input_hash: str | None = None


class RecordHeader(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The first four elements of every stored record; enough to tell its version, its age and its run."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str


class ValueHeader(RecordHeader, array_like=True, frozen=True, gc=False):
    """What a record of a kind whose changes carry its value begins with. Of two with one ``as_of_ms`` the one with the higher
    ``sequence`` is newer; it is below 2**53.
    """

    sequence: int


class PriceRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A symbol's price indicators after its last complete bar.

    ``values`` follows `PRICE_NAMES`; null means "not enough bars". ``interval_s`` is the bar's length in seconds. ``due_ms`` says
    when the `DUE_BARS` bars after it are over, by the calendar of its market.
    """

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    symbol: str
    interval_s: int
    values: tuple[float | None, ...]
    due_ms: tuple[int, ...]


class AgentRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The latest word of each agent on a symbol; ``as_of_ms`` is the newest view's."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    symbol: str
    views: tuple[AgentView, ...]


class HistoryRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A symbol's last closes, oldest first, as adjusted as its price record's own; ``times_ms`` are the ends of the bars.

    It belongs to the price record of the same ``as_of_ms`` and is replaced with it. That was made of so many ``bars``, at most
    `BARS_MAX` (0: not known); ``is_of_store``: they are the market store's. Field order is `HISTORY_FIELDS`.
    """

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    symbol: str
    interval_s: int
    times_ms: tuple[int, ...]
    closes: tuple[float, ...]
    bars: int = 0
    is_of_store: bool = False


def newest_views(views: tuple[AgentView, ...]) -> tuple[AgentView, ...]:
    """The `VIEWS_MAX` newest of ``views``, in their order, summaries last; of equal age the more confident ones, then by name."""
    if len(views) <= VIEWS_MAX:
        return views
    ranked = sorted(views, key=lambda each: (each.status == "summary", -each.as_of_ms, -(each.confidence or 0.0), each.agent))
    kept = {id(each) for each in ranked[:VIEWS_MAX]}
    return tuple(each for each in views if id(each) in kept)


def price_record_fault(record: PriceRecord) -> str | None:
    """What is wrong with a decoded price record, or None. Types are already checked; counts and ranges are not."""
    if len(record.values) != len(PRICE_NAMES):
        return f"{len(record.values)} values where the schema has {len(PRICE_NAMES)}"
    # What is not finite makes the sum so too. A sum may also overflow by itself, so it only says whether to look closer.
    if not math.isfinite(sum(filter(None, record.values))):
        for name, value in zip(PRICE_NAMES, record.values, strict=True):
            if value is not None and not math.isfinite(value):
                return f"{name} is {value}, not a finite number"
    if not 0 <= record.as_of_ms < AS_OF_MAX_MS:
        return f"as_of_ms is {record.as_of_ms}, outside the years 1970 to 9000"
    if record.interval_s <= 0:
        return f"interval_s is {record.interval_s}, not positive"
    if len(record.due_ms) != DUE_BARS:
        return f"due_ms has {len(record.due_ms)} times, not {DUE_BARS}"
    times_ms = [record.as_of_ms, *record.due_ms]
    if times_ms != sorted(set(times_ms)):
        return f"due_ms do not ascend from as_of_ms, {record.as_of_ms}"
    if record.due_ms[-1] - record.as_of_ms > DUE_MAX_MS:
        return f"due_ms runs to {record.due_ms[-1]}, more than ten years after as_of_ms, {record.as_of_ms}"
    return None


def agent_record_fault(record: AgentRecord) -> str | None:
    """What is wrong with a decoded agent record, or None."""
    if not 0 <= record.as_of_ms < AS_OF_MAX_MS:
        return f"as_of_ms is {record.as_of_ms}, outside the years 1970 to 9000"
    for each in record.views:
        if not 0 <= each.as_of_ms < AS_OF_MAX_MS:
            return f"as_of_ms is {each.as_of_ms}, outside the years 1970 to 9000"
        if each.as_of_ms > record.as_of_ms:
            return f"agent {each.agent!r} has a word of {each.as_of_ms}, newer than the record, which is of {record.as_of_ms}"
        if (each.status in ("view", "summary")) != (each.view is not None):
            return f"agent {each.agent!r} has status {each.status} and view {each.view}"
        if each.view is not None and not -1.0 <= each.view <= 1.0:
            return f"agent {each.agent!r} has view {each.view}, outside [-1, 1]"
        if each.confidence is not None and not 0.0 <= each.confidence <= 1.0:
            return f"agent {each.agent!r} has confidence {each.confidence}, outside [0, 1]"
    return None


def history_record_fault(record: HistoryRecord) -> str | None:
    """What is wrong with a decoded history record, or None."""
    times_ms, closes = record.times_ms, record.closes
    if not 1 <= len(times_ms) <= HISTORY_BARS:
        return f"{len(times_ms)} bars where 1 to {HISTORY_BARS} are allowed"
    if len(closes) != len(times_ms) or (record.bars and not len(times_ms) <= record.bars <= BARS_MAX):
        return f"{len(closes)} closes for {len(times_ms)} times, of {record.bars} bars where {BARS_MAX} are allowed"
    if any(later <= earlier for earlier, later in pairwise(times_ms)):
        return "times_ms do not ascend"
    if times_ms[0] < 0 or times_ms[-1] >= AS_OF_MAX_MS:
        return f"times_ms run from {times_ms[0]} to {times_ms[-1]}, outside the years 1970 to 9000"
    if times_ms[-1] != record.as_of_ms:
        return f"as_of_ms is {record.as_of_ms}, not the last bar's {times_ms[-1]}"
    if not all(map(math.isfinite, closes)):
        return "a close is not a finite number"
    if record.interval_s <= 0:
        return f"interval_s is {record.interval_s}, not positive"
    return None
