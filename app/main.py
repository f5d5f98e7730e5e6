"""Composition root: settings -> worker -> routes. Nothing but this, `app.worker` and `app.parts` wires anything."""

import gc
import math
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from app.answering.latest import PriceTeller
from app.constants import CONSTANTS, Constants
from app.errors import Problem
from app.http.access import trusted_forms
from app.http.bodies import Bodies
from app.http.edge import Edge
from app.http.fast import FastDecide, FastLatestPrice
from app.http.guard import Guard
from app.http.hangup import HangUps, keep_peer
from app.http.lane import Lane
from app.http.problems import on_error, on_http_exception, on_problem
from app.http.queues import Kind
from app.http.rules import Rules
from app.observe.crew import Crew
from app.observe.logs import Logs
from app.observe.meters import Meters
from app.options import Settings, store_place
from app.parts import make_id
from app.routes.console import console_page
from app.routes.cursors import Cursors
from app.routes.decisions import BatchRoute
from app.routes.docs import docs_page, to_docs
from app.routes.features import FeatureRoutes
from app.routes.history import HistoryRoute
from app.routes.latest import LatestPriceRoute
from app.routes.live import LiveRoute
from app.routes.market import MarketRoutes
from app.routes.openapi import openapi
from app.routes.operations import StatusRoutes
from app.routes.socket import SocketRoute
from app.routes.stream import StreamRoute
from app.routes.table.entries import ENTRIES, LASTING, OPERATIONS, WATCHED, routes_of
from app.settings import (
    job_ports,
    lend_to_opentelemetry,
    load_settings,
    loaded_by_unit,
    multiprocess_dir,
    supervisor_socket,
)
from app.shown_settings import public_settings
from app.store.opening import open_store
from app.withheld import withheld
from app.worker import Worker

with withheld("watchfiles"):
    from granian.utils.proxies import wrap_asgi_with_proxy_headers

if TYPE_CHECKING:
    # Imported where traces are on alone: OpenTelemetry is an extra.
    from app.observe.traces import Traces


def build(parts: Worker, clock: Callable[[], float]) -> ASGIApp:
    """The ASGI application of ``parts``."""
    settings, gate = parts.settings, parts.gate
    # A larger batch has more to say.
    max_bytes = parts.constants.max_body_bytes * math.ceil(settings.batch_max / 1000)
    bodies = Bodies(max_bytes, parts.constants.body_timeout_s)
    prices = PriceTeller(parts.decider, parts.meters, parts.turns)
    starlette = Starlette(
        routes=routes_of(_handlers(parts, clock, bodies, prices)),
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: on_error},
        lifespan=parts.lifespan,
    )
    starlette.router.redirect_slashes = False
    by_setting: dict[Kind, str] = {"metrics": settings.metrics_access, "probe": settings.probes_access}
    rules = Rules(ENTRIES, opened=[kind for kind, access in by_setting.items() if access == "open"])
    guard = Guard(starlette, gate, bodies, rules)
    asked = None if gate.ring is None and gate.limiter is None else gate
    app: ASGIApp = Lane(
        Edge(guard, parts.requests, parts.drain, clock, make_id),
        (FastDecide(parts.decider), FastLatestPrice(prices)),
        parts.admission,
        parts.requests,
        parts.drain,
        clock,
        make_id,
        bodies=bodies,
        gate=asked,
    )
    if parts.traces is not None:
        app = parts.traces.around(app, clock, untraced=WATCHED, lasting=LASTING)
    if settings.trusted_proxies:
        trusted = trusted_forms(settings.trusted_proxies)
        app = keep_peer(cast("ASGIApp", wrap_asgi_with_proxy_headers(app, trusted_hosts=trusted)))
    return app


def _handlers(parts: Worker, clock: Callable[[], float], bodies: Bodies, prices: PriceTeller) -> dict[str, Callable[..., Any]]:
    """What answers, under the names that the table of routes has."""
    settings, decider, gate = parts.settings, parts.decider, parts.gate
    status = StatusRoutes(
        decider=decider,
        store=parts.store,
        market=parts.market,
        feed=parts.feed,
        meters=parts.meters,
        requests=parts.requests,
        drain=parts.drain,
        turns=parts.turns,
        jobs=parts.jobs,
        refresh=parts.refresh,
        last_minute=lambda: parts.last_minute,
        clock_name=settings.clock,
        settings=public_settings(settings),
    )
    history = HistoryRoute(decider, parts.store, parts.meters)
    live = LiveRoute(decider=decider, feed=parts.feed, meters=parts.meters, requests=parts.requests, drain=parts.drain, gate=gate)
    features = FeatureRoutes(decider, parts.market, parts.list_symbols, lambda: parts.feed.run_info, parts.turns)
    market = MarketRoutes(decider, parts.market, Cursors(settings.api_key_secret), parts.turns)
    batch = BatchRoute(decider, clock, batch_max=settings.batch_max, bodies=bodies, charge=gate.charge, turns=parts.turns)
    latest = LatestPriceRoute(prices, batch_max=settings.batch_max, charge=gate.charge)
    hang_ups = HangUps()
    stream = StreamRoute(parts.hub, hang_ups, gate)
    sockets = SocketRoute(parts.hub, hang_ups, gate, max_bytes=bodies.max_bytes)
    handlers: dict[str, Callable[..., Any]] = {
        # The lane takes POST /decide before it gets here; what does get here is another method, and is answered 405.
        "decide": _never,
        "decideBatch": batch.post,
        "stream": stream.get,
        "socket": sockets.connect,
        "features": features.features,
        "symbols": features.symbols,
        "history": history.history,
        "candles": market.candles,
        "trades": market.trades,
        "latestPrice": latest.get,
        "live": live.live,
        "health": status.health,
        "livez": status.livez,
        "readyz": status.readyz,
        "status": status.status,
        "version": status.version,
        "metrics": status.metrics,
        "openapi": openapi(OPERATIONS, batch_max=settings.batch_max).get,
    }
    if settings.pages == "on":
        console, docs = console_page(), docs_page()
        handlers |= {
            "console": console.page,
            "consoleFile": console.file,
            "docs": docs.page,
            "docsFile": docs.file,
            "redoc": to_docs,
        }
    return handlers


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
    parts = Worker(
        settings,
        store,
        clock=clock,
        rng=random.Random(),
        logs=logs,
        values_dir=multiprocess_dir(),
        supervisor_socket=supervisor_socket(),
        loaded_by_unit=loaded_by_unit(),
        job_ports=job_ports(),
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
