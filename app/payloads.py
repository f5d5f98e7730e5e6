"""Every request and response: the HTTP contract in one place. A leaf: it imports nothing of the project.

Numbers without a unit in their name are ratios. Times are ISO 8601 in UTC.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Symbol = Annotated[
    str,
    Meta(min_length=1, max_length=32, description="Loaded symbol in any usual spelling: aapl, BRK-B, BTC/USDT."),
]
Price = Annotated[float, Meta(gt=0, le=1e12, description="Live price; indicators that depend on the last close follow it.")]
MaxAge = Annotated[float, Meta(ge=0, le=1e10, description="Inputs older than this many seconds count as missing.")]
Deadline = Annotated[float, Meta(gt=0, le=60_000, description="Milliseconds within which an answer must come.")]

Status = Literal["present", "stale", "missing", "error"]


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
    schema: str


class PriceInput(msgspec.Struct, frozen=True, gc=False):
    """State of the price input; ``age_s`` is null if there is none."""

    status: Status
    age_s: float | None


class AgentsInput(msgspec.Struct, frozen=True, gc=False):
    """State of the agents' input: how many views were used, how many agents abstained, how many failed."""

    status: Status
    age_s: float | None
    used: int
    abstained: int
    failed: int


class Inputs(msgspec.Struct, frozen=True, gc=False):
    """What the decision rests on."""

    price: PriceInput
    agents: AgentsInput


class CacheInfo(msgspec.Struct, frozen=True, gc=False):
    """Which tier served the inputs. ``hit`` is true for L1 only; ``age_ms`` is the time since they were read from L2; ``run``
    is the warm run that wrote them.
    """

    hit: bool
    tier: Literal["l1", "l2", "none"]
    age_ms: float
    run: str | None


class Fallback(msgspec.Struct, frozen=True, gc=False):
    """How far down the ladder the decision had to go, and why."""

    used: bool
    level: Literal["none", "stale", "price_only", "agents_only", "neutral"]
    reason: str | None


class View(msgspec.Struct, frozen=True, gc=False):
    """One agent's latest word, with a bounded excerpt of its reasoning."""

    agent: str
    status: Literal["view", "abstained", "failed"]
    view: float | None
    confidence: float | None
    as_of: str
    model: str | None
    reasoning: str | None
    reason: str | None
    source: str | None
    input_hash: str | None


class DecideResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to POST /decide: for ``symbol``, the canonical spelling of what was ``requested``. ``contributions`` and ``views``
    come only with ``explain``.
    """

    id: str
    symbol: str
    requested: str
    action: Literal["buy", "sell", "hold"]
    score: float
    confidence: float
    target_weight: float
    as_of: str | None
    expires_at: str | None
    model: Model
    inputs: Inputs
    cache: CacheInfo
    fallback: Fallback
    latency_ms: float
    contributions: dict[str, float] | UnsetType = UNSET
    views: tuple[View, ...] | UnsetType = UNSET


class ProblemBody(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """RFC 9457 problem details. ``type`` is stable; ``field`` names the part of the request that is wrong."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    request_id: str | None = None


class BatchItem(msgspec.Struct, frozen=True, gc=False):
    """One answer of a batch: a decision or a problem, never both."""

    symbol: str
    decision: DecideResponse | None
    problem: ProblemBody | None


class BatchResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to POST /decide/batch: one element for each asked, in order."""

    answers: tuple[BatchItem, ...]
    decided: int
    failed: int
    latency_ms: float


class FeaturesResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /features/{symbol}: the hybrid vector as it is now. A null value had not enough bars or no views."""

    symbol: str
    requested: str
    schema: str
    names: tuple[str, ...]
    values: tuple[float | None, ...]
    price_as_of: str | None
    agents_as_of: str | None
    inputs: Inputs
    cache: CacheInfo
    views: tuple[View, ...]


class SymbolsResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /symbols: a page of the loaded universe in alphabetical order; ``total`` counts all of it."""

    symbols: tuple[str, ...]
    total: int
    next_after: str | None
    run: str | None


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


class LiveStats(msgspec.Struct, frozen=True, gc=False):
    """One event of GET /live: one worker's numbers. Rates and percentiles are of the last ``window_s`` seconds, 10 once somebody
    has watched for so long. Percentiles are those of POST /decide, interpolated in the buckets of
    ``decide_request_duration_seconds`` as Prometheus' histogram_quantile does; they, and hit rates, are null without requests.
    """

    worker: int
    version: str
    uptime_s: float
    run: str | None
    window_s: float
    requests_per_s: float
    decisions_per_s: float
    hit_rate: float | None
    hit_rate_since_start: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    l1_entries: int
    in_flight: int
    feed_connected: bool
    feed_lag_s: float


class ReadyResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /livez and /readyz."""

    status: Literal["ok", "not_ready"]
    reason: str | None = None


class StoreState(msgspec.Struct, frozen=True, gc=False):
    """L2 as this worker sees it."""

    kind: str
    state: Literal["ok", "unreachable"]
    detail: str | None = None


class HealthResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /health: for people, not for probes."""

    status: Literal["ok", "degraded", "not_ready"]
    ready: bool
    store: StoreState
    feed_connected: bool
    run: str | None
    data_age_s: float | None


class RunState(msgspec.Struct, frozen=True, gc=False):
    """The warm run that L2 holds."""

    run: str
    warmed_at: str
    newest_as_of: str
    symbols: int
    bars: int
    bytes: int


class L1State(msgspec.Struct, frozen=True, gc=False):
    """The in-process tier; ``hit_rate`` is null before the first request."""

    entries: int
    max_entries: int
    unknown_entries: int
    evictions: int
    hits: int
    misses: int
    hit_rate: float | None


class StatusResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /status."""

    version: str
    uptime_s: float
    now: str
    clock: str
    ready: bool
    run: RunState | None
    store: StoreState
    l1: L1State
    pending_loads: int
    in_flight: int
    settings: dict[str, object]


class VersionResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /version."""

    name: str
    version: str
    model: Model
    python: str
