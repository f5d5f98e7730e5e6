"""The fast routes (`app.http.fast`): a thin ASGI lane in front of Starlette, which answers everything else.

Starlette's two exception wrappers, router and Request/Response objects cost more than a whole decision. The lane does for these
routes what they would do, with the same checks in the same order and the same errors. It also refuses batches that there is no
room for.
"""

from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from app.answering.admission import Admission
from app.errors import Header, Problem
from app.http.access import Gate
from app.http.arrival import Arrival, arrive, refuse_ambiguous
from app.http.bodies import JSON, Bodies, require_json
from app.http.drain import CLOSE, Drain
from app.http.edge import CLIENT_GONE
from app.http.fast import FastRoute
from app.http.problems import internal_error, response_of
from app.http.rules import Need
from app.http.security import secured
from app.observe.requests import Requests

BATCH_ROUTE = "/decide/batch"
_JSON = (b"content-type", JSON)
_OK = 200
_SMALL_BYTES = 16_384
"""A body of up to so many is taken to come with its head: one of 1,000 symbols, say."""


class Lane:
    """Answers ``routes`` itself and hands everything else to ``app``."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[FastRoute],
        admission: Admission,
        requests: Requests,
        drain: Drain,
        clock: Callable[[], float],
        make_id: Callable[[], str],
        *,
        bodies: Bodies,
        gate: Gate | None = None,
    ) -> None:
        self._app = app
        self._routes = {each.path: (each, requests.durations(each.path, _OK)) for each in routes}
        self._admission = admission
        self._requests = requests
        self._drain = drain
        self._clock = clock
        self._make_id = make_id
        self._bodies = bodies
        self._read = bodies.read
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bracket one request as `app.http.edge.Edge` does."""
        found = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] != found[0].method or not found[0].takes(scope):
            await self._other(scope, receive, send)
            return
        route, durations = found
        requests = self._requests
        arrival = arrive(scope, self._clock(), self._make_id)
        requests.in_flight += 1
        status, facts = CLIENT_GONE, None
        limits: Sequence[Header] = ()
        try:
            try:
                headers = arrival.headers
                refuse_ambiguous(scope, headers)
                if self._gate is not None:
                    limits = await self._let_in(self._gate, scope, receive, headers, route.needs)
                if scope["method"] == "GET":
                    said = scope["query_string"]
                else:
                    if headers.get(b"content-type") != JSON:
                        require_json(headers)
                    said = await self._read(receive, headers)
                    if self._gate is not None:
                        self._gate.let_in_still(scope)
                answer = route.answer(said, arrival.started)
                body, tiers, latency_ms, facts = answer if isinstance(answer, tuple) else await answer
                start = [
                    _JSON,
                    (b"content-length", b"%d" % len(body)),
                    tiers,
                    (b"server-timing", b"decide;dur=" + latency_ms),
                    (b"x-request-id", arrival.request_id.encode()),
                    *route.headers,
                    *limits,
                ]
                if self._drain.on:
                    start.append(CLOSE)
                await send({"type": "http.response.start", "status": 200, "headers": start})
                await send({"type": "http.response.body", "body": body})
                status = 200
            except Problem as problem:
                status = problem.status
                await self._refuse(problem, arrival, scope, receive, send, limits)
            except Exception as error:  # noqa: BLE001 - the last stop, as in Edge
                requests.failed(error, arrival.request_id)
                status = 500
                await self._refuse(internal_error(), arrival, scope, receive, send)
        finally:
            if status != _OK or facts is not None or requests.end_well(durations, arrival.started):
                ended = arrival.started, arrival.request_id, arrival.trace_id
                requests.end(route.method, route.path, status, *ended, facts)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is of no fast route."""
        if self._admission.full and scope["type"] == "http" and scope["path"] == BATCH_ROUTE and scope["method"] == "POST":
            await self._refuse_batch(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _let_in(
        self, gate: Gate, scope: Scope, receive: Receive, headers: dict[bytes, bytes], needs: Need
    ) -> Sequence[Header]:
        try:
            return await gate.let_in(scope, headers, needs) or ()
        except Problem as refusal:
            raise await self._bodies.passed_over(refusal, receive, headers) from None

    async def _refuse_batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Before it is routed and decoded: what a refusal costs is taken from those who are served.

        A small body has come with its head, and the server passes over it. A larger one is read: the server would else end the
        connection, under whatever its caller sends next.
        """
        arrival = arrive(scope, self._clock(), self._make_id)
        self._requests.begin()
        problem = self._admission.refusal()
        try:
            if self._gate is not None:
                # Who may not ask at all is told that, however much there is to do.
                try:
                    await self._gate.let_in(scope, arrival.headers, "decide", limited=False)
                except Problem as refusal:
                    problem = refusal
            length = arrival.headers.get(b"content-length", b"")
            if not (length.isdigit() and int(length[:9]) <= _SMALL_BYTES):
                try:
                    await self._read(receive, arrival.headers)
                except Problem as unreadable:
                    problem = unreadable
            await self._refuse(problem, arrival, scope, receive, send)
        finally:
            ended = arrival.started, arrival.request_id, arrival.trace_id
            self._requests.end("POST", BATCH_ROUTE, problem.status, *ended)

    async def _refuse(
        self,
        problem: Problem,
        arrival: Arrival,
        scope: Scope,
        receive: Receive,
        send: Send,
        limits: Sequence[Header] = (),
    ) -> None:
        response = response_of(problem, arrival.request_id)
        response.headers["x-request-id"] = arrival.request_id
        response.raw_headers[:] = secured([*response.raw_headers, *limits])
        if self._drain.on:
            response.headers["connection"] = "close"
        await response(scope, receive, send)
