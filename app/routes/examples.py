"""Examples of requests and responses for the OpenAPI document: made as the payloads' own types, so that they cannot be of another
shape. The requests give the statuses that the document says, wherever AAPL is loaded; a test sends them.
"""

import msgspec
from msgspec import Raw

from app.domain.policy import CONTRIBUTIONS, HYBRID_1
from app.domain.vector import AGENT_FEATURES, PRICE_FEATURES, SCHEMA
from app.market_payloads import (
    CandleItem,
    CandlePagination,
    CandlesResponse,
    GapItem,
    LatestPrice,
    LatestPriceItem,
    LatestPrices,
    TradeItem,
    TradePagination,
    TradesResponse,
)
from app.messages import LiveDecision, LiveStats
from app.payloads import (
    AgentsInput,
    BarsKind,
    BatchItem,
    BatchResponse,
    CacheInfo,
    DatabaseState,
    DecideResponse,
    Fallback,
    FeaturesResponse,
    HealthResponse,
    HistoryResponse,
    Inputs,
    L1State,
    LogState,
    Model,
    PriceInput,
    ReadyResponse,
    RunState,
    SourceState,
    StatusResponse,
    StoreState,
    SymbolDetails,
    SymbolsResponse,
    TickInput,
    VersionResponse,
    View,
)
from app.routes.problem_kinds import example_of
from app.version import VERSION

Examples = dict[str, object]
"""By name; values are Structs or plain JSON."""

_CLOSE, _RUN, _SYMBOL = "2013-03-01T21:00:00Z", "20130301T220000Z-5f1c", "AAPL"
_MODEL = Model(HYBRID_1.name, HYBRID_1.version, SCHEMA)
_INPUTS = Inputs(PriceInput("present", 3600.0), AgentsInput("present", 3600.0, 2, 1, 0))
_TRADE = TickInput("present", 1.4, Raw(b"444.05"), "a-feed", "complete")
_L1 = CacheInfo(hit=True, tier="l1", age_ms=812.4, run=_RUN)
_VIEWS = (
    View("technical_analyst", "view", 0.6, 0.8, _CLOSE, "a-model", "Higher lows on rising volume.", None, "run.json", "9f2c41d0"),
    View("news_analyst", "abstained", None, None, _CLOSE, "a-model", None, "no news today", "run.json", None),
)
_DECISION = DecideResponse(
    id="0192d3b4-7c3a-7f10-8b1e-5a3f0c9d2e70",
    symbol=_SYMBOL,
    requested="aapl",
    action="buy",
    score=0.643,
    confidence=0.785,
    target_weight=0.344,
    as_of=_CLOSE,
    expires_at="2013-03-05T21:00:00Z",
    model=_MODEL,
    inputs=_INPUTS,
    cache=_L1,
    fallback=Fallback(used=False, level="none", reason=None),
    latency_ms=0.031,
)
_EXPLAINED = DecideResponse(
    id="0192d3b4-7c3a-7f10-8b1e-5a3f0c9d2e72",
    symbol=_SYMBOL,
    requested=_SYMBOL,
    action="buy",
    score=0.667,
    confidence=0.796,
    target_weight=0.358,
    as_of="2013-03-01T21:59:58.600Z",
    expires_at="2013-03-01T22:00:58.600Z",
    model=_MODEL,
    inputs=Inputs(_INPUTS.price, _INPUTS.agents, _TRADE),
    cache=_L1,
    fallback=Fallback(used=False, level="none", reason=None),
    latency_ms=0.058,
    contributions=dict(zip(CONTRIBUTIONS, (0.36, 0.14, 0.175, -0.046, 0.115, 0.062), strict=True)),
    views=_VIEWS,
)
_PRICE_VALUES = (443.5, -0.0249, -0.0435, -0.0512, 38.7, -7.91, -7.02, -0.89, 9.84, 0.948, 0.21, 0.29, 0.31, 0.62, 0.09, -0.19)
_STORE, _DATABASE = StoreState("sqlite", "ok"), DatabaseState("sqlite", "ok", 0.412)

