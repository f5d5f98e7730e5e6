"""Every request and response: the HTTP contract in one place (what streams send is in `app.messages`). A leaf: it imports nothing
of the project.

Numbers without a unit in their name are ratios. Times are ISO 8601 in UTC.
"""

from functools import cache
from typing import Annotated, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

Symbol = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=32,
        description="Loaded symbol in any usual spelling: aapl, BRK-B, BTC/USDT.",
        examples=["AAPL", "brk-b", "BTC/USDT"],
    ),
]
Price = Annotated[float, Meta(gt=0, le=1e12, description="Live price; indicators that depend on the last close follow it.")]
MaxAge = Annotated[float, Meta(ge=0, le=1e10, description="Inputs older than this many seconds count as missing.")]
Deadline = Annotated[float, Meta(gt=0, le=60_000, description="Milliseconds within which an answer must come.")]

# What answers hold. Nobody decodes them on the way out, so that these bounds cost nothing; they tell callers what to expect.
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Count = Annotated[int, Meta(ge=0)]
Signed = Annotated[float, Meta(ge=-1, le=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Age = Annotated[float, Meta(ge=0)]
Latency = Annotated[float, Meta(ge=0, description="Milliseconds from the request's head to its answer.")]
Canonical = Annotated[str, Meta(min_length=1, max_length=32, description="The symbol as the universe spells it.")]
Spelled = Annotated[str, Meta(description="The symbol as the caller spelled it.")]
Run = Annotated[str, Meta(description="The warm run that the data is of.")]
Fingerprint = Annotated[
    str,
    # Told to callers, and not asked of answers: theirs is to compare it, whatever it looks like.
    Meta(extra_json_schema={"pattern": "^[0-9a-f]{16}$"}, description="Fingerprint of the vector's names and their order."),
]
Setting = Annotated[object, Meta(extra_json_schema={"type": ["string", "number"]})]

Status = Literal["present", "stale", "missing", "error"]
Coverage = Literal["complete", "gap", "backfilled", "partial", "open", "quiet"]
Action = Literal["buy", "sell", "hold"]
Digits = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "number"}, description="With its source's own digits.")]
DigitsOrNull = Annotated[
    msgspec.Raw,
    Meta(extra_json_schema={"type": ["number", "null"]}, description="With its source's own digits."),
]


