"""One worker: its parts (`app.parts`), its tasks, its start and end; `app.main` puts the application together of it."""

import asyncio
import contextlib
import multiprocessing
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from app.answering.admission import Admission
from app.answering.decider import Decider
from app.answering.listing import listing
from app.answering.live_prices import LivePrices
from app.answering.suggestions import Suggestions
from app.answering.turns import Turns
from app.cache.feed import Feed
from app.cache.read_through import Tiers
from app.cache.universe import Universe
from app.constants import CONSTANTS, Constants
from app.domain.aliases import make_aliases
from app.domain.policy import Policy
from app.domain.records import KINDS, STATUS, Kinds
from app.domain.status import STREAM
from app.http.drain import DRAIN_SIGNAL, Drain, end_with_parent, hear_stop, is_listening
from app.observe.clocks import wall_ms
from app.observe.crew import BEAT_S, Crew
from app.observe.jobs import Jobs
from app.observe.logs import Logs, get_logger
from app.observe.meters import Meters
from app.observe.oldest import OldestServed
from app.observe.requests import Requests
from app.observe.supervisor import LOADS, Supervisor
from app.observe.window import Window
from app.options import Settings
from app.parts import (
    OpenReader,
    make_gate,
    make_hub,
    make_id,
    make_market,
    make_meters,
    make_now,
    make_policy,
    make_tiers,
    outage,
)
from app.shown_settings import started_facts
from app.store.protocol import Changes, KeyStore, Store
from app.unix_sockets import socket_path
from app.version import VERSION

if TYPE_CHECKING:
    # Imported where traces are on alone: OpenTelemetry is an extra.
    from app.observe.traces import Traces

_REFRESH_S = 1.0
_LOOKS_A_MINUTE = 61
"""Once a second, and the one that the first second counts from."""


