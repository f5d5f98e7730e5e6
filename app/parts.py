"""The parts of a worker, each made from its settings; `app.worker` puts them together."""

import random
from collections.abc import Callable

import uuid_utils

from app.answering.decider import Decider
from app.answering.latest import PriceTeller
from app.answering.listing import ListSymbols
from app.answering.market import Market
from app.answering.suggestions import Suggestions
from app.answering.turns import Turns
from app.breaker import Breaker
from app.cache.keyring import KeyRing
from app.cache.memory import Memory
from app.cache.read_through import Tiers
from app.constants import Constants
from app.domain.evidence import Evidence
from app.domain.policy import HYBRID_1, Policy
from app.domain.records import KINDS, Kinds
from app.domain.staleness import PRICE_MAX_BARS, SKEW_MS, Limits
from app.domain.vector import AS_OF_MAX_MS, SCHEMA
from app.http.access import Gate
from app.http.limits import Bucket, Limiter
from app.http.queues import Queues
from app.http.steady import SteadyBuckets
from app.market.protocol import Reader
from app.observe.clocks import ReplayClock, wall_ms
from app.observe.crew import Crew
from app.observe.logs import get_logger
from app.observe.meters import Meters
from app.observe.outages import Outage, Part
from app.options import Settings, market_place, names_in
from app.push.hub import Hub
from app.push.prices import Prices
from app.routes.table.entries import CLASSES
from app.settings import keys_wanted
from app.store.protocol import KeyStore, RunInfo, Store
from app.version import VERSION

OpenReader = Callable[[], Reader]
_FIRST_PAUSE_S = 0.1
_NEGATIVE_MAX_ENTRIES = 10_000
"""Unknown symbols remembered at once."""
_REFRESH_SHARE = 0.8
"""Share of an entry's lifetime after which a hit has it loaded anew: hot ones never expire."""


def make_id() -> str:
    """A UUIDv7: unique, and in the order of time."""
    return str(uuid_utils.uuid7())


def outage(part: Part, clock: Callable[[], float]) -> Outage:
    """What tells the worker's log of failures of ``part``."""
    return Outage(get_logger("decide"), part, clock)


def make_policy(settings: Settings, make: Callable[..., Policy] = Policy, kinds: Kinds = KINDS) -> Policy:
    """The policy with the settings' ages."""
    return make(
        HYBRID_1,
        Limits(
            price_ms=settings.price_max_age_s * 1000.0,
            price_bars=0 if settings.price_max_age_s else PRICE_MAX_BARS,
            tick_ms=min(settings.tick_max_age_s, settings.input_limit_s) * 1000.0,
            agents_ms=settings.agents_max_age_s * 1000.0,
            input_ms=settings.input_limit_s * 1000.0,
            # The replay clock is the data's own: what is ahead of it is of a run that this worker has yet to hear of.
            skew_ms=SKEW_MS if settings.clock == "wall" else AS_OF_MAX_MS,
            half_life_ms=settings.agent_half_life_s * 1000.0,
        ),
        kinds,
    )


def make_tiers(
    settings: Settings,
    constants: Constants,
    store: Store,
    meters: Meters,
    clock: Callable[[], float],
    rng: random.Random,
    on_read: Callable[[Evidence], None] = lambda _: None,
    make: Callable[..., Tiers] = Tiers,
    kinds: Kinds = KINDS,
) -> Tiers:
    """L1 in front of ``store``, with the breaker between them; ``on_read`` is told of what is read."""
    memory = Memory(
        max_entries=settings.l1_max_entries,
        ttl_s=settings.l1_ttl_s,
        ttl_jitter=constants.l1_ttl_jitter,
        stale_s=settings.l1_stale_s,
        negative_max_entries=_NEGATIVE_MAX_ENTRIES,
        negative_ttl_s=constants.negative_ttl_s,
        clock=clock,
        rng=rng,
        refresh_share=_REFRESH_SHARE,
    )
    breaker = Breaker(
        failures=constants.breaker_failures,
        first_pause_s=_FIRST_PAUSE_S,
        longest_pause_s=constants.breaker_pause_s,
        clock=clock,
        rng=rng,
    )
    return make(
        memory,
        store,
        meters,
        clock,
        breaker,
        max_pending=constants.l2_max_pending,
        slow_s=settings.l2_timeout_ms / 1000.0,
        kinds=kinds,
        on_read=on_read,
        tell=outage("l2_reads", clock),
    )