class DecideRequest(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Body of POST /decide, and one element of a batch's ``requests``."""

    symbol: Symbol
    price: Price | None = None
    max_age_s: MaxAge | None = None
    explain: bool = False
    deadline_ms: Deadline | None = None


class BatchRequest(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Body of POST /decide/batch: either ``symbols``, with options for all of them, or ``requests``."""

    symbols: tuple[Symbol, ...] | UnsetType = UNSET
    requests: tuple[DecideRequest, ...] | UnsetType = UNSET
    max_age_s: MaxAge | None = None
    explain: bool = False
    deadline_ms: Deadline | None = None


class Model(msgspec.Struct, frozen=True, gc=False):
    """Which policy decided, over which vector."""

    name: str
    version: str
    schema: Fingerprint


class PriceInput(msgspec.Struct, frozen=True, gc=False):
    """State of the price input; ``age_s`` is null without one, ``live_price_ignored`` says why the request's was not used."""

    status: Status
    age_s: Age | None
    live_price_ignored: str | UnsetType = UNSET


class AgentsInput(msgspec.Struct, frozen=True, gc=False):
    """State of the agents' input: how many views were used, how many agents abstained, how many failed."""

    status: Status
    age_s: Age | None
    used: Count
    abstained: Count
    failed: Count


class InputState(msgspec.Struct, frozen=True, gc=False):
    """State of an input of which there is no more to say; ``age_s`` is null without one."""

    status: Status
    age_s: Age | None


class TickInput(msgspec.Struct, frozen=True, gc=False):
    """The last trade, which carries the price on where the request has none; ``unused`` says why it does not. ``age_s`` and what
    the trade says are null where it cannot be read; ``coverage`` is of the time up to now.
    """

    status: Status
    age_s: Age | None
    price: DigitsOrNull
    source: str | None
    coverage: Coverage | None
    unused: Annotated[str, Meta(examples=["older_than_bars", "market_closed"])] | UnsetType = UNSET


class Inputs(msgspec.Struct, frozen=True, gc=False):
    """What the decision rests on. Without a ``tick`` no last trade of the symbol is known."""

    price: PriceInput
    agents: AgentsInput
    tick: TickInput | UnsetType = UNSET


@cache
def inputs_type(names: tuple[str, ...]) -> type[Inputs]:
    """`Inputs` with an `InputState` for each of ``names`` behind those that it has."""
    more = [(name, InputState | UnsetType, UNSET) for name in names]
    return cast("type[Inputs]", msgspec.defstruct("Inputs", more, bases=(Inputs,), frozen=True, gc=False)) if more else Inputs


class CacheInfo(msgspec.Struct, frozen=True, gc=False):
    """Which tier served the inputs. ``hit`` is true for L1 only; ``age_ms`` is the time since they were read from L2; ``run``
    is the warm run that wrote them.
    """

    hit: bool
    tier: Literal["l1", "l2", "none"]
    age_ms: Age
    run: Run | None


class Fallback(msgspec.Struct, frozen=True, gc=False):
    """How far down the ladder the decision had to go, and why."""

    used: bool
    level: Literal["none", "stale", "price_only", "agents_only", "neutral"]
    reason: str | None


class View(msgspec.Struct, frozen=True, gc=False):
    """One agent's latest word, with a bounded excerpt of its reasoning. A ``summary`` sums up other views and is not averaged."""

    agent: str
    status: Literal["view", "summary", "abstained", "failed"]
    view: Signed | None
    confidence: Share | None
    as_of: Moment
    model: str | None
    reasoning: str | None
    reason: str | None
    source: str | None
    input_hash: str | None


class DecideResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to POST /decide: for ``symbol``, the canonical spelling of what was ``requested``. ``contributions`` and ``views``
    come only with ``explain``.
    """

    id: Annotated[str, Meta(extra_json_schema={"format": "uuid"}, description="UUIDv7 of this decision.")]
    symbol: Canonical
    requested: Spelled
    action: Action
    score: Annotated[float, Meta(ge=-1, le=1, description="From sell (-1) over nothing (0) to buy (1).")]
    confidence: Annotated[float, Meta(ge=0, le=1, description="How far the evidence points one way, and how fresh it is.")]
    target_weight: Annotated[float, Meta(ge=-0.5, le=0.5, description="Share of the portfolio; 0 for a hold.")]
    as_of: Annotated[Moment, Meta(description="Time of the newest input used; null if none was.")] | None
    expires_at: Annotated[Moment, Meta(description="When the first of the inputs used turns stale.")] | None
    model: Model
    inputs: Inputs
    cache: CacheInfo
    fallback: Fallback
    latency_ms: Latency
    contributions: dict[str, float] | UnsetType = UNSET
    views: tuple[View, ...] | UnsetType = UNSET


class ProblemBody(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """RFC 9457 problem details. ``type`` is stable; ``field`` names the part of the request that is wrong."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    field: str | None = None
    request_id: str | None = None


class BatchItem(msgspec.Struct, frozen=True, gc=False):
    """One answer of a batch: a decision or a problem, never both."""

    symbol: Annotated[str, Meta(description="Canonical, or as the caller spelled it where it is no symbol.")]
    decision: DecideResponse | None
    problem: ProblemBody | None


class BatchResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to POST /decide/batch: one element for each asked, in order."""

    answers: tuple[BatchItem, ...]
    decided: Count
    failed: Count
    latency_ms: Latency


class FeaturesResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /features/{symbol}: the hybrid vector as it is now. A null value had not enough bars or no views."""

    symbol: Canonical
    requested: Spelled
    schema: Fingerprint
    names: tuple[str, ...]
    values: tuple[float | None, ...]
    price_as_of: Moment | None
    agents_as_of: Moment | None
    inputs: Inputs
    cache: CacheInfo
    views: tuple[View, ...]


class BarsKind(msgspec.Struct, frozen=True, gc=False):
    """Bars that the market store holds."""

    interval: str
    source: str


class SymbolDetails(msgspec.Struct, frozen=True, gc=False):
    """What the market store says of a symbol; empty or null where it says nothing. ``market``: the exchange whose sessions count.
    ``loaded``: decisions are made on it. ``volume_day``: of the last 24 hours.
    """

    symbol: Canonical
    loaded: bool
    name: str
    market: str
    currency: str
    source: str
    last_trade_time: Moment | None
    volume_day: DigitsOrNull
    kinds: tuple[BarsKind, ...]


class SymbolsResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /symbols: a page of the loaded universe, with ``details`` also of the market store's symbols, in alphabetical
    order; ``total`` counts all of them.
    """

    symbols: tuple[Canonical, ...]
    total: Count
    next_after: Annotated[str, Meta(description="What the next page's ``after`` is; null on the last.")] | None
    run: Run | None
    details: tuple[SymbolDetails, ...] | UnsetType = UNSET


class HistoryResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /history/{symbol}: the last closes that its price record came from, oldest first, adjusted as that is.
    ``times`` are the ends of their bars, of ``interval_s`` seconds each; the last one is ``as_of``.
    """

    symbol: str
    requested: str
    interval_s: int
    times: tuple[str, ...]
    closes: tuple[float, ...]
    as_of: str
    run: str


class ReadyResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /livez and /readyz."""

    status: Literal["ok", "not_ready"]
    reason: str | None = None


class StoreState(msgspec.Struct, frozen=True, gc=False):
    """L2 as this worker sees it."""

    kind: str
    state: Literal["ok", "unreachable"]
    detail: str | None = None


class DatabaseState(msgspec.Struct, frozen=True, gc=False):
    """The market store as this worker sees it. ``unused``: there is none, and none is set. ``latency_ms`` of reading a row; null
    where none could be read.
    """

    kind: Literal["sqlite", "postgresql"]
    state: Literal["ok", "unreachable", "unused"]
    latency_ms: Age | None = None
    detail: str | None = None


class SourceState(msgspec.Struct, frozen=True, gc=False):
    """A source of live data: when it was heard last, the newest time that it told of, what it brought since the stream began."""

    source: str
    last_heard: Moment
    newest: Moment
    messages: Count
    trades: Count


class LogState(msgspec.Struct, frozen=True, gc=False):
    """The log of live data, as the process that reads it says ``age_s`` ago. ``silent``: it has said nothing for 30 s;
    ``waiting``: for what is away, ``detail`` says why; ``behind``: the last message that was read is over 60 s old (``lag_s``).
    ``last_ingestion`` is when trades were last stored, null: not since it began.
    """

    kind: str
    state: Literal["ok", "behind", "waiting", "silent", "stopped"]
    age_s: Age
    lag_messages: Count
    lag_s: Age
    last_ingestion: Moment | None
    sources: tuple[SourceState, ...]
    detail: str | None = None


class HealthResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /health: for people, not for probes. ``reason`` says what is wrong, null if ``status`` is ok. ``log`` is null
    where nobody brings live data.
    """

    status: Literal["ok", "degraded", "not_ready"]
    ready: bool
    store: StoreState
    feed_connected: bool
    run: Run | None
    data_age_s: Age | None
    database: DatabaseState
    reason: str | None = None
    log: LogState | None = None


class RunState(msgspec.Struct, frozen=True, gc=False):
    """The warm run that L2 holds."""

    run: Run
    warmed_at: Moment
    newest_as_of: Moment
    symbols: Count
    bars: Count
    bytes: Count


class L1State(msgspec.Struct, frozen=True, gc=False):
    """The in-process tier; ``hit_rate`` is null before the first request."""

    entries: Count
    max_entries: Count
    unknown_entries: Count
    evictions: Count
    hits: Count
    misses: Count
    hit_rate: Share | None


class StatusResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /status."""

    version: str
    uptime_s: Age
    now: Moment
    clock: Literal["wall", "replay"]
    ready: bool
    run: RunState | None
    store: StoreState
    database: DatabaseState
    l1: L1State
    pending_loads: Count
    in_flight: Count
    settings: dict[str, Setting]


class VersionResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /version."""

    name: Literal["decide"]
    version: str
    model: Model
    python: str
