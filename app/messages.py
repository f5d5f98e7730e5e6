"""What /stream, /ws and /live send and are sent, beside `app.payloads`; and problems, as they are sent."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.errors import Problem
from app.payloads import Action, DecideResponse, ProblemBody, Symbol

TYPE_PREFIX = "urn:decide:problem:"

ChangeId = Annotated[str, Meta(min_length=1, max_length=40, description="Id of an event, as /stream and /ws gave it.")]
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
    """A followed symbol that is not, or no longer, in the loaded universe, as ``problem`` says. It stays followed: should it
    come, its decision does.
    """

    symbol: str
    requested: str
    previous: Previous
    problem: ProblemBody


class Subscribe(msgspec.Struct, frozen=True, gc=False, tag="subscribe", forbid_unknown_fields=True):
    """To /ws: follow these symbols, or `*` alone: all. With ``after``, an id seen before, only what changed since comes first,
    and not all.
    """

    symbols: tuple[Symbol, ...]
    after: ChangeId | None = None


class Unsubscribe(msgspec.Struct, frozen=True, gc=False, tag="unsubscribe", forbid_unknown_fields=True):
    """To /ws: follow these symbols, or `*` alone: all, no longer."""

    symbols: tuple[Symbol, ...]


class Ping(msgspec.Struct, frozen=True, gc=False, tag="ping", forbid_unknown_fields=True):
    """To /ws: answered with `Pong`."""


class Subscribed(msgspec.Struct, frozen=True, gc=False, tag="subscribed"):
    """From /ws: these symbols, canonical, are followed now; their decisions come next."""

    symbols: tuple[str, ...]


class Unsubscribed(msgspec.Struct, frozen=True, gc=False, tag="unsubscribed"):
    """From /ws: these symbols are not followed any more."""

    symbols: tuple[str, ...]


class Decided(msgspec.Struct, frozen=True, gc=False, tag="decision"):
    """From /ws: a new decision. All changes up to ``id`` have been told; null where more of them are under way."""

    id: str | None
    decision: LiveDecision


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
SocketMessage = Subscribed | Unsubscribed | Decided | WentAway | Heartbeat | Pong | Refused | Dropped


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