class Worker:
    """Everything one worker is made of."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        logs: Logs | None,
        values_dir: str = "",
        supervisor_socket: str = "",
        loaded_by_unit: bool = False,
        job_ports: Sequence[int] = (),
        keys: KeyStore | None = None,
        open_traces: "Callable[[Meters], Traces] | None" = None,
        crew: Crew | None = None,
        worker: int = 0,
        constants: Constants = CONSTANTS,
        kinds: Kinds = KINDS,
        open_reader: OpenReader | None = None,
    ) -> None:
        self.settings, self.constants, self.store, self.logs = settings, constants, store, logs
        self.crew, self.worker, self._stage = crew or Crew(), worker, 0
        self.logger = get_logger("decide")
        self.now_ms, on_run, on_read = make_now(settings, clock, kinds)
        self.meters = make_meters(self.crew, values_dir)
        self.traces = None if open_traces is None else open_traces(self.meters)
        policy = make_policy(settings, Policy if self.traces is None else self.traces.policy, kinds)
        self.oldest = OldestServed(self.now_ms, [each.name for each in kinds.inputs])
        self.drain = Drain()
        make = Tiers if self.traces is None else self.traces.tiers
        self.tiers = make_tiers(settings, constants, store, self.meters, clock, rng, on_read, make, kinds)
        self.feed = Feed(
            store,
            self.tiers,
            self.meters,
            wait_s=constants.feed_wait_ms / 1000.0,
            lease_s=settings.l1_lease_s,
            rng=rng,
            clock=clock,
            now_ms=wall_ms,
            on_run=on_run,
            on_changes=self._on_changes,
            tell=outage("l2_feed", clock),
        )
        self.universe = Universe(store, lambda: self.tiers.memory.proven_until > clock())
        self.requests = Requests(self.meters.requests.of, self.logger, clock, settings.log_sample_every)
        self.admission = Admission(constants.max_in_flight)
        self.gate = make_gate(settings, keys, self.meters, clock)
        suggestions = Suggestions(self.universe, clock)
        self.market = make_market(settings, self.meters, suggestions, clock, open_reader)
        self.decider = Decider(
            tiers=self.tiers,
            admission=self.admission,
            policy=policy,
            meters=self.meters,
            oldest=self.oldest,
            now_ms=self.now_ms,
            clock=clock,
            make_id=make_id,
            l2_timeout_s=settings.l2_timeout_ms / 1000.0,
            live_prices=LivePrices(settings.live_price_outside),
            aliases=make_aliases(settings.symbol_aliases, settings.stablecoins),
            suggestions=suggestions,
        )
        self.turns, self.list_symbols = Turns(), listing(self.universe, self.decider)
        self.hub = make_hub(settings, constants, self.decider, store, self.list_symbols, self.meters, self.turns, rng)
        self.supervisor, self.jobs = Supervisor(supervisor_socket, a_part=bool(job_ports)), Jobs(job_ports)
        self._loaded_by_unit, self._clock, self._minute = loaded_by_unit, clock, Window(_LOOKS_A_MINUTE)
        self.look()
        self.drain.listeners += [self.hub.drain, self._draining]

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        self.market.refresh()
        self.meters.live.refresh(self.feed.globals.get(STATUS.name, STREAM))
        self.meters.refresh(
            l1_entries=len(self.tiers.memory),
            l1_max_entries=self.tiers.memory.max_entries,
            evictions=self.tiers.memory.evictions,
            in_flight=self.requests.in_flight,
            in_flight_decisions=self.admission.in_flight,
            max_in_flight_decisions=self.admission.max_in_flight,
            pending_loads=self.tiers.pending,
            oldest=self.oldest.look(),
            ready=self.feed.published and not self.drain.on,
            draining=self.drain.on,
            feed_connected=self.feed.connected,
            feed_lag_s=self.feed.lag_s(),
            breaker_closed=self.tiers.breaker.state == "closed",
            breaker_opened=self.tiers.breaker.opened,
            newest_input_age_s=self._newest_input_age_s(),
            log_lines_dropped=0 if self.logs is None else self.logs.dropped,
        )

    def _on_changes(self, changes: Changes) -> None:
        if not changes.values:
            # A symbol that is new is named.
            self.universe.changed()
        self.hub.on_changes(changes)

    def _newest_input_age_s(self) -> float:
        info = self.feed.run_info
        return 0.0 if info is None else max(0.0, (self.now_ms() - info.newest_as_of_ms) / 1000.0)

    def status(self) -> str:
        """In a line, for systemd."""
        if self.drain.on:
            return "Draining: those under way are served to their end."
        info = self.feed.run_info
        if info is not None:
            return f"Serving {info.symbols} symbols{f' of run {info.run}' if info.run else ''}."
        if self.feed.published:
            return "Serving; nothing is known of the run until the next one is loaded."
        if self.feed.connected:
            return f"Waiting for data: the store is empty{f', and `{LOADS}` fills it' if self._loaded_by_unit else ''}."
        return "Waiting for the store to answer."

    def look(self) -> None:
        """See what was decided since the last looks, for those who ask how the server is."""
        self.last_minute = self._minute.look(self._clock(), self.meters.totals())

    async def run_refresh(self) -> None:
        """Refresh once a second, for those who scrape another worker's merged values, and look."""
        while True:
            self.refresh()
            self.look()
            await asyncio.sleep(_REFRESH_S)

    async def run_beat(self) -> None:
        """Let the main process see that the loop turns, and see what it said where its signal was not heard: uvloop forgets one
        that comes while its loop does not run.
        """
        while True:
            self.crew.beat(self.worker)
            self._on_stage()
            await asyncio.sleep(BEAT_S)

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the feed while the server serves; give everything back afterwards."""
        self._await_signals()
        tasks = [asyncio.create_task(each) for each in (self.feed.run(), self.run_refresh(), self.hub.run(), self.run_beat())]
        ring, limiter = self.gate.ring, self.gate.limiter
        if ring is not None:
            # So that the first callers are known. A store that does not answer holds the start up no longer than a read may take.
            await ring.read()
            tasks.append(asyncio.create_task(ring.run()))
        if self.supervisor.listens:
            # A Unix socket listens before there are workers.
            is_up = is_listening if socket_path(self.settings.host) is None else lambda: True
            tasks.append(asyncio.create_task(self.supervisor.run(is_up, self.status)))
        tasks.append(asyncio.create_task(hear_stop()))
        for task in tasks:
            task.add_done_callback(self._task_ended)
        self.logger.info("started", version=VERSION, store=self.store.kind, **started_facts(self.settings))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if limiter is not None:
                await limiter.close()
            await self.tiers.close()
            await self.market.close()
            await self.store.close()
            if self.traces is not None:
                await self.traces.close()
            self.meters.flush()
            self.logger.info("stopped")
            if self.logs is not None:
                self.logs.close()

    def _await_signals(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid is not None:
            end_with_parent(parent.pid, self.settings.shutdown_grace_s)
        if DRAIN_SIGNAL is None:
            return
        # Only a worker of Granian's has its loop in the main thread; elsewhere (tests) nobody sends the signal.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(DRAIN_SIGNAL, self._on_stage)
            # Told before it could hear.
            self._on_stage()
            if parent is not None:
                # Ctrl-C at a terminal reaches workers too. The main process stops them, when streams have had their last word.
                asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)

    def _on_stage(self) -> None:
        while self._stage < self.crew.stage:
            self._stage += 1
            self.drain.signalled()

    def _draining(self) -> None:
        self.supervisor.stopping(self.status())
        self.logger.info("draining")

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.logger.error("background_task_died", exc_info=task.exception())
            # Whoever looks must not be told that changes still arrive.
            self.feed.connected = False
