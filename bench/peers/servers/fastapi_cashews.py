"""FastAPI + Uvicorn + cashews with its client-side cache: values are kept in the process, Redis says when they change."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cashews import cache
from fastapi import FastAPI, HTTPException
from redis.asyncio import Redis

from bench.peers.judgement import Judgement, agents_key, evidence_of, price_key
from bench.peers.servers.models import DecideRequest, DecideResponse

cache.setup(os.environ["PEER_REDIS_URL"], client_side=True)
redis = Redis.from_url(os.environ["PEER_REDIS_URL"])
judgement = Judgement(int(os.environ["PEER_NEWEST_AS_OF_MS"]))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The cache begins to listen to Redis."""
    await cache.init()
    yield
    await cache.close()
    await redis.aclose()


app = FastAPI(lifespan=lifespan)


@cache(ttl="10m", key="peer:{symbol}")
async def load(symbol: str) -> Any:  # noqa: ANN401 - a list, as redis-py gives it
    """Both records."""
    return await redis.mget(price_key(symbol), agents_key(symbol))


@app.post("/decide", response_model=DecideResponse)
async def decide(asked: DecideRequest) -> Any:  # noqa: ANN401 - FastAPI makes the response model of it
    """From the cache, then the policy."""
    price, agents = await load(asked.symbol)
    evidence = evidence_of(asked.symbol, price, agents)
    if evidence is None:
        raise HTTPException(404, "unknown symbol")
    return judgement.decide_plainly(asked.symbol, evidence, hit=True)
