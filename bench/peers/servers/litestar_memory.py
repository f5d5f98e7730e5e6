"""Litestar + Uvicorn with what was decoded in an in-process TTL cache: the nearest to Decide's hit that a framework gives."""

import os
from typing import Any

from cachetools import TTLCache
from litestar import Litestar, post
from litestar.exceptions import NotFoundException
from redis.asyncio import Redis

from app.payloads import DecideRequest, DecideResponse
from bench.peers.judgement import Judgement, agents_key, evidence_of, price_key

redis: Any = Redis.from_url(os.environ["PEER_REDIS_URL"])
judgement = Judgement(int(os.environ["PEER_NEWEST_AS_OF_MS"]))
known: TTLCache[str, Any] = TTLCache(100_000, 600.0)


@post("/decide", status_code=200)
async def decide(data: DecideRequest) -> DecideResponse:
    """From the cache, from Redis if it is not there, then the policy. Litestar decodes and encodes msgspec Structs itself."""
    try:
        evidence, hit = known[data.symbol], True
    except KeyError:
        price, agents = await redis.mget(price_key(data.symbol), agents_key(data.symbol))
        evidence, hit = evidence_of(data.symbol, price, agents), False
        if evidence is None:
            raise NotFoundException("unknown symbol") from None
        known[data.symbol] = evidence
    return judgement.decide(data.symbol, evidence, hit=hit)


async def close() -> None:
    """At the end."""
    await redis.aclose()


app = Litestar([decide], on_shutdown=[close], openapi_config=None)
