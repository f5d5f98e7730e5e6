"""POST /decide: a thin ASGI lane in front of Starlette, which answers everything else.

Starlette's two exception wrappers, router and Request/Response objects cost more than the whole decision. The lane does for
this one route what they would do, with the same checks in the same order and the same errors. It also refuses batches that there
is no room for.
"""

from collections.abc import Callable

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Problem
from app.middleware.arrival import Arrival, arrive, refuse_ambiguous
from app.middleware.bodies import read_body, require_json
from app.middleware.drain import CLOSE, Drain
from app.middleware.edge import CLIENT_GONE
from app.middleware.problems import internal_error, response_of
from app.observe.requests import Requests
from app.payloads import CacheInfo, DecideRequest, DecideResponse
from app.routes.deciding import Decider
from app.routes.decoding import StrictDecoder

ROUTE = "/decide"
BATCH_ROUTE = "/decide/batch"
_JSON = (b"content-type", b"application/json")

# RFC 9211: the cache nearest to the origin comes first.
_CACHE_STATUS = {
    ("l1", True): (b"cache-status", b"decide-l1; hit"),
    ("l1", False): (b"cache-status", b"decide-l2; fwd=miss; detail=unreachable, decide-l1; hit; detail=stale"),
    ("l2", False): (b"cache-status", b"decide-l2; hit, decide-l1; fwd=miss"),
    ("none", False): (b"cache-status", b"decide-l2; fwd=miss; detail=unreachable, decide-l1; fwd=miss"),
}


def cache_status(cache: CacheInfo) -> tuple[bytes, bytes]:
    """The Cache-Status header of an answer."""
    return _CACHE_STATUS[cache.tier, cache.hit]


class DecideLane:
    """Answers POST /decide itself and hands everything else to ``app``."""

    def __init__(
        self,
        app: ASGIApp,
        decider: Decider,
        requests: Requests,
        drain: Drain,
        clock: Callable[[], float],
        make_id: Callable[[], str],
        *,
        max_body_bytes: int,
        body_timeout_s: float,
    ) -> None:
        self._app = app
        self._decider = decider
        self._admission = decider.admission
        self._requests = requests
        self._drain = drain
        self._clock = clock
        self._make_id = make_id
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._decode = StrictDecoder(DecideRequest).decode
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bracket one request as `app.middleware.edge.Edge` does."""
        if scope["type"] != "http" or scope["path"] != ROUTE or scope["method"] != "POST":
            if self._admission.full and scope["type"] == "http" and scope["path"] == BATCH_ROUTE and scope["method"] == "POST":
                await self._refuse_batch(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        requests = self._requests
        arrival = arrive(scope, self._clock(), self._make_id)
        requests.begin()
        status, facts = CLIENT_GONE, {}
        try:
            try:
                refuse_ambiguous(scope, arrival.headers)
                require_json(arrival.headers)
                body = await read_body(receive, arrival.headers, self._max_body_bytes, self._body_timeout_s)
                request = self._decode(body)
                response = self._decider.try_hit(request, arrival.started)
                if response is None:
                    response = await self._decider.decide(request, arrival.started)
                if response.fallback.used:
                    facts = {"fallback": response.fallback.level, "reason": response.fallback.reason}
                await self._send(response, arrival, send)
                status = 200
            except Problem as problem:
                status = problem.status
                await self._refuse(problem, arrival, scope, receive, send)
            except Exception as error:  # noqa: BLE001 - the last stop, as in Edge
                requests.failed(error, arrival.request_id)
                status = 500
                await self._refuse(internal_error(), arrival, scope, receive, send)
        finally:
            requests.end("POST", ROUTE, status, arrival.started, arrival.request_id, arrival.trace_id, **facts)

    async def _refuse_batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """At once, before it is read and routed: what a refusal costs is taken from those who are served."""
        arrival = arrive(scope, self._clock(), self._make_id)
        self._requests.begin()
        problem = self._admission.refusal()
        try:
            await self._refuse(problem, arrival, scope, receive, send)
        finally:
            ended = arrival.started, arrival.request_id, arrival.trace_id
            self._requests.end("POST", BATCH_ROUTE, problem.status, *ended)

    async def _send(self, response: DecideResponse, arrival: Arrival, send: Send) -> None:
        body = self._encode(response)
        headers = [
            _JSON,
            (b"content-length", b"%d" % len(body)),
            cache_status(response.cache),
            (b"server-timing", b"decide;dur=%.3f" % response.latency_ms),
            (b"x-request-id", arrival.request_id.encode("ascii")),
        ]
        if self._drain.on:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _refuse(self, problem: Problem, arrival: Arrival, scope: Scope, receive: Receive, send: Send) -> None:
        response = response_of(problem, arrival.request_id)
        response.headers["x-request-id"] = arrival.request_id
        if self._drain.on:
            response.headers["connection"] = "close"
        await response(scope, receive, send)
