"""The table of operations: what the API can be asked, and everything it can answer. `app.routes.openapi` makes the document of
it; tests hold it against the routes that are served and the problems that the code raises.
"""

from typing import Literal

import msgspec

from app.domain.vector import SYMBOL_RULE
from app.messages import Dropped, Gone, LiveDecision, LiveStats
from app.observe.meters import CONTENT_TYPE as METRICS_TYPE
from app.observe.meters import OPEN_METRICS_CONTENT_TYPE as OPEN_METRICS_TYPE
from app.payloads import (
    BatchRequest,
    BatchResponse,
    DecideRequest,
    DecideResponse,
    FeaturesResponse,
    HealthResponse,
    HistoryResponse,
    ReadyResponse,
    StatusResponse,
    SymbolsResponse,
    VersionResponse,
)
from app.routes import examples as shown
from app.routes.events import MEDIA_TYPE as EVENTS_TYPE
from app.routes.examples import Examples

SPELLED_PATTERN = "^[A-Za-z0-9^][A-Za-z0-9._:/=^&-]{0,31}$"
"""What can be a symbol in any spelling: what `app.routes.deciding.canonical` lets pass."""

JSON = "application/json"
Schema = dict[str, object]
Body = type[msgspec.Struct] | Schema | None

SPELLED: Schema = {
    "type": "string",
    "pattern": SPELLED_PATTERN,
    "maxLength": 32,
    "minLength": 1,
    "examples": ["AAPL", "brk-b", "BTC/USDT"],
}

Need = Literal["decide", "read", "admin", "any", "none"]
"""The scope that a key must have where keys are wanted; any key will do; or none is ever wanted."""

_EVERYWHERE = ("bad-request", "method-not-allowed", "internal", "overloaded")
_OF_A_KEY = ("unauthorized", "keys-unavailable", "rate-limited")
_OF_A_SCOPE = (*_OF_A_KEY, "forbidden")
_OF_A_BODY = (
    "bad-json",
    "incomplete-body",
    "body-timeout",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
)
_NAMED_SYMBOL = "$response.body#/symbol"
_FIRST_SYMBOL = "$response.body#/symbols/0"


class Parameter(msgspec.Struct, frozen=True):
    """One in the path, the query or the head."""

    name: str
    place: Literal["path", "query", "header"]
    schema: Schema
    description: str
    required: bool = False


class Link(msgspec.Struct, frozen=True):
    """What an answer leads to: ``operation`` with these parameters, or with this body."""

    operation: str
    description: str
    parameters: dict[str, str] | None = None
    body: dict[str, str] | None = None


