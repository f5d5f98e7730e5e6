"""Probes and status.

/livez: the event loop turns. /readyz: data was loaded once and the worker is not draining; never tied to L2's state, or one
outage of it would take all instances out at once. /health and /status are for people.
"""

import asyncio
import platform
from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.answering.decider import Decider
from app.answering.market import Market
from app.answering.moments import iso
from app.answering.turns import Turns
from app.cache.feed import Feed
from app.domain.outdated import WAYS_OUT, outdated
from app.domain.records import STATUS
from app.domain.status import BEHIND_S, SILENT_MS, STREAM, ProcessState, StatusRecord, wrong_with
from app.errors import StoreError
from app.http.drain import Drain
from app.observe.clocks import ReplayClock, wall_ms
from app.observe.exposition import Exposition, with_cost
from app.observe.jobs import Jobs
from app.observe.meters import CONTENT_TYPE, OPEN_METRICS_CONTENT_TYPE, Meters, wants_open_metrics
from app.observe.requests import Requests
from app.observe.window import Totals
from app.payloads import (
    HealthResponse,
    L1State,
    LogState,
    ReadyResponse,
    RunState,
    SourceState,
    StatusResponse,
    StoreState,
    VersionResponse,
)
from app.store.protocol import RunInfo, Store
from app.version import VERSION
from app.waiting import wait_for_store

_PING_S = 0.5
_LOOKED_AT = 100
_NEUTRAL_TOO_MANY = 2
"""More than one in so many decisions that rest on nothing is no matter of single symbols."""

_encode = msgspec.json.Encoder().encode


