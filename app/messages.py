"""What /stream, /ws and /live send and are sent, beside `app.payloads`; and problems, as they are sent."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.errors import Problem
from app.market_payloads import LatestPrice
from app.payloads import Action, DecideResponse, ProblemBody, Symbol

TYPE_PREFIX = "urn:decide:problem:"

ChangeId = Annotated[str, Meta(min_length=1, max_length=40, description="Id of an event, as /stream and /ws gave it.")]
INTERVAL_MS, INTERVAL_MAX_MS = 250, 60_000
IntervalMs = Annotated[
    int, Meta(ge=0, le=INTERVAL_MAX_MS, description="Milliseconds in which a symbol is told of at most once; 0: at each change.")
]
Previous = Annotated[
    Action | None,
    Meta(description="The action that the same subscriber was told before; null if it was told none, or the symbol was away."),
]


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


class LiveDecision(DecideResponse, frozen=True, gc=False, kw_only=True):
    """An event of /stream and /ws: what /decide answers, and the action before it."""

    previous: Previous


class Gone(msgspec.Struct, frozen=True, gc=False):
    """A followed symbol that is not, or no longer, in the loaded universe, as ``problem`` says; of prices (then its ``field`` is
    `prices`) also one without any. It stays followed: should it come, its decision or price does.
    """

    symbol: str
    requested: str
    previous: Previous
    problem: ProblemBody


class Subscribe(msgspec.Struct, frozen=True, gc=False, tag="subscribe", forbid_unknown_fields=True):
    """To /ws: follow the decisions on these symbols, or `*` alone: on all; and so ``prices``. Of each the newest comes at most
    once in ``interval_ms``. One of the two is there. With ``after``, an id seen before, only decisions that changed since come
    first.
    """

    symbols: tuple[Symbol, ...] | UnsetType = UNSET
    after: ChangeId | None = None
    prices: tuple[Symbol, ...] | UnsetType = UNSET
    interval_ms: IntervalMs = INTERVAL_MS


class Unsubscribe(msgspec.Struct, frozen=True, gc=False, tag="unsubscribe", forbid_unknown_fields=True):
    """To /ws: follow the decisions on these symbols, or `*` alone: on all, no longer; and so ``prices``."""

    symbols: tuple[Symbol, ...] | UnsetType = UNSET
    prices: tuple[Symbol, ...] | UnsetType = UNSET


class Ping(msgspec.Struct, frozen=True, gc=False, tag="ping", forbid_unknown_fields=True):
    """To /ws: answered with `Pong`."""


class Subscribed(msgspec.Struct, frozen=True, gc=False, tag="subscribed", omit_defaults=True):
    """From /ws: decisions on these symbols, canonical, are followed now, and these ``prices``; they come next."""

    symbols: tuple[str, ...]
    prices: tuple[str, ...] = ()


class Unsubscribed(msgspec.Struct, frozen=True, gc=False, tag="unsubscribed", omit_defaults=True):
    """From /ws: decisions on these symbols are not followed any more, and these ``prices``."""

    symbols: tuple[str, ...]
    prices: tuple[str, ...] = ()


class Decided(msgspec.Struct, frozen=True, gc=False, tag="decision"):
    """From /ws: a new decision. All changes up to ``id`` have been told; null where more of them are under way."""

    id: str | None
    decision: LiveDecision


class Priced(msgspec.Struct, frozen=True, gc=False, tag="price"):
    """From /ws: a new price, as GET /price/latest has it. It has no id: who comes back is told the newest."""

    id: None
    price: LatestPrice


class WentAway(msgspec.Struct, frozen=True, gc=False, tag="gone"):
    """From /ws: a followed symbol is not, or no longer, in the universe; ``id`` as in a decision."""

    id: str | None
    gone: Gone


class Heartbeat(msgspec.Struct, frozen=True, gc=False, tag="heartbeat"):
    """From /ws: nothing happened for a while; ``id`` as in a decision."""

    id: str | None


class Pong(msgspec.Struct, frozen=True, gc=False, tag="pong"):
    """From /ws: the answer to `Ping`."""


class Refused(msgspec.Struct, frozen=True, gc=False, tag="error"):
    """From /ws: the last message was not obeyed; nothing of it was done."""

    problem: ProblemBody


class Dropped(msgspec.Struct, frozen=True, gc=False, tag="dropped"):
    """The last word of /stream and /ws: why the server ends them. Connect again with the last id to go on."""

    reason: Literal["slow", "draining", "idle", "refused", "revoked", "failed"]
    detail: str


SocketRequest = Subscribe | Unsubscribe | Ping
SocketMessage = Subscribed | Unsubscribed | Decided | Priced | WentAway | Heartbeat | Pong | Refused | Dropped


def body_of(problem: Problem, request_id: str | None) -> ProblemBody:
    """The payload of ``problem``."""
    return ProblemBody(
        type=TYPE_PREFIX + problem.slug,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        field=problem.field,
        request_id=request_id,
    )
