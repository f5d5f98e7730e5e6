"""Composition root: settings -> parts -> routes. Nothing but this and `app.parts` wires anything."""

import gc
import math
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from app.cache.opening import open_store
from app.constants import CONSTANTS, Constants
from app.errors import Problem
from app.middleware.access import Guard, trusted_forms
from app.middleware.bodies import Bodies
from app.middleware.edge import Edge
from app.middleware.hangup import HangUps, keep_peer
from app.middleware.problems import on_error, on_http_exception, on_problem
from app.observe.crew import Crew
from app.observe.logs import Logs
from app.observe.meters import Meters
from app.options import Settings, store_place
from app.parts import Parts, make_id
from app.routes.batch import BatchRoute
from app.routes.console import ConsoleRoutes
from app.routes.decide import DecideLane
from app.routes.docs import docs_routes, redoc_route
from app.routes.features import FeatureRoutes
from app.routes.history import HistoryRoute
from app.routes.live import LiveRoute
from app.routes.openapi import openapi_route
from app.routes.socket import SocketRoute
from app.routes.status import StatusRoutes
from app.routes.stream import StreamRoute
from app.settings import (
    lend_to_opentelemetry,
    load_settings,
    loaded_by_unit,
    multiprocess_dir,
    supervisor_socket,
)
from app.shown_settings import public_settings
from app.withheld import withheld

with withheld("watchfiles"):
    from granian.utils.proxies import wrap_asgi_with_proxy_headers

if TYPE_CHECKING:
    # Imported where traces are on alone: OpenTelemetry is an extra.
    from app.observe.traces import Traces


def build(parts: Parts, clock: Callable[[], float]) -> ASGIApp:
    """The ASGI application of ``parts``."""
    settings, gate = parts.settings, parts.gate
    # A larger batch has more to say.
    max_bytes = parts.constants.max_body_bytes * math.ceil(settings.batch_max / 1000)
    bodies = Bodies(max_bytes, parts.constants.body_timeout_s)
    starlette = Starlette(
        routes=_routes(parts, clock, bodies),
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: on_error},
        lifespan=parts.lifespan,
    )
    starlette.router.redirect_slashes = False
    starlette.router.routes.append(openapi_route(starlette.routes, batch_max=settings.batch_max))
    if settings.pages == "on":
        starlette.router.routes += [*ConsoleRoutes().routes(), *docs_routes(), redoc_route()]
    guard = Guard(starlette, gate, bodies, metrics=settings.metrics_access, probes=settings.probes_access)
    app: ASGIApp = DecideLane(
        Edge(guard, parts.requests, parts.drain, clock, make_id),
        parts.decider,
        parts.requests,
        parts.drain,
        clock,
        make_id,
        bodies=bodies,
        gate=None if gate.ring is None and gate.limiter is None else gate,
    )
    if parts.traces is not None:
        app = parts.traces.around(app, clock)
    if settings.trusted_proxies:
        trusted = trusted_forms(settings.trusted_proxies)
        app = keep_peer(cast("ASGIApp", wrap_asgi_with_proxy_headers(app, trusted_hosts=trusted)))
    return app


def _routes(parts: Parts, clock: Callable[[], float], bodies: Bodies) -> list[BaseRoute]:
    """All but pages and the document."""
    settings, decider, gate = parts.settings, parts.decider, parts.gate
    status = StatusRoutes(
        decider=decider,
        store=parts.store,
        feed=parts.feed,
        meters=parts.meters,
        requests=parts.requests,
        drain=parts.drain,
        turns=parts.turns,
        refresh=parts.refresh,
        last_minute=lambda: parts.last_minute,
        clock_name=settings.clock,
        settings=public_settings(settings),
    )
    history = HistoryRoute(decider, parts.store, parts.meters)
    live = LiveRoute(decider=decider, feed=parts.feed, meters=parts.meters, requests=parts.requests, drain=parts.drain, gate=gate)
    features = FeatureRoutes(decider, parts.list_symbols, lambda: parts.feed.run_info)
    batch = BatchRoute(decider, clock, batch_max=settings.batch_max, bodies=bodies, charge=gate.charge, turns=parts.turns)
    hang_ups = HangUps()
    stream = StreamRoute(parts.hub, hang_ups, gate)
    sockets = SocketRoute(parts.hub, hang_ups, gate, max_bytes=bodies.max_bytes)
    return [
        # The lane takes POST /decide before it gets here; what does get here is another method, and is answered 405.
        Route("/decide", _never, methods=["POST"]),
        Route("/decide/batch", batch.post, methods=["POST"]),
        Route("/features/{symbol:any}", features.features),
        Route("/symbols", features.symbols),
        Route("/history/{symbol:any}", history.history),
        Route("/live", live.live),
        Route("/stream", stream.get),
        WebSocketRoute("/ws", sockets.connect),
        Route("/health", status.health),
        Route("/livez", status.livez),
        Route("/readyz", status.readyz),
        Route("/status", status.status),
        Route("/version", status.version),
        Route("/metrics", status.metrics),
    ]


async def _never(_: object) -> None:
    raise AssertionError("the lane answers POST /decide")


def _traces(settings: Settings) -> "Callable[[Meters], Traces] | None":
    """What opens the traces of a worker, if it is to have any."""
    if settings.traces == "off":
        return None
    lend_to_opentelemetry()
    from app.observe.traces import open_traces  # noqa: PLC0415 - OpenTelemetry is an extra, and takes 0.2 s to import

    return open_traces


def create_app(crew: Crew | None = None, worker: int = 0, constants: Constants = CONSTANTS) -> ASGIApp:
    """What Granian calls in each worker, which is number ``worker`` of ``crew``, from 0 on."""
    settings = load_settings()
    logs = Logs(level=settings.log_level, log_format=settings.log_format)
    store = open_store(
        **store_place(settings),
        read_timeout_s=max(1.0, 5.0 * settings.l2_timeout_ms / 1000.0),
        feed_wait_s=constants.feed_wait_ms / 1000.0,
    )
    clock = time.perf_counter
    parts = Parts(
        settings,
        store,
        clock=clock,
        rng=random.Random(),
        logs=logs,
        values_dir=multiprocess_dir(),
        supervisor_socket=supervisor_socket(),
        loaded_by_unit=loaded_by_unit(),
        keys=store,
        open_traces=_traces(settings),
        crew=crew,
        worker=worker,
        constants=constants,
    )
    app = build(parts, clock)
    # What is here now stays: the garbage collector need not look at it again and again. What comes later and stays too, the
    # entries of L1, is out of its sight by itself.
    gc.collect()
    gc.freeze()
    return app
