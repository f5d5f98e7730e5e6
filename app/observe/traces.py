"""OpenTelemetry traces. Imported only where TRACES is on: without it neither this nor OpenTelemetry is in the process.

`TracedApp` stands in front of everything and makes the server span of a request, below the caller's span where ``traceparent``
names one (W3C Trace Context); `app.observe.spans` makes those below it. The request's ``traceparent`` is made to name the server
span, so that the log knows the trace by what it reads anyway. Spans are sent by a thread of the SDK's, from a bounded queue: a
collector that is slow or gone costs spans, which are counted, and nothing else. The SDK reads its own variables (``OTEL_…``).
"""

import asyncio
import threading
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

import msgspec
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.policy import PolicyTable
from app.domain.records import Kinds
from app.domain.staleness import Limits
from app.observe.exporting import open_provider
from app.observe.meters import Meters
from app.observe.spans import TracedPolicy, TracedTiers, Trail
from app.version import VERSION

_DECIDE = ("POST", "/decide")
_LANE_ROUTES = frozenset({_DECIDE, ("POST", "/decide/batch"), ("GET", "/price/latest")})
"""What may be answered before it is routed: the lane's own, and batches that it refuses."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_PATH_MAX = 256
_OK, _FAULT_FROM = 200, 500
_FLUSH_S = 2.0
"""How long the end of a worker waits for the last spans to be sent."""

_propagator = TraceContextTextMapPropagator()

Message = MutableMapping[str, Any]


class _ToldCache(msgspec.Struct):
    tier: str


class _ToldFallback(msgspec.Struct):
    level: str
    reason: str | None


class _Told(msgspec.Struct):
    """What a server span says of a decision."""

    cache: _ToldCache
    fallback: _ToldFallback


_told = msgspec.json.Decoder(_Told).decode


def open_traces(meters: Meters) -> "Traces":
    """This process's traces, as the environment has them."""
    return Traces(open_provider(meters.spans_dropped), meters)


class Traces:
    """What a worker is made of where it traces, and what ends with it."""

    def __init__(self, provider: TracerProvider, meters: Meters) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("decide", VERSION)
        self._meters = meters

    def tiers(self, *parts: Any, **limits: Any) -> TracedTiers:  # noqa: ANN401 - what `Tiers` is made of
        """Both tiers, traced."""
        return TracedTiers(self._tracer, *parts, **limits)

    def policy(self, table: PolicyTable, limits: Limits, kinds: Kinds) -> TracedPolicy:
        """The policy, traced."""
        return TracedPolicy(table, limits, kinds)

    def around(
        self, app: ASGIApp, clock: Callable[[], float], *, untraced: Collection[str], lasting: Collection[str]
    ) -> "TracedApp":
        """``app``, traced but for ``untraced`` paths. Answers of ``lasting`` routes go on for as long as their caller likes."""
        return TracedApp(app, self._tracer, self._meters, clock, untraced, lasting)

    async def close(self) -> None:
        """Send what is waiting to be sent, if that can be done soon."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def end() -> None:
            self._provider.shutdown()
            try:
                loop.call_soon_threadsafe(ended.set)
            except RuntimeError:
                # Too late: the loop is closed.
                return

        # A thread that nobody waits for at the exit, as somebody would for one of an executor's.
        threading.Thread(target=end, name="traces-end", daemon=True).start()
        try:
            await asyncio.wait_for(ended.wait(), _FLUSH_S)
        except TimeoutError:
            return


class TracedApp:
    """ASGI: a server span around each request that the sampler takes. The others pass as they came."""

    def __init__(
        self,
        app: ASGIApp,
        tracer: Tracer,
        meters: Meters,
        clock: Callable[[], float],
        untraced: Collection[str],
        lasting: Collection[str],
    ) -> None:
        self._app = app
        self._untraced = untraced
        self._lasting = lasting
        self._tracer = tracer
        self._meters = meters
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bracket one request; lifespan, websockets and probes pass through."""
        if scope["type"] != "http" or scope["path"] in self._untraced:
            await self._app(scope, receive, send)
            return
        started = self._clock()
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "url.path": scope["path"][:_PATH_MAX],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
        }
        name = "HTTP" if method == "_OTHER" else method
        span = self._tracer.start_span(name, _parent(scope), SpanKind.SERVER, attributes)
        if not span.is_recording():
            await self._app(scope, receive, send)
            return
        _hand_on(scope, span)
        trail = Trail(self._tracer, span)
        answer = _Answer(send, told=(method, scope["path"]) == _DECIDE)
        token = attach(trail.context)
        try:
            await self._app(scope, receive, answer)
        finally:
            detach(token)
            trail.end()
            self._end(span, name, scope, answer, self._clock() - started)

    def _end(self, span: Span, name: str, scope: Scope, answer: "_Answer", seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None)
        if route is None and (name, scope["path"]) in _LANE_ROUTES:
            route = scope["path"]
        if route is not None:
            span.update_name(f"{name} {route}")
            span.set_attribute("http.route", route)
        status = answer.status
        if status is None:
            span.set_attribute("error.type", "client_gone")
        else:
            span.set_attribute("http.response.status_code", status)
            if status >= _FAULT_FROM:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
            context = span.get_span_context()
            # A stream counts with the time until it began, and its span ends with it.
            if context.trace_flags.sampled and route not in self._lasting:
                self._meters.exemplify(route or "unmatched", status, seconds, f"{context.trace_id:032x}")
        if answer.told is not None:
            span.set_attribute("decide.tier", answer.told.cache.tier)
            span.set_attribute("decide.fallback.level", answer.told.fallback.level)
            if answer.told.fallback.reason is not None:
                span.set_attribute("decide.fallback.reason", answer.told.fallback.reason)
        span.end()


class _Answer:
    """``send``, with the status noted and, of a decision, what it was made from."""

    def __init__(self, send: Send, *, told: bool) -> None:
        self._send = send
        self._wanted = told
        self.status: int | None = None
        self.told: _Told | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
        # The lane sends a decision in one piece.
        if self._wanted and self.status == _OK and message["type"] == "http.response.body":
            self.told = _told(message["body"])


def _parent(scope: Scope) -> Context:
    """The caller's span, by its ``traceparent`` and ``tracestate``; an empty context if there is none, or more than one."""
    parents = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(parents) != 1:
        return Context()
    states = [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
    carrier = {"traceparent": parents[0].decode("latin-1"), "tracestate": ",".join(states)}
    return _propagator.extract(carrier, Context())


def _hand_on(scope: Scope, span: Span) -> None:
    """Have the request come from ``span``, for those who look at its headers."""
    context = span.get_span_context()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    headers = [each for each in scope["headers"] if each[0] != b"traceparent"]
    scope["headers"] = [*headers, (b"traceparent", parent.encode())]
