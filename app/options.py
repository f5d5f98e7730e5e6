"""Every setting: name, type, default, range, effect. `app.settings` reads them; `app.fitting` says which must fit each other."""

from pathlib import Path
from typing import Annotated, Literal, TypedDict, get_args, get_origin

import msgspec
from msgspec import Meta

_KEY_PREFIX_RULE = r"^[A-Za-z0-9:_.-]{1,64}$"
_HASHING_RULE = r"^(\S{32,512})?$"
_ADDRESSES_RULE = r"^([0-9A-Fa-f:./, ]|unix){0,1000}$"
_MODE_RULE = r"^[0-7]{3}$"
_SERVERS_RULE = r"^([^\s,/@]+:\d{1,5}(, ?[^\s,/@]+:\d{1,5})*)?$"
_TOPIC_RULE = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,239}$"
_WEBSOCKET_RULE = r"^wss?://\S{1,1000}$"
_HTTP_RULE = r"^https?://\S{1,1000}$"


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
    max_connections: Annotated[
        int,
        Meta(
            ge=16,
            le=65536,
            description="Connections a worker accepts at once. Idle keep-alive ones count, so keep it above what you serve.",
        ),
    ] = 16_384
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
    database_url: Annotated[
        str,
        Meta(description="Market store on PostgreSQL (postgresql://…). Empty: on SQLite at MARKET_PATH."),
    ] = ""
    database_read_url: Annotated[
        str,
        Meta(description="Replica of it (postgresql://…) that servers read. Empty: they read DATABASE_URL."),
    ] = ""
    database_password: Annotated[
        str,
        Meta(description="Password of both, if their URLs have none. DATABASE_PASSWORD_FILE names a file that holds it."),
    ] = ""
    market_path: Annotated[
        str,
        Meta(
            min_length=1, description="SQLite file of the embedded market store. Its folder must be on a local disk (WAL mode)."
        ),
    ] = ".decide/market.sqlite3"
    market_migrations: Annotated[
        Literal["auto", "command"],
        Meta(description="Whether the market store is migrated at its first use, or by `decide migrate` alone."),
    ] = "auto"
    market_sources: Annotated[
        str,
        Meta(description="Sources of bars that were given, by commas, the best first: where they overlap, it counts."),
    ] = ""
    market_retention_days: Annotated[
        int,
        Meta(ge=0, le=36_500, description="Whole days for which `decide market retain` keeps trades; bars stay. 0: all of them."),
    ] = 0
    market_timeout_ms: Annotated[
        float, Meta(ge=10, le=60_000, description="How long a request may read the market store before it gets 503.")
    ] = 2000.0
    stream_path: Annotated[
        str,
        Meta(min_length=1, description="SQLite file of the embedded log. Its folder must be on a local disk (WAL mode)."),
    ] = ".decide/stream.sqlite3"
    kafka_bootstrap_servers: Annotated[
        str,
        Meta(
            pattern=_SERVERS_RULE,
            description="The stream's log in Kafka (HOST:PORT, by commas). Empty: on SQLite at STREAM_PATH.",
        ),
    ] = ""
    kafka_topic: Annotated[
        str, Meta(pattern=_TOPIC_RULE, description="Topic of trades, in either log; its dead letters are in TOPIC.dlq.")
    ] = "decide.trades"
    kafka_partitions: Annotated[
        int, Meta(ge=1, le=1000, description="Partitions of topics made in Kafka: so many `decide stream` can share the work.")
    ] = 6
    kafka_group: Annotated[
        str,
        Meta(
            min_length=1,
            description="Consumers of one market store share the partitions by this name; give each market store its own.",
        ),
    ] = "decide"
    kafka_security_protocol: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"],
        Meta(description="Whether Kafka is spoken to by TLS (ssl), and is told who calls (sasl)."),
    ] = "plaintext"
    kafka_sasl_mechanism: Annotated[
        Literal["plain", "scram-sha-256", "scram-sha-512"], Meta(description="How Kafka is told who calls.")
    ] = "scram-sha-512"
    kafka_sasl_username: Annotated[str, Meta(description="Who calls.")] = ""
    kafka_sasl_password: Annotated[
        str, Meta(description="That one's password. KAFKA_SASL_PASSWORD_FILE names a file that holds it.")
    ] = ""
    kafka_ssl_ca_location: Annotated[
        str, Meta(description="File of the certificates that Kafka's must come of. Empty: the system's.")
    ] = ""
    kafka_ssl_certificate_location: Annotated[
        str, Meta(description="File of our own certificate, where Kafka asks for one; its key is KAFKA_SSL_KEY_LOCATION.")
    ] = ""
    kafka_ssl_key_location: Annotated[str, Meta(description="File of its private key.")] = ""
    kafka_ssl_key_password: Annotated[
        str, Meta(description="That file's password, if it has one. KAFKA_SSL_KEY_PASSWORD_FILE names a file that holds it.")
    ] = ""
    stream_port: Annotated[
        int,
        Meta(ge=0, le=65_535, description="Port at which `decide stream` shows /metrics and /livez, at HOST; 0: nowhere."),
    ] = 8001
    ingest_port: Annotated[
        int,
        Meta(ge=0, le=65_535, description="Port at which `decide ingest` shows /metrics and /livez, at HOST; 0: nowhere."),
    ] = 8002
    ingestion_interval_seconds: Annotated[
        float, Meta(ge=0.01, le=3600, description="How often `decide ingest` makes a trade of each simulated symbol.")
    ] = 3.0
    replay_speed: Annotated[
        Literal["1", "10", "max", "real-time"],
        Meta(
            description="How fast `decide ingest --source replay` tells what was recorded: as it came, ten times as fast, as fast"
            " as the log takes it, or as it came with times moved to now."
        ),
    ] = "1"
    coinbase_websocket_url: Annotated[
        str, Meta(pattern=_WEBSOCKET_RULE, description="Coinbase Exchange's WebSocket, for `decide ingest --source coinbase`.")
    ] = "wss://ws-feed.exchange.coinbase.com"
    coinbase_rest_url: Annotated[
        str, Meta(pattern=_HTTP_RULE, description="Coinbase Exchange's REST, for what the WebSocket left out.")
    ] = "https://api.exchange.coinbase.com"
    tick_publish_ms: Annotated[
        float, Meta(ge=0, le=10_000, description="How often at most a symbol's last trade is published.")
    ] = 5.0
    max_clock_skew_s: Annotated[
        float,
        Meta(ge=0, le=86_400, description="How far a live source's clock may be ahead; what is further ahead is a dead letter."),
    ] = 5.0
    feature_rows: Annotated[
        Literal["off", "on"],
        Meta(
            description="Whether `decide stream` publishes rows of features, a symbol and second each, to topic decide.features."
        ),
    ] = "off"
    window_size: Annotated[
        int,
        Meta(ge=2, le=10_000, description="Last trades of a symbol that its features rest on."),
    ] = 50
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
    l2_timeout_ms: Annotated[
        float,
        Meta(gt=0, le=60_000, description="How long a request waits for L2 before it falls back; deadline_ms can only lower it."),
    ] = 100.0
    batch_max: Annotated[int, Meta(ge=1, le=10_000, description="Decisions one POST /decide/batch may ask for.")] = 1000
    price_max_age_s: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="Age in seconds past which price inputs are stale; 0: once two bars after the last are over.",
        ),
    ] = 0.0
    tick_max_age_s: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Age in seconds past which a last trade is no price of now; it counts while the market is open.",
        ),
    ] = 60.0
    agents_max_age_s: Annotated[
        float, Meta(gt=0, le=31_536_000, description="Age in seconds past which agents' views are stale.")
    ] = 604_800.0
    input_limit_s: Annotated[
        float,
        Meta(gt=0, le=3_153_600_000, description="Age in seconds past which an input is not used at all, but counts as missing."),
    ] = 2_592_000.0
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
    live_price_outside: Annotated[
        Literal["refuse", "ignore", "accept"],
        Meta(
            description="A live price more than 10 deviations, and twofold, away from the last close is refused (422),"
            " ignored, which the answer says, or taken."
        ),
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
    stream_max_symbols: Annotated[int, Meta(ge=1, le=10_000, description="Symbols that one of them may follow.")] = 1000
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


class StorePlace(TypedDict):
    """Where L2 is, as `app.store.opening.open_store` takes it."""

    redis_url: str
    redis_password: str
    store_path: Path
    key_prefix: str


def store_place(settings: Settings) -> StorePlace:
    """Where ``settings`` say that L2 is."""
    return StorePlace(
        redis_url=settings.redis_url,
        redis_password=settings.redis_password,
        store_path=Path(settings.store_path),
        key_prefix=settings.key_prefix,
    )


class MarketPlace(TypedDict):
    """Where the market store is, as `app.market.opening` takes it."""

    url: str
    read_url: str
    password: str
    path: Path
    migrates: bool


def market_place(settings: Settings) -> MarketPlace:
    """Where ``settings`` say that the market store is."""
    return MarketPlace(
        url=settings.database_url,
        read_url=settings.database_read_url,
        password=settings.database_password,
        path=Path(settings.market_path),
        migrates=settings.market_migrations == "auto",
    )


def names_in(text: str) -> tuple[str, ...]:
    """The names that ``text`` lists by commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def allowed_by(annotation: object) -> str:
    """What a field accepts, in words: used by errors and by .env.example."""
    base, *metas = get_args(annotation)
    if get_origin(base) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(base))
    words = {int: "a whole number", float: "a number", str: "text"}[base]
    for meta in metas:
        low = f"above {meta.gt:,}" if meta.gt is not None else f"at least {meta.ge:,}" if meta.ge is not None else ""
        high = f"at most {meta.le:,}" if meta.le is not None else ""
        bounds = " and ".join(part for part in (low, high) if part)
        if bounds:
            words += f", {bounds}"
        if meta.pattern is not None:
            words += f" matching {meta.pattern}"
        if meta.min_length:
            words += ", not empty"
    return words
