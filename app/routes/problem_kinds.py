"""Every kind of problem that a caller can meet: what its `type` ends with, its status, when it comes, and an example of it.

`app.routes.openapi` shows them; a test holds that every kind that the code raises stands here with its status.
"""

import msgspec

from app.messages import TYPE_PREFIX
from app.payloads import ProblemBody

EXAMPLE_ID = "0192d3b4-7c3a-7f10-8b1e-5a3f0c9d2e71"


class Kind(msgspec.Struct, frozen=True):
    """``when`` is for people; ``detail`` and ``field`` are an example's; ``headers`` are those it always comes with."""

    status: int
    title: str
    when: str
    detail: str
    field: str | None = None
    headers: tuple[str, ...] = ()


_LIMITED = ("RateLimit", "RateLimit-Policy", "Retry-After")

KINDS: dict[str, Kind] = {
    "bad-request": Kind(
        400,
        "Bad request",
        "The request is ambiguous: HTTP/1.1 without Host or with two, two lengths of one body, a length that is no number.",
        "there is more than one Host header",
        "Host",
    ),
    "bad-json": Kind(
        400,
        "Bad JSON",
        "The body is no JSON, or has a key twice.",
        "the body is not JSON: Input data was truncated",
    ),
    "incomplete-body": Kind(
        400,
        "Bad request",
        "The connection closed before the end of the body.",
        "the connection closed before the end of the body",
    ),
    "unauthorized": Kind(
        401,
        "Unauthorized",
        "Access is by key, and the request has none that is valid.",
        "an API key is needed: X-API-Key: KEY or Authorization: Bearer KEY",
        headers=("WWW-Authenticate",),
    ),
    "forbidden": Kind(403, "Forbidden", "The key is valid and not for this.", "the API key is for read; this needs decide"),
    "foreign-origin": Kind(
        403,
        "Foreign origin",
        "A page of another origin asked for a websocket.",
        "a page of 'https://example.org' may not connect",
        "Origin",
    ),
    "not-found": Kind(404, "Not Found", "Nothing is at this path.", "there is no /decisions"),
    "unknown-symbol": Kind(
        404,
        "Unknown symbol",
        "The symbol is not in the loaded universe; for market data: nor in the market store.",
        "symbol NOPE is not in the loaded universe (GET /symbols lists it)",
        "symbol",
    ),
    "history-missing": Kind(
        404,
        "History missing",
        "The symbol is loaded, and its last closes are not: it has no prices, or an older warm job loaded it.",
        "symbol AAPL is loaded without price history",
        "symbol",
    ),
    "price-missing": Kind(
        404,
        "Price missing",
        "The symbol is loaded, and no price of it is.",
        "AAPL is loaded without a price: run the warm job with its prices",
        "symbol",
    ),
    "method-not-allowed": Kind(
        405,
        "Method Not Allowed",
        "The path is for other methods, which Allow lists.",
        "PATCH is not for this path",
        headers=("Allow",),
    ),
    "body-timeout": Kind(
        408,
        "Request timeout",
        "The body took too long; the connection is closed.",
        "the body did not arrive within 5 s",
    ),
    "body-too-large": Kind(
        413,
        "Body too large",
        "The body is larger than the server takes; the connection is closed.",
        "the body is larger than 262144 bytes",
    ),
    "unsupported-media-type": Kind(
        415,
        "Unsupported media type",
        "The body is said to be something other than JSON in UTF-8.",
        "Content-Type is 'text/plain'; allowed: application/json",
        "Content-Type",
        ("Accept",),
    ),
    "invalid-request": Kind(
        422,
        "Invalid request",
        "The request can be read, and a value in it is not allowed; `field` says which.",
        "price is -1; Expected `float` > 0.0",
        "price",
    ),
    "rate-limited": Kind(
        429,
        "Too many requests",
        "The key, or the address, asks for more than it may.",
        "more decisions were asked for than this caller may have; try again in 1 s",
        headers=_LIMITED,
    ),
    "internal": Kind(
        500,
        "Internal error",
        "The server failed; its log has the details under the request's id.",
        "the server failed; the log has the details under this request id",
    ),
    "keys-unavailable": Kind(
        503,
        "Keys unavailable",
        "Access is by key, and the store that holds the keys has not answered for too long.",
        "the store that holds the API keys did not answer for too long",
        headers=("Retry-After",),
    ),
    "draining": Kind(
        503,
        "Draining",
        "This worker is about to stop.",
        "this worker is about to stop: ask another one",
        headers=("Retry-After",),
    ),
    "market-unavailable": Kind(
        503,
        "Market store unavailable",
        "The market store does not answer. Reason in `detail`: `market_error`, `market_timeout`, `market_busy`, `market_open`.",
        "the market store did not answer (market_timeout); try again in 1 s",
        headers=("Retry-After",),
    ),
    "no-room-for-streams": Kind(
        503,
        "No room",
        "There are as many callers of /stream and /ws as there may be, or the worker is about to stop.",
        "there are 2000 subscribers, the most there may be; try again",
        headers=("Retry-After",),
    ),
    "overloaded": Kind(
        503,
        "Overloaded",
        "Too many decisions are under way, or too many who show no key wait for other answers.",
        "10000 decisions are under way, of at most 10000; try again in 1 s",
        headers=("Retry-After",),
    ),
    "store-unavailable": Kind(
        503,
        "Store unavailable",
        "L2 does not answer, and memory has nothing of what was asked for.",
        "L2 did not answer",
        headers=("Retry-After",),
    ),
    "too-many-clients": Kind(
        503,
        "Too many clients",
        "As many watch /live as may.",
        "there are 64 clients, the most there may be; try again in 5 s",
        headers=("Retry-After",),
    ),
}


def example_of(slug: str) -> ProblemBody:
    """A problem of this kind."""
    kind = KINDS[slug]
    return ProblemBody(TYPE_PREFIX + slug, kind.title, kind.status, kind.detail, kind.field, EXAMPLE_ID)