def make_meters(crew: Crew, values_dir: str) -> Meters:
    """The metrics of a worker of ``crew``, with ``values_dir`` shared by its workers."""
    return Meters(
        version=VERSION,
        policy=HYBRID_1.version,
        schema=SCHEMA,
        multiprocess_dir=values_dir,
        restarts=crew.restarts,
        classes=CLASSES,
    )


def make_gate(settings: Settings, keys: KeyStore | None, meters: Meters, clock: Callable[[], float]) -> Gate:
    """Who may call what, and how often."""
    ring, limiter = None, None
    if keys is not None and keys_wanted(settings):
        ring = KeyRing(
            keys,
            settings.api_key_secret.encode(),
            meters.access,
            clock=clock,
            now_ms=wall_ms,
            lease_s=settings.l1_lease_s,
            grace_s=settings.access_grace_s,
            tell=outage("keys", clock),
        )
    if settings.rate_limit_per_s:
        from app.http.buckets import Buckets  # noqa: PLC0415 - its library is imported where rates are limited

        per_s, burst = settings.rate_limit_per_s, settings.rate_limit_burst
        buckets: Bucket = Buckets(per_s=per_s, burst=burst)
        if settings.redis_url:
            shared = Buckets(
                per_s=per_s,
                burst=burst,
                redis_url=settings.redis_url,
                redis_password=settings.redis_password,
                key_prefix=settings.key_prefix,
                timeout_s=settings.l2_timeout_ms / 1000.0,
            )
            buckets = SteadyBuckets(shared, buckets, meters.access, tell=outage("rate_limit", clock))
        limiter = Limiter(buckets, meters.access, per_s=per_s, burst=burst, clock=clock)
    return Gate(ring, limiter, meters.access.access_refused, Queues(settings.max_connections))


def make_market(
    settings: Settings, meters: Meters, suggestions: Suggestions, clock: Callable[[], float], open_reader: OpenReader | None
) -> Market:
    """The market store, which nobody opens before somebody asks for it; ``open_reader`` for tests."""
    place = market_place(settings)
    is_remote = bool(place["url"])

    def opened() -> Reader:
        from app.market.opening import open_reader as found  # noqa: PLC0415 - imported where somebody asks for market data

        deadline_s, sources = settings.market_timeout_ms / 1000.0, names_in(settings.market_sources)
        return found(**place, sources=sources, deadline_s=deadline_s, waited=meters.market.waited)

    if is_remote and open_reader is None:
        # Its driver takes longer to import than a request may wait. It connects when somebody asks.
        reader = opened()
        open_reader = lambda: reader  # noqa: E731 - what is there already
    return Market(
        open_reader or opened,
        meters.market,
        suggestions,
        clock,
        kind="postgresql" if is_remote else "sqlite",
        is_there=lambda: is_remote or place["path"].exists(),
        tell=outage("market", clock),
    )


def make_hub(
    settings: Settings,
    constants: Constants,
    decider: Decider,
    store: Store,
    list_symbols: ListSymbols,
    meters: Meters,
    turns: Turns,
    rng: random.Random,
) -> Hub:
    """The hub of live decisions and prices."""
    teller = PriceTeller(decider, meters, turns)
    prices = Prices(
        decider, teller, list_symbols, meters.streams, turns, max_symbols=settings.stream_max_symbols, wall_ms=wall_ms
    )
    return Hub(
        decider,
        store,
        list_symbols,
        meters.streams,
        turns,
        prices,
        max_clients=settings.stream_max_clients,
        max_symbols=settings.stream_max_symbols,
        max_events=constants.stream_queue,
        heartbeat_s=constants.stream_heartbeat_s,
        wall_ms=wall_ms,
        rng=rng,
    )


def make_now(
    settings: Settings, clock: Callable[[], float], kinds: Kinds = KINDS
) -> tuple[Callable[[], int], Callable[[RunInfo], None], Callable[[Evidence], None]]:
    """The domain clock, and what it is to be told of runs and of what is read: the wall clock has no use for them. What no run
    brings, as a last trade, does not move it.
    """
    if settings.clock == "wall":
        return wall_ms, lambda _: None, lambda _: None
    replay, inputs = ReplayClock(clock), sum(each in kinds.of_runs for each in kinds.inputs)

    def on_read(evidence: Evidence) -> None:
        replay.read(max((each.as_of_ms for each in evidence.records[:inputs] if each is not None), default=0))

    return replay, lambda info: replay.start_at(info.newest_as_of_ms), on_read