class Answer(msgspec.Struct, frozen=True):
    """One that is no problem; ``body`` is None where it has none. Where it is a stream, ``events`` say what their data is."""

    status: int
    description: str
    body: Body
    examples: Examples = {}
    headers: tuple[str, ...] = ()
    media_type: str = JSON
    other_media_type: str | None = None
    events: dict[str, type[msgspec.Struct]] = {}
    links: tuple[Link, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` is its operationId; ``problems`` are slugs of `app.routes.problem_kinds.KINDS`, beyond those that follow from what
    it ``needs`` and those that all can have. Whether it is ``limited``, its answers say what is left of the limit.
    """

    name: str
    method: Literal["get", "post"]
    path: str
    tag: Literal["decisions", "data", "server"]
    summary: str
    description: str
    needs: Need
    limited: bool = True
    answers: tuple[Answer, ...]
    problems: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    request: type[msgspec.Struct] | None = None
    request_examples: Examples = {}

    @property
    def slugs(self) -> tuple[str, ...]:
        """All problems that it can answer with."""
        of_keys = () if self.needs == "none" else _OF_A_KEY if self.needs == "any" else _OF_A_SCOPE
        return _EVERYWHERE + of_keys + self.problems


TAGS = {
    "decisions": "Buy, sell or hold, and what that rests on.",
    "data": "What is loaded.",
    "server": "How the server is, and what it is.",
}

_FEATURES_OF = Link("features", "The vector that the decision was made on.", {"symbol": _NAMED_SYMBOL})

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="decide",
        needs="decide",
        method="post",
        path="/decide",
        tag="decisions",
        summary="One decision",
        description=(
            "What to do with a symbol, from the agents' views and the indicators that were loaded for it. While L2 is away, or "
            "an input is old, the answer is still 200: `fallback` says what it rests on."
        ),
        request=DecideRequest,
        request_examples=shown.DECIDE_REQUESTS,
        answers=(
            Answer(
                200,
                "The decision.",
                DecideResponse,
                shown.DECISIONS,
                ("Cache-Status", "Server-Timing"),
                links=(_FEATURES_OF,),
            ),
        ),
        problems=(*_OF_A_BODY, "unknown-symbol"),
    ),
    Operation(
        name="decideBatch",
        needs="decide",
        method="post",
        path="/decide/batch",
        tag="decisions",
        summary="Many decisions",
        description=(
            "Either `symbols`, with options for all of them, or `requests`, each with its own. There is one answer for each, in "
            "order; a symbol that is wrong or unknown is a problem in its place, and the batch is 200 all the same."
        ),
        request=BatchRequest,
        request_examples=shown.BATCH_REQUESTS,
        answers=(Answer(200, "An answer for each asked.", BatchResponse, shown.BATCH, ("Server-Timing",)),),
        problems=_OF_A_BODY,
    ),
    Operation(
        name="features",
        needs="read",
        method="get",
        path="/features/{symbol}",
        tag="data",
        summary="A symbol's vector",
        description="The price features after the last complete bar, and the agents' as they are now.",
        parameters=(Parameter("symbol", "path", SPELLED, f"In any usual spelling: {SYMBOL_RULE}; small letters too."),),
        answers=(
            Answer(
                200,
                "The vector.",
                FeaturesResponse,
                shown.FEATURES,
                ("Cache-Status",),
                links=(Link("decide", "A decision on it.", body={"symbol": _NAMED_SYMBOL}),),
            ),
        ),
        problems=("invalid-request", "unknown-symbol"),
    ),
    Operation(
        name="symbols",
        needs="read",
        method="get",
        path="/symbols",
        tag="data",
        summary="The loaded universe",
        description="A page of it, in alphabetical order. The next page is the one after `next_after`.",
        parameters=(
            Parameter(
                "limit", "query", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000}, "Symbols on the page."
            ),
            Parameter("after", "query", {"type": "string", "default": ""}, "The page begins behind this symbol."),
        ),
        answers=(
            Answer(
                200,
                "The page.",
                SymbolsResponse,
                shown.SYMBOLS,
                links=(
                    Link("features", "The vector of the first symbol.", {"symbol": _FIRST_SYMBOL}),
                    Link("decide", "A decision on the first symbol.", body={"symbol": _FIRST_SYMBOL}),
                    Link("symbols", "The page behind the first symbol.", {"after": _FIRST_SYMBOL}),
                ),
            ),
        ),
        problems=("invalid-request", "store-unavailable"),
    ),
    Operation(
        name="history",
        needs="read",
        method="get",
        path="/history/{symbol}",
        tag="data",
        summary="A symbol's last closes",
        description="The closes that its price record was made of, 120 at most.",
        parameters=(Parameter("symbol", "path", SPELLED, f"In any usual spelling: {SYMBOL_RULE}; small letters too."),),
        answers=(Answer(200, "The closes, oldest first.", HistoryResponse, shown.HISTORY),),
        problems=("invalid-request", "unknown-symbol", "history-missing", "store-unavailable"),
    ),
    Operation(
        name="stream",
        needs="decide",
        method="get",
        path="/stream",
        tag="decisions",
        summary="Live decisions",
        description=(
            "Server-sent events without end: a `decision` (data: what `/decide` answers, and the `previous` action) for each "
            "symbol, and another whenever its inputs really change; `gone` where it is not in the universe, or leaves it; "
            "`dropped` with the reason, before the server ends it. "
            "Comments are signs of life. Whoever falls too far behind is dropped. "
            "`WS /ws` is the same with symbols that may change."
        ),
        parameters=(
            Parameter(
                "symbols",
                "query",
                {"type": "string", "minLength": 1},
                "By commas, in any usual spelling; or `*`, for all.",
                required=True,
            ),
            Parameter(
                "Last-Event-ID", "header", {"type": "string"}, "An event's id: what changed since comes first, in place of all."
            ),
        ),
        answers=(
            Answer(
                200,
                "Events.",
                {"type": "string"},
                shown.STREAM,
                media_type=EVENTS_TYPE,
                events={"decision": LiveDecision, "gone": Gone, "dropped": Dropped},
            ),
        ),
        problems=("invalid-request", "no-room-for-streams", "store-unavailable"),
    ),
    Operation(
        name="live",
        needs="read",
        method="get",
        path="/live",
        tag="server",
        summary="How this worker does, second by second",
        description="Server-sent events without end; data: `LiveStats`. For people who watch; programs scrape `/metrics`.",
        answers=(Answer(200, "Events.", {"type": "string"}, shown.LIVE, media_type=EVENTS_TYPE, events={"message": LiveStats}),),
        problems=("draining", "too-many-clients"),
    ),
    Operation(
        name="health",
        needs="any",
        limited=False,
        method="get",
        path="/health",
        tag="server",
        summary="The whole picture, for people",
        description="Always 200 while the server can say it. `reason` says what is wrong: L2, the feed, the data's age, or that"
        " most decisions of the last minute rest on no input. Probes are `/livez` and `/readyz`.",
        answers=(Answer(200, "How the server is.", HealthResponse, shown.HEALTH),),
    ),
    Operation(
        name="livez",
        needs="any",
        limited=False,
        method="get",
        path="/livez",
        tag="server",
        summary="Whether the process lives",
        description="For probes that restart it.",
        answers=(Answer(200, "The event loop turns.", ReadyResponse, shown.ALIVE),),
    ),
    Operation(
        name="readyz",
        needs="any",
        limited=False,
        method="get",
        path="/readyz",
        tag="server",
        summary="Whether it wants requests",
        description="For balancers. It does not depend on L2: an outage of it must not take all instances out at once.",
        answers=(
            Answer(200, "Data was loaded.", ReadyResponse, shown.ALIVE),
            Answer(503, "No data was loaded yet, or the worker is about to stop.", ReadyResponse, shown.NOT_READY),
        ),
    ),
    Operation(
        name="status",
        needs="admin",
        method="get",
        path="/status",
        tag="server",
        summary="What this worker holds and was told",
        description="The loaded run, both tiers and the settings; secrets only as set or not set.",
        answers=(Answer(200, "The worker's status.", StatusResponse, shown.STATUS),),
    ),
    Operation(
        name="version",
        needs="read",
        method="get",
        path="/version",
        tag="server",
        summary="What is running",
        description="The server, its policy and the fingerprint of its vector.",
        answers=(Answer(200, "Versions.", VersionResponse, shown.VERSIONS),),
    ),
    Operation(
        name="metrics",
        needs="read",
        limited=False,
        method="get",
        path="/metrics",
        tag="server",
        summary="Metrics",
        description="In Prometheus's text format, or in OpenMetrics, with exemplars, for those who accept that.",
        answers=(
            Answer(
                200, "Samples.", {"type": "string"}, shown.METRICS, media_type=METRICS_TYPE, other_media_type=OPEN_METRICS_TYPE
            ),
        ),
    ),
    Operation(
        name="openapi",
        needs="none",
        limited=False,
        method="get",
        path="/openapi.json",
        tag="server",
        summary="This document",
        description="OpenAPI 3.1.",
        parameters=(
            Parameter("If-None-Match", "header", {"type": "string"}, "An ETag; while the document is still that one: 304."),
        ),
        answers=(
            Answer(
                200,
                "The document.",
                {"type": "object", "required": ["components", "info", "openapi", "paths"]},
                headers=("ETag", "Cache-Control"),
            ),
            Answer(304, "It has not changed.", None, headers=("ETag", "Cache-Control")),
        ),
    ),
)