def _json(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(_encode(body), status, {"Cache-Control": "no-store"}, "application/json")


class StatusRoutes:
    """The endpoints."""

    def __init__(
        self,
        *,
        decider: Decider,
        store: Store,
        market: Market,
        feed: Feed,
        meters: Meters,
        requests: Requests,
        drain: Drain,
        turns: Turns,
        jobs: Jobs,
        refresh: Callable[[], None],
        last_minute: Callable[[], tuple[float, Totals]],
        clock_name: Literal["wall", "replay"],
        settings: dict[str, object],
        wall: Callable[[], int] = wall_ms,
    ) -> None:
        self._wall_ms = wall
        self._decider = decider
        self._store = store
        self._market = market
        self._feed = feed
        self._meters = meters
        self._requests = requests
        self._drain = drain
        self._turns = turns
        self._jobs = jobs
        self._refresh = refresh
        self._last_minute = last_minute
        self._clock_name = clock_name
        self._settings = settings
        self._started = decider.clock()
        self._exposition = Exposition(self._render, decider.clock)
        self._looking: asyncio.Task[StoreState] | None = None

    @property
    def ready(self) -> bool:
        """Whether there is anything to serve but neutral, and time to serve it."""
        return self._feed.published and not self._drain.on

    async def livez(self, request: Request) -> Response:
        """200 as long as the event loop turns."""
        del request
        return _json(ReadyResponse("ok"))

    async def readyz(self, request: Request) -> Response:
        """200 once data was loaded, 503 before and while the worker drains."""
        del request
        if self.ready:
            return _json(ReadyResponse("ok"))
        return _json(ReadyResponse("not_ready", self._why_not_ready()), 503)

    def _why_not_ready(self) -> str:
        return "draining: this worker is about to stop" if self._drain.on else "no warm run was seen yet: run the warm job"

    async def health(self, request: Request) -> Response:
        """The whole picture; always 200 while the server can say it."""
        del request
        store, database = await asyncio.gather(self._store_state(), self._market.state())
        info = self._feed.run_info
        now_ms = self._decider.now_ms()
        wrong = [] if self.ready else [self._why_not_ready()]
        if store.state != "ok":
            wrong.append(f"L2 is unreachable ({store.detail})")
        if database.state == "unreachable":
            wrong.append(f"the market store is unreachable ({database.detail})")
        if not self._feed.connected:
            wrong.append("the change feed cannot be read")
        if self._feed.run_fault is not None:
            wrong.append(f"nothing is known of the run until the next one is loaded ({self._feed.run_fault})")
        if info is not None:
            wrong += self._wrong_with_data(info, now_ms)
        log, wrong_with_log = self._log_state()
        wrong += [wrong_with_log] if wrong_with_log else []
        status: Literal["ok", "degraded", "not_ready"] = "not_ready"
        if self.ready:
            status = "degraded" if wrong else "ok"
        age_s = None if info is None or not info.symbols else max(0.0, (now_ms - info.newest_as_of_ms) / 1000.0)
        run = None if info is None else info.run
        reason = "; ".join(wrong) or None
        return _json(HealthResponse(status, self.ready, store, self._feed.connected, run, age_s, database, reason, log))

    def _log_state(self) -> tuple[LogState | None, str | None]:
        """What is known of live data, and what is wrong with it. By the wall clock: so it was told."""
        said: StatusRecord | None = self._feed.globals.get(STATUS.name, STREAM)
        if said is None:
            return None, None
        now_ms = self._wall_ms()
        return log_state(said, now_ms), wrong_with(said, now_ms)

    def _wrong_with_data(self, info: RunInfo, now_ms: int) -> list[str]:
        """What decisions cannot rest on, by the clock that they go by."""
        if not info.symbols:
            return ["no symbol is loaded"]
        limits, age_ms = self._decider.policy.limits, now_ms - info.newest_as_of_ms
        window_s, counted = self._last_minute()
        wrong = []
        old = outdated(age_ms, max(limits.price_ms, limits.agents_ms), limits.input_ms)
        if old is not None and self._any_in_time(now_ms):
            old = None
        if old is not None:
            wrong.append(old)
        if -age_ms > limits.skew_ms:
            wrong.append("the newest input is ahead of the clock")
        if isinstance(now := self._decider.now_ms, ReplayClock):
            wrong += _wrong_with_clock(now)
        if counted.neutral * _NEUTRAL_TOO_MANY > counted.decisions:
            share = f"{counted.neutral} of {counted.decisions} decisions of the last {window_s:.0f} s rest on no input"
            wrong.append(f"{share} (the last: {self._decider.neutral_reason})")
        if wrong:
            wrong.append(f"the {self._clock_name} clock says {iso(now_ms)}, the newest input is of {iso(info.newest_as_of_ms)}")
        if old is not None:
            wrong.append(WAYS_OUT)
        return wrong

    def _any_in_time(self, now_ms: int) -> bool:
        """Whether a price of those that L1 holds, of which the first are looked at, is of bars so long that it is not stale."""
        policy = self._decider.policy
        found = self._decider.tiers.memory.evidence(_LOOKED_AT)
        return any(policy.judge(each, now_ms).statuses[0] == "present" for each in found)

    async def status(self, request: Request) -> Response:
        """What this worker is, holds and was told."""
        del request
        decider, meters = self._decider, self._meters
        store, database = await asyncio.gather(self._store_state(), self._market.state())
        info, memory = self._feed.run_info, decider.tiers.memory
        run = None
        if info is not None:
            run = RunState(
                run=info.run,
                warmed_at=iso(info.warmed_at_ms),
                newest_as_of=iso(info.newest_as_of_ms),
                symbols=info.symbols,
                bars=info.bars,
                bytes=info.bytes,
            )
        asked = meters.hits + meters.misses
        l1 = L1State(
            entries=len(memory),
            max_entries=memory.max_entries,
            unknown_entries=memory.unknown_entries,
            evictions=memory.evictions,
            hits=meters.hits,
            misses=meters.misses,
            hit_rate=meters.hits / asked if asked else None,
        )
        return _json(
            StatusResponse(
                version=VERSION,
                uptime_s=round(decider.clock() - self._started, 3),
                now=iso(decider.now_ms()),
                clock=self._clock_name,
                ready=self.ready,
                run=run,
                store=store,
                database=database,
                l1=l1,
                pending_loads=decider.tiers.pending,
                in_flight=self._requests.in_flight,
                settings=self._settings,
            )
        )

    async def version(self, request: Request) -> Response:
        """What is running."""
        del request
        return _json(VersionResponse("decide", VERSION, self._decider.model, platform.python_version()))

    async def metrics(self, request: Request) -> Response:
        """The Prometheus text format; to those who ask for it OpenMetrics, which has exemplars."""
        open_metrics = wants_open_metrics(request.headers.get("accept", ""))
        text = await self._exposition.get(open_metrics=open_metrics)
        return Response(text, headers={"Content-Type": OPEN_METRICS_CONTENT_TYPE if open_metrics else CONTENT_TYPE})

    async def _render(self, open_metrics: bool) -> tuple[bytes, float]:  # noqa: FBT001 - it is a format
        self._refresh()
        # In a thread: with several workers it reads all of their files, and the loop turns meanwhile.
        with self._turns.under_way():
            text, cost_s = await asyncio.to_thread(with_cost, partial(self._meters.rendered, open_metrics=open_metrics))
        return await self._jobs.below(text, open_metrics=open_metrics), cost_s

    async def _store_state(self) -> StoreState:
        """One look at a time, shared by all who ask meanwhile: strangers must not fill the store's connections."""
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())
        # Who leaves does not end it for the others.
        return await asyncio.shield(self._looking)

    async def _look(self) -> StoreState:
        try:
            await wait_for_store(self._store.ping(), _PING_S)
        except StoreError as error:
            return StoreState(self._store.kind, "unreachable", error.reason)
        finally:
            self._looking = None
        return StoreState(self._store.kind, "ok")


def log_state(said: StatusRecord, now_ms: int) -> LogState:
    """What a stream ``said``, at ``now_ms`` of the wall clock."""
    silent, behind = now_ms - said.loaded_at_ms > SILENT_MS, said.lag_s > BEHIND_S
    states: dict[ProcessState, Literal["ok", "behind", "waiting", "silent", "stopped"]]
    states = {"running": "behind" if behind else "ok", "waiting": "waiting", "stopped": "stopped"}
    return LogState(
        kind=said.log,
        state="silent" if silent and said.state != "stopped" else states[said.state],
        age_s=max(0, now_ms - said.loaded_at_ms) / 1000.0,
        lag_messages=said.lag_messages,
        lag_s=said.lag_s,
        last_ingestion=None if said.last_ingestion_ms is None else iso(said.last_ingestion_ms),
        sources=tuple(
            SourceState(each.source, iso(each.heard_ms), iso(each.newest_ms), each.messages, each.trades) for each in said.sources
        ),
        detail=said.detail or None,
    )


def _wrong_with_clock(clock: ReplayClock) -> list[str]:
    wrong = ["what the store names as its newest input is ahead of the wall clock"] if clock.is_ahead else []
    if clock.beyond_ms is not None:
        wrong.append(f"a record is of {iso(clock.beyond_ms)}, later than the newest that the store names")
    return wrong
