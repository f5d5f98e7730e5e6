"""What decides."""

from app.market_payloads import LatestPrice
from app.messages import INTERVAL_MAX_MS, INTERVAL_MS, Dropped, Gone, LiveDecision
from app.payloads import BatchRequest, BatchResponse, DecideRequest, DecideResponse
from app.push.sse import MEDIA_TYPE as EVENTS_TYPE
from app.routes import examples as shown
from app.routes.table.entry import NAMED_SYMBOL, OF_A_BODY, Answer, Entry, Link, Operation, Parameter

_FEATURES_OF = Link("features", "The vector that the decision was made on.", {"symbol": NAMED_SYMBOL})

DECISIONS: tuple[Entry, ...] = (
    Operation(
        name="decide",
        queue=None,
        needs="decide",
        method="POST",
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
        problems=(*OF_A_BODY, "unknown-symbol"),
    ),
    Operation(
        name="decideBatch",
        cost="counted",
        queue=None,
        needs="decide",
        method="POST",
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
        problems=OF_A_BODY,
    ),
    Operation(
        name="stream",
        lasting=True,
        cost="counted",
        queue=None,
        needs="any",
        method="GET",
        path="/stream",
        tag="decisions",
        summary="Live decisions and prices",
        description=(
            "Server-sent events without end: a `decision` (data: what `/decide` answers, and the `previous` action) for each "
            "of `symbols`, and another whenever its inputs really change; a `price` (data: what `/price/latest` answers) for "
            "each of `prices`, and another when that changes; `gone` where it is not in the universe, or "
            "leaves it; `dropped` with the reason, before the server ends it. "
            "Decisions need the scope `decide`, prices `market:read`. "
            "Comments are signs of life. Whoever falls too far behind is dropped. "
            "`WS /ws` is the same with symbols that may change."
        ),
        parameters=(
            Parameter(
                "symbols",
                "query",
                {"type": "string", "minLength": 1},
                "Decisions on these: by commas, in any usual spelling; or `*`, for all. Either these or `prices` are there.",
            ),
            Parameter("prices", "query", {"type": "string", "minLength": 1}, "Prices of these, as `symbols`."),
            Parameter(
                "interval_ms",
                "query",
                {"type": "integer", "minimum": 0, "maximum": INTERVAL_MAX_MS, "default": INTERVAL_MS},
                "A symbol's decision, or price, comes at most once in so many milliseconds, the newest; 0: at each change.",
            ),
            Parameter(
                "Last-Event-ID",
                "header",
                {"type": "string"},
                "An event's id: decisions that changed since come first, in place of all.",
            ),
        ),
        answers=(
            Answer(
                200,
                "Events.",
                {"type": "string"},
                shown.STREAM,
                media_type=EVENTS_TYPE,
                events={"decision": LiveDecision, "price": LatestPrice, "gone": Gone, "dropped": Dropped},
            ),
        ),
        problems=("forbidden", "invalid-request", "no-room-for-streams", "store-unavailable"),
    ),
    Operation(
        name="socket",
        needs="any",
        queue=None,
        method="WEBSOCKET",
        path="/ws",
        tag="decisions",
        description="Live decisions and prices as on `/stream`, with symbols that may change; text messages of JSON either way.",
        problems=("unauthorized", "forbidden", "foreign-origin", "rate-limited", "no-room-for-streams", "keys-unavailable"),
    ),
)