DECIDE_REQUESTS: Examples = {
    "plain": {"symbol": "aapl"},
    "live": {"symbol": _SYMBOL, "price": 104.5, "explain": True},
    "bounded": {"symbol": "AAPL", "max_age_s": 86_400, "deadline_ms": 20},
}
DECISIONS: Examples = {"plain": _DECISION, "explained": _EXPLAINED}
BATCH_REQUESTS: Examples = {
    "symbols": {"symbols": [_SYMBOL, "NOPE"]},
    "requests": {"requests": [{"symbol": _SYMBOL, "price": 104.5}, {"symbol": "BTC/USDT", "explain": True}]},
}
BATCH: Examples = {
    "mixed": BatchResponse(
        (BatchItem(_SYMBOL, _DECISION, None), BatchItem("NOPE", None, example_of("unknown-symbol"))), 1, 1, 0.084
    )
}
FEATURES: Examples = {
    "vector": FeaturesResponse(
        symbol=_SYMBOL,
        requested="aapl",
        schema=SCHEMA,
        names=PRICE_FEATURES + AGENT_FEATURES,
        values=(*_PRICE_VALUES, 0.6, 1.0, 1.0, 1.0, 0.0),
        price_as_of=_CLOSE,
        agents_as_of=_CLOSE,
        inputs=_INPUTS,
        cache=_L1,
        views=_VIEWS,
    )
}
SYMBOLS: Examples = {
    "page": SymbolsResponse(("AAPL", "BRK.B"), 3, "BRK.B", _RUN),
    "last": SymbolsResponse(("BTC-USDT",), 3, None, _RUN),
    "details": SymbolsResponse(
        ("BTC-USDT",),
        3,
        None,
        _RUN,
        (
            SymbolDetails(
                symbol="BTC-USDT",
                loaded=True,
                name="Bitcoin",
                market="",
                currency="USDT",
                source="binance",
                last_trade_time="2024-03-01T14:30:00.000125Z",
                volume_day=Raw(b"21483.00019"),
                kinds=(BarsKind("1m", "trades"),),
            ),
        ),
    ),
}
ALIVE: Examples = {"ok": ReadyResponse("ok")}
NOT_READY: Examples = {
    "cold": ReadyResponse("not_ready", "no warm run was seen yet: run the warm job"),
    "draining": ReadyResponse("not_ready", "draining: this worker is about to stop"),
}
HEALTH: Examples = {
    "ok": HealthResponse("ok", ready=True, store=_STORE, feed_connected=True, run=_RUN, data_age_s=3600.0, database=_DATABASE),
    "degraded": HealthResponse(
        "degraded",
        ready=True,
        store=StoreState("redis", "unreachable", "l2_timeout"),
        feed_connected=False,
        run=_RUN,
        data_age_s=3600.0,
        database=DatabaseState("sqlite", "unused"),
        reason="L2 is unreachable (l2_timeout); the change feed cannot be read",
    ),
    "live": HealthResponse(
        "degraded",
        ready=True,
        store=_STORE,
        feed_connected=True,
        run=_RUN,
        data_age_s=2.5,
        database=_DATABASE,
        reason="the stream is 75 s and 12000 messages behind",
        log=LogState(
            kind="sqlite",
            state="behind",
            age_s=1.5,
            lag_messages=12_000,
            lag_s=75.0,
            last_ingestion=_CLOSE,
            sources=(SourceState("coinbase", _CLOSE, _CLOSE, 52_000, 50_000),),
        ),
    ),
}
STATUS: Examples = {
    "warm": StatusResponse(
        version=VERSION,
        uptime_s=86_400.0,
        now="2013-03-01T22:00:00Z",
        clock="replay",
        ready=True,
        run=RunState(_RUN, "2013-03-01T21:59:58Z", _CLOSE, 3, 7500, 4200),
        store=_STORE,
        database=_DATABASE,
        l1=L1State(3, 20_000, 0, 0, 1990, 10, 0.995),
        pending_loads=0,
        in_flight=1,
        settings={"l1_ttl_s": 60.0, "redis_url": "not set", "workers": 1},
    )
}
VERSIONS: Examples = {"this": VersionResponse("decide", VERSION, _MODEL, "3.13.1")}
METRICS: Examples = {"ready": "# HELP decide_ready Whether this worker is ready.\n# TYPE decide_ready gauge\ndecide_ready 1.0\n"}
HISTORY: Examples = {
    "three days": HistoryResponse(
        symbol=_SYMBOL,
        requested="aapl",
        interval_s=86_400,
        times=("2013-02-27T21:00:00Z", "2013-02-28T21:00:00Z", _CLOSE),
        closes=(444.57, 441.4, 430.47),
        as_of=_CLOSE,
        run=_RUN,
    )
}
CANDLES: Examples = {
    "one day": CandlesResponse(
        data=(
            CandleItem(
                symbol=_SYMBOL,
                interval="1d",
                open=Raw(b"438"),
                high=Raw(b"438.18"),
                low=Raw(b"429.98"),
                close=Raw(b"430.47"),
                volume=Raw(b"19749600"),
                start_time="2013-03-01T14:30:00Z",
                end_time=_CLOSE,
                trades=None,
                vwap=Raw(b"null"),
                coverage="complete",
                revision=1,
                complete=True,
                session="regular",
                sources=("yahoo",),
            ),
        ),
        gaps=(),
        pagination=CandlePagination(1, 0, 504, "Zk1p3q8xV0y2TqS1dYb0aKcQe9h2u4sIzwAE16bMs0gA"),
    ),
    "a gap": CandlesResponse(
        data=(),
        gaps=(GapItem("coinbase", "2013-03-01T14:30:00Z", "2013-03-01T14:30:07.25Z", 12, "ids", None),),
        pagination=CandlePagination(100, 0, 0, None),
    ),
}
TRADES: Examples = {
    "one trade": TradesResponse(
        data=(
            TradeItem(
                symbol="BTC-USD",
                trade_id="86326522",
                time="2024-03-01T14:30:00.000125Z",
                price=Raw(b"61733.98"),
                size=Raw(b"0.00000001"),
                side="buy",
                venue="coinbase",
                source="coinbase.csv",
            ),
        ),
        pagination=TradePagination(1, None),
    )
}
_LAST = LatestPrice(
    symbol=_SYMBOL,
    requested="aapl",
    price=msgspec.Raw(b"430.58"),
    currency="USD",
    timestamp="2013-03-01T21:00:00.104512Z",
    size=msgspec.Raw(b"100"),
    side="buy",
    venue="nasdaq",
    source="trades.csv",
    age_s=1.5,
    coverage="complete",
    sequence=1_362_171_600_104_512,
    stale=False,
    reason=None,
    cache=_L1,
)
LATEST_PRICES: Examples = {
    "one": _LAST,
    "several": LatestPrices(
        (LatestPriceItem(_SYMBOL, _LAST, None), LatestPriceItem("NOPE", None, example_of("unknown-symbol"))), 1, 1
    ),
}
_LIVE = LiveDecision(**{name: getattr(_DECISION, name) for name in DecideResponse.__struct_fields__}, previous="hold")
_EVENT = f"event: decision\nid: 1362171600000-0\ndata: {msgspec.json.encode(_LIVE).decode()}\n\n"
_PRICE_EVENT = f"event: price\ndata: {msgspec.json.encode(_LAST).decode()}\n\n"
STREAM: Examples = {"a decision, a price and a sign of life": f"retry: 3000\n\n{_EVENT}{_PRICE_EVENT}:\n\n"}
_STATS = LiveStats(
    worker=17,
    version=VERSION,
    uptime_s=86.4,
    run=_RUN,
    window_s=10.0,
    requests_per_s=812.4,
    decisions_per_s=812.4,
    hit_rate=0.97,
    hit_rate_since_start=0.96,
    p50_ms=0.031,
    p95_ms=0.048,
    p99_ms=0.095,
    l1_entries=505,
    in_flight=3,
    feed_connected=True,
    feed_lag_s=0.021,
)
LIVE: Examples = {"one second": f"data: {msgspec.json.encode(_STATS).decode()}\n\n"}
