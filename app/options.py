"""Every setting: name, type, default, range, effect; and which must fit each other. `app.settings` reads them."""

from collections.abc import Collection
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

_KEY_PREFIX_RULE = r"^[A-Za-z0-9:_.-]{1,64}$"
_HASHING_RULE = r"^(\S{32,512})?$"
_ADDRESSES_RULE = r"^([0-9A-Fa-f:./, ]|unix){0,1000}$"
_MODE_RULE = r"^[0-7]{3}$"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the server and the warm job can be told. Field ``l1_ttl_s`` is the environment variable ``L1_TTL_S``."""

    host: Annotated[
        str, Meta(min_length=1, description="Address to listen on, or unix:/absolute/path.sock: a Unix socket, for this machine.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port to listen on; a Unix socket has none.")] = 8000
    socket_mode: Annotated[
        str,
        Meta(
            pattern=_MODE_RULE, description="Permissions of the Unix socket, in octal; who may write to it may call the server."
        ),
    ] = "660"
    workers: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Server processes. Scale by replicas first: one worker keeps one L1 and /metrics needs no merging.",
        ),
    ] = 1
    loop: Annotated[
        Literal["auto", "uvloop", "asyncio"], Meta(description="Event loop; auto takes uvloop where it is installed.")
    ] = "auto"
    max_connections: Annotated[
        int,
        Meta(
            ge=16,
            le=65536,
            description="Connections a worker accepts at once. Idle keep-alive ones count, so keep it above what you serve.",
        ),
    ] = 16_384
    max_in_flight: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Decisions being waited for at once, by batches and for L2; more get 503. Hits in memory always pass.",
        ),
    ] = 10_000
    keep_alive_s: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="Seconds a connection may be idle, or take to send a request's head. Keep it above your proxy's own.",
        ),
    ] = 75
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least severe level that is logged.")] = (
        "info"
    )
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="JSON lines or coloured text; auto means console on a terminal and json elsewhere."),
    ] = "auto"
    log_sample_every: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="One successful request in this many is logged; errors and fallbacks always are.",
        ),
    ] = 100
    redis_url: Annotated[
        str,
        Meta(
            description="L2 on Redis (redis://, rediss:// or unix://). Empty: L2 on SQLite at STORE_PATH.",
        ),
    ] = ""
    redis_password: Annotated[
        str,
        Meta(description="Redis's password, if REDIS_URL does not have it. REDIS_PASSWORD_FILE names a file that holds it."),
    ] = ""
    store_path: Annotated[
        str,
        Meta(min_length=1, description="SQLite file of the embedded L2. Its folder must be on a local disk (WAL mode)."),
    ] = ".decide/store.sqlite3"
    key_prefix: Annotated[
        str,
        Meta(
            pattern=_KEY_PREFIX_RULE,
            description="First part of every Redis key; give each universe on a shared Redis its own.",
        ),
    ] = "decide:1"
    clock: Annotated[
        Literal["wall", "replay"],
        Meta(description="replay starts at the newest as_of of the loaded data and runs on, to serve history as if live."),
    ] = "wall"
    l1_max_entries: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Symbols kept in process memory, about 4 KB each; the least recently used goes."),
    ] = 20_000
    l1_ttl_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="Seconds an L1 entry counts as fresh. The change feed replaces entries sooner when data changes.",
        ),
    ] = 60.0
    l1_ttl_jitter: Annotated[
        float,
        Meta(
            ge=0,
            le=0.5,
            description="Share by which each entry's lifetime is shortened at random, so they do not expire together.",
        ),
    ] = 0.1
    l1_stale_s: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="Seconds past its lifetime that an entry may still answer, marked stale, while L2 cannot.",
        ),
    ] = 3600.0
    l1_lease_s: Annotated[
        float,
        Meta(
            ge=0.5,
            le=3600,
            description="Seconds without word from the change feed after which nothing in L1 counts as fresh.",
        ),
    ] = 5.0
    l1_refresh_share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Share of an entry's lifetime after which a hit has it loaded anew; hot ones never expire. 1: never.",
        ),
    ] = 0.8
    negative_ttl_s: Annotated[
        float, Meta(ge=0, le=3600, description="Seconds an unknown symbol is remembered as unknown; 0 asks L2 each time.")
    ] = 5.0
    negative_max_entries: Annotated[int, Meta(ge=1, le=1_000_000, description="Unknown symbols remembered at once.")] = 10_000
    l2_timeout_ms: Annotated[
        float,
        Meta(gt=0, le=60_000, description="How long a request waits for L2 before it falls back; deadline_ms can only lower it."),
    ] = 100.0
    breaker_failures: Annotated[
        int, Meta(ge=1, le=1000, description="Failures of L2 in a row after which requests fall back without waiting for it.")
    ] = 5
    breaker_pause_s: Annotated[
        float, Meta(ge=0.1, le=60, description="Longest time between two probes of an L2 that does not answer.")
    ] = 2.0
    l2_max_pending: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Symbols being loaded from L2 at once; more are answered by fallback.")
    ] = 20_000
    l2_max_connections: Annotated[int, Meta(ge=1, le=1000, description="Redis connections of one worker.")] = 16
    feed_wait_ms: Annotated[
        float,
        Meta(ge=1, le=60_000, description="Longest wait of one read of the change feed; SQLite is looked at this often."),
    ] = 100.0
    batch_max: Annotated[int, Meta(ge=1, le=10_000, description="Decisions one POST /decide/batch may ask for.")] = 1000
    max_body_bytes: Annotated[
        int, Meta(ge=256, le=16_777_216, description="Largest request body in bytes; more is answered 413.")
    ] = 262_144
    body_timeout_s: Annotated[
        float, Meta(gt=0, le=300, description="Seconds a request body may take to arrive; more is answered 408.")
    ] = 5.0
    price_max_bars: Annotated[
        int,
        Meta(
            ge=1,
            le=5,
            description="A price is stale when so many bars after its last are over by its market's calendar and have not come.",
        ),
    ] = 2
    price_max_age_s: Annotated[
        float,
        Meta(ge=0, le=31_536_000, description="Age in seconds past which price inputs are stale; 0: PRICE_MAX_BARS says when."),
    ] = 0.0
    agents_max_age_s: Annotated[
        float, Meta(gt=0, le=31_536_000, description="Age in seconds past which agents' views are stale.")
    ] = 604_800.0
    input_limit_s: Annotated[
        float,
        Meta(gt=0, le=3_153_600_000, description="Age in seconds past which an input is not used at all, but counts as missing."),
    ] = 2_592_000.0
    clock_skew_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="Seconds that an input may lie ahead of the wall clock; one further ahead is not used.",
        ),
    ] = 300.0
    symbol_aliases: Annotated[
        str,
        Meta(
            description="Other names, by commas, as BTC-USD=BTC-USDT: the first is asked for, or written in a file, the second is"
            " what is kept and served.",
        ),
    ] = ""
    stablecoins: Annotated[
        Literal["apart", "usd"],
        Meta(description="Pairs quoted in coins that stand for a dollar: apart, or usd for all (BTC-USDT is kept as BTC-USD)."),
    ] = "apart"
    live_price_deviations: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="Standard deviations, by the symbol's own volatility and its last close's age, that a live price may lie"
            " from that close; half and double always may. 0: any price.",
        ),
    ] = 10.0
    live_price_outside: Annotated[
        Literal["refuse", "ignore"],
        Meta(description="A live price outside is refused (422), or the decision is made without it and says so."),
    ] = "refuse"
    agent_half_life_s: Annotated[
        float, Meta(gt=0, le=31_536_000, description="Seconds after which an agent's view weighs half as much.")
    ] = 432_000.0
    access: Annotated[
        Literal["auto", "off", "keys"],
        Meta(description="Who may call: keys wants an API key of all; auto does so unless HOST is loopback or a Unix socket."),
    ] = "auto"
    api_key_secret: Annotated[
        str,
        Meta(
            pattern=_HASHING_RULE,
            description="What API keys are hashed with, at least 32 characters (`openssl rand -hex 32`). API_KEY_SECRET_FILE"
            " names a file that holds it.",
        ),
    ] = ""
    access_grace_s: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="Seconds past L1_LEASE_S that known keys stay good while the store that could revoke them is silent.",
        ),
    ] = 3600.0
    metrics_access: Annotated[
        Literal["open", "keys"], Meta(description="Whether GET /metrics wants a key (of scope read) where calls do.")
    ] = "open"
    probes_access: Annotated[
        Literal["open", "keys"],
        Meta(description="Whether /livez, /readyz and /health want a key (any) where calls do; the image sends DECIDE_API_KEY."),
    ] = "open"
    rate_limit_per_s: Annotated[
        float,
        Meta(ge=0, le=1_000_000, description="Decisions a second that a key, or an address without one, may ask for; 0: any."),
    ] = 0.0
    rate_limit_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Decisions that it may ask for at once, before RATE_LIMIT_PER_S holds it back.")
    ] = 1000
    trusted_proxies: Annotated[
        str,
        Meta(
            pattern=_ADDRESSES_RULE,
            description="Addresses and networks (10.0.0.0/8), by commas, whose X-Forwarded-For tells the caller's address;"
            " unix: whoever calls over the Unix socket.",
        ),
    ] = ""
    pages: Annotated[Literal["on", "off"], Meta(description="The console at / and the API's page at /docs.")] = "on"
    stream_max_clients: Annotated[
        int, Meta(ge=0, le=100_000, description="Callers of /stream and /ws that a worker has at once; more get 503. 0: none.")
    ] = 2000
    stream_max_symbols: Annotated[int, Meta(ge=1, le=100_000, description="Symbols that one of them may follow.")] = 1000
    stream_queue: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Events that may wait for one of them; who falls further behind is dropped."),
    ] = 10_000
    stream_heartbeat_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds without an event after which /stream and /ws send a sign of life.")
    ] = 15.0
    traces: Annotated[
        Literal["off", "on"],
        Meta(description="OpenTelemetry traces, by OTLP as OTEL_EXPORTER_OTLP_ENDPOINT and its kin say (the extra traces)."),
    ] = "off"
    drain_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="Seconds after SIGTERM in which /readyz says 503 and answers close their connections, before the stop.",
        ),
    ] = 2.0
    shutdown_grace_s: Annotated[int, Meta(ge=1, le=600, description="Seconds a worker may take to stop before it is ended.")] = 10
    warm_memory_mb: Annotated[
        int,
        Meta(
            ge=0,
            le=99_999_999,
            description="Memory that a warm run may take, as --memory-mb says too; 0: half of the machine's, 85 % of the"
            " container's, or what is free.",
        ),
    ] = 0


class Bound(NamedTuple):
    """``lesser`` times ``scale`` may be as much as ``greater``, and not more; ``why`` completes "because"."""

    lesser: str
    scale: float
    greater: str
    why: str


BOUNDS = (
    Bound("feed_wait_ms", 0.002, "l1_lease_s", "the lease is renewed when a read of the feed ends, so it must hold two of them"),
    Bound("price_max_age_s", 1.0, "input_limit_s", "past that limit an input is not used, so it would never be stale"),
    Bound("agents_max_age_s", 1.0, "input_limit_s", "past that limit an input is not used, so it would never be stale"),
    Bound("batch_max", 1.0, "l2_max_pending", "a batch that is not in memory could never be loaded whole"),
    Bound("batch_max", 4.0, "max_body_bytes", "a batch takes at least 4 bytes a symbol"),
    Bound("stream_max_symbols", 1.0, "stream_queue", "a publication would drop whoever follows so many"),
)
"""Settings that contradict each other beyond this. All other pairs were looked at. Either one is a tighter bound than the other
and says so to callers (RATE_LIMIT_BURST and BATCH_MAX, STREAM_MAX_CLIENTS and MAX_CONNECTIONS), or they do not meet. A batch
beyond MAX_IN_FLIGHT comes in alone.
"""


def out_of_bounds(settings: Settings, given: Collection[str], wrong: Collection[str]) -> list[str]:
    """Settings that contradict each other (`BOUNDS`), the one that was ``given`` first; not those ``wrong`` by themselves."""
    lines = []
    for lesser, scale, greater, why in BOUNDS:
        less, more = getattr(settings, lesser), getattr(settings, greater)
        if less * scale > more and not {lesser.upper(), greater.upper()}.intersection(wrong):
            most, least = more / scale, less * scale
            said = [
                (f"{lesser.upper()} is {less:,.15g}", f"{lesser.upper()} of at most {most:,.15g}"),
                (f"{greater.upper()} is {more:,.15g}", f"{greater.upper()} of at least {least:,.15g}"),
            ]
            said.sort(key=lambda each: each[0].partition(" ")[0] not in given)
            (first, first_allowed), (second, second_allowed) = said
            lines.append(f"{first} and {second}; allowed together: {first_allowed}, or {second_allowed}: {why}")
    return lines
